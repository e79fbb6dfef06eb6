"""The phases of a run: connect, settle, broadcast, drain, disconnect, result.

A conductor leads one run, in the process that has no workers or in the master. It knows
nothing of sockets: it tells the workers what phase it is, and waits for what they report.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import gevent
from gevent.event import Event

from sseload_users.core.clock import host_id, wall_ns
from sseload_users.core.clock_steps import ClockStepDetector, ClockStepLog, before_sent_note
from sseload_users.core.formatting import count, seconds
from sseload_users.core.plan import RunPlan, RunStep, StepResult
from sseload_users.core.schedule import Schedule
from sseload_users.core.totals import Totals
from sseload_users.report.account import Run
from sseload_users.report.build import step_in_words, step_report
from sseload_users.report.progress import Progress
from sseload_users.report.snapshot import Snapshot
from sseload_users.run.link import Link
from sseload_users.run.messages import (
    AccountReport,
    BroadcastDone,
    BroadcastOrder,
    ClockReply,
    ClockRequest,
    ClockStepped,
    CloseAccount,
    CodeOutcome,
    CodeSent,
    CodeStatus,
    Hello,
    Leaving,
    PhaseEntered,
    PublisherLost,
    PublishingFailed,
    PublishingStopped,
    StopPublishing,
    Storm,
    ToLeader,
    ToWorker,
    Welcome,
    WorkerFailed,
)
from sseload_users.run.population import Population
from sseload_users.run.preflight import CannotRun, await_recovery, check_server
from sseload_users.run.resources import Resources
from sseload_users.run.snapshot import snapshot
from sseload_users.run.worker_registry import WorkerRegistry
from sseload_users.verdict.reasons import StepReport
from sseload_users.verdict.thresholds import Thresholds

_logger = logging.getLogger(__name__)

#: Seconds between two looks at what the workers have reported.
_LOOK_S = 0.1
#: Seconds that workers have to close their accounts when the run ends.
_FINISH_S = 10.0
#: Seconds after which a worker that ends by itself is answered. If the whole run ends, as
#: with Ctrl-C, it is answered in the order that loses nothing.
_GOODBYE_S = 0.3
#: Seconds beyond the timeouts after which nobody waits for a code to be settled any more.
_GRACE_S = 5.0
#: Seconds from one picture of the run to the next.
_PICTURE_S = 0.25


class Conductor:
    """Leads one run.

    Args:
        swarm: the line to the workers.
        resources: the run's resources.
        run: what its report will say of it; phases and notes are added here.
        crowd: Locust's users.
        plan: the run's steps.
        judge_by: what each step is judged by.
        progress: shows the run as it goes.
        stop: ends Locust's test; called when the run has come to its end.

    Attributes:
        totals: the account.
        unfit: why the run could not be carried out; empty if it could.
        plan: the run's steps.
        doing: what it is doing, in a sentence.
    """

    def __init__(
        self,
        swarm: Link,
        resources: Resources,
        run: Run,
        *,
        crowd: Population,
        plan: RunPlan,
        judge_by: Thresholds,
        progress: Progress,
        stop: Callable[[], None],
    ) -> None:
        self.totals = Totals()
        self.unfit = ""
        self.options = resources.options
        self.run = run
        self._swarm = swarm
        self._resources = resources
        self._target = resources.target
        self.plan = plan
        self._judge_by = judge_by
        self._step_reports: list[StepReport] = []
        self._progress = progress
        self._stop = stop
        self.doing = ""
        self._phase = ""
        self._phases = 0
        self._phase_began_ns = 0
        self._crowd = crowd
        self._roster = WorkerRegistry(swarm, self.totals, self._incomplete)
        self._broadcaster: str | None = None
        self._broadcast_done = False
        self._codes_ordered = 0
        self._unanswered: set[int] = set()
        # Losses of the connection over which codes are handed in, by cause.
        self._publisher_losses: Counter[str] = Counter()
        self._step_detector = ClockStepDetector()
        self._clock_steps = ClockStepLog()
        self._ended = False
        self._finishing = False
        self._at_end = False
        self._whole = True
        # How many of the notes say why it is not.
        self._reasons = 0
        self._hushed = Event()
        self._news = Event()
        self._closed = Event()
        self._leader: gevent.Greenlet[..., None] | None = None
        self._painter: gevent.Greenlet[..., None] | None = None

    def start(self) -> None:
        """Begin the run; its phases follow each other in the background."""
        self._painter = gevent.spawn(self._paint)
        self._leader = gevent.spawn(self._lead)

    def spawned(self) -> None:
        """Locust has begun all users."""
        self._crowd.spawned()

    # What workers say

    def from_worker(self, worker: str, message: ToLeader) -> None:
        """Take a message of this run from a worker."""
        self._roster.heard(worker)
        match message:
            case Hello(region):
                late = self._ended or self._phase in ("settle", "broadcast", "drain")
                self._roster.welcome(worker, region, late=late)
                self._tell(Welcome(self._phase, self._phases, host_id()), only=worker)
                if self._finishing:
                    self._tell(CloseAccount(), only=worker)
            case ClockRequest(asked_ns):
                self._tell(ClockReply(asked_ns, wall_ns()), only=worker)
            case CodeSent(sequence, sent_ns):
                self.totals.announce(sequence, sent_ns, message.slip_us)
                self._unanswered.add(sequence)
                self._tell(message, but=worker)
            case CodeOutcome():
                self._answered(message, by=worker)
            case AccountReport(report):
                self.totals.add_report(worker, report)
            case BroadcastDone():
                self._broadcast_done = True
            case ClockStepped(host, step_ns):
                self._note_set(host, step_ns, self.totals.worker(worker).name)
            case Leaving():
                gevent.spawn_later(_GOODBYE_S, self._tell, CloseAccount(), only=worker)
            case PublishingFailed(sentence):
                self._refuse(sentence)
            case PublisherLost(cause):
                self._note_publisher_loss(cause)
            case PublishingStopped():
                self._hushed.set()
            case WorkerFailed(sentence):
                # It has nothing to account for.
                self.totals.worker(worker).final = True
                self._refuse(f"{self._roster.name(worker)}: {sentence}")
        self._news.set()

    def _answered(self, outcome: CodeOutcome, *, by: str | None) -> None:
        sequence, status = outcome.sequence, outcome.status
        if status != "unsent" and sequence not in self._unanswered:
            # It was given up, as its broadcaster was.
            return
        self._unanswered.discard(sequence)
        self.totals.set_status(
            sequence,
            status,
            outcome.ingest_us,
            outcome.cause,
            wall_ns(),
            server_text=outcome.server_text,
        )
        self._tell(CodeStatus(sequence, status), but=by)

    def _note_publisher_loss(self, cause: str) -> None:
        if not self._publisher_losses:
            self._progress.note(f"The publisher's connection was lost ({cause}); reconnecting.")
        self._publisher_losses[cause] += 1

    def _note_set(self, host: str, by_ns: int, whose: str) -> None:
        """A clock was set while the run went on."""
        sentence = self._clock_steps.add(host, by_ns, "" if self._swarm.role == "local" else whose)
        if sentence is not None:
            self.run.notes.append(sentence)
            self._progress.note(sentence)

    def _incomplete(self, sentence: str) -> None:
        self.run.notes.insert(self._reasons, sentence)
        self._reasons += 1
        self._progress.note(sentence)
        self._whole = False

    # The phases

    def _lead(self) -> None:
        try:
            self._enter("warm-up", f"Asking {self._target.host} whether it is there.")
            for warning in check_server(self._resources):
                self.run.notes.append(warning)
                self._progress.note(warning)
            step = self.plan.next(None)
            while step is not None:
                step = self.plan.next(self._take(step))
            self._at_end = True
        except CannotRun as unfit:
            if not self._step_reports:
                self._refuse(str(unfit))
                return
            # The steps that were taken have something to say.
            self._incomplete(f"{unfit} No further step was taken.")
            self._at_end = True
        except Exception as error:
            # A mistake of this program's; what has been measured is reported all the same.
            _logger.exception("the run cannot go on")
            self._refuse(f"The run cannot go on: {type(error).__name__}, see the log above.")
            return
        self._stop()

    def _take(self, step: RunStep) -> StepResult | None:
        """Take one step of the plan.

        Returns:
            How it went; None where the step is the whole run, and has no account of its own.

        Raises:
            CannotRun: it cannot be taken.
        """
        self._make_room(step)
        if step.name:
            self.totals.begin_step(self._codes_ordered + 1)
        began = len(self.run.phases)
        named = f" ({step.name})" if step.name else ""
        self._enter("connect", f"Connecting to {self._target.host}{named}.")
        if step.connections is not None and self._crowd.expected() != step.connections:
            self._crowd.resize(step.connections)
        self._wait(self._all_connected)
        if not self._crowd.expected():
            raise CannotRun("No user listens: -u includes the broadcaster; give 2 or more.")
        self._enter("settle", f"Waiting {seconds(self.options.settle)} before the first code.")
        gevent.sleep(self.options.settle)
        opened = self.totals.sum_gauges(lambda each: each.open)
        self._broadcast(step.schedule)
        self._enter("drain", "Waiting for the last codes to arrive.")
        patience = self.options.delivery_timeout + self.options.ingest_timeout + _GRACE_S
        self._wait(self._all_settled, patience)
        self._leave(wall_ns())
        if not step.name:
            return None
        run = replace(self.run, phases=self.run.phases[began:])
        report = step_report(
            step.name,
            run,
            self.totals.end_step(),
            self._judge_by,
            asked=self._crowd.expected(),
            opened=opened,
        )
        self._step_reports.append(report)
        self._progress.note(f"{step.name}: {step_in_words(report)}")
        return StepResult(step, report)

    def _make_room(self, step: RunStep) -> None:
        """Take away all connections, where a step is to have its own.

        Raises:
            CannotRun: the server does not come back from the step before.
        """
        if step.connections is None:
            return
        self._wait(self._crowd.all_begun)
        if self._listeners() or self._crowd.expected():
            self._enter("disconnect", f"Making room for {step.name}.")
            self._crowd.resize(0)
            self._wait(lambda: self._crowd.all_begun() and not self._listeners(), _FINISH_S)
        if self._step_reports:
            self._enter("warm-up", "Waiting for the server to be well again.")
            await_recovery(self._resources)

    def _broadcast(self, schedule: Schedule) -> None:
        """Have codes sent, the next ones in the run's sequence, until all are answered."""
        self._broadcast_done = False
        self._enter(
            "broadcast",
            f"Broadcasting {count(schedule.codes, 'code')}, {schedule.describe_rate()}.",
        )
        order = BroadcastOrder(self._codes_ordered + 1, schedule.codes, schedule.interval_s)
        self._codes_ordered += schedule.codes
        self._broadcaster = self._roster.broadcaster()
        if self._broadcaster is None:
            raise CannotRun(
                "Nobody broadcasts: the run has no CodeBroadcaster; check the user classes, and "
                "that -u leaves room for it beside the connections."
            )
        self._tell(order, only=self._broadcaster)
        after_s = self.options.storm_after
        storm = gevent.spawn_later(after_s, self._storm) if after_s else None
        try:
            self._wait(self._broadcast_over)
        finally:
            if storm is not None:
                storm.kill(block=False)
        if not self._broadcast_done:
            self._incomplete(
                f"{self._roster.name(self._broadcaster)}, which broadcast, was lost, or its user "
                "was moved: further codes did not go out."
            )
            # Nobody is going to say any more what became of them.
            for sequence in sorted(self._unanswered):
                lost = CodeOutcome(sequence, "unanswered", None, "broadcaster lost")
                self._answered(lost, by=None)

    def _storm(self) -> None:
        """Have all connections end at once, and come back."""
        self.run.storms_ns.append(wall_ns())
        self._progress.note("All connections end at once, and come back.")
        self._tell(Storm())

    def _refuse(self, sentence: str) -> None:
        if not self.unfit:
            self.unfit = sentence
            # In a greenlet of its own: the one that tells of it may be among those that end.
            gevent.spawn(self._stop)

    def _enter(self, phase: str, sentence: str) -> None:
        now = wall_ns()
        self._leave(now)
        self.doing = sentence
        self._phase, self._phase_began_ns = phase, now
        self._progress.phase(phase, sentence)
        self._phases += 1
        self._tell(PhaseEntered(phase, self._phases))

    def _leave(self, now_ns: int) -> None:
        if self._phase:
            self.run.phases.append((self._phase, self._phase_began_ns, now_ns))
        self._phase = ""

    def _tell(self, message: ToWorker, *, only: str | None = None, but: str | None = None) -> None:
        whom = self._roster.told(but) if only is None else [only]
        self._swarm.to_workers(whom, self.run.run_id, message)

    def _wait(self, over: Callable[[], bool], at_most_s: float | None = None) -> None:
        deadline = None if at_most_s is None else time.monotonic() + at_most_s
        while not over() and (deadline is None or time.monotonic() < deadline):
            gevent.sleep(_LOOK_S)
            self._roster.look(ending=False)

    def _all_connected(self) -> bool:
        present = self._roster.present()
        there = self._listeners() >= self._crowd.expected() and (
            self._roster.broadcaster() is not None or not self._crowd.broadcasts()
        )
        return (
            self._crowd.all_begun()
            and (there or len(present) < len(self.totals.workers))
            and all(
                each.gauges and each.gauges.pending == 0 and each.gauges.clock_known
                for each in present
            )
        )

    def _listeners(self) -> int:
        return self.totals.sum_gauges(lambda each: each.listeners)

    def _broadcast_over(self) -> bool:
        return self._broadcast_done or self._roster.broadcaster() != self._broadcaster

    def _all_settled(self) -> bool:
        # In a report that knows of this phase, all codes are that were announced before it.
        return all(
            each.final
            or (
                each.gauges is not None
                and each.gauges.phase == self._phases
                and each.gauges.in_flight == 0
            )
            for each in self._roster.present()
        )

    # The end

    def end(self) -> None:
        """Close the account, however far the run has come; called when Locust's test stops.

        Locust may stop it several times at once: whoever asks returns when it is closed.
        """
        if self._ended:
            self._closed.wait()
            return
        self._ended = True
        try:
            self._end()
        finally:
            self._closed.set()

    def _end(self) -> None:
        if self._leader is not None and self._leader is not gevent.getcurrent():
            self._leader.kill(block=False)
        cut_short = "" if self._at_end or self.unfit else self._phase
        self._enter("disconnect", "Closing all connections.")
        if cut_short == "broadcast" and self._broadcaster is not None:
            # No code is sent that a worker does not hear of before it closes its account.
            self._tell(StopPublishing(), only=self._broadcaster)
            self._wait_for_news(lambda: self._hushed.is_set() or not self._roster.broadcaster())
        self._finishing = True
        self._tell(CloseAccount())
        self._wait_for_news(self._roster.is_closed)
        self._roster.give_up()
        if self._painter is not None:
            self._painter.kill(block=False)
        self._progress.update(self.snapshot())
        self._progress.close()
        now = wall_ns()
        self._leave(now)
        self.run.finished_ns = now
        if cut_short:
            self.run.notes.insert(0, f"It was ended in the {cut_short} phase.")
        self.run.complete = (
            self._whole and not cut_short and not self.unfit and self._roster.is_whole()
        )
        self.run.clock_error_ms = self._clock_error_ms()
        if slow := self.totals.tally.counters.slow:
            self.run.notes.append(
                f"{count(slow, 'connection')} read slowly, at {self.options.slow_rate:,.0f} bytes "
                "a second (--slow-share): what they had not read by the end is missing."
            )
        if self._publisher_losses:
            causes = ", ".join(
                f"{many} × {cause}" for cause, many in self._publisher_losses.most_common()
            )
            times = count(self._publisher_losses.total(), "time")
            self.run.notes.append(f"The publisher's connection was lost {times}: {causes}.")
        if raised := self.totals.tally.counters.hook_errors:
            self.run.notes.append(
                f"The locustfile's hooks raised {count(raised, 'exception')}; see the log."
            )
        if early := self.totals.tally.counters.before_sent:
            self.run.notes.append(before_sent_note(early, self._clock_error_ms()))

    def _clock_error_ms(self) -> float:
        return self.totals.clock_error_ms() + self._clock_steps.worst_ns / 1e6

    def _wait_for_news(self, over: Callable[[], bool]) -> None:
        """Wait for what workers are to say at the end; for those that do not, not for long."""
        deadline = time.monotonic() + _FINISH_S
        while not over() and time.monotonic() < deadline:
            self._news.wait(0.2)
            self._news.clear()
            self._roster.look(ending=True)

    # What is shown

    def _paint(self) -> None:
        while True:
            gevent.sleep(_PICTURE_S)
            self.totals.fold(wall_ns())
            if self._swarm.role == "master" and (step_ns := self._step_detector.step_ns()):
                self._note_set(host_id(), step_ns, "the master")
            self._progress.update(self.snapshot())

    def so_far(self) -> Run:
        """What is known of the run by now, beside its account."""
        now = wall_ns()
        phases = list(self.run.phases)
        if self._phase:
            phases.append((self._phase, self._phase_began_ns, now))
        return replace(
            self.run,
            finished_ns=now,
            phases=phases,
            complete=self._whole,
            clock_error_ms=self._clock_error_ms(),
        )

    def step_reports(self) -> list[StepReport]:
        """Return the reports of the steps taken so far."""
        return list(self._step_reports)

    def snapshot(self) -> Snapshot:
        """How the run stands."""
        return snapshot(
            self.totals,
            phase=self._phase,
            now_ns=wall_ns(),
            started_ns=self.run.started_ns,
            expected=self._crowd.expected(),
            codes=max(self.options.codes, self._codes_ordered),
        )
