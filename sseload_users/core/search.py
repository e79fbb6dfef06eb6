"""The search for the largest size that a server holds; pure.

It doubles from a start until the objective breaks, halves the bracket until its ends are
close, and then tries both ends once more: what decides the answer has been seen twice. A
single noisy probe so costs time, and not the truth: where the second look disagrees, a third
one decides, and the search goes on from what it has learnt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from sseload_users.core.causes import is_local
from sseload_users.core.figures import Probe, SearchResult
from sseload_users.core.objective import Objective
from sseload_users.core.plan import Outcome, Step
from sseload_users.core.schedule import Schedule

#: What a search is over: how many connections, or codes in a second.
Over = Literal["connections", "rate"]

#: What ended a search: the server gave out, or the generator did before it; all that was to
#: be tried held; or the run ended before the bracket was close.
LimitedBy = Literal["server", "generator", "limit", "end"]

#: As many probes of a size have to agree before the answer rests on it.
_AGREE = 2
#: The generator's own limit is looked for no closer than this.
_NEAR_GENERATOR = 2.0
#: How steeply to come down while nothing has held.
_DOWN = 4


@dataclass(slots=True)
class Search:
    """Finds the largest size that keeps an objective.

    Args:
        objective: what must be kept.
        over: what is searched.
        start: the first size.
        most: the largest size to try.
        tolerance: how close the bracket's ends must be, as a share of the lower one.
        codes: how many go out in a probe over connections.
        interval_s: from one of them to the next; a probe over the rate takes as long.
        connections: how many there are in a search over the rate.

    Attributes:
        probes: all that were made.
    """

    objective: Objective
    over: Over
    start: int
    most: int
    tolerance: float = 0.03
    codes: int = 5
    interval_s: float = 1.0
    connections: int = 50
    probes: list[Probe] = field(default_factory=list)
    _size: int = 0
    _limited_by: LimitedBy = "end"

    def next(self, last: Outcome | None) -> Step | None:
        """The next size to try; None when the answer is known."""
        if last is None:
            self._size = min(self.start, self.most)
            return self._step()
        self.probes.append(_probe(self._size, last, self.objective))
        size = self._choose()
        if size is None:
            return None
        self._size = size
        return self._step()

    @property
    def best(self) -> int:
        """The largest size that holds, as far as is known; 0 for none."""
        worst = self.worst
        sizes = (each for each in self._sizes() if worst is None or each < worst)
        return max((each for each in sizes if self._holds(each)), default=0)

    @property
    def worst(self) -> int | None:
        """The smallest size that does not, as far as is known; None for none."""
        return min((each for each in self._sizes() if self._holds(each) is False), default=None)

    @property
    def beyond(self) -> int | None:
        """The smallest size that is beyond the generator; None for none."""
        return min((each for each in self._sizes() if self._is_beyond(each)), default=None)

    def result(self) -> SearchResult:
        """Return what has been found, for the report."""
        worst = self.worst
        broke = [each for each in self.probes if each.size == worst and not each.held]
        first = next((each for each in broke if not each.saturated), None)
        limited_by = self._limited_by
        return SearchResult(
            over=self.over,
            objective=[term.bound() for term in self.objective.terms],
            largest=self.best if limited_by in ("server", "limit") else None,
            held=self.best,
            broke_at=worst,
            limited_by=limited_by,
            first_broken=first.broken if first else [],
            cause=first.cause if first else "",
            probes=list(self.probes),
        )

    def _step(self) -> Step:
        if self.over == "rate":
            codes = max(2, round(self._size * self.codes * self.interval_s))
            name = f"{self._size:,} {'code' if self._size == 1 else 'codes'} a second"
            return Step(name, Schedule(codes, 1 / self._size), self.connections)
        name = f"{self._size:,} {'connection' if self._size == 1 else 'connections'}"
        return Step(name, Schedule(self.codes, self.interval_s), self._size)

    def _sizes(self) -> set[int]:
        return {each.size for each in self.probes}

    def _votes(self, size: int) -> tuple[int, int, int]:
        """How many probes of a size held, broke, and say nothing."""
        own = [each for each in self.probes if each.size == size]
        silent = sum(each.saturated for each in own)
        held = sum(each.held and not each.saturated for each in own)
        return held, len(own) - held - silent, silent

    def _holds(self, size: int) -> bool | None:
        """Whether a size holds, by most of its probes; None where they do not say."""
        held, broke, _ = self._votes(size)
        return None if held == broke else held > broke

    def _is_beyond(self, size: int) -> bool:
        return self._votes(size)[2] >= _AGREE and self._holds(size) is None

    def _is_sure(self, size: int) -> bool:
        return max(self._votes(size)[:2]) >= _AGREE

    def _choose(self) -> int | None:
        """The next size; None at the end, whose reason is then known."""
        if self._holds(self._size) is None and not self._is_beyond(self._size):
            return self._size
        best, worst, beyond = self.best, self.worst, self.beyond
        ends = [each for each in (worst, beyond) if each is not None]
        if not ends:
            return self._grow(best)
        high = min(ends)
        if high == worst and high - best <= max(1, int(best * self.tolerance)):
            return self._confirm(best, high)
        if high == beyond and (high <= best * _NEAR_GENERATOR or high == 1):
            self._limited_by = "generator"
            return None
        if not best:
            return max(1, high // _DOWN)
        # In the middle of the ratio: sizes matter by how many times larger they are.
        middle = round(math.sqrt(best * high))
        return min(max(middle, best + 1), high - 1)

    def _grow(self, best: int) -> int | None:
        if best < self.most:
            return min(best * 2, self.most)
        if not self._is_sure(best):
            return best
        self._limited_by = "limit"
        return None

    def _confirm(self, best: int, worst: int) -> int | None:
        for end in (worst, best):
            if end and not self._is_sure(end):
                return end
        self._limited_by = "server"
        return None


def _probe(size: int, outcome: Outcome, objective: Objective) -> Probe:
    account = outcome.account
    broken = objective.broken(account)
    causes = account.errors.causes
    # Slowness has no cause in the account; failures beside it need not explain it.
    first = causes[0] if causes and any(not term.is_latency for term, _ in broken) else None
    # Where this machine ran out of something, it is not the server that failed.
    own = first is not None and is_local(first.operation, first.cause)
    return Probe(
        size,
        held=not broken,
        broken=[term.words(figure) for term, figure in broken],
        cause=f"{first.operation}: {first.cause}" if first else "",
        saturated=account.generator.saturated or own,
    )
