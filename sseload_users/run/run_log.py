"""What is recorded of a run beside its account: phases, notes, and whether it is complete."""

from __future__ import annotations

from dataclasses import replace

from sseload_users.core.clock import wall_ns
from sseload_users.core.clock_steps import ClockStepLog
from sseload_users.core.totals import Totals
from sseload_users.report.account import Run
from sseload_users.report.progress import Progress


class RunLog:
    """Records a run's phases and notes, and shows them as the run's progress.

    Args:
        run: facts about the run; what is recorded is added to them.
        totals: the account; has the error of the workers' clocks.
        progress: shows phases and notes.

    Attributes:
        run: as given.
        phase: name of the current phase; empty if there is none.
        phase_number: number of phases so far.
        doing: what the run is doing, in a sentence.
        complete: whether nothing has made the account incomplete.
    """

    def __init__(self, run: Run, totals: Totals, progress: Progress) -> None:
        self.run = run
        self.phase = ""
        self.phase_number = 0
        self.doing = ""
        self.complete = True
        self._totals = totals
        self._progress = progress
        self._phase_began_ns = 0
        self._clock_steps = ClockStepLog()

    def enter(self, phase: str, sentence: str) -> None:
        """Enter a phase.

        Args:
            phase: its name.
            sentence: what the run does in it.
        """
        self.leave()
        self.doing = sentence
        self.phase, self._phase_began_ns = phase, wall_ns()
        self.phase_number += 1
        self._progress.phase(phase, sentence)

    def leave(self) -> None:
        """Leave the current phase."""
        if self.phase:
            self.run.phases.append((self.phase, self._phase_began_ns, wall_ns()))
        self.phase = ""

    def show(self, sentence: str) -> None:
        """Show a sentence that the report does not need."""
        self._progress.note(sentence)

    def note(self, sentence: str) -> None:
        """Add a note to the report, and show it."""
        self.run.notes.append(sentence)
        self._progress.note(sentence)

    def mark_incomplete(self, reason: str) -> None:
        """Mark the account as incomplete, for a reason in one sentence."""
        self.run.notes.insert(self.run.reasons, reason)
        self.run.reasons += 1
        self._progress.note(reason)
        self.complete = False

    def add_clock_step(self, host: str, step_ns: int, owner: str) -> None:
        """Note that a clock was set; see `ClockStepLog.add`."""
        sentence = self._clock_steps.add(host, step_ns, owner)
        if sentence is not None:
            self.note(sentence)

    def clock_error_ms(self) -> float:
        """Return how wrong a latency between two processes can be, in milliseconds."""
        return self._totals.clock_error_ms() + self._clock_steps.worst_ns / 1e6

    def close(self, *, cut_short: str, complete: bool) -> None:
        """Record the end of the run.

        Args:
            cut_short: name of the phase in which the run was ended; empty if it went to its end.
            complete: whether all accounts are closed and here.
        """
        self.leave()
        self.run.finished_ns = wall_ns()
        if cut_short:
            self.run.notes.insert(0, f"The run was ended in the {cut_short} phase.")
            self.run.reasons += 1
        self.run.complete = self.complete and complete and not cut_short
        self.run.clock_error_ms = self.clock_error_ms()

    def so_far(self) -> Run:
        """Return the facts about the run as of now."""
        now = wall_ns()
        phases = list(self.run.phases)
        if self.phase:
            phases.append((self.phase, self._phase_began_ns, now))
        return replace(
            self.run,
            finished_ns=now,
            phases=phases,
            complete=self.complete,
            clock_error_ms=self.clock_error_ms(),
        )
