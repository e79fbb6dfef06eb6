"""What a run consists of: one step, a ladder of them, or a search for the largest; pure.

A plan is asked for the next step with the outcome of the one before, until it has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sseload_users.objective import Objective
from sseload_users.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch of a run: connect, settle, broadcast, drain.

    Attributes:
        name: as it is told: "200 connections".
        schedule: of its codes.
        connections: how many there are to be; None for as many as Locust was told.
        fresh: all connections are closed before it, so that nothing of the last step stays.
    """

    name: str
    schedule: Schedule
    connections: int | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step went.

    Attributes:
        step: which.
        report: its own report, of schema 1's parts, verdict included.
    """

    step: Step
    report: Mapping[str, Any]


class Plan(Protocol):
    """The steps of a run."""

    def next(self, last: Outcome | None) -> Step | None:
        """The next step; None at the end.

        Args:
            last: of the step before; None at the beginning.
        """


@dataclass(slots=True)
class Single:
    """One step, with as many connections as Locust was told."""

    schedule: Schedule
    _given: bool = False

    def next(self, last: Outcome | None) -> Step | None:
        """The step, once."""
        del last
        given, self._given = self._given, True
        return None if given else Step("", self.schedule)


@dataclass(slots=True)
class Ladder:
    """One size after the other, each settled before the next; none is left out."""

    sizes: Sequence[int]
    schedule: Schedule
    _at: int = 0

    def next(self, last: Outcome | None) -> Step | None:
        """The next size."""
        del last
        if self._at >= len(self.sizes):
            return None
        size = self.sizes[self._at]
        self._at += 1
        return Step(f"{size:,} connections", self.schedule, size)


#: What a search is over: how many connections, or codes in a second.
Over = Literal["connections", "rate"]


@dataclass(slots=True)
class Probe:
    """One step of a search.

    Attributes:
        size: how many connections, or codes in a second.
        held: whether the objective was kept.
        broken: the conditions that were not kept, in words.
        saturated: the generator was; then nothing is said about the server.
    """

    size: int
    held: bool
    broken: list[str]
    saturated: bool


@dataclass(slots=True)
class Search:
    """Grows until the objective breaks, then closes in on the largest size that keeps it.

    Near the edge a size is tried up to three times, and two out of three decide, so that a
    noisy probe does not.

    Args:
        objective: what must be kept.
        over: what is searched.
        start: the first size.
        most: the largest size to try.
        tolerance: how close the bracket's ends must be, as a share of its lower one.
        make: makes the step for a size.

    Attributes:
        probes: all that were made.
        best: the largest size that held; 0 before.
        worst: the smallest that did not; None before.
        limited_by: what ended the search: the server; the generator, which gave out first;
            or the largest size that was to be tried.
    """

    objective: Objective
    over: Over
    start: int
    most: int
    tolerance: float = 0.05
    interval_s: float = 1.0
    codes: int = 5
    connections: int = 50
    probes: list[Probe] = field(default_factory=list)
    best: int = 0
    worst: int | None = None
    limited_by: Literal["server", "generator", "limit", ""] = ""
    _size: int = 0

    def next(self, last: Outcome | None) -> Step | None:
        """The next size to try; None when the bracket is close enough."""
        if last is None:
            self._size = min(self.start, self.most)
            return self._step()
        self._judge(last)
        if self.limited_by:
            return None
        size = self._choose()
        if size is None:
            return None
        self._size = size
        return self._step()

    def result(self) -> dict[str, Any]:
        """What was found, for the report."""
        worst = [each for each in self.probes if not each.held and each.size == self.worst]
        return {
            "over": self.over,
            "objective": [
                f"{each.name} {'>=' if each.at_least else '<='} {each.value:g}"
                for each in self.objective.terms
            ],
            "largest": None if self.limited_by == "generator" else self.best,
            "held": self.best,
            "broke_at": self.worst,
            "limited_by": self.limited_by or "server",
            "first_broken": worst[0].broken if worst else [],
            "probes": [
                {"size": each.size, "held": each.held, "broken": each.broken,
                 "saturated": each.saturated}
                for each in self.probes
            ],
        }  # fmt: skip

    def _step(self) -> Step:
        if self.over == "rate":
            interval = 1 / self._size
            codes = max(self.codes, round(self._size * self.codes * self.interval_s))
            name = f"{self._size:,} codes a second"
            return Step(name, Schedule(codes, interval), self.connections)
        schedule = Schedule(self.codes, self.interval_s)
        return Step(f"{self._size:,} connections", schedule, self._size, fresh=True)

    def _judge(self, last: Outcome) -> None:
        broken = self.objective.broken(last.report)
        saturated = bool(last.report["generator"]["saturated"])
        probe = Probe(self._size, not broken, broken, saturated)
        self.probes.append(probe)
        if saturated:
            # Whatever came of it may be this machine's doing.
            self.limited_by = "generator"
            return
        held = self._verdict(self._size)
        if held is None:
            return
        if held:
            self.best = max(self.best, self._size)
        elif self.worst is None or self._size < self.worst:
            self.worst = self._size
        if self.best >= self.most:
            self.limited_by = "limit"

    def _verdict(self, size: int) -> bool | None:
        """Whether a size holds, as far as its probes decide it; None for not yet."""
        own = [each.held for each in self.probes if each.size == size]
        if not self._near_edge(size):
            return own[-1]
        held = sum(own)
        if held >= 2 or len(own) - held >= 2:
            return held >= 2
        return None

    def _near_edge(self, size: int) -> bool:
        """Whether one noisy probe at that size could move the answer out of tolerance."""
        low, high = self.best or 1, self.worst or self.most
        return high / low < 1.5 and low <= size <= high

    def _choose(self) -> int | None:
        if self._verdict(self._size) is None:
            return self._size
        if self.worst is None:
            return min(self.best * 2, self.most)
        low, high = self.best, self.worst
        if high - low <= max(1, int(low * self.tolerance)):
            self.limited_by = "server"
            return None
        if low == 0:
            return max(1, high // 4) if high > 1 else None
        # In the middle of the ratio: sizes matter by how many times larger they are.
        middle = round(math.sqrt(low * high))
        return min(max(middle, low + 1), high - 1)
