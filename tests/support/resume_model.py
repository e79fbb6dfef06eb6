"""A reference model of servers that promise resumption, and a world that compares ledgers with it.

A connection has one stretch at a time. The model stores every event and computes the account at
the end, pair by pair, from the definitions of the outcomes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hypothesis import strategies as st

from sseload_users.core.code_tally import GroupOutcomes, Status
from sseload_users.core.ledger import Ledger
from sseload_users.core.sessions import Connection, Session
from sseload_users.core.tally import Tally
from sseload_users.core.unusual_pairs import UnusualPairs
from tests.support.ledger_model import (
    OUTCOMES,
    STEP_NS,
    TIMEOUT_NS,
    UNDECIDED_NS,
    check_pairs,
    total_of,
)

Kind: TypeAlias = Literal[
    "wait", "connect", "drop", "cut", "broadcast", "receive", "receive again", "settle", "take"
]
KINDS: tuple[Kind, ...] = (
    "wait", "wait", "wait", "connect", "connect", "connect", "drop", "cut", "broadcast",
    "broadcast", "broadcast", "receive", "receive", "receive", "receive", "receive",
    "receive again", "settle", "take",
)  # fmt: skip

#: An event: its kind, which object it concerns, and a detail.
Event: TypeAlias = tuple[Kind, int, int]

events = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 30), st.integers(0, 7)), max_size=150
)


@dataclass
class Stretch:
    started_ns: int
    subscribed_ns: int
    ended_ns: int | None = None
    by_us: bool = False


@dataclass
class Client:
    """A connection, with its stretches and the codes that it received, in order."""

    connection: Connection
    session: Session | None = None
    stretches: list[Stretch] = field(default_factory=list)
    received: list[tuple[int, int]] = field(default_factory=list)

    @property
    def is_connected(self) -> bool:
        """Whether a stretch is open."""
        return bool(self.stretches) and self.stretches[-1].ended_ns is None

    def stretch_at(self, at_ns: int) -> int:
        """Return the index of the stretch that a copy came in."""
        return max(i for i, each in enumerate(self.stretches) if each.started_ns <= at_ns)


class ResumeWorld:
    """Gives a model and a ledger the same events.

    Args:
        history: the server sends new sessions what was sent before.
    """

    def __init__(self, *, history: bool = False) -> None:
        self.history = history
        self.reported = 0
        self.ledger = Ledger(
            TIMEOUT_NS / 1e9,
            self._on_arrivals,
            resume=True,
            history=history,
            unusual=UnusualPairs(),
        )
        self.clients = [Client(self.ledger.add_connection()) for _ in range(4)]
        self.codes: dict[int, tuple[int, Status]] = {}
        self.now_ns = 1_700_000_000 * 10**9
        self.total = Tally()
        self.at_nodes = [GroupOutcomes() for _ in range(2)]
        for index, client in enumerate(self.clients):
            client.connection.node = index % 2

    def _on_arrivals(self, latencies_us: list[int], arrived_ns: list[int]) -> None:
        self.reported += len(latencies_us)

    def run(self, history: Iterable[Event]) -> None:
        for kind, which, detail in history:
            self.now_ns += 1
            getattr(self, kind.replace(" ", "_"))(which, detail)

    def end(self) -> None:
        """Close all sessions and settle finally, as at the end of a run."""
        self.now_ns += 1
        self.ledger.release_all(self.now_ns)
        for client in self.clients:
            if client.is_connected:
                client.stretches[-1].ended_ns = self.now_ns
                client.stretches[-1].by_us = True
        self.ledger.settle(self.now_ns, final=True)
        self.take(0, 0)

    # Events

    def wait(self, which: int, detail: int) -> None:
        self.now_ns += detail * STEP_NS

    def connect(self, which: int, detail: int) -> None:
        client = self.clients[which % len(self.clients)]
        if not client.is_connected:
            started_ns, self.now_ns = self.now_ns, self.now_ns + detail * STEP_NS // 4 + 1
            client.stretches.append(Stretch(started_ns, self.now_ns))
            client.session = self.ledger.open_session(client.connection, started_ns, self.now_ns)
        connected = sum(client.is_connected for client in self.clients)
        assert self.ledger.open_sessions == connected

    def drop(self, which: int, detail: int) -> None:
        self._end(which, by_us=False)

    def cut(self, which: int, detail: int) -> None:
        self._end(which, by_us=True)

    def _end(self, which: int, *, by_us: bool) -> None:
        client = self.clients[which % len(self.clients)]
        if client.is_connected and client.session is not None:
            client.stretches[-1].ended_ns, client.stretches[-1].by_us = self.now_ns, by_us
            self.ledger.pause_session(client.session, self.now_ns, released=by_us)

    def broadcast(self, which: int, detail: int) -> None:
        sequence = len(self.codes) + 1
        status: Status = "rejected" if detail == 7 else "accepted"
        self.codes[sequence] = self.now_ns, status
        self.ledger.announce(sequence, self.now_ns)
        self.ledger.set_status(sequence, status, sequence)

    def receive(self, which: int, detail: int) -> None:
        """Receive a recent code, if it is new to the connection."""
        client = self.clients[which % len(self.clients)]
        sequence = len(self.codes) - detail
        if sequence > 0 and sequence not in [each for each, _ in client.received]:
            self._receive(client, sequence)

    def receive_again(self, which: int, detail: int) -> None:
        client = self.clients[which % len(self.clients)]
        if client.received:
            self._receive(client, client.received[-1 - detail % len(client.received)][0])

    def _receive(self, client: Client, sequence: int) -> None:
        if client.is_connected and client.session is not None:
            client.received.append((sequence, self.now_ns))
            client.session.receive(self.ledger.code(sequence), self.now_ns)

    def settle(self, which: int, detail: int) -> None:
        self.ledger.settle(self.now_ns)

    def take(self, which: int, detail: int) -> None:
        taken = self.ledger.take()
        self.total.merge(taken)
        for code in taken.codes.values():
            for node, outcomes in (code.at_nodes or {}).items():
                self.at_nodes[node].merge(outcomes)

    # What must be the case

    def check(self) -> None:
        """Compare the account with the model's."""
        wanted = {sequence: Counter[str]() for sequence in self.codes}
        outcomes = ("owed", "delivered", "late", "recovered", "missing", "interrupted")
        at_nodes = [Counter[str]() for _ in self.at_nodes]
        for client in self.clients:
            mine: Counter[str] = Counter()
            for sequence in self.codes:
                row = self._row(client, sequence)
                wanted[sequence] += row
                mine += row
            at_nodes[client.connection.node or 0] += mine
            for outcome in outcomes:
                assert getattr(client.connection, outcome) == mine[outcome], outcome
        for counts, node in zip(at_nodes, self.at_nodes, strict=True):
            assert {each: getattr(node, each) for each in outcomes} == {
                each: counts[each] for each in outcomes
            }
            assert node.latencies.total == node.delivered
        assert self.ledger.unusual is not None
        check_pairs(self.ledger.unusual.rows(), self.total)
        for sequence, row in wanted.items():
            account = self.total.codes.get(sequence)
            got = {name: getattr(account, name, 0) for name in OUTCOMES}
            assert {name: each for name, each in got.items() if each} == dict(+row), sequence
        for account in self.total.codes.values():
            assert account.owed == (
                account.delivered + account.late + account.recovered + account.interrupted
                + account.missing
            )  # fmt: skip
        delivered = total_of(self.total, "delivered")
        assert (
            self.reported == delivered == sum(c.latencies.total for c in self.total.codes.values())
        )

    def _row(self, client: Client, sequence: int) -> Counter[str]:
        """Return one pair's outcomes."""
        sent_ns, status = self.codes[sequence]
        arrivals = [at_ns for each, at_ns in client.received if each == sequence]
        row: Counter[str] = Counter()
        if status == "rejected":
            row["unexpected"] = len(arrivals)
            return row
        if not client.stretches:
            return row
        first = client.stretches[0]
        if arrivals:
            if sent_ns < first.started_ns:
                row["history" if self.history else "unexpected"] = len(arrivals)
                return row
            home = client.stretch_at(arrivals[0])
            row["owed"] = 1
            if sent_ns < client.stretches[home].started_ns:
                row["recovered"] = 1
            else:
                row["delivered" if arrivals[0] <= sent_ns + TIMEOUT_NS else "late"] = 1
            for again_ns in arrivals[1:]:
                same = client.stretch_at(again_ns) == home
                row["duplicate" if same else "replayed"] += 1
            return row
        if (outcome := self._without_copy(client, sent_ns)) is not None:
            row[outcome] = 1
            row["owed"] = int(outcome != "released")
        return row

    @staticmethod
    def _without_copy(client: Client, sent_ns: int) -> str | None:
        last = client.stretches[-1]
        closed_ns = last.ended_ns
        assert closed_ns is not None
        if sent_ns < client.stretches[0].subscribed_ns or closed_ns <= sent_ns:
            return None
        if closed_ns > sent_ns + TIMEOUT_NS:
            return "missing"
        if not last.by_us:
            return "interrupted"
        waited_ns = closed_ns - sent_ns
        if len(client.stretches) > 1 and sent_ns < last.subscribed_ns:
            waited_ns = closed_ns - last.subscribed_ns
        return "released" if waited_ns <= UNDECIDED_NS else "missing"
