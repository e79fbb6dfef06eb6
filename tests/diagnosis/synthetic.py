"""Made-up runs through the real account: sessions, codes and arrivals at any times.

Workers have real ledgers, whose reports are packed, sent and merged as in a run. Only sockets
and clocks are missing, so that a run takes milliseconds.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sseload_users.core.channels import ChannelPlan
from sseload_users.core.ledger import Ledger
from sseload_users.core.node_totals import NodeTotals
from sseload_users.core.payload_sizes import PayloadSizes
from sseload_users.core.sessions import Session
from sseload_users.core.streams import StreamPlan
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.report.account import Run, account_of
from sseload_users.report.symptoms import symptoms_of
from sseload_users.verdict.diagnosis import diagnose
from sseload_users.verdict.symptoms import Finding

S = 1_000_000_000
START = 1_790_000_000 * S
#: Seconds after its sending within which a code counts as delivered.
TIMEOUT_S = 1.0


@dataclass
class Client:
    """One connection of a made-up run.

    Attributes:
        place: its place among all connections, from 0.
        node: the node that it is at.
        room: its channel, by number.
        slow: whether it reads slowly.
        began_s: when its session began, in seconds since the start.
        heard_s: when it last received something, or began.
        sessions: how many it has had.
        session: its session; None while it has none.
    """

    place: int
    node: int = 0
    room: int = 0
    slow: bool = False
    began_s: float = 0.0
    heard_s: float = 0.0
    sessions: int = 0
    session: Session | None = None


@dataclass
class Script:
    """What happens in a made-up run.

    Attributes:
        arrivals: for a code (from 1), when it was sent, and a connection that is subscribed:
            after how many seconds each copy arrives; none at all if it is lost.
        lifetime_s: for a connection that has just subscribed, how long its session lasts.
        idle_s: a session ends so many seconds after it has received something; 0: it does not.
        returns: after how many seconds a connection returns; None: never.
        released: the sessions' ends are sseload's own doing.
        connections: their number.
        codes: their number.
        interval_s: from one code to the next.
        ramp_s: over which the connections start.
        rooms: number of channels; 0 for none.
        nodes: number of nodes.
        publishers: number of publishers.
        sizes: of the payloads.
        slow_every: each so-manieth connection reads slowly; 0: none does.
        again: a connection that returns gets all that it had once more.
    """

    arrivals: Callable[[int, float, Client], Iterable[float]]
    lifetime_s: Callable[[Client], float] = lambda _: 1e9
    idle_s: float = 0.0
    returns: float | None = 0.1
    released: bool = False
    connections: int = 30
    codes: int = 20
    interval_s: float = 0.2
    ramp_s: float = 1.0
    rooms: int = 0
    nodes: int = 0
    publishers: int = 1
    sizes: str = ""
    slow_every: int = 0
    again: bool = False


@dataclass
class Play:
    """A made-up run in progress.

    Args:
        script: what happens.
        workers: number of workers, to which connections are dealt in turn.
        seed: of what is random beside the script.
    """

    script: Script
    workers: int
    seed: int
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)
    _now_s: float = 0.0

    def findings(self) -> list[Finding]:
        """Carry the run out; return its diagnosis."""
        script = self.script
        draw = random.Random(self.seed)
        rooms = [f"room {at}" for at in range(script.rooms)]
        streams = StreamPlan(script.publishers, max(1, script.nodes))
        plan = ChannelPlan(rooms, streams=streams.count) if rooms else None
        self._ledgers = [Ledger(TIMEOUT_S, channels=plan, streams=streams) for _ in self._names]
        urls = [f"http://{at}" for at in range(script.nodes)]
        self._totals = Totals(
            plan=plan,
            nodes=NodeTotals(urls, streams) if urls else None,
            sizes=PayloadSizes.parse(script.sizes),
            streams=streams,
        )
        self._rooms = rooms
        for place in range(script.connections):
            client = Client(
                place,
                node=place % max(1, script.nodes),
                room=place % max(1, script.rooms),
                slow=script.slow_every > 0 and place % script.slow_every == 0,
            )
            ledger = self._ledgers[place % self.workers]
            connection = ledger.add_connection(f"user {place}")
            connection.slow = client.slow
            connection.source = "127.0.0.1"
            connection.node = client.node if script.nodes else None
            began_s = script.ramp_s * (place + draw.random()) / script.connections
            self._at(began_s, lambda *args, pair=(client, connection): self._open(*pair))
        self._clients: list[Client] = []
        for code in range(1, script.codes + 1):
            self._at(script.ramp_s + 0.2 + code * script.interval_s, self._sending(code))
        self._end_s = script.ramp_s + script.codes * script.interval_s + TIMEOUT_S + 1
        for tick in range(int(self._end_s * 2) + 1):
            self._at(tick / 2, self._report)
        while self._events and self._events[0][0] <= self._end_s:
            self._now_s, _, event = heapq.heappop(self._events)
            event()
        for ledger in self._ledgers:
            ledger.release_all(self._now_ns)
            ledger.settle(self._now_ns, final=True)
        self._report()
        run = Run("synthetic", START, "", "", "", {}, {}, complete=True)
        account = account_of(run, self._totals)
        return diagnose(symptoms_of(account, self._totals, START))

    @property
    def _names(self) -> list[str]:
        return [f"worker {at}" for at in range(self.workers)]

    @property
    def _now_ns(self) -> int:
        return START + round(self._now_s * S)

    def _at(self, at_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at_s, next(self._order), event))

    def _report(self) -> None:
        for name, ledger in zip(self._names, self._ledgers, strict=True):
            ledger.report_arrivals()
            ledger.settle(self._now_ns)
            report = WorkerReport(ledger.take(), {}, Gauges())
            self._totals.add_report(name, WorkerReport.unpack(report.pack()))

    def _open(self, client: Client, connection) -> None:  # type: ignore[no-untyped-def]
        script, ledger = self.script, self._ledgers[client.place % self.workers]
        channels = [self._rooms[client.room]] if self._rooms else []
        earlier = range(1, self._totals.sent + 1) if script.again and client.sessions else ()
        client.sessions += 1
        client.session = ledger.open_session(connection, self._now_ns, self._now_ns, channels)
        client.began_s = client.heard_s = self._now_s
        self._clients.append(client)
        for sequence in earlier:
            client.session.receive(ledger.code(sequence), self._now_ns + 1_000_000)
        lifetime_s = script.lifetime_s(client)
        self._at(self._now_s + lifetime_s, self._closing(client, connection, client.session))
        if script.idle_s:
            self._watch(client, connection, client.session)

    def _watch(self, client: Client, connection, session: Session) -> None:  # type: ignore[no-untyped-def]
        """End a session once it has been idle for so long."""

        def look() -> None:
            if client.session is not session:
                return
            if self._now_s >= client.heard_s + self.script.idle_s - 1e-6:
                self._closing(client, connection, session)()
            else:
                self._watch(client, connection, session)

        self._at(client.heard_s + self.script.idle_s, look)

    def _closing(self, client: Client, connection, session: Session) -> Callable[[], None]:  # type: ignore[no-untyped-def]
        def close() -> None:
            if client.session is not session:
                return
            client.session = None
            self._clients.remove(client)
            ledger, script = self._ledgers[client.place % self.workers], self.script
            if script.released:
                ledger.begin_leaving(session, self._now_ns)
            ledger.close_session(session, self._now_ns, released=script.released)
            if script.returns is not None:
                self._at(self._now_s + script.returns, lambda: self._open(client, connection))

        return close

    def _sending(self, code: int) -> Callable[[], None]:
        def send() -> None:
            sent_ns = self._now_ns
            self._totals.announce(code, sent_ns)
            self._totals.set_status(code, "accepted", 1000)
            for ledger in self._ledgers:
                ledger.announce(code, sent_ns)
                ledger.set_status(code, "accepted", overtakable_by=code)
            channel = self._totals.channel_of(code)
            for client in self._clients:
                if channel and channel != self._rooms[client.room]:
                    continue
                for after_s in self.script.arrivals(code, self._now_s, client):
                    assert client.session is not None
                    arriving = self._arriving(code, client, client.session)
                    self._at(self._now_s + after_s, arriving)

        return send

    def _arriving(self, code: int, client: Client, session: Session) -> Callable[[], None]:
        def arrive() -> None:
            if client.session is session:
                ledger = self._ledgers[client.place % self.workers]
                session.receive(ledger.code(code), self._now_ns)
                client.heard_s = self._now_s

        return arrive
