"""The view of a run that is in progress, for the terminal, the web UI and metrics."""

from __future__ import annotations

import gevent

from sseload_users.core.clock import host_id, wall_ns
from sseload_users.core.clock_steps import ClockStepDetector
from sseload_users.core.totals import Totals
from sseload_users.report.account import Run
from sseload_users.report.progress import Progress
from sseload_users.report.snapshot import Snapshot
from sseload_users.run.population import Population
from sseload_users.run.run_log import RunLog
from sseload_users.run.snapshot import snapshot
from sseload_users.run.step_runner import StepRunner
from sseload_users.verdict.reasons import StepReport

#: Seconds from one update of the progress to the next.
_UPDATE_S = 0.25


class RunView:
    """The view of a run that is in progress; updates the progress shown in the terminal.

    Args:
        totals: the account.
        log: the run's log.
        steps: runs the steps.
        population: Locust's users.
        progress: shows the figures.
        codes: number of codes of the whole run, as far as it is known in advance.
        is_master: whether this process's clock is watched here, not by a worker.

    Attributes:
        totals: as given.
    """

    def __init__(
        self,
        totals: Totals,
        log: RunLog,
        steps: StepRunner,
        population: Population,
        progress: Progress,
        *,
        codes: int,
        is_master: bool,
    ) -> None:
        self.totals = totals
        self._log = log
        self._steps = steps
        self._population = population
        self._progress = progress
        self._codes = codes
        self._is_master = is_master
        self._step_detector = ClockStepDetector()
        self._updater: gevent.Greenlet[..., None] | None = None

    @property
    def doing(self) -> str:
        """What the run is doing, in a sentence."""
        return self._log.doing

    def start(self) -> None:
        """Start to update the progress."""
        self._updater = gevent.spawn(self._update)

    def close(self) -> None:
        """Show the last figures."""
        if self._updater is not None:
            self._updater.kill(block=False)
        self._progress.update(self.snapshot())
        self._progress.close()

    def so_far(self) -> Run:
        """Return the facts about the run as of now."""
        return self._log.so_far()

    def step_reports(self) -> list[StepReport]:
        """Return the reports of the steps so far."""
        return list(self._steps.reports)

    def snapshot(self) -> Snapshot:
        """Return the figures of this moment."""
        return snapshot(
            self.totals,
            phase=self._log.phase,
            now_ns=wall_ns(),
            started_ns=self._log.run.started_ns,
            expected=self._population.expected(),
            codes=max(self._codes, self._steps.codes_ordered),
        )

    def _update(self) -> None:
        while True:
            gevent.sleep(_UPDATE_S)
            self.totals.fold(wall_ns())
            if self._is_master and (step_ns := self._step_detector.step_ns()):
                self._log.add_clock_step(host_id(), step_ns, "the master")
            self._progress.update(self.snapshot())
