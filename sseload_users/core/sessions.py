"""What the ledger keeps: connections and their sessions, and codes while they matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from sseload_users.core.code_tally import OWED_STATUSES, CodeTally, Status
from sseload_users.core.tally import Tally


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
        delivered: pairs owed to its sessions that came in time; like the next four, an
            outcome, of settled codes.
        last_cause: of its last failure or drop.
    """

    number: int
    username: str = ""
    connect_us: int | None = None
    sessions: int = 0
    drops: int = 0
    delivered: int = 0
    late: int = 0
    missing: int = 0
    interrupted: int = 0
    duplicate: int = 0
    last_cause: str = ""

    @property
    def owed(self) -> int:
        """Pairs owed to its sessions, of settled codes."""
        return self.delivered + self.late + self.missing + self.interrupted


class Session:
    """One stretch of a connection, from subscribed to closed.

    Attributes:
        connection: whose it is.
        number: from 0, in the order in which sessions began.
        started_ns: when its connect began (wall clock, ns).
        subscribed_ns: since when it is owed codes (wall clock, ns).
        closed_ns: when it ended; None while it is open.
        released: sseload ended it.
        newest: the highest sequence number that has come.
        early: the settled codes that came although they were sent before `subscribed_ns`,
            by sequence number; None if there are none.
    """

    __slots__ = (
        "_book",
        "closed_ns",
        "connection",
        "early",
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
        self.early: set[int] | None = None
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
            self._book.tally.counters.out_of_order += 1
        else:
            self.newest = code.sequence

    def had_early(self, sequence: int) -> bool:
        """Whether a code that was sent before `subscribed_ns` came before; it did now."""
        if self.early is None:
            self.early = {sequence}
            return False
        if sequence in self.early:
            return True
        self.early.add(sequence)
        return False


class Code:
    """One code on its way, or what is left of it.

    Attributes:
        sequence: its number in the run, from 1.
        sent_ns: when it was sent (wall clock, ns); None until that is known.
        text_ns: the time in its text, on the sender's wall clock; None if there is none.
        status: what became of its request.
        announced: the broadcaster has told of it, so that it is not just a text that came.
        copies: the first copy's arrival by session, in the order in which they were read;
            None once the code is settled.
        more: until it is settled: by session, how many further copies came, and how many
            of these after a higher sequence number; None if none did.
        in_time: what has been told of its first copies so far, to be counted if it is
            owed; None once it is settled.
        lacks: a session that had it not when that was last looked at.
        owed: once it is settled: whether it was owed to anybody.
        missing: once it is settled: the sessions that miss it; None if there are none.
    """

    __slots__ = (
        "_told",
        "announced",
        "copies",
        "in_time",
        "lacks",
        "missing",
        "more",
        "owed",
        "sent_ns",
        "sequence",
        "status",
        "text_ns",
    )

    def __init__(self, sequence: int, sent_ns: int | None = None) -> None:
        self.sequence = sequence
        self.sent_ns = self.text_ns = sent_ns
        self.status: Status = "pending"
        self.announced = False
        self.copies: dict[Session, int] | None = {}
        self.more: dict[Session, tuple[int, int]] | None = None
        self.in_time: CodeTally | None = None
        self.lacks: Session | None = None
        self.owed = False
        self.missing: Bits | None = None
        self._told = 0

    def fresh(self) -> Iterable[tuple[Session, int]]:
        """The first copies, and their arrivals, since it was last asked."""
        if not self.copies or len(self.copies) == self._told:
            return ()
        told, self._told = self._told, len(self.copies)
        return islice(self.copies.items(), told, None)

    def again(self, session: Session) -> None:
        """Note a further copy, of a code that is not settled."""
        if self.more is None:
            self.more = {}
        many, lower = self.more.get(session, (0, 0))
        self.more[session] = (many + 1, lower + (self.sequence < session.newest))

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

    __slots__ = ("_bits", "_first", "_many")

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._bits = bytearray((last - first) // 8 + 1)
        self._many = 0

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
        new._many = len(numbers)
        return new

    def __len__(self) -> int:
        return self._many

    def add(self, session: Session) -> None:
        """Put a session in that began after all those that the set was made of."""
        at = session.number - self._first
        self._bits.extend(bytes(max(0, (at >> 3) + 1 - len(self._bits))))
        self._bits[at >> 3] |= 1 << (at & 7)
        self._many += 1

    def remove(self, session: Session) -> bool:
        """Take a session out; whether it was in."""
        at = session.number - self._first
        if not 0 <= at < len(self._bits) * 8 or not self._bits[at >> 3] & (1 << (at & 7)):
            return False
        self._bits[at >> 3] &= ~(1 << (at & 7))
        self._many -= 1
        return True
