"""What the ledger keeps: connections and their sessions, and codes while they matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from sseload_users.tally import OWED_STATUSES, Status, Tally


class Book(Protocol):
    """The ledger, as a session sees it."""

    tally: Tally

    def further(self, session: Session, code: Code, arrived_ns: int) -> None:
        """Note a copy that is not the first, or that came after its code was settled."""


@dataclass(slots=True, eq=False)
class Connection:
    """One simulated client, through all its sessions.

    Attributes:
        number: from 1, within its worker.
        username: as whom it connects.
        connect_us: how long its first successful connect took; None before.
        sessions: how many it has had.
        drops: how many of them the server or the network ended.
        owed: pairs owed to its sessions; like the next five, of settled codes.
        last_cause: of its last failure or drop.
    """

    number: int
    username: str = ""
    connect_us: int | None = None
    sessions: int = 0
    drops: int = 0
    owed: int = 0
    delivered: int = 0
    late: int = 0
    missing: int = 0
    interrupted: int = 0
    duplicate: int = 0
    last_cause: str = ""


class Session:
    """One stretch of a connection, from subscribed to closed.

    Attributes:
        connection: whose it is.
        number: from 0, in the order in which sessions began.
        started_ns: when its connect began (wall clock, ns).
        subscribed_ns: since when it is owed codes (wall clock, ns).
        closed_ns: when it ended; None while it is open.
        released: sseload ended it.
    """

    __slots__ = (
        "_book",
        "closed_ns",
        "connection",
        "newest",
        "number",
        "released",
        "started_ns",
        "subscribed_ns",
    )

    def __init__(
        self,
        book: Book,
        connection: Connection,
        number: int,
        started_ns: int,
        subscribed_ns: int,
    ) -> None:
        self.connection = connection
        self.number = number
        self.started_ns = started_ns
        self.subscribed_ns = subscribed_ns
        self.closed_ns: int | None = None
        self.released = False
        self.newest = 0
        self._book = book

    def receive(self, code: Code, arrived_ns: int) -> None:
        """Note a copy of a code. This is the hot path: once for each message.

        Args:
            code: from `Ledger.code`.
            arrived_ns: when it arrived (wall clock, ns).
        """
        copies = code.copies
        if copies is None or self in copies:
            self._book.further(self, code, arrived_ns)
            return
        copies[self] = arrived_ns
        if code.sequence < self.newest:
            self._book.tally.counts["out_of_order"] += 1
        else:
            self.newest = code.sequence


class Code:
    """One code on its way, or what is left of it.

    Attributes:
        sequence: its number in the run, from 1.
        sent_ns: when it was sent (wall clock, ns); None until that is known.
        status: what became of its request.
        announced: the broadcaster has told of it, so that it is not just a text that came.
        copies: the first copy's arrival by session, in the order of arrival; None once the
            code is settled.
        owed: once it is settled: whether it was owed to anybody.
        sessions: once it is settled: those numbered below were looked at.
        missing: once it is settled: the sessions that miss it; None if there are none.
    """

    __slots__ = (
        "_reported",
        "announced",
        "copies",
        "missing",
        "owed",
        "sent_ns",
        "sequence",
        "sessions",
        "status",
    )

    def __init__(self, sequence: int, sent_ns: int | None = None) -> None:
        self.sequence = sequence
        self.sent_ns = sent_ns
        self.status: Status = "pending"
        self.announced = False
        self.copies: dict[Session, int] | None = {}
        self.owed = False
        self.sessions = 0
        self.missing: Bits | None = None
        self._reported = 0

    def fresh(self) -> list[int]:
        """The arrivals (wall clock, ns) since it was last asked."""
        if not self.copies:
            return []
        arrivals = list(islice(self.copies.values(), self._reported, None))
        self._reported += len(arrivals)
        return arrivals

    @property
    def is_owed(self) -> bool:
        """Whether sessions are owed it, as far as is known."""
        return self.status in ("pending", *OWED_STATUSES)

    @property
    def settled(self) -> bool:
        """Whether its account is closed, but for what still comes late."""
        return self.copies is None


class Bits:
    """A set of sessions, one bit each: those of a broken server are many."""

    __slots__ = ("_bits", "_first")

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._bits = bytearray((last - first) // 8 + 1)

    @classmethod
    def of(cls, sessions: Iterable[Session]) -> Bits | None:
        """The set of some sessions; None of none."""
        numbers = [each.number for each in sessions]
        if not numbers:
            return None
        new = cls(min(numbers), max(numbers))
        for number in numbers:
            at = number - new._first
            new._bits[at >> 3] |= 1 << (at & 7)
        return new

    def remove(self, session: Session) -> bool:
        """Take a session out; whether it was in."""
        at = session.number - self._first
        if not 0 <= at < len(self._bits) * 8 or not self._bits[at >> 3] & (1 << (at & 7)):
            return False
        self._bits[at >> 3] &= ~(1 << (at & 7))
        return True
