"""A reference model of the ledger, and a world that gives it and real ledgers the same events.

The model stores every event and computes the account at the end, pair by pair, from the
definitions of the outcomes. It has no codes in flight, no settling, and no workers.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

import msgpack
from hypothesis import strategies as st

from sseload_users.core.channels import ChannelPlan
from sseload_users.core.code_tally import (
    OPEN_STATUSES,
    STRAY,
    GroupOutcomes,
    Outcomes,
    Status,
)
from sseload_users.core.connection_row import received_per_connection
from sseload_users.core.histogram import Histogram
from sseload_users.core.ledger import Ledger
from sseload_users.core.sessions import Connection, Session, TrackedCode
from sseload_users.core.spans import NEVER
from sseload_users.core.streams import ONE_STREAM, StreamPlan
from sseload_users.core.tally import Tally
from sseload_users.core.unusual_pairs import Pair, UnusualPairs

#: One step of the world's time, and the delivery timeout.
STEP_NS = 250_000_000
TIMEOUT_NS = 10 * STEP_NS
#: By how much a pair may be older than the slowest delivery and still be undecided.
UNDECIDED_NS = 4 * STEP_NS

ON_CONNECTIONS = ("owed", "delivered", "late", "missing", "interrupted", "duplicate")


@dataclass
class ModelSpan:
    asked_ns: int
    joined_ns: int | None = None
    leaving_ns: int | None = None
    left_ns: int | None = None


@dataclass
class ModelSession:
    connection: int
    started_ns: int
    subscribed_ns: int
    leaving_ns: int | None = None
    closed_ns: int | None = None
    released: bool = False
    channels: dict[str, list[ModelSpan]] = field(default_factory=dict)

    def position(self, sent_ns: int, channel: str | None, arrived_ns: int | None) -> str:
        """Say where a code lies in the session's time in its channel."""
        within = "owed"
        if channel is not None:
            within = self._position_in(self.channels.get(channel, []), sent_ns, arrived_ns)
        if within == "outside":
            return within
        if within == "before" or min(self.started_ns, self.subscribed_ns) > sent_ns:
            return "before"
        if self.subscribed_ns > sent_ns:
            return "joining"
        left = self.leaving_ns is not None and sent_ns > self.leaving_ns
        return "leaving" if left else within

    @staticmethod
    def _position_in(spans: list[ModelSpan], sent_ns: int, arrived_ns: int | None) -> str:
        for span in spans:
            until = span.leaving_ns
            if span.asked_ns <= sent_ns and (until is None or sent_ns <= until):
                joined = span.joined_ns is not None and span.joined_ns <= sent_ns
                return "owed" if joined else "joining"
            left = span.left_ns
            if until is not None and until < sent_ns and (left is None or sent_ns <= left):
                return "leaving"
        later = [span for span in spans if span.asked_ns > sent_ns]
        if arrived_ns is not None and any(span.asked_ns <= arrived_ns for span in later):
            return "before"
        return "outside"


@dataclass
class ModelCode:
    sent_ns: int | None = None
    status: Status = "pending"
    overtakable_by: int = 0

    def is_out_of_order_after(self, newest: int) -> bool:
        """Whether it must not arrive after the code with that sequence number."""
        unlimited = self.status in ("pending", "unanswered", "unknown")
        return newest > (NEVER if unlimited else self.overtakable_by)


def reads_slowly(connection: int) -> bool:
    """Whether a connection, by its number, is a slow reader in a run with nodes."""
    return connection % 3 == 0


@dataclass
class Expected:
    """The account that a ledger must have at the end."""

    codes: dict[int, Counter[str]] = field(default_factory=dict)
    connections: dict[int, Counter[str]] = field(default_factory=dict)
    out_of_order: int = 0
    arrivals: dict[int, list[int]] = field(default_factory=dict)
    latencies_us: dict[int, list[int]] = field(default_factory=dict)
    at_nodes: dict[tuple[int, int], Counter[str]] = field(default_factory=dict)
    latencies_at_nodes: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    paces: dict[bool, Counter[str]] = field(default_factory=dict)
    latencies_of_paces: dict[bool, list[int]] = field(default_factory=dict)


@dataclass
class Model:
    slowest_ns: int = 0
    channels: ChannelPlan | None = None
    streams: StreamPlan = ONE_STREAM
    nodes: int = 1
    sessions: list[ModelSession] = field(default_factory=list)
    codes: dict[int, ModelCode] = field(default_factory=dict)
    receipts: list[tuple[int, int, int]] = field(default_factory=list)

    def channel_of(self, sequence: int) -> str | None:
        """Return the channel of a code; None without channels."""
        return None if self.channels is None else self.channels.channel_of(sequence)

    def expected(self) -> Expected:
        """Return the account, computed by brute force."""
        result = Expected()
        sequences = {*self.codes, *(sequence for _, sequence, _ in self.receipts)}
        duplicates: set[int] = set()  # indices of receipts
        for sequence, at in itertools.product(sorted(sequences), range(len(self.sessions))):
            indices = [
                index
                for index, (session, code, _) in enumerate(self.receipts)
                if (session, code) == (at, sequence)
            ]
            session = self.sessions[at]
            row = result.codes.setdefault(sequence if sequence in self.codes else STRAY, Counter())
            mine = result.connections.setdefault(session.connection, Counter())
            arrivals = [self.receipts[index][2] for index in indices]
            outcome = self._outcome(sequence, session, arrivals[0] if arrivals else None)
            row["released"] += outcome == "released"
            if outcome == "released" and arrivals:
                # It came to a session that was leaving.
                for count in (row, mine):
                    count["duplicate"] += len(arrivals) - 1
                duplicates.update(indices[1:])
                continue
            if outcome == "leaked":
                row["leaked"] += len(arrivals)
                continue
            if outcome in ("unowed", "released"):
                row["unexpected"] += len(arrivals)
                continue
            place = sequence, session.connection % self.nodes
            there = result.at_nodes.setdefault(place, Counter())
            slow = reads_slowly(session.connection)
            pace = result.paces.setdefault(slow, Counter())
            for count in (row, mine, there, pace):
                count["owed"] += 1
                count[outcome] += 1
                count["duplicate"] += max(0, len(arrivals) - 1)
            duplicates.update(indices[1:])
            if outcome == "delivered":
                sent_ns = self.codes[sequence].sent_ns or 0
                result.arrivals.setdefault(sequence, []).append(arrivals[0])
                latency_us = (arrivals[0] - sent_ns) // 1000
                result.latencies_us.setdefault(sequence, []).append(latency_us)
                result.latencies_at_nodes.setdefault(place, []).append(latency_us)
                result.latencies_of_paces.setdefault(slow, []).append(latency_us)
        newest: Counter[tuple[int, str | None, int]] = Counter()
        for index, (at, sequence, _) in enumerate(self.receipts):
            if index not in duplicates:
                stream = at, self.channel_of(sequence), sequence % self.streams.count
                if sequence < newest[stream]:
                    code = self.codes.get(sequence, ModelCode(status="unsent"))
                    result.out_of_order += code.is_out_of_order_after(newest[stream])
                newest[stream] = max(newest[stream], sequence)
        return result

    def _outcome(self, sequence: int, session: ModelSession, arrived_ns: int | None) -> str:
        code = self.codes.get(sequence)
        if code is None or code.sent_ns is None or code.status in ("rejected", "unsent"):
            return "unowed"
        sent_ns, closed_ns = code.sent_ns, session.closed_ns
        position = session.position(sent_ns, self.channel_of(sequence), arrived_ns)
        if arrived_ns is not None:
            if position in ("before", "outside"):
                return "unowed" if position == "before" else "leaked"
            in_time = "delivered" if arrived_ns - sent_ns <= TIMEOUT_NS else "late"
            return "released" if position == "leaving" else in_time
        gone = closed_ns is not None and closed_ns <= sent_ns
        if position != "owed" or gone:
            return "unowed"
        if code.status == "unknown":
            return "released"
        if closed_ns is None or closed_ns > sent_ns + TIMEOUT_NS:
            return "missing"
        if not session.released:
            return "interrupted"
        undecided = closed_ns - sent_ns <= self.slowest_ns + UNDECIDED_NS
        return "released" if undecided else "missing"


class Worker:
    """A real ledger, with what was taken from it and the latencies that it reported."""

    def __init__(self, slowest_ns: int, channels: ChannelPlan | None, streams: StreamPlan) -> None:
        self.unusual = UnusualPairs()
        self.ledger = Ledger(
            TIMEOUT_NS / 1e9, self._on_arrivals, channels, streams=streams, unusual=self.unusual
        )
        self.ledger.rules.slowest_ns = slowest_ns
        self.taken: list[Tally] = []
        self.reported_us: Counter[int] = Counter()
        self._memo: dict[int, TrackedCode] = {}

    def _on_arrivals(self, latencies_us: list[int], arrived_ns: list[int]) -> None:
        assert len(latencies_us) == len(arrived_ns)
        self.reported_us.update(latencies_us)

    def code(self, sequence: int, *, remembered: bool) -> TrackedCode:
        """Return a code, optionally from a memo, as a code finder has it."""
        if not remembered or sequence not in self._memo:
            self._memo[sequence] = self.ledger.code(sequence)
        return self._memo[sequence]

    def take(self) -> None:
        taken = self.ledger.take()
        for code in taken.codes.values():
            assert code.owed == code.delivered + code.late + code.interrupted + code.missing
        # As it travels from a worker to the master.
        packed = msgpack.packb(taken.pack())
        self.taken.append(Tally.unpack(msgpack.unpackb(packed, strict_map_key=False)))


OUTCOMES = tuple(each.name for each in fields(Outcomes))


def total_of(tally: Tally, outcome: str) -> int:
    """Return the sum of an outcome over all codes."""
    return sum(getattr(code, outcome) for code in tally.codes.values())


def check_pairs(pairs: Iterable[Pair], total: Tally) -> None:
    """Compare the pairs that were kept one by one with the account of each code."""
    found: dict[int, Counter[str]] = {}
    for pair in pairs:
        found.setdefault(pair.code, Counter())[pair.outcome] += 1
        assert (pair.latency_us is None) == (pair.outcome in ("interrupted", "missing"))
    names = ("late", "recovered", "interrupted", "missing")
    wanted = {
        sequence: +Counter({name: getattr(code, name) for name in names})
        for sequence, code in total.codes.items()
    }
    assert found == {sequence: counts for sequence, counts in wanted.items() if counts}


class Group:
    """Workers that share the connections of a world."""

    def __init__(
        self, size: int, slowest_ns: int, channels: ChannelPlan | None, streams: StreamPlan
    ) -> None:
        self.workers = [Worker(slowest_ns, channels, streams) for _ in range(size)]
        self.connections: list[Connection] = []
        self.sessions: list[Session] = []

    def of(self, connection: int) -> Worker:
        return self.workers[connection % len(self.workers)]

    def total(self, seed: int) -> Tally:
        taken = [tally for worker in self.workers for tally in worker.taken]
        random.Random(seed).shuffle(taken)
        total = Tally()
        for tally in taken:
            total.merge(tally)
        return total

    def reported_us(self) -> Counter[int]:
        return sum((worker.reported_us for worker in self.workers), Counter[int]())


Kind: TypeAlias = Literal[
    "wait", "open", "close", "leave", "release", "broadcast", "announce", "answer",
    "receive", "make up", "settle", "take", "report",
    "ask to join", "confirm join", "begin leaving channel", "leave channel",
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "wait", "wait", "open", "open", "close", "leave", "release", "broadcast", "broadcast",
    "announce", "announce", "answer", "answer", "receive", "receive", "receive", "receive",
    "receive", "make up", "settle", "settle", "take", "report",
)  # fmt: skip
CHANNEL_KINDS: tuple[Kind, ...] = (
    *KINDS, "ask to join", "ask to join", "confirm join", "confirm join",
    "begin leaving channel", "begin leaving channel", "leave channel", "leave channel",
)  # fmt: skip
ANSWERS: tuple[Status, ...] = (
    "accepted", "accepted", "accepted", "unanswered", "rejected", "unknown",
)  # fmt: skip

#: An event: its kind, which object it concerns, how late it becomes known, and a detail.
Event: TypeAlias = tuple[Kind, int, int, int]


def _histories(kinds: tuple[Kind, ...]) -> st.SearchStrategy[list[Event]]:
    event = st.tuples(
        st.sampled_from(kinds), st.integers(0, 30), st.integers(0, 14), st.integers(0, 7)
    )
    return st.lists(event, max_size=150)


events = _histories(KINDS)
#: Events of a run with channels.
channel_events = _histories(CHANNEL_KINDS)


class World:
    """Gives a model, and groups of real ledgers, the same events.

    Args:
        sizes: number of workers of each group.
        slowest_ns: duration of the slowest delivery, as the ledgers are told.
        channels: deals codes to channels; None for a run without channels.
        streams: deals codes to publishers and nodes.
        nodes: number of nodes that connections are at; 0 for a run without nodes.
    """

    def __init__(
        self,
        sizes: Iterable[int] = (1,),
        slowest_ns: int = 0,
        channels: ChannelPlan | None = None,
        streams: StreamPlan = ONE_STREAM,
        nodes: int = 0,
    ) -> None:
        self.nodes = nodes
        self.model = Model(slowest_ns, channels, streams, max(nodes, 1))
        self.groups = [Group(size, slowest_ns, channels, streams) for size in sizes]
        self.now_ns = 1_700_000_000 * 10**9
        self._unannounced: dict[int, int] = {}
        self._last_ns: dict[int, int] = {}
        self._next = 1

    def run(self, history: Iterable[Event]) -> None:
        for kind, which, late, detail in history:
            getattr(self, kind.replace(" ", "_"))(which, late * STEP_NS, detail)

    def end(self, *, release: bool) -> None:
        """Settle finally, as at the end of a run."""
        for at, session in enumerate(self.model.sessions):
            if release and session.closed_ns is None:
                self._close(at, self.now_ns, released=True)
        for group in self.groups:
            for worker in group.workers:
                worker.ledger.settle(self.now_ns, final=True)
                worker.take()
                assert not worker.ledger.codes.in_flight

    # Events

    def wait(self, which: int, late_ns: int, detail: int) -> None:
        self.now_ns += detail * STEP_NS + which
        for sequence, sent_ns in list(self._unannounced.items()):
            if self.now_ns - sent_ns > 8_000_000_000:
                self._announce(sequence)

    def open(self, which: int, late_ns: int, detail: int) -> None:
        # Most connections have one session at a time; the ledger does not mind more.
        connection, subscribed_ns = which % 6, self.now_ns - late_ns
        started_ns = subscribed_ns + (1 - detail) * STEP_NS
        own = self._some_channels(which // 6 + detail)
        first = {name: [ModelSpan(0, 0)] for name in own}
        self.model.sessions.append(
            ModelSession(connection, started_ns, subscribed_ns, channels=first)
        )
        for group in self.groups:
            while len(group.connections) <= connection:
                owner = group.of(len(group.connections)).ledger
                new = owner.add_connection()
                new.node = len(group.connections) % self.nodes if self.nodes else None
                new.slow = reads_slowly(len(group.connections)) if self.nodes else None
                group.connections.append(new)
            opened = group.of(connection).ledger.open_session(
                group.connections[connection], started_ns, subscribed_ns, own
            )
            group.sessions.append(opened)

    def _some_channels(self, draw: int) -> list[str]:
        names = () if self.model.channels is None else self.model.channels.names
        return [name for at, name in enumerate(names) if draw >> at & 1]

    def _some_channel(self, draw: int) -> str | None:
        names = () if self.model.channels is None else self.model.channels.names
        return names[draw % len(names)] if names else None

    def ask_to_join(self, which: int, late_ns: int, detail: int) -> None:
        at, channel = self._find_open(which), self._some_channel(detail)
        if at is None or channel is None:
            return
        session = self.model.sessions[at]
        spans = session.channels.setdefault(channel, [])
        if spans and (spans[-1].left_ns is None or spans[-1].left_ns >= self.now_ns):
            return
        self.now_ns += 1  # later than all that is known
        spans.append(ModelSpan(self.now_ns))
        for group in self.groups:
            ledger = group.of(session.connection).ledger
            ledger.ask_to_join(group.sessions[at], channel, self.now_ns)

    def confirm_join(self, which: int, late_ns: int, detail: int) -> None:
        at, channel = self._find_open(which), self._some_channel(detail)
        if at is None or channel is None:
            return
        session = self.model.sessions[at]
        spans = session.channels.get(channel)
        if not spans or spans[-1].joined_ns is not None:
            return
        spans[-1].joined_ns = max(self.now_ns - late_ns, spans[-1].asked_ns)
        for group in self.groups:
            ledger = group.of(session.connection).ledger
            ledger.confirm_join(group.sessions[at], channel, spans[-1].joined_ns)

    def begin_leaving_channel(self, which: int, late_ns: int, detail: int) -> None:
        at, channel = self._find_open(which), self._some_channel(detail)
        if at is None or channel is None:
            return
        session = self.model.sessions[at]
        spans = session.channels.get(channel)
        if not spans or spans[-1].joined_ns is None:
            return
        if spans[-1].leaving_ns is None:
            spans[-1].leaving_ns = self.now_ns
        for group in self.groups:
            ledger = group.of(session.connection).ledger
            ledger.begin_leaving(group.sessions[at], self.now_ns, channel)

    def leave_channel(self, which: int, late_ns: int, detail: int) -> None:
        at, channel = self._find_open(which), self._some_channel(detail)
        if at is None or channel is None:
            return
        session = self.model.sessions[at]
        spans = session.channels.get(channel)
        if not spans or spans[-1].leaving_ns is None or spans[-1].left_ns is not None:
            return
        self.now_ns += 1
        spans[-1].left_ns = self.now_ns
        for group in self.groups:
            ledger = group.of(session.connection).ledger
            ledger.leave_channel(group.sessions[at], channel, self.now_ns)

    def close(self, which: int, late_ns: int, detail: int) -> None:
        self._close_open(which, late_ns, released=False)

    def release(self, which: int, late_ns: int, detail: int) -> None:
        self._close_open(which, late_ns, released=True)

    def leave(self, which: int, late_ns: int, detail: int) -> None:
        if (at := self._find_open(which)) is not None:
            session = self.model.sessions[at]
            if session.leaving_ns is None:
                session.leaving_ns = self.now_ns
            for group in self.groups:
                ledger = group.of(session.connection).ledger
                ledger.begin_leaving(group.sessions[at], self.now_ns)

    def _close_open(self, which: int, late_ns: int, *, released: bool) -> None:
        if (at := self._find_open(which)) is not None:
            session = self.model.sessions[at]
            earliest = max(session.subscribed_ns, self._last_ns.get(at, 0))
            self._close(at, max(earliest, self.now_ns - late_ns), released=released)

    def _close(self, at: int, at_ns: int, *, released: bool) -> None:
        session = self.model.sessions[at]
        session.closed_ns, session.released = at_ns, released
        for group in self.groups:
            ledger = group.of(session.connection).ledger
            ledger.close_session(group.sessions[at], at_ns, released=released)

    def broadcast(self, which: int, late_ns: int, detail: int) -> None:
        sequence, self._next = self._next, self._next + 1
        if detail == 7:
            self.model.codes[sequence] = ModelCode(None, "unsent")
            for group in self.groups:
                for worker in group.workers:
                    worker.ledger.set_status(sequence, "unsent")
        else:
            self._unannounced[sequence] = self.now_ns - late_ns // 4

    def announce(self, which: int, late_ns: int, detail: int) -> None:
        if self._unannounced:
            self._announce(sorted(self._unannounced)[which % len(self._unannounced)])

    def _announce(self, sequence: int) -> None:
        sent_ns = self._unannounced.pop(sequence)
        self.model.codes[sequence] = ModelCode(sent_ns)
        for group in self.groups:
            for worker in group.workers:
                worker.ledger.announce(sequence, sent_ns)

    def answer(self, which: int, late_ns: int, detail: int) -> None:
        open_ones = [
            each for each, code in self.model.codes.items() if code.status in OPEN_STATUSES
        ]
        if open_ones:
            sequence = open_ones[which % len(open_ones)]
            status, overtakable_by = ANSWERS[detail % len(ANSWERS)], sequence + which % 4
            self.model.codes[sequence].status = status
            self.model.codes[sequence].overtakable_by = overtakable_by
            for group in self.groups:
                for worker in group.workers:
                    worker.ledger.set_status(sequence, status, overtakable_by)

    def receive(self, which: int, late_ns: int, detail: int) -> None:
        # Any code that was, or nearly that will be, and mostly a recent one.
        self._receive(which, max(1, self._next - detail), self.now_ns - late_ns, late_ns > STEP_NS)

    def make_up(self, which: int, late_ns: int, detail: int) -> None:
        self._receive(which, 10 ** (3 * detail), self.now_ns - late_ns, late_ns > STEP_NS)

    def _receive(self, which: int, sequence: int, arrived_ns: int, remembered: bool) -> None:
        if (at := self._find_open(which)) is None:
            return
        self._last_ns[at] = max(self._last_ns.get(at, 0), arrived_ns)
        self.model.receipts.append((at, sequence, arrived_ns))
        for group in self.groups:
            worker = group.of(self.model.sessions[at].connection)
            group.sessions[at].receive(worker.code(sequence, remembered=remembered), arrived_ns)

    def settle(self, which: int, late_ns: int, detail: int) -> None:
        for group in self.groups:
            group.workers[which % len(group.workers)].ledger.settle(self.now_ns)

    def take(self, which: int, late_ns: int, detail: int) -> None:
        for group in self.groups:
            group.workers[which % len(group.workers)].take()

    def report(self, which: int, late_ns: int, detail: int) -> None:
        for group in self.groups:
            group.workers[which % len(group.workers)].ledger.report_arrivals()

    def _find_open(self, which: int) -> int | None:
        ones = [at for at, each in enumerate(self.model.sessions) if each.closed_ns is None]
        return ones[which % len(ones)] if ones else None

    # What must be the case

    def check(self, group: Group, total: Tally) -> None:
        """Compare a group's account with the model's."""
        expected = self.model.expected()
        rows = {
            sequence: Counter[str]({name: getattr(row, name) for name in OUTCOMES})
            for sequence, row in total.codes.items()
        }
        rows = {sequence: +counts for sequence, counts in rows.items()}
        wanted = {sequence: +counts for sequence, counts in expected.codes.items()}
        all_spans = [spans for each in self.model.sessions for spans in each.channels.values()]
        if any(len(spans) > 1 or spans[0].asked_ns for spans in all_spans):
            # Whether further copies are a leak, or the history of a channel that was joined
            # later, depends on when each of them came.
            for counts in (*rows.values(), *wanted.values()):
                counts["unexpected"] += counts.pop("leaked", 0)
            rows = {sequence: +counts for sequence, counts in rows.items()}
            wanted = {sequence: +counts for sequence, counts in wanted.items()}
        assert {k: v for k, v in rows.items() if v} == {k: v for k, v in wanted.items() if v}
        assert total.counters.out_of_order == expected.out_of_order
        assert all(
            row.owed == row.delivered + row.late + row.interrupted + row.missing
            for row in total.codes.values()
        )
        for at, connection in enumerate(group.connections):
            its = {name: getattr(connection, name) for name in ON_CONNECTIONS}
            mine = expected.connections.get(at, Counter())
            assert its == {name: mine[name] for name in ON_CONNECTIONS}
        for name in ON_CONNECTIONS:
            assert total_of(total, name) == sum(getattr(each, name) for each in group.connections)
        for sequence, row in total.codes.items():
            wanted_latencies = Histogram()
            wanted_latencies.add_all(expected.latencies_us.get(sequence, ()))
            assert row.latencies.pack() == wanted_latencies.pack()
            arrivals = expected.arrivals.get(sequence, [])
            assert (row.first_ns, row.last_ns) == (
                min(arrivals, default=0),
                max(arrivals, default=0),
            )
        received = sum(
            (received_per_connection(worker.ledger.connections) for worker in group.workers),
            Counter[int](),
        )
        had_a_session = {each.connection for each in self.model.sessions}
        assert received == Counter(
            expected.connections.get(at, Counter())["delivered"] for at in had_a_session
        )
        pairs = [pair for worker in group.workers for pair in worker.unusual.rows()]
        check_pairs(pairs, total)
        self._check_reported(group, expected)
        self._check_nodes(group, expected)
        self._check_paces(group, expected)

    def _check_nodes(self, group: Group, expected: Expected) -> None:
        """Compare the account of each code at each node with the model's."""
        found: dict[tuple[int, int], GroupOutcomes] = {}
        for tally in (each for worker in group.workers for each in worker.taken):
            for sequence, code in tally.codes.items():
                for node, outcomes in (code.at_nodes or {}).items():
                    found.setdefault((sequence, node), GroupOutcomes()).merge(outcomes)
        if not self.nodes:
            assert not found
            return
        names = ("owed", "delivered", "late", "missing", "interrupted")
        counts = {
            place: +Counter({name: getattr(each, name) for name in names})
            for place, each in found.items()
        }
        wanted = {
            place: +Counter({name: each[name] for name in names})
            for place, each in expected.at_nodes.items()
        }
        assert {k: v for k, v in counts.items() if v} == {k: v for k, v in wanted.items() if v}
        for place, outcomes in found.items():
            latencies = Histogram()
            latencies.add_all(expected.latencies_at_nodes.get(place, ()))
            assert outcomes.latencies.pack() == latencies.pack()

    def _check_paces(self, group: Group, expected: Expected) -> None:
        """Compare the accounts of slow readers, and of the others, with the model's."""
        found: dict[bool, GroupOutcomes] = {}
        for tally in (each for worker in group.workers for each in worker.taken):
            for code in tally.codes.values():
                for slow, outcomes in (code.paces or {}).items():
                    found.setdefault(slow, GroupOutcomes()).merge(outcomes)
        if not self.nodes:
            assert not found
            return
        names = ("owed", "delivered", "late", "missing", "interrupted")
        for slow in (True, False):
            outcomes = found.get(slow, GroupOutcomes())
            wanted = expected.paces.get(slow, Counter())
            assert [getattr(outcomes, name) for name in names] == [wanted[name] for name in names]
            latencies = Histogram()
            latencies.add_all(expected.latencies_of_paces.get(slow, ()))
            assert outcomes.latencies.pack() == latencies.pack()

    def _check_reported(self, group: Group, expected: Expected) -> None:
        """Each delivery is reported once; other arrivals only of a code that was then rejected."""
        delivered = Counter(us for many in expected.latencies_us.values() for us in many)
        told = group.reported_us()
        assert told >= delivered
        if all(code.status != "rejected" for code in self.model.codes.values()):
            assert told == delivered
