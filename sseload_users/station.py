"""What the users of one process share during one run, and the account that it keeps.

A station begins with the run's first user and ends with the run. Every quarter of a second
it settles what can be settled; what was counted since then it reports to the process that
leads the run, which may be the same.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

import gevent
import gevent.pool
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import Queue
from locust.env import Environment

from sseload_users import target as targets
from sseload_users.clock import wall_ns
from sseload_users.codes import CodeShape
from sseload_users.decoder import Decoder
from sseload_users.health import Health
from sseload_users.identities import Identity, who_connects
from sseload_users.ledger import Ledger
from sseload_users.options import Options
from sseload_users.receipts import Receipts
from sseload_users.report.files import ConnectionRow
from sseload_users.report.words import clean
from sseload_users.schedule import Schedule
from sseload_users.sessions import Connection
from sseload_users.swarm import LOCAL, Swarm
from sseload_users.tally import Cause, Status, told_apart
from sseload_users.target import Target
from sseload_users.timekeeping import Timekeeping
from sseload_users.transports import Event as Message
from sseload_users.transports.network import Network
from sseload_users.transports.registry import transport_for
from sseload_users.turnover import Turnover

_logger = logging.getLogger(__name__)

#: Seconds from one look at the account to the next.
_TICK_S = 0.25
#: Seconds that reading is given, after a stall, before the account is looked at.
_READING_S = 0.05
#: Looks after which there is a report, news or none.
_REPORT_TICKS = 2


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


class Station:
    """One process's part in one run.

    Args:
        environment: Locust's.
        swarm: the line to the process that leads.
        options: the run's.
        run: the run's identity, which its codes carry, and how many workers it has.

    Attributes:
        network: what all connections share.
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
        finished: the account is closed; whatever ends now is not the server's doing.

    Raises:
        ConfigError: the options name something that cannot be used on this machine.
    """

    def __init__(
        self, environment: Environment, swarm: Swarm, options: Options, run: RunId
    ) -> None:
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
        self._identities = who_connects(options.users_file, options.username)
        transport = targets.load(options.target).transport
        self.receipts = Receipts(environment, transport_for(transport).kind)
        self.ledger = Ledger(options.delivery_timeout, self._on_arrivals)
        self.may_connect = Event()
        self.orders: Queue[tuple[int, Schedule]] = Queue()
        self.slots = BoundedSemaphore(options.connect_concurrency)
        self.turnover = Turnover(options.session_length)
        self.finished = False
        self.hushed = False
        self._closing = False
        self.listeners = 0
        self.broadcasters = 0
        self.pending = 0
        self.connecting = 0
        self._swarm = swarm
        self._targets: dict[tuple[str, str], Target] = {}
        self._shapes: dict[str, CodeShape] = {}
        self._causes: set[Cause] = set()
        self._message_bytes = 0
        self._time = Timekeeping(
            lambda asked_ns: self._to_leader("time", asked=asked_ns), same=swarm.role == "local"
        )
        self._sender_error_ns = 0
        # What was told of codes, and waits for the leader's time.
        self._undated: list[Any] = []
        self._requests = gevent.pool.Group()
        self._under_way: set[int] = set()
        # Nobody connects any more; nobody is there any more; no code is on its way.
        self._reached = (True, True, True)
        self._phase = 0
        self._health = Health()
        self._peak_open = 0
        self._sampled_s = wall_ns() // 1_000_000_000
        self._looked_s = time.monotonic()
        self._ticker = gevent.spawn(self._tick)

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
            self._targets[key] = Target(
                targets.load(profile),
                host,
                headers=self.options.header,
                ingest_headers=self.options.ingest_header,
            )
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

    def decoder(self, target: Target, event: Callable[[bytes], Message | None]) -> Decoder:
        """What finds codes in a transport's messages.

        Args:
            target: knows where the code is.
            event: the transport's, which says what a message is.
        """
        return Decoder(self, target, event)

    def failed(self, operation: str, cause: str) -> str:
        """Count a failed operation; returns the cause as which it was counted."""
        cause = self._apart(operation, cause)
        if not self.finished:
            self.ledger.tally.failed(operation, cause, wall_ns())
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

    def dropped(self, cause: str) -> str:
        """Count a session that the server or the network ended; see `failed`."""
        cause = self._apart("session", cause)
        if not self.finished:
            now = wall_ns()
            self.ledger.tally.counts["dropped"] += 1
            self.ledger.tally.second(now).dropped += 1
            self.ledger.tally.failed("session", cause, now)
        return cause

    def kept_alive(self, cause: str | None) -> None:
        """Count a request that keeps a session alive, and why it failed if it did."""
        self.counted("upkeep")
        if cause is not None:
            self.counted("upkeep_failed")
            self.failed("upkeep", cause)

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
        self.counted("overlapping", int(bool(self._under_way)))
        self._under_way.add(sequence)
        self.ledger.sent(sequence, sent_ns, text_ns)
        code = [sequence, leader_ns, clocks.error_ns, text_ns]
        self._to_leader("sent", code=code, slip_us=slip_us)

    def answered(
        self, sequence: int, status: Status, ingest_us: int, cause: str | None
    ) -> str | None:
        """What became of a code's request.

        Args:
            sequence: the code's.
            status: what.
            ingest_us: after how long.
            cause: why it failed; None if it did not.

        Returns:
            The cause as which it is counted.
        """
        self._under_way.discard(sequence)
        if cause is not None:
            cause = self._apart("ingest", cause)
        if not self.finished:
            self.ledger.answered(sequence, status)
            answer = {"ingest_us": ingest_us, "cause": cause}
            self._to_leader("answered", code=[sequence, status], **answer)
        return cause

    def broadcast_done(self) -> None:
        """The schedule is through, and every request has been answered or given up."""
        self._report()
        self._to_leader("broadcast_done")

    # To and from the process that leads

    def _to_leader(self, kind: str, **data: Any) -> None:
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
                self._sender_error_ns = max(self._sender_error_ns, error_ns)
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
        if self._closing:
            return
        self._closing = True
        self._catch_up(self._looked_s + _TICK_S)
        now = wall_ns()
        # Who is connecting now will be taken away: neither a success nor a failure.
        self.counted("attempted", -self.connecting)
        self.ledger.report_arrivals()
        self.ledger.release_all(now)
        self.ledger.settle(now, final=True)
        self.finished = True
        self._fail_undelivered()
        self._sample(now)
        self._ticker.kill(block=False)
        self._time.end()
        self._report(final=True)

    # The account

    def _tick(self) -> None:
        ticks = 0
        while True:
            due = time.monotonic() + _TICK_S
            gevent.sleep(_TICK_S)
            self._health.stalls.add(round((time.monotonic() - due) * 1e6))
            self._catch_up(due)
            ticks += 1
            try:
                self._look(report=ticks % _REPORT_TICKS == 0 or self._is_awaited())
            except Exception as error:
                # A mistake in this program: its books are not to be believed any more.
                _logger.exception("the account could not be brought up to date")
                said = f"the account cannot be kept ({type(error).__name__}), see the log."
                self._swarm.to_leader("unfit", {"run": self.run_id, "sentence": said})

    def _is_awaited(self) -> bool:
        """Whether something has come about since the last look that the leader waits for."""
        before = self._reached
        self._reached = (not self.pending, not self.listeners, not self.ledger.in_flight)
        return any(now and not then for now, then in zip(self._reached, before, strict=True))

    def _catch_up(self, due_s: float) -> None:
        """After a stall, have what has come read before any of it is counted as missing.

        Args:
            due_s: when there should have been a look (monotonic clock).
        """
        if time.monotonic() > due_s + _TICK_S:
            gevent.sleep(_READING_S)
        self._looked_s = time.monotonic()

    def _look(self, *, report: bool) -> None:
        if step_ns := self._time.look():
            self._to_leader("stepped", by=step_ns, host=self._time.host)
        now = wall_ns()
        self.ledger.report_arrivals()
        self.ledger.settle(now)
        if now // 1_000_000_000 > self._sampled_s:
            self._sample(now)
        self._peak_open = max(self._peak_open, self.ledger.open)
        if report:
            self._report()

    def _on_arrivals(self, latencies_us: list[int], arrived_ns: list[int]) -> None:
        if not latencies_us:
            return
        tally = self.ledger.tally
        earliest_us = -((self._time.clocks.error_ns + self._sender_error_ns) // 1000)
        if min(latencies_us) < earliest_us:
            tally.counts["before_sent"] += sum(each < earliest_us for each in latencies_us)
        first, last = arrived_ns[0] // 1_000_000_000, arrived_ns[-1] // 1_000_000_000
        if first == last:
            second = tally.second(arrived_ns[0])
            second.received += len(latencies_us)
            second.delivery.add_all(latencies_us)
        else:
            for latency, arrived in zip(latencies_us, arrived_ns, strict=True):
                second = tally.second(arrived)
                second.received += 1
                second.delivery.add(latency)
        self.receipts.delivered(latencies_us, self._message_bytes)

    def note_size(self, message_bytes: int) -> None:
        """How large a message with a code is; those of one run hardly differ."""
        self._message_bytes = message_bytes

    def _fail_undelivered(self) -> None:
        total = {"late": 0, "missing": 0, "interrupted": 0}
        for connection in self.ledger.connections:
            for outcome in total:
                total[outcome] += getattr(connection, outcome)
        for outcome, count in total.items():
            self.receipts.failed(outcome, count)

    def _sample(self, now_ns: int) -> None:
        """The figures of the seconds that have ended, one sample each."""
        cpu, lag = self._health.sample(), self.network.lag.drain()
        tally = self.ledger.tally
        tally.lag.add_all(lag)
        now_s = now_ns // 1_000_000_000
        for moment in range(self._sampled_s, max(now_s, self._sampled_s + 1)):
            second = tally.second(moment * 1_000_000_000)
            second.open = self.ledger.open
            second.connecting = self.connecting
            second.cpu_percent = cpu
            second.rss_mib = self._health.rss_now_mib
        second.lag.add_all(lag)
        tally.stalls.merge(self._health.take_stalls())
        self._sampled_s = max(now_s, self._sampled_s + 1)

    def _report(self, *, final: bool = False) -> None:
        if self.finished and not final:
            return
        owed, delivered = self.ledger.standing()
        news = self.ledger.take()
        clocks = self._time.clocks
        if clocks.known and not clocks.same:
            news.move(clocks.to_leader, lambda here_ns: here_ns + clocks.at(here_ns).ns)
        data: dict[str, Any] = {
            "final": final,
            "tally": news.pack(),
            "received": dict(self.ledger.received_per_connection()),
            "gauges": {
                "listeners": self.listeners,
                "broadcasters": self.broadcasters,
                "pending": self.pending,
                "connecting": self.connecting,
                "open": 0 if final else self.ledger.open,
                "peak_open": self._peak_open,
                "phase": self._phase,
                "in_flight": self.ledger.in_flight,
                "owed": owed,
                "delivered": delivered,
                "cpu_percent": self._health.cpu_percent,
                "rss_mib": self._health.rss_mib,
                "clock_known": clocks.known,
                "clock_error_ns": clocks.error_ns,
                "timestamps": self.network.timestamps,
                "merged": self.network.lag.merged,
            },
        }
        if final and self.options.delivery_report is not None:
            data["connections"] = [astuple(self._row(each)) for each in self.ledger.connections]
        self._to_leader("report", **data)

    def _row(self, connection: Connection) -> ConnectionRow:
        connect_us = connection.connect_us
        return ConnectionRow(
            connection=connection.number,
            worker=LOCAL if self._swarm.role == "local" else self._swarm.name,
            username=connection.username,
            connected=connection.sessions > 0,
            connect_ms=None if connect_us is None else connect_us / 1000,
            sessions=connection.sessions,
            drops=connection.drops,
            owed=connection.owed,
            delivered=connection.delivered,
            late=connection.late,
            missing=connection.missing,
            interrupted=connection.interrupted,
            duplicate=connection.duplicate,
            last_cause=connection.last_cause,
        )


_stations: weakref.WeakKeyDictionary[Environment, Station | None] = weakref.WeakKeyDictionary()

#: Seconds that users wait for their station. Locust may have a worker begin users before it
#: has told the locustfile that there is a run.
_PATIENCE_S = 5.0


def station_of(environment: Environment) -> Station:
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


def set_station(environment: Environment, station: Station | None) -> None:
    """Begin a run in this process; None for one that cannot be carried out here."""
    _stations[environment] = station
