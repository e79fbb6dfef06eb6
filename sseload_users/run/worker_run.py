"""What the users of one process share during one run.

It takes the leader's messages, and sends it what it has to know.
"""

from __future__ import annotations

import contextlib
import math
import time
import weakref
from collections.abc import Callable, Iterator

import gevent
import gevent.pool
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import Queue
from locust.env import Environment

from sseload_users.core.causes import Cause, bounded_cause
from sseload_users.core.clock import wall_ns
from sseload_users.core.code_tally import Status
from sseload_users.core.codes import CodeShape
from sseload_users.core.counters import Counters
from sseload_users.core.formatting import clean, shorten
from sseload_users.core.overlap import OverlapDetector
from sseload_users.core.schedule import Schedule
from sseload_users.core.worker_report import UserCounts
from sseload_users.run.accounting import Accounting
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.run.churn import Churn
from sseload_users.run.code_finder import CodeFinder
from sseload_users.run.link import Link
from sseload_users.run.locust_stats import ReceiptStats
from sseload_users.run.messages import (
    BroadcastDone,
    BroadcastOrder,
    ClockReply,
    ClockRequest,
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
    RunAssigned,
    StopPublishing,
    Storm,
    ToLeader,
    ToWorker,
    Welcome,
)
from sseload_users.run.resources import Resources
from sseload_users.run.run_clock import RunClock
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ParsedMessage
from sseload_users.transports.registry import transport_for
from sseload_users.transports.server_text import MAX_TEXT, text_beyond


class WorkerRun:
    """One process's part in one run.

    Args:
        environment: Locust's.
        swarm: the line to the process that leads.
        resources: the run's resources.
        run: the run's identity, which its codes carry, and how many workers it has.

    Attributes:
        network: what all connections share.
        before: makes the requests before connecting, and keeps what they gave to users.
        ledger: the account.
        may_connect: set once the server is known to be there.
        orders: what the broadcaster is to send: from which code on, and when.
        slots: as many as may connect at a time.
        turnover: ends sessions in the course of the run, where it is told to.
        listeners: users that listen; like the next one, those that there are now.
        broadcasters: users that broadcast.
        pending: listeners that have neither connected nor failed for good.
        connecting: listeners that are connecting.
        hushed: the run ends, and nothing more is sent.
    """

    def __init__(
        self, environment: Environment, swarm: Link, resources: Resources, run: RunAssigned
    ) -> None:
        self.environment = environment
        self.options = options = resources.options
        self.run_id = run.run_id
        self._workers = run.workers
        self.network = resources.network
        self.before = BeforeRequests(self.network, options.connect_timeout)
        self._identities = resources.identities
        self._time = RunClock(
            lambda asked_ns: self._to_leader(ClockRequest(asked_ns)), same=swarm.role == "local"
        )
        transport = resources.target.profile.transport
        self._books = Accounting(
            options,
            self.network,
            ReceiptStats(environment, transport_for(transport).kind),
            self._time,
            users=self._user_counts,
            phase=lambda: self._phase,
            send=self._to_leader,
        )
        self.ledger = self._books.ledger
        self.may_connect = Event()
        self.orders: Queue[tuple[int, Schedule]] = Queue()
        self.slots = BoundedSemaphore(options.connect_concurrency)
        self.turnover = Churn(options.session_length)
        self.hushed = False
        self.listeners = 0
        self.broadcasters = 0
        self.pending = 0
        self.connecting = 0
        self._swarm = swarm
        self._targets: dict[tuple[str, str], Target] = {}
        self._decoders: dict[Target, CodeFinder] = {}
        self._shapes: dict[str, CodeShape] = {}
        self._causes: set[Cause] = set()
        # What was told of codes, and waits for the leader's time.
        self._undated: list[CodeSent | CodeStatus] = []
        self._requests = gevent.pool.Group()
        self._under_way = OverlapDetector()
        self._phase = 0

    # For the users

    def target(self, profile: str | None, host: str | None) -> Target:
        """The target that users of a class talk to, made once.

        Args:
            profile: None for the one that the options name.
            host: its URL.

        Raises:
            ConfigError: there is no such profile, or the host is no URL.
        """
        profile, host = profile or self.options.target, host or ""
        key = (profile, host)
        if key not in self._targets:
            self._targets[key] = self.options.make_target(host, profile)
        return self._targets[key]

    def identity(self, number: int) -> Identity:
        """As whom a connection of this process connects: in turn, over all workers.

        Args:
            number: the connection's, from 1.
        """
        return self._identities[self._place(number) % len(self._identities)]

    def reads_slowly(self, number: int) -> bool:
        """Whether a connection of this process is one of the slow ones: evenly, over all workers.

        Args:
            number: the connection's, from 1.
        """
        place, share = self._place(number), self.options.slow_share
        return math.floor((place + 1) * share) > math.floor(place * share)

    def _place(self, number: int) -> int:
        """A connection's place among those of all workers, from 0."""
        index = max(getattr(self.environment.runner, "worker_index", 0), 0)
        return index + (number - 1) * self._workers

    def sender(self, username: str | None) -> Identity:
        """As whom codes are sent: the first of those who connect, unless it is said."""
        return self._identities[0] if username is None else Identity(username)

    def shape(self, target: Target) -> CodeShape:
        """How this run's codes look at a target."""
        template = target.profile.code_template
        if template not in self._shapes:
            self._shapes[template] = CodeShape(self.run_id, template)
        return self._shapes[template]

    def decoder(self, target: Target, event: Callable[[bytes], ParsedMessage | None]) -> CodeFinder:
        """What finds codes in a transport's messages: one for all who talk to a target.

        Args:
            target: knows where the code is.
            event: the transport's, which says what a message is.
        """
        # A broadcast is the same for all: whoever reads it first decodes it for all.
        if target not in self._decoders:
            self._decoders[target] = CodeFinder(self, target, event)
        return self._decoders[target]

    def failed(self, operation: str, cause: str, server_text: str = "") -> str:
        """Count a failed operation.

        Args:
            operation: the operation.
            cause: why it failed.
            server_text: the server's own words, without secrets.

        Returns:
            The cause under which it was counted.
        """
        cause = self._apart(operation, cause)
        if not self.finished:
            text = reported_text(cause, server_text)
            self.ledger.tally.count_failure(operation, cause, wall_ns(), text)
        return cause

    def _apart(self, operation: str, cause: str) -> str:
        # Servers' words may be in it; Locust's table shows and keeps it as it is.
        found = bounded_cause((operation, clean(cause)), self._causes)
        self._causes.add(found)
        return found[1]

    @property
    def counters(self) -> Counters:
        """The counters to add to now; once the account is closed, they are discarded."""
        return Counters() if self.finished else self.ledger.tally.counters

    @contextlib.contextmanager
    def expecting(self) -> Iterator[None]:
        """While a listener has neither connected nor failed for good."""
        self.pending += 1
        try:
            yield
        finally:
            self.pending -= 1

    @contextlib.contextmanager
    def connecting_one(self) -> Iterator[None]:
        """While a listener connects."""
        self.connecting += 1
        try:
            yield
        finally:
            self.connecting -= 1

    def dropped(self, cause: str, server_text: str = "") -> str:
        """Count a session that the server or the network ended; see `failed`."""
        cause = self._apart("session", cause)
        if not self.finished:
            now = wall_ns()
            self.ledger.tally.counters.dropped += 1
            self.ledger.tally.second(now).dropped += 1
            text = reported_text(cause, server_text)
            self.ledger.tally.count_failure("session", cause, now, text)
        return cause

    def kept_alive(self, cause: str | None, server_text: str = "") -> None:
        """Count a request that keeps a session alive, and why it failed if it did."""
        self.counters.upkeep += 1
        if cause is not None:
            self.counters.upkeep_failed += 1
            self.failed("upkeep", cause, server_text)

    def malformed(self, cause: str) -> None:
        """Count a frame, packet or message that cannot be decoded."""
        self.counters.malformed += 1
        self.failed("message", cause)

    # For the broadcaster

    @contextlib.contextmanager
    def broadcasting(self, requests: gevent.pool.Group) -> Iterator[None]:
        """While there is a broadcaster.

        Args:
            requests: those that it has under way.
        """
        self.broadcasters += 1
        self._requests = requests
        try:
            yield
        finally:
            self.broadcasters -= 1
            # Cut short: what is under way was sent, and is not answered any more.
            requests.kill(block=False)

    def cannot_publish(self, sentence: str) -> None:
        """No code can be handed in: have the run ended that is under way."""
        self._to_leader(PublishingFailed(sentence))

    def publisher_lost(self, cause: str) -> None:
        """The connection that codes go in over has ended, and is made again."""
        self._to_leader(PublisherLost(self._apart("ingest", cause)))

    def sent(self, sequence: int, sent_ns: int, slip_us: int, text_ns: int | None) -> None:
        """A code's request has been written.

        The leader books that, and the answer: what this worker were to count would be lost
        with it.

        Args:
            sequence: the code's.
            sent_ns: when (wall clock, ns).
            slip_us: how much later that was than it should have been.
            text_ns: the time in its text; None if there is none.
        """
        if self.finished:
            return
        clocks = self._time.clocks
        leader_ns = clocks.to_leader(sent_ns)
        overlaps = self._under_way.sent(sequence)
        self.counters.overlapping += int(overlaps)
        self.ledger.announce(sequence, sent_ns, text_ns)
        self._to_leader(CodeSent(sequence, leader_ns, clocks.error_ns, text_ns, slip_us))

    def answered(
        self,
        sequence: int,
        status: Status,
        ingest_us: int,
        cause: str | None,
        server_text: str = "",
    ) -> str | None:
        """What became of a code's request.

        Args:
            sequence: the code's.
            status: what.
            ingest_us: after how long.
            cause: why it failed; None if it did not.
            server_text: the server's own words where it failed, without secrets.

        Returns:
            The cause as which it is counted.
        """
        self._under_way.answered(sequence)
        if cause is not None:
            cause = self._apart("ingest", cause)
        if not self.finished:
            self.ledger.set_status(sequence, status)
            text = "" if cause is None else reported_text(cause, server_text)
            self._to_leader(CodeOutcome(sequence, status, ingest_us, cause, text))
        return cause

    def broadcast_done(self) -> None:
        """The schedule is through, and every request has been answered or given up."""
        self._books.report()
        self._to_leader(BroadcastDone())

    # To and from the process that leads

    def _to_leader(self, message: ToLeader) -> None:
        self._swarm.to_leader(self.run_id, message)

    def begin(self, region: str) -> None:
        """Tell the process that leads that this one takes part.

        Args:
            region: where this is; empty if that is not said.
        """
        self._to_leader(Hello(region))

    def from_leader(self, message: ToWorker) -> None:
        """Take a message of this run."""
        match message:
            case PhaseEntered(phase, number):
                self._enter(phase, number)
            case BroadcastOrder(first, codes, interval_s):
                self.orders.put((first, Schedule(codes, interval_s)))
            case CodeSent() | CodeStatus():
                self._undated.append(message)
                self._date()
            case Welcome(phase, number, host):
                self._time.leader_is_at(host)
                self._enter(phase, number)
                self._date()
            case ClockReply(asked_ns, leader_ns):
                self._time.answered(asked_ns, leader_ns)
                self._date()
            case StopPublishing():
                self.hush()
                self._to_leader(PublishingStopped())
            case Storm():
                ended = self.turnover.storm(wall_ns())
                self.counters.stormed += ended
            case CloseAccount():
                self.finish()

    def _date(self) -> None:
        """Take what was announced of codes, in order, as soon as the leader's time is known."""
        clocks = self._time.clocks
        if not clocks.known:
            return
        for each in self._undated:
            if isinstance(each, CodeStatus):
                self.ledger.set_status(each.sequence, each.status)
                continue
            self._time.sender_error_ns = max(self._time.sender_error_ns, each.clock_error_ns)
            self.ledger.announce(each.sequence, clocks.to_here(each.sent_ns), each.text_ns)
        self._undated.clear()

    def _enter(self, phase: str, number: int) -> None:
        self._phase = number
        if phase not in ("", "warm-up", "disconnect"):
            self.may_connect.set()

    # The end

    def leave(self) -> None:
        """This process ends by itself: have the account closed when all is known."""
        self.hush()
        self._to_leader(Leaving())

    def hush(self) -> None:
        """Send no further codes; none is announced after this."""
        self.hushed = True
        self._requests.kill(timeout=1)

    def finish(self) -> None:
        """Close the account and send what is left of it, once."""
        self._books.close()

    @property
    def finished(self) -> bool:
        """The account is closed; whatever ends now is not the server's doing."""
        return self._books.closed

    def note_size(self, message_bytes: int) -> None:
        """How large a message with a code is; those of one run hardly differ."""
        self._books.message_bytes = message_bytes

    def _user_counts(self) -> UserCounts:
        return UserCounts(self.listeners, self.broadcasters, self.pending, self.connecting)


def reported_text(cause: str, server_text: str) -> str:
    """Return the server's words as they are reported: empty if the cause says as much."""
    return text_beyond(cause, shorten(clean(server_text).strip(), MAX_TEXT))


_worker_runs: weakref.WeakKeyDictionary[Environment, WorkerRun | None] = weakref.WeakKeyDictionary()

#: Seconds that users wait for their run: a worker has to ask the leader for it first.
_WAIT_S = 10.0


def worker_run_of(environment: Environment) -> WorkerRun:
    """Return this process's part in the run that is in progress; wait until it is known.

    Raises:
        RuntimeError: there is none: the plugin was not loaded before Locust's test started.
        GreenletExit: the run cannot be carried out here. That has been reported, and Locust,
            which owns the greenlet, creates no users.
    """
    deadline = time.monotonic() + _WAIT_S
    while environment not in _worker_runs:
        if time.monotonic() > deadline:
            raise RuntimeError(
                "no run of sseload is in progress: import sseload_users in the locustfile"
            )
        gevent.sleep(0.01)
    run = _worker_runs[environment]
    if run is None:
        raise gevent.GreenletExit
    return run


def set_worker_run(environment: Environment, run: WorkerRun | None) -> None:
    """Set this process's part in the run; None if it cannot be carried out here."""
    _worker_runs[environment] = run


def clear_worker_run(environment: Environment) -> None:
    """Make users wait until this process's part in the next run is set."""
    _worker_runs.pop(environment, None)
