"""The plan of a run: one step, a ladder of steps, or a search.

A plan returns the next step, given the result of the previous one, until it has no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sseload_users.core.figures import Account
from sseload_users.core.schedule import Schedule


@dataclass(frozen=True, slots=True)
class RunStep:
    """One step of a run: connect, settle, broadcast, drain.

    Attributes:
        name: name for people: "200 connections".
        schedule: schedule of its codes.
        connections: number of connections, all of them new; None for those that Locust was
            started with.
    """

    name: str
    schedule: Schedule
    connections: int | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of a step.

    Attributes:
        step: the step.
        account: account of this step alone.
    """

    step: RunStep
    account: Account


class RunPlan(Protocol):
    """The steps of a run."""

    def next(self, last: StepResult | None) -> RunStep | None:
        """Return the next step; None at the end.

        Args:
            last: result of the previous step; None for the first step.
        """


@dataclass(slots=True)
class SingleStep:
    """One step, with the connections that Locust was started with."""

    schedule: Schedule
    _started: bool = False

    def next(self, last: StepResult | None) -> RunStep | None:
        """Return the step, once."""
        del last
        started, self._started = self._started, True
        return None if started else RunStep("", self.schedule)


@dataclass(slots=True)
class Ladder:
    """One step for each size, in order, whatever their results."""

    sizes: Sequence[int]
    schedule: Schedule
    _at: int = 0

    def next(self, last: StepResult | None) -> RunStep | None:
        """Return the step of the next size."""
        del last
        if self._at >= len(self.sizes):
            return None
        size = self.sizes[self._at]
        self._at += 1
        return RunStep(f"{size:,} connections", self.schedule, size)
