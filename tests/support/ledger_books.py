"""A small ledger whose accounts are easy to check."""

from __future__ import annotations

from sseload_users.core.code_tally import Status
from sseload_users.core.ledger import Ledger
from sseload_users.core.sessions import Session
from sseload_users.core.tally import Tally
from tests.support.ledger_model import OUTCOMES

T0 = 1_700_000_000 * 10**9
S = 10**9
MS = 10**6


class Books:
    """A ledger with one session, and all that was taken from it."""

    def __init__(
        self,
        *,
        started_ns: int = T0 - 5 * MS,
        subscribed_ns: int = T0,
        timeout_s: float = 1.0,
    ) -> None:
        self.reported: list[tuple[int, int]] = []
        self.ledger = Ledger(
            timeout_s, lambda us, at: self.reported.extend(zip(us, at, strict=True))
        )
        self.total = Tally()
        self.session = self.open(started_ns, subscribed_ns)

    def open(self, started_ns: int = T0 - 5 * MS, subscribed_ns: int = T0) -> Session:
        connection = self.ledger.add_connection()
        return self.ledger.open_session(connection, started_ns, subscribed_ns)

    def send(self, sequence: int, sent_ns: int, status: Status = "accepted") -> None:
        self.ledger.announce(sequence, sent_ns)
        self.ledger.set_status(sequence, status)

    def receive(self, sequence: int, arrived_ns: int, session: Session | None = None) -> None:
        (session or self.session).receive(self.ledger.code(sequence), arrived_ns)

    def close(self, at_ns: int, *, released: bool = False) -> None:
        self.ledger.close_session(self.session, at_ns, released=released)

    def of(self, sequence: int) -> dict[str, int]:
        """Take a code's outcomes that are not 0."""
        self.total.merge(self.ledger.take())
        row = self.total.code(sequence)
        return {name: getattr(row, name) for name in OUTCOMES if getattr(row, name)}

    def out_of_order(self) -> int:
        self.total.merge(self.ledger.take())
        return self.total.counters.out_of_order


DELIVERED, LATE = {"owed": 1, "delivered": 1}, {"owed": 1, "late": 1}
MISSING, INTERRUPTED = {"owed": 1, "missing": 1}, {"owed": 1, "interrupted": 1}
