"""Conducts one run, from the check of the server to the closed account.

It runs in the process that has no workers, or in the master. It uses no sockets for the load:
it tells the workers which phase the run is in, and waits for what they report.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent.event import Event

from sseload_users.core.channels import ChannelPlan
from sseload_users.core.clock import wall_ns
from sseload_users.core.delivery_row import DeliveryRow, delivery_rows
from sseload_users.core.figures import ObservationFigures
from sseload_users.core.formatting import count
from sseload_users.core.node_totals import NodeTotals
from sseload_users.core.payload_sizes import PayloadSizes
from sseload_users.core.plan import RunPlan
from sseload_users.core.sightings import Sightings
from sseload_users.core.totals import Totals
from sseload_users.report.account import Run
from sseload_users.report.progress import Progress
from sseload_users.run import time_limit
from sseload_users.run.closing_notes import (
    channel_notes,
    closing_notes,
    deliveries_notes,
    node_notes,
    observation_notes,
    observed_figures,
)
from sseload_users.run.link import Link
from sseload_users.run.messages import ToLeader
from sseload_users.run.population import Population
from sseload_users.run.preflight import CannotRun, check_server, shared_users
from sseload_users.run.resources import Resources
from sseload_users.run.run_log import RunLog
from sseload_users.run.run_protocol import RunProtocol
from sseload_users.run.run_view import RunView
from sseload_users.run.step_runner import StepRunner
from sseload_users.run.worker_registry import WorkerRegistry
from sseload_users.verdict.thresholds import Thresholds

_logger = logging.getLogger(__name__)


class Conductor:
    """Conducts one run.

    Args:
        link: the link to the workers.
        resources: the run's resources.
        run: facts about the run; phases and notes are added to them.
        population: Locust's users.
        plan: the run's steps.
        channels: deals codes to channels; None for a run without channels.
        judge_by: thresholds by which each step is judged.
        stop: stops Locust's test; called at the end of the run.

    Attributes:
        options: the run's options.
        run: as given.
        plan: as given.
        totals: the account.
        view: the view of the run while it is in progress.
        refusal: why the run cannot be carried out, in one sentence; empty if it can.
    """

    def __init__(
        self,
        link: Link,
        resources: Resources,
        run: Run,
        *,
        population: Population,
        plan: RunPlan,
        channels: ChannelPlan | None,
        judge_by: Thresholds,
        stop: Callable[[], None],
    ) -> None:
        self.options = resources.options
        self.run = run
        self.plan = plan
        nodes = self.options.nodes
        self.totals = totals = Totals(
            plan=channels,
            nodes=NodeTotals(nodes, self.options.streams) if nodes else None,
            sizes=PayloadSizes.parse(self.options.payload_bytes),
            streams=self.options.streams,
        )
        self.refusal = ""
        self._channels = channels
        self._resources = resources
        self._stop = stop
        progress = Progress()
        self._log = log = RunLog(run, totals, progress)
        self._population = population
        self._registry = registry = WorkerRegistry(link, totals, log.mark_incomplete)
        code = resources.target.profile.spec.code
        sightings = Sightings(in_row=code.sequence) if self.options.observe else None
        self._sightings = sightings
        run.observed = self._observed()
        self._protocol = RunProtocol(link, totals, registry, log, self._refuse, sightings)
        self._steps = StepRunner(
            resources,
            totals=totals,
            log=log,
            protocol=self._protocol,
            registry=registry,
            population=population,
            judge_by=judge_by,
            sightings=sightings,
        )
        self.view = RunView(
            totals,
            log,
            self._steps,
            population,
            progress,
            codes=0 if self.options.observe else self.options.all_codes,
            is_master=link.role == "master",
        )
        self._plan_done = False
        self._ended = False
        self._closed = Event()
        self._runner: gevent.Greenlet[..., None] | None = None

    def start(self) -> None:
        """Start the run in the background."""
        self.view.start()
        self._runner = gevent.spawn(self._run_plan)

    def on_spawned(self) -> None:
        """Note that Locust has spawned all users."""
        self._population.on_spawned()

    def from_worker(self, worker: str, message: ToLeader) -> None:
        """Take a message of this run from a worker."""
        self._protocol.from_worker(worker, message)

    def delivery_rows(self) -> list[DeliveryRow] | None:
        """Return the rows of deliveries.csv, and note if they are not all; None if not wanted."""
        if not self.options.deliveries_csv:
            return None
        rows = delivery_rows(self.totals, self.options.nodes)
        self.run.notes += deliveries_notes(len(rows), self.totals.outcomes)
        return rows

    def end(self) -> None:
        """Close the account, however far the run has come, as Locust's test stops.

        Locust may stop a test several times at once: each call returns when the account is
        closed.
        """
        if self._ended:
            self._closed.wait()
            return
        self._ended = self._protocol.ending = True
        try:
            self._end()
        finally:
            self._closed.set()

    def _run_plan(self) -> None:
        try:
            host = self._resources.target.host
            self._steps.enter("warm-up", f"Checking whether {host} is available.")
            options = self.options
            if options.publishers > 1:
                self._log.note(
                    f"{options.publishers:,} publishers send {count(options.codes, 'code')} each, "
                    f"{options.all_codes:,} together: their rates add up."
                )
            if warning := time_limit.clash(options, self.run.options.get("run_time")):
                self._log.note(warning)
            for warning in (
                *shared_users(self._resources, self._most_connections()),
                *check_server(self._resources),
            ):
                self._log.note(warning)
            step = self.plan.next(None)
            while step is not None:
                step = self.plan.next(self._steps.run(step))
            self._plan_done = True
        except CannotRun as error:
            if not self._steps.reports:
                self._refuse(str(error))
                return
            # The steps that were carried out are reported.
            self._log.mark_incomplete(f"{error} No further step was taken.")
            self._plan_done = True
        except Exception as error:
            # A defect in sseload; what has been measured is reported all the same.
            _logger.exception("The run cannot continue")
            self._refuse(f"The run cannot continue: {type(error).__name__}, see the log above.")
            return
        self._stop()

    def _observed(self) -> ObservationFigures | None:
        if self._sightings is None:
            return None
        has_times = self._resources.target.profile.spec.code.sent is not None
        return observed_figures(self._sightings, has_times=has_times)

    def _most_connections(self) -> int:
        options = self.options
        searched = options.search_most if options.search == "connections" else 0
        return max(self._population.expected(), searched, *options.ladder)

    def _refuse(self, sentence: str) -> None:
        if not self.refusal:
            self.refusal = sentence
            # In a greenlet of its own: the calling one may be among those that are stopped.
            gevent.spawn(self._stop)

    def _end(self) -> None:
        if self._runner is not None and self._runner is not gevent.getcurrent():
            self._runner.kill(block=False)
        cut_short = "" if self._plan_done or self.refusal else self._log.phase
        self._steps.enter("disconnect", "Closing all connections.")
        if cut_short == "broadcast" and self._steps.broadcaster is not None:
            # Every code that is sent must be announced before the workers close their accounts.
            self._protocol.stop_publishing(self._steps.broadcaster)
        if self._sightings is not None:
            self._sightings.end(wall_ns())
            self._protocol.number_sightings(final=True)
            self.run.observed = self._observed()
        self._protocol.close_accounts()
        self.view.close()
        self._log.close(
            cut_short=cut_short, complete=not self.refusal and self._registry.is_complete()
        )
        if self._channels is not None:
            rows = [row for each in self.totals.workers.values() for row in each.connections]
            self.run.notes += channel_notes(rows, self._channels)
        self.run.notes += observation_notes(self.run.observed)
        if self.totals.nodes is not None:
            self.run.notes += node_notes(self.totals.nodes.refused_at_end())
        self.run.notes += closing_notes(
            self.totals.tally,
            slow_rate=self.options.slow_rate,
            publisher_losses=self._protocol.publisher_losses,
            clock_error_ms=self._log.clock_error_ms(),
            channel_churn=bool(self.options.channel_churn),
        )
