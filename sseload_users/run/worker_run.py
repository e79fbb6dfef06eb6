"""What the users of one process share during one run.

A station begins with the run's first user and ends with the run. It takes what the process
says that leads the run, which may be the same, and tells it what that has to know at once.
"""

from __future__ import annotations

import contextlib
import math
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gevent
import gevent.pool
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import Queue
from locust.env import Environment

from sseload_users import targets
from sseload_users.core.clock import wall_ns
from sseload_users.core.codes import CodeShape
from sseload_users.core.formatting import clean, shorten
from sseload_users.core.in_flight import InFlight
from sseload_users.core.schedule import Schedule
from sseload_users.core.tally import Cause, Status, told_apart
from sseload_users.options import Options
from sseload_users.run.accounting import Accounting
from sseload_users.run.before_requests import Before
from sseload_users.run.churn import Churn
from sseload_users.run.code_finder import CodeFinder
from sseload_users.run.link import Link
from sseload_users.run.locust_stats import ReceiptStats
from sseload_users.run.run_clock import RunClock
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity, who_connects
from sseload_users.transports import Event as Message
from sseload_users.transports.network import Network
from sseload_users.transports.refusal import SHOWN, adds_to
from sseload_users.transports.registry import transport_for


@dataclass(frozen=True, slots=True)
class RunId:
    """What a run's processes agree on.

    Attributes:
        text: the identity that the run's codes carry.
        workers: how many processes hold connections.
        users: how many Locust users there are to be, over all workers.
    """

    text: str
    workers: int = 1
    users: int = 0


class WorkerRun:
    """One process's part in one run.

    Args:
        environment: Locust's.
        swarm: the line to the process that leads.
        options: the run's.
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

    Raises:
        ConfigError: the options name something that cannot be used on this machine.
    """

    def __init__(self, environment: Environment, swarm: Link, options: Options, run: RunId) -> None:
        self.environment = environment
        self.options = options
        self.run_id = run.text
        self._workers = run.workers
        self.network = Network(
            connect_timeout=options.connect_timeout,
            ca_file=options.ca_file,
            client_certificate=options.client_certificate,
            client_key=options.client_key,
            insecure=options.insecure,
            resume_tls=options.resume_tls,
            source_addresses=options.source_addresses,
            slow_rate=options.slow_rate,
        )
        self.before = Before(self.network, options.connect_timeout)
        self._identities = who_connects(options.users_file, options.username)
        self._time = RunClock(
            lambda asked_ns: self._to_leader("time", asked=asked_ns), same=swarm.role == "local"
        )
        transport = targets.load(options.target).transport
        self._books = Accounting(
            options,
            self.network,
            ReceiptStats(environment, transport_for(transport).kind),
            self._time,
            gauges=self._gauges,
            tell=self._to_leader,
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
        self._undated: list[Any] = []
        self._requests = gevent.pool.Group()
        self._under_way = InFlight()
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

    def decoder(self, target: Target, event: Callable[[bytes], Message | None]) -> CodeFinder:
        """What finds codes in a transport's messages: one for all who talk to a target.

        Args:
            target: knows where the code is.
            event: the transport's, which says what a message is.
        """
        # A broadcast is the same for all: whoever reads it first decodes it for all.
        if target not in self._decoders:
            self._decoders[target] = CodeFinder(self, target, event)
        return self._decoders[target]

    def failed(self, operation: str, cause: str, said: str = "") -> str:
        """Count a failed operation.

        Args:
            operation: the step.
            cause: why it failed.
            said: the server's own words, without secrets.

        Returns:
            The cause as which it was counted.
        """
        cause = self._apart(operation, cause)
        if not self.finished:
            self.ledger.tally.failed(operation, cause, wall_ns(), words_beside(cause, said))
        return cause

    def _apart(self, operation: str, cause: str) -> str:
        # Servers' words may be in it; Locust's table shows and keeps it as it is.
        found = told_apart((operation, clean(cause)), self._causes)
        self._causes.add(found)
        return found[1]

    def counted(self, name: str, count: int = 1) -> None:
        """Count something of the tally's `counts`."""
        if not self.finished:
            self.ledger.tally.counts[name] += count

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

    def dropped(self, cause: str, said: str = "") -> str:
        """Count a session that the server or the network ended; see `failed`."""
        cause = self._apart("session", cause)
        if not self.finished:
            now = wall_ns()
            self.ledger.tally.counts["dropped"] += 1
            self.ledger.tally.second(now).dropped += 1
            self.ledger.tally.failed("session", cause, now, words_beside(cause, said))
        return cause

    def kept_alive(self, cause: str | None, said: str = "") -> None:
        """Count a request that keeps a session alive, and why it failed if it did."""
        self.counted("upkeep")
        if cause is not None:
            self.counted("upkeep_failed")
            self.failed("upkeep", cause, said)

    def malformed(self, cause: str) -> None:
        """Count a frame, packet or message that cannot be decoded."""
        self.counted("malformed")
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
        self._to_leader("cannot_publish", sentence=sentence)

    def publisher_lost(self, cause: str) -> None:
        """The connection that codes go in over has ended, and is made again."""
        self._to_leader("publisher_lost", cause=self._apart("ingest", cause))

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
        self.counted("overlapping", int(self._under_way.sent(sequence)))
        self.ledger.sent(sequence, sent_ns, text_ns)
        code = [sequence, leader_ns, clocks.error_ns, text_ns]
        self._to_leader("sent", code=code, slip_us=slip_us)

    def answered(
        self, sequence: int, status: Status, ingest_us: int, cause: str | None, said: str = ""
    ) -> str | None:
        """What became of a code's request.

        Args:
            sequence: the code's.
            status: what.
            ingest_us: after how long.
            cause: why it failed; None if it did not.
            said: the server's own words where it failed, without secrets.

        Returns:
            The cause as which it is counted.
        """
        self._under_way.answered(sequence)
        if cause is not None:
            cause = self._apart("ingest", cause)
        if not self.finished:
            self.ledger.answered(sequence, status)
            words = "" if cause is None else words_beside(cause, said)
            answer = {"ingest_us": ingest_us, "cause": cause, "said": words}
            self._to_leader("answered", code=[sequence, status], **answer)
        return cause

    def broadcast_done(self) -> None:
        """The schedule is through, and every request has been answered or given up."""
        self._books.report()
        self._to_leader("broadcast_done")

    # To and from the process that leads

    def _to_leader(self, kind: str, /, **data: Any) -> None:
        self._swarm.to_leader(kind, {"run": self.run_id, **data})

    def begin(self, region: str) -> None:
        """Tell the process that leads that this one takes part.

        Args:
            region: where this is; empty if that is not said.
        """
        self._to_leader("hello", region=region)

    def from_leader(self, kind: str, data: dict[str, Any]) -> None:
        """Take a message that is for this run."""
        match kind:
            case "phase":
                self._enter(data["phase"], data["number"])
            case "broadcast":
                first, codes, interval_s = data["order"]
                self.orders.put((first, Schedule(codes, interval_s)))
            case "sent":
                self._undated.append(data["code"])
                self._date()
            case "answered":
                self._undated.append(data["code"])
                self._date()
            case "welcome":
                self._time.leader_is_at(data["host"])
                self._enter(data["phase"], data["number"])
                self._date()
            case "time":
                self._time.answered(data["asked"], data["leader"])
                self._date()
            case "hush":
                self.hush()
                self._to_leader("hushed")
            case "storm":
                self.counted("stormed", self.turnover.storm(wall_ns()))
            case "finish":
                self.finish()

    def _date(self) -> None:
        """Take what was told of codes, in order, as soon as the leader's time is known."""
        clocks = self._time.clocks
        if clocks.known:
            for news in self._undated:
                if len(news) == 2:
                    self.ledger.answered(*news)
                    continue
                sequence, leader_ns, error_ns, text_ns = news
                self._time.sender_error_ns = max(self._time.sender_error_ns, error_ns)
                self.ledger.sent(sequence, clocks.to_here(leader_ns), text_ns)
            self._undated.clear()

    def _enter(self, phase: str, number: int) -> None:
        self._phase = number
        if phase not in ("", "warm-up", "disconnect"):
            self.may_connect.set()

    # The end

    def leave(self) -> None:
        """This process ends by itself: have the account closed when all is known."""
        self.hush()
        self._to_leader("leaving")

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

    def _gauges(self) -> dict[str, int]:
        return {
            "listeners": self.listeners,
            "broadcasters": self.broadcasters,
            "pending": self.pending,
            "connecting": self.connecting,
            "phase": self._phase,
        }


def words_beside(cause: str, said: str) -> str:
    """What is told of a server's words in a failure: nothing, where the cause says as much."""
    return adds_to(cause, shorten(clean(said).strip(), SHOWN))


_stations: weakref.WeakKeyDictionary[Environment, WorkerRun | None] = weakref.WeakKeyDictionary()

#: Seconds that users wait for their station. Locust may have a worker begin users before it
#: has told the locustfile that there is a run.
_PATIENCE_S = 5.0


def worker_run_of(environment: Environment) -> WorkerRun:
    """The station of the run that is under way in this process.

    Raises:
        RuntimeError: there is none: the plugin was not loaded before Locust's test began.
        GreenletExit: there is none, because the run cannot be carried out here; that has been
            said, and Locust, whose greenlet it is, makes no users.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while environment not in _stations:
        if time.monotonic() > deadline:
            raise RuntimeError(
                "no run of sseload is under way: import sseload_users in the locustfile"
            )
        gevent.sleep(0.01)
    station = _stations[environment]
    if station is None:
        raise gevent.GreenletExit
    return station


def set_worker_run(environment: Environment, station: WorkerRun | None) -> None:
    """Begin a run in this process; None for one that cannot be carried out here."""
    _stations[environment] = station
