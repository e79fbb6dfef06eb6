"""What a run consists of: one step, a ladder of them, or a search (search.py); pure.

A plan is asked for the next step with the outcome of the one before, until it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sseload_users.core.figures import Account
from sseload_users.core.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch of a run: connect, settle, broadcast, drain.

    Attributes:
        name: as it is told: "200 connections".
        schedule: of its codes.
        connections: how many there are to be, all of them new; None for those that Locust
            was told to begin with.
    """

    name: str
    schedule: Schedule
    connections: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step went.

    Attributes:
        step: which.
        account: of this step alone.
    """

    step: Step
    account: Account


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
