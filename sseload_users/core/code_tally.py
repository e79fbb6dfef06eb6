"""The account of one code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sseload_users.core.histogram import Histogram

#: Sequence number of the account of codes that nobody sent.
STRAY = 0

#: The result of a code's request: "pending" until it is there, "unknown" while the worker that
#: sent the code is lost.
Status: TypeAlias = Literal[
    "pending", "accepted", "seen", "rejected", "unanswered", "unknown", "unsent"
]

#: The statuses of codes that are owed.
OWED_STATUSES = ("accepted", "seen", "unanswered")

#: The statuses that another one may still replace.
OPEN_STATUSES = ("pending", "unknown")


@dataclass(slots=True)
class Outcomes:
    """How owed pairs and further copies of codes ended.

    Counts may be negative in a report of changes, when a worker corrects an earlier one.

    Attributes:
        owed: pairs of a code and a session that was owed it: the sum of the next five.
        delivered: pairs whose first copy came in time.
        late: pairs whose first copy came after the delivery timeout.
        interrupted: pairs whose session closed before the code came.
        missing: pairs whose code never came although the session was up for long enough.
        recovered: pairs whose first copy came in a later session of the connection, if the
            server promises that.
        released: pairs that are not owed, because sseload closed the session itself, or was
            about to, or because it is unknown whether the code was sent.
        duplicate: further copies.
        unexpected: copies that were not owed.
        leaked: copies that reached a session outside the code's channel.
        replayed: further copies in a later session than the first one.
        history: copies of codes that were sent before the connection first subscribed, if the
            server sends such.
    """

    owed: int = 0
    delivered: int = 0
    late: int = 0
    interrupted: int = 0
    missing: int = 0
    recovered: int = 0
    released: int = 0
    duplicate: int = 0
    unexpected: int = 0
    leaked: int = 0
    replayed: int = 0
    history: int = 0

    @property
    def received(self) -> int:
        """Pairs that came in time or were recovered."""
        return self.delivered + self.recovered

    def add(self, other: Outcomes) -> None:
        """Add another's counts."""
        self.owed += other.owed
        self.delivered += other.delivered
        self.late += other.late
        self.interrupted += other.interrupted
        self.missing += other.missing
        self.recovered += other.recovered
        self.released += other.released
        self.duplicate += other.duplicate
        self.unexpected += other.unexpected
        self.leaked += other.leaked
        self.replayed += other.replayed
        self.history += other.history


@dataclass(slots=True)
class GroupOutcomes(Outcomes):
    """How the owed pairs of codes and of a group of sessions ended: at one node, or of one pace.

    Attributes:
        latencies: of the deliveries, in microseconds.
    """

    latencies: Histogram = field(default_factory=Histogram)

    def merge(self, other: GroupOutcomes) -> None:
        """Add another's account."""
        self.add(other)
        self.latencies.merge(other.latencies)

    def pack(self) -> list[Any]:
        """Return the account as plain data, for `unpack`."""
        return [
            self.owed, self.delivered, self.late, self.interrupted, self.missing, self.recovered,
            self.latencies.pack() if self.latencies.total else None,
        ]  # fmt: skip

    @classmethod
    def unpack(cls, data: list[Any]) -> GroupOutcomes:
        """Return the account that was packed."""
        *values, latencies = data
        new = cls(*values)
        if latencies:
            new.latencies = Histogram.unpack(latencies)
        return new


@dataclass(slots=True)
class CodeTally(Outcomes):
    """One code's account.

    Attributes:
        status: result of its request; known to the leader only.
        sent_ns: when it was sent (the leader's wall clock, ns); 0 if unknown; known to the
            leader only.
        first_ns: its first arrival in time (wall clock, ns); 0 before.
        last_ns: its last arrival in time (wall clock, ns); 0 before.
        overlooked: it came in messages in which the profile does not look for it.
        latencies: of its deliveries, in microseconds.
        at_nodes: how its owed pairs at each node ended, by the node's index; None without nodes.
        paces: the same of connections that read slowly (True), and of the others; None in a run
            without slow readers.
            `merge` leaves it out, as `NodeTotals` adds it up for all codes together.
    """

    status: Status = "pending"
    sent_ns: int = 0
    first_ns: int = 0
    last_ns: int = 0
    overlooked: bool = False
    latencies: Histogram = field(default_factory=Histogram)
    at_nodes: dict[int, GroupOutcomes] | None = None
    paces: dict[bool, GroupOutcomes] | None = None

    def at_node(self, node: int) -> GroupOutcomes:
        """Return the account of a node's sessions; create it if there is none."""
        if self.at_nodes is None:
            self.at_nodes = {}
        return self.at_nodes.setdefault(node, GroupOutcomes())

    def groups(self, node: int | None, slow: bool | None) -> Iterator[GroupOutcomes]:
        """Yield the accounts of the groups of a session; create those that are not there.

        Args:
            node: index of its node; None in a run without nodes.
            slow: whether its connection reads slowly; None in a run without such.
        """
        if node is not None:
            yield self.at_node(node)
        if slow is not None:
            if self.paces is None:
                self.paces = {}
            yield self.paces.setdefault(slow, GroupOutcomes())

    def merge(self, other: CodeTally) -> None:
        """Add another's account of the same code."""
        if other.status != "pending":
            self.status = other.status
        self.sent_ns = self.sent_ns or other.sent_ns
        self.overlooked |= other.overlooked
        self.add(other)
        self.add_arrivals(other.first_ns, other.last_ns)
        self.latencies.merge(other.latencies)

    def add_arrivals(self, first_ns: int, last_ns: int) -> None:
        """Extend the span of arrivals.

        Args:
            first_ns: first arrival (wall clock, ns); 0 for none.
            last_ns: last arrival (wall clock, ns).
        """
        if first_ns:
            self.first_ns = min(self.first_ns or first_ns, first_ns)
            self.last_ns = max(self.last_ns, last_ns)

    def pack(self) -> list[Any]:
        """Return the account as plain data, for `unpack`."""
        return [
            self.owed, self.delivered, self.late, self.interrupted, self.missing, self.recovered,
            self.released, self.duplicate, self.unexpected, self.leaked, self.replayed,
            self.history, self.status, self.sent_ns, self.first_ns, self.last_ns,
            self.overlooked,
            self.latencies.pack() if self.latencies.total else None,
            self.at_nodes and {node: each.pack() for node, each in self.at_nodes.items()},
            self.paces and {slow: each.pack() for slow, each in self.paces.items()},
        ]  # fmt: skip

    @classmethod
    def unpack(cls, data: list[Any]) -> CodeTally:
        """Return the account that was packed."""
        *values, latencies, at_nodes, paces = data
        new = cls(*values)
        if latencies:
            new.latencies = Histogram.unpack(latencies)
        if at_nodes:
            new.at_nodes = {node: GroupOutcomes.unpack(each) for node, each in at_nodes.items()}
        if paces:
            new.paces = {slow: GroupOutcomes.unpack(each) for slow, each in paces.items()}
        return new
