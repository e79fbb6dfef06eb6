"""The phases of one step: connect, settle, broadcast, drain."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace

import gevent

from sseload_users.core.clock import wall_ns
from sseload_users.core.figures import ObservationFigures
from sseload_users.core.formatting import count, seconds
from sseload_users.core.plan import RunStep, StepResult
from sseload_users.core.schedule import Schedule
from sseload_users.core.sightings import Sightings
from sseload_users.core.totals import Totals
from sseload_users.report.build import step_in_words, step_report
from sseload_users.run import time_limit
from sseload_users.run.closing_notes import observed_figures
from sseload_users.run.messages import BroadcastOrder
from sseload_users.run.population import Population
from sseload_users.run.preflight import CannotRun, await_recovery
from sseload_users.run.resources import Resources
from sseload_users.run.run_log import RunLog
from sseload_users.run.run_protocol import RunProtocol
from sseload_users.run.worker_registry import WorkerRegistry
from sseload_users.verdict.reasons import StepReport
from sseload_users.verdict.thresholds import Thresholds

#: Seconds beyond the timeouts for which the run waits until all codes are settled.
_DRAIN_S = 5.0
#: Seconds after the end of an observation within which all that was seen by then is numbered.
_SIGHTED_S = 2.0
#: Seconds for which the connections of the previous step may take to close.
_DISCONNECT_S = 10.0


class StepRunner:
    """Runs the steps of a plan.

    Args:
        resources: the run's resources.
        totals: the account.
        log: the run's log.
        protocol: exchanges messages with the workers.
        registry: the workers.
        population: Locust's users.
        judge_by: thresholds by which each step is judged.
        sightings: the messages that others send; None in a run that sends its own codes.

    Attributes:
        reports: the reports of the steps so far; empty if the only step is the whole run.
        codes_ordered: number of codes that were ordered so far.
        broadcaster: id of the worker that got the latest order; None before the first.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        totals: Totals,
        log: RunLog,
        protocol: RunProtocol,
        registry: WorkerRegistry,
        population: Population,
        judge_by: Thresholds,
        sightings: Sightings | None = None,
    ) -> None:
        self._sightings = sightings
        self.reports: list[StepReport] = []
        self.codes_ordered = 0
        self.broadcaster: str | None = None
        self._resources = resources
        self._options = resources.options
        self._totals = totals
        self._log = log
        self._protocol = protocol
        self._registry = registry
        self._population = population
        self._judge_by = judge_by

    def run(self, step: RunStep) -> StepResult | None:
        """Run one step.

        Returns:
            Its outcome; None if the step is the whole run, and has no account of its own.

        Raises:
            CannotRun: it cannot be carried out.
        """
        options = self._options
        self._close_previous(step)
        if step.name:
            self._totals.begin_step(self.codes_ordered + 1)
        first_phase = len(self._log.run.phases)
        label = f" ({step.name})" if step.name else ""
        connected_before = self._totals.tally.counters.succeeded
        nodes = len(options.nodes)
        where = count(nodes, "node") if nodes else self._resources.target.host
        self.enter("connect", f"Connecting to {where}{label}.")
        if step.connections is not None and self._population.expected() != step.connections:
            self._population.resize(step.connections)
        self._protocol.wait_until(self._all_connected)
        if not self._population.expected():
            raise CannotRun("No user listens: -u includes the broadcaster; give 2 or more.")
        # A connection that failed all its attempts is not tried again.
        if self._totals.tally.counters.succeeded == connected_before:
            self._log.show("Nothing is connected: no codes are sent.")
            self._log.leave()
            return self._outcome(step, first_phase, 0) if step.name else None
        self.enter("settle", f"Waiting {seconds(options.settle)} before the first code.")
        gevent.sleep(options.settle)
        opened = self._totals.sum_gauges(lambda each: each.open)
        schedule = step.schedule if step.name else self._fitted(step.schedule)
        if self._sightings is not None:
            self._observe(self._sightings, schedule.codes * schedule.interval_s)
            self.enter("drain", "Waiting for the last messages to arrive.")
        else:
            broadcaster = self._broadcast(schedule)
            self.enter("drain", "Waiting for the last codes to arrive.")
            if not self._protocol.broadcast_done:
                self._await_answers(broadcaster)
        timeout_s = options.delivery_timeout + options.ingest_timeout + _DRAIN_S
        if self._resources.target.profile.spec.guarantee == "resume":
            # Who is away may return, and catches up.
            timeout_s += options.delivery_timeout
        self._protocol.wait_until(self._all_settled, timeout_s)
        self._log.leave()
        return self._outcome(step, first_phase, opened) if step.name else None

    def enter(self, phase: str, sentence: str) -> None:
        """Enter a phase, and announce it to the workers."""
        self._log.enter(phase, sentence)
        self._protocol.announce_phase()

    def _outcome(self, step: RunStep, first_phase: int, opened: int) -> StepResult:
        run = self._log.run
        report = step_report(
            step.name,
            replace(run, phases=run.phases[first_phase:]),
            self._totals.end_step(),
            self._judge_by,
            asked=self._population.expected(),
            opened=opened,
        )
        self.reports.append(report)
        self._log.show(f"{step.name}: {step_in_words(report)}")
        return StepResult(step, report)

    def _close_previous(self, step: RunStep) -> None:
        """Close all connections, if a step has its own, and wait until the server is healthy.

        Raises:
            CannotRun: the server does not recover from the previous step.
        """
        population = self._population
        if step.connections is None:
            return
        self._protocol.wait_until(population.is_spawned)
        if self._listeners() or population.expected():
            self.enter("disconnect", f"Closing the connections before {step.name}.")
            population.resize(0)
            self._protocol.wait_until(
                lambda: population.is_spawned() and not self._listeners(), _DISCONNECT_S
            )
        if self.reports:
            self.enter("warm-up", "Waiting until the server is healthy again.")
            await_recovery(self._resources)

    def _fitted(self, schedule: Schedule) -> Schedule:
        """Return the run's schedule, shortened to its time limit if its length was left open."""
        options, run = self._options, self._log.run
        left = time_limit.left_s(run)
        if left is None or options.duration is not None:
            return schedule
        fitted = time_limit.fitted(schedule, left, options.delivery_timeout)
        run.options = {**run.options, "duration": round(fitted.codes * fitted.interval_s, 3)}
        for flag, value, what in (
            ("--storm-after", options.storm_after, "the storm may not take place"),
            ("--flap", options.flap, "no connection may be lost"),
        ):
            if value and value >= fitted.length_s:
                self._log.note(
                    f"The codes are spread over {seconds(fitted.length_s)} to end before -t does, "
                    f"but {flag} is {seconds(value)}: {what}."
                )
        return fitted

    def _broadcast(self, schedule: Schedule) -> str:
        """Broadcast the next codes of the run's sequence, until each has an outcome.

        Returns:
            The id of the worker that broadcast them.

        Raises:
            CannotRun: there is no broadcaster.
        """
        self.enter(
            "broadcast",
            f"Broadcasting {count(schedule.codes, 'code')}, {schedule.describe_rate()}.",
        )
        order = BroadcastOrder(self.codes_ordered + 1, schedule.codes, schedule.interval_s)
        self.codes_ordered += schedule.codes
        broadcaster = self.broadcaster = self._registry.broadcaster()
        if broadcaster is None:
            raise CannotRun(
                "No user broadcasts: the run has no CodeBroadcaster; check the user classes, and "
                "that -u includes it beside the connections."
            )
        self._protocol.order_broadcast(broadcaster, order)
        with self._sessions_ending():
            self._protocol.wait_until(
                lambda: self._protocol.broadcast_done or self._registry.broadcaster() != broadcaster
            )
        if not self._protocol.broadcast_done:
            self._log.mark_incomplete(
                f"{self._registry.name(broadcaster)}, which broadcast, was lost, or its user was "
                "moved: the broadcast ended there."
            )
            self._protocol.abandon_broadcast(broadcaster)
        return broadcaster

    @contextlib.contextmanager
    def _sessions_ending(self) -> Iterator[None]:
        """End sessions meanwhile, as the options for storms and lost connections say."""
        after_s, flap_s = self._options.storm_after, self._options.flap
        ending: list[gevent.Greenlet[..., None]] = []
        if after_s:
            ending.append(gevent.spawn_later(after_s, self._storm))
        if flap_s:
            ending.append(gevent.spawn(self._flap, flap_s))
        try:
            yield
        finally:
            gevent.killall(ending, block=False)

    def _observe(self, sightings: Sightings, duration_s: float) -> None:
        """Observe what others send, for a time."""
        self.enter("observe", f"Observing messages for {seconds(duration_s)}.")
        sightings.begin(wall_ns())

        def number() -> bool:
            self._protocol.number_sightings()
            self.codes_ordered = sightings.numbered
            self._log.run.observed = self._figures_of(sightings)
            return False

        with self._sessions_ending():
            self._protocol.wait_until(number, duration_s)
        sightings.end(wall_ns())
        # Workers report what they have seen by now, and the earliest sighting of all counts.
        self._protocol.wait_until(number, _SIGHTED_S)

    def _figures_of(self, sightings: Sightings) -> ObservationFigures:
        has_times = self._resources.target.profile.spec.code.sent is not None
        return observed_figures(sightings, has_times=has_times)

    def _await_answers(self, broadcaster: str) -> None:
        """Wait until a lost worker is back and has reported what became of the codes it sent.

        It may never come back, so the wait ends when these codes have timed out.
        """
        statuses = self._totals.statuses
        self._protocol.wait_until(
            lambda: not self._registry.is_lost(broadcaster) and not statuses["unknown"],
            self._options.delivery_timeout,
        )

    def _storm(self) -> None:
        """End all sessions at once; they reconnect."""
        self._log.run.storms_ns.append(wall_ns())
        self._log.show("All sessions end at once and reconnect.")
        self._protocol.storm()

    def _flap(self, every_s: float) -> None:
        """Lose one connection after another, in turn; each returns."""
        began, flaps = time.monotonic(), 0
        self._log.show(f"One connection is lost every {seconds(every_s)}, in turn, and returns.")
        while True:
            flaps += 1
            gevent.sleep(max(began + flaps * every_s - time.monotonic(), 0))
            self._protocol.flap()

    def _all_connected(self) -> bool:
        present = self._registry.present()
        connected = self._listeners() >= self._population.expected() and (
            self._registry.broadcaster() is not None or not self._population.has_broadcaster()
        )
        return (
            self._population.is_spawned()
            and (connected or len(present) < len(self._totals.workers))
            and all(
                each.gauges and each.gauges.pending == 0 and each.gauges.clock_known
                for each in present
            )
        )

    def _all_settled(self) -> bool:
        # A report that knows the drain phase covers all codes that were announced before it.
        return all(
            each.final
            or (
                each.gauges is not None
                and each.gauges.phase == self._log.phase_number
                and each.gauges.in_flight == each.gauges.catching_up == 0
            )
            for each in self._registry.present()
        )

    def _listeners(self) -> int:
        return self._totals.sum_gauges(lambda each: each.listeners)
