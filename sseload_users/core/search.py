"""The search for the largest size that a server holds.

It doubles the size until the objective is not met, bisects the bracket until its ends are
close, and then probes both ends once more, so that the answer rests on two probes each. A
single noisy probe costs time but not accuracy: if the second probe disagrees, a third one
decides, and the search continues with what it has learnt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from sseload_users.core.causes import is_local
from sseload_users.core.objective import Objective
from sseload_users.core.plan import RunStep, StepResult
from sseload_users.core.run_figures import Probe, SearchResult
from sseload_users.core.schedule import Schedule

#: What a search varies: the number of connections, or of codes a second.
Over = Literal["connections", "rate"]

#: What ended a search: the server's limit; the generator's, which was lower; the largest size to
#: try, which held; or the end of the run.
LimitedBy = Literal["server", "generator", "limit", "end"]

#: Number of probes of a size that must agree before the answer rests on it.
_AGREEING = 2
#: The generator's own limit is located to within this factor only.
_GENERATOR_FACTOR = 2.0
#: Factor by which the size decreases while none has held.
_DECREASE = 4


@dataclass(slots=True)
class Search:
    """Finds the largest size that meets an objective.

    Args:
        objective: the objective.
        over: what is varied.
        start: the first size.
        max_size: the largest size to try.
        tolerance: maximum width of the final bracket, as a share of its lower end.
        codes: number of codes in a probe over connections.
        interval_s: seconds between them; a probe over the rate takes as long.
        connections: number of connections in a search over the rate.

    Attributes:
        probes: all probes so far.
    """

    objective: Objective
    over: Over
    start: int
    max_size: int
    tolerance: float = 0.03
    codes: int = 5
    interval_s: float = 1.0
    connections: int = 50
    probes: list[Probe] = field(default_factory=list)
    _size: int = 0
    _limited_by: LimitedBy = "end"

    def next(self, last: StepResult | None) -> RunStep | None:
        """Return the step of the next size; None when the answer is known."""
        if last is None:
            self._size = min(self.start, self.max_size)
            return self._step()
        self.probes.append(_probe(self._size, last, self.objective))
        size = self._choose()
        if size is None:
            return None
        self._size = size
        return self._step()

    @property
    def largest_held(self) -> int:
        """The largest size that holds, as far as is known; 0 if none does."""
        broken = self.smallest_broken
        sizes = (each for each in self._sizes() if broken is None or each < broken)
        return max((each for each in sizes if self._holds(each)), default=0)

    @property
    def smallest_broken(self) -> int | None:
        """The smallest size that does not hold, as far as is known; None if all do."""
        return min((each for each in self._sizes() if self._holds(each) is False), default=None)

    @property
    def smallest_saturated(self) -> int | None:
        """The smallest size that saturates the generator; None if none does."""
        return min((each for each in self._sizes() if self._saturates(each)), default=None)

    def result(self) -> SearchResult:
        """Return the result so far, for the report."""
        broke_at = self.smallest_broken
        broken = [each for each in self.probes if each.size == broke_at and not each.held]
        first = next((each for each in broken if not each.saturated), None)
        limited_by = self._limited_by
        return SearchResult(
            over=self.over,
            objective=[str(term) for term in self.objective.terms],
            largest=self.largest_held if limited_by in ("server", "limit") else None,
            held=self.largest_held,
            broke_at=broke_at,
            limited_by=limited_by,
            first_broken=first.broken if first else [],
            cause=first.cause if first else "",
            probes=list(self.probes),
        )

    def _step(self) -> RunStep:
        if self.over == "rate":
            codes = max(2, round(self._size * self.codes * self.interval_s))
            name = f"{self._size:,} {'code' if self._size == 1 else 'codes'} a second"
            return RunStep(name, Schedule(codes, 1 / self._size), self.connections)
        name = f"{self._size:,} {'connection' if self._size == 1 else 'connections'}"
        return RunStep(name, Schedule(self.codes, self.interval_s), self._size)

    def _sizes(self) -> set[int]:
        return {each.size for each in self.probes}

    def _votes(self, size: int) -> tuple[int, int, int]:
        """Return how many probes of a size held, broke, and were saturated."""
        own = [each for each in self.probes if each.size == size]
        saturated = sum(each.saturated for each in own)
        held = sum(each.held and not each.saturated for each in own)
        return held, len(own) - held - saturated, saturated

    def _holds(self, size: int) -> bool | None:
        """Whether a size holds, by the majority of its probes; None without a majority."""
        held, broke, _ = self._votes(size)
        return None if held == broke else held > broke

    def _saturates(self, size: int) -> bool:
        return self._votes(size)[2] >= _AGREEING and self._holds(size) is None

    def _is_confirmed(self, size: int) -> bool:
        return max(self._votes(size)[:2]) >= _AGREEING

    def _choose(self) -> int | None:
        """Return the next size; at the end, set the reason for it and return None."""
        if self._holds(self._size) is None and not self._saturates(self._size):
            return self._size
        held, broken, saturated = self.largest_held, self.smallest_broken, self.smallest_saturated
        ends = [each for each in (broken, saturated) if each is not None]
        if not ends:
            return self._grow(held)
        high = min(ends)
        if high == broken and high - held <= max(1, int(held * self.tolerance)):
            return self._confirm(held, high)
        if high == saturated and (high <= held * _GENERATOR_FACTOR or high == 1):
            self._limited_by = "generator"
            return None
        if not held:
            return max(1, high // _DECREASE)
        # The geometric mean: the ratio of sizes matters, not their difference.
        middle = round(math.sqrt(held * high))
        return min(max(middle, held + 1), high - 1)

    def _grow(self, held: int) -> int | None:
        if held < self.max_size:
            return min(held * 2, self.max_size)
        if not self._is_confirmed(held):
            return held
        self._limited_by = "limit"
        return None

    def _confirm(self, held: int, broken: int) -> int | None:
        for end in (broken, held):
            if end and not self._is_confirmed(end):
                return end
        self._limited_by = "server"
        return None


def _probe(size: int, result: StepResult, objective: Objective) -> Probe:
    account = result.account
    broken = objective.unmet(account)
    causes = account.errors.causes
    # Slowness has no cause in the account; failures beside it need not explain it.
    first = causes[0] if causes and any(not term.is_latency for term, _ in broken) else None
    # Where this machine ran out of something, it is not the server that failed.
    local = first is not None and is_local(first.operation, first.cause)
    return Probe(
        size,
        held=not broken,
        broken=[term.compare(figure) for term, figure in broken],
        cause=f"{first.operation}: {first.cause}" if first else "",
        saturated=account.generator.saturated or local,
    )
