"""Who was owed which code, and what came: sends, sessions and receipts in, outcomes out.

Pure: no sockets, no clock. A receipt only notes when the first copy came; everything else
is worked out when a code is settled, for all sessions at once. That keeps the cost of a
receipt at a dictionary look-up, and it makes the books right in whatever order the
announcement of a code, its copies, and the ends of sessions become known.

What is kept is bounded by the codes in flight: of a settled code there remain its send
time and, as one bit each, the pairs that are missing, since these can still come late.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable

from sseload_users.sessions import Bits, Code, Connection, Session
from sseload_users.tally import CodeTally, Status, Tally

#: So many settled codes that nobody misses keep their object; a further copy of an older
#: one, which is rare, makes it again.
_RECENT = 256
#: The sequence number, that no code has, under which codes are counted that nobody sent.
STRAY = 0
#: Most codes in flight.
_MOST_FLYING = 100_000
#: For so long after a code was rejected its account stays open for copies that come anyway.
_AFTERMATH_NS = 1_000_000_000


class Ledger:
    """The account of one worker.

    Args:
        delivery_timeout_s: seconds after its sending in which a code is delivered in time.
        on_arrivals: is told the latencies (in microseconds) of first copies that came in
            time, and when they arrived (wall clock, ns), before their code is settled.

    Attributes:
        tally: where outcomes are counted; replaced by `take`.
    """

    def __init__(
        self,
        delivery_timeout_s: float,
        on_arrivals: Callable[[list[int], list[int]], None] = lambda _latencies, _arrived: None,
    ) -> None:
        self.tally = Tally()
        self._timeout_ns = round(delivery_timeout_s * 1e9)
        self._on_arrivals = on_arrivals
        self._connections: list[Connection] = []
        self._sessions = 0
        # Sessions that are open, and those that ended and may be owed a code that is in
        # flight or not known yet.
        self._open: dict[Session, None] = {}
        self._ended: dict[Session, None] = {}
        self._flying: dict[int, Code] = {}
        self._recent: dict[int, Code] = {}
        self._missed: dict[int, Code] = {}
        # The send time of every settled code by its sequence: 0 for one that is owed to
        # nobody, -1 for one that is not settled.
        self._sent = array("q")
        self._settled_count = 0
        # What copies of codes are counted for that nobody has announced.
        self._stray = Code(STRAY)
        self._stray.copies = None

    # Connections and sessions

    def connection(self, username: str = "") -> Connection:
        """A new connection."""
        new = Connection(len(self._connections) + 1, username)
        self._connections.append(new)
        return new

    @property
    def connections(self) -> list[Connection]:
        """All connections, in the order in which they were begun."""
        return self._connections

    @property
    def open(self) -> int:
        """How many sessions are open."""
        return len(self._open)

    def opened(self, connection: Connection, started_ns: int, subscribed_ns: int) -> Session:
        """A session begins: from now on it is owed codes.

        Args:
            connection: whose it is.
            started_ns: when its connect began (wall clock, ns).
            subscribed_ns: when the subscription was confirmed (wall clock, ns).
        """
        session = Session(self, connection, self._sessions, started_ns, subscribed_ns)
        self._sessions += 1
        connection.sessions += 1
        self._open[session] = None
        return session

    def closed(self, session: Session, at_ns: int, *, released: bool) -> None:
        """A session has ended.

        Args:
            session: from `opened`; one that has ended before is left as it was.
            at_ns: when (wall clock, ns).
            released: sseload ended it, so that it owes nothing for what had not come.
        """
        if session.closed_ns is not None:
            return
        session.closed_ns = at_ns
        session.released = released
        self._open.pop(session, None)
        self._ended[session] = None

    def release_all(self, at_ns: int) -> None:
        """End every session from this side, since the run ends."""
        for session in list(self._open):
            self.closed(session, at_ns, released=True)

    # Codes

    def code(self, sequence: int, sent_ns: int | None = None) -> Code:
        """The code with that sequence number, for `Session.receive`.

        Args:
            sequence: as its text says, from 1.
            sent_ns: as its text says (wall clock, ns), if it does. It serves until the
                announcement comes, since that may come after the code.
        """
        found = self._find(sequence)
        if found is not None:
            return found
        if len(self._flying) >= _MOST_FLYING:
            # A server that makes up numbers does not fill the memory.
            return self._stray
        found = self._flying[sequence] = Code(sequence, sent_ns)
        return found

    def sent(self, sequence: int, sent_ns: int) -> None:
        """A code is announced: it was sent at that time (this worker's wall clock, ns)."""
        self._announced(sequence).sent_ns = sent_ns

    def answered(self, sequence: int, status: Status) -> None:
        """What became of a code's request; "unsent" where there was none."""
        self._announced(sequence).status = status

    def _announced(self, sequence: int) -> Code:
        code = self._find(sequence)
        if code is None:
            code = self._flying[sequence] = Code(sequence)
        code.announced = True
        return code

    def _find(self, sequence: int) -> Code | None:
        found = (
            self._flying.get(sequence) or self._recent.get(sequence) or self._missed.get(sequence)
        )
        if found is not None:
            return found
        if sequence < len(self._sent) and self._sent[sequence] >= 0:
            found = Code(sequence, self._sent[sequence] or None)
            found.copies = None
            found.owed = bool(self._sent[sequence])
            found.sessions = self._sessions
            return found
        return None

    @property
    def in_flight(self) -> int:
        """Codes that are announced and not settled."""
        return sum(code.announced for code in self._flying.values())

    @property
    def settled(self) -> int:
        """Codes that were announced and are settled."""
        return self._settled_count

    def standing(self) -> tuple[int, int]:
        """Of codes in flight: pairs that are owed as far as one can tell, and delivered."""
        owed = delivered = 0
        for code in self._flying.values():
            if code.copies is not None and code.announced and code.is_owed:
                delivered += len(code.copies)
                owed += max(len(self._open), len(code.copies))
        return owed, delivered

    # Settling

    def report_arrivals(self) -> None:
        """Tell the latencies of what has arrived since the last time."""
        for code in self._flying.values():
            self._tell(code)

    def settle(self, now_ns: int, *, final: bool = False) -> None:
        """Close the account of every code whose time is over or whose copies are all there.

        Args:
            now_ns: the time (wall clock, ns).
            final: the run is over; close them all. A code that nobody has announced was
                not this run's to send: its copies are unexpected.
        """
        for code in list(self._flying.values()):
            if final or self._is_due(code, now_ns):
                self._settle(code)
        self._forget_ended(now_ns)

    def take(self) -> Tally:
        """What was counted since the last time."""
        taken, self.tally = self.tally, Tally()
        return taken

    def received_per_connection(self) -> Counter[int]:
        """How many connections received how many codes in time; those that ever connected."""
        return Counter(each.delivered for each in self._connections if each.sessions)

    def _is_due(self, code: Code, now_ns: int) -> bool:
        sent_ns = code.sent_ns
        if not code.announced or code.status == "pending":
            return False
        if sent_ns is None:
            return True
        if not code.is_owed:
            return now_ns > sent_ns + min(self._timeout_ns, _AFTERMATH_NS)
        if now_ns > sent_ns + self._timeout_ns:
            return True
        copies = code.copies or ()
        # Mostly the first open session that has it not decides.
        return all(each in copies or each.subscribed_ns > sent_ns for each in self._open)

    def _settle(self, code: Code) -> None:
        self._tell(code)
        copies, sent_ns = code.copies or {}, code.sent_ns
        account = self.tally.code(code.sequence if code.announced else STRAY)
        missing: list[Session] = []
        if code.announced and sent_ns is not None and code.is_owed:
            code.owed = True
            for session in (*self._open, *self._ended):
                arrived = copies.get(session)
                if self._owes(session, sent_ns, arrived):
                    copies.pop(session, None)
                    self._close_pair(account, session, sent_ns, arrived, missing)
        account.unexpected += len(copies)
        code.copies = None
        code.sessions = self._sessions
        code.missing = Bits.of(missing)
        self._remember(code)

    def _owes(self, session: Session, sent_ns: int, arrived: int | None) -> bool:
        if session.closed_ns is not None and session.closed_ns <= sent_ns:
            return False
        if session.subscribed_ns <= sent_ns:
            return True
        # The server subscribes a session before it can say so. A code that was sent in
        # between and came was meant for it; one that did not come was not owed.
        return arrived is not None and session.started_ns <= sent_ns

    def _close_pair(
        self,
        account: CodeTally,
        session: Session,
        sent_ns: int,
        arrived: int | None,
        missing: list[Session],
    ) -> None:
        connection = session.connection
        if arrived is None:
            if session.closed_ns is not None and session.closed_ns <= sent_ns + self._timeout_ns:
                if session.released:
                    account.released += 1
                    return
                account.interrupted += 1
                connection.interrupted += 1
            else:
                account.missing += 1
                connection.missing += 1
                missing.append(session)
        elif arrived - sent_ns <= self._timeout_ns:
            _count_delivered(account, connection, sent_ns, arrived)
        else:
            account.late += 1
            connection.late += 1
        account.owed += 1
        connection.owed += 1

    def further(self, session: Session, code: Code, arrived_ns: int) -> None:
        """Note a copy that is not the first, or that came after its code was settled."""
        account, connection = self.tally.code(code.sequence), session.connection
        sent_ns = code.sent_ns
        if code.copies is not None:
            account.duplicate += 1
            connection.duplicate += 1
        elif not code.owed or sent_ns is None or not self._owes(session, sent_ns, arrived_ns):
            account.unexpected += 1
        elif code.missing is not None and code.missing.remove(session):
            account.missing -= 1
            connection.missing -= 1
            self._catch_up(account, session, code, arrived_ns)
        elif session.number >= code.sessions:
            # It was subscribed when the code was sent, but began here only after the code
            # had been settled.
            account.owed += 1
            connection.owed += 1
            self._catch_up(account, session, code, arrived_ns)
        else:
            account.duplicate += 1
            connection.duplicate += 1

    def _catch_up(self, account: CodeTally, session: Session, code: Code, arrived_ns: int) -> None:
        """Count the first copy of a code that was settled without it."""
        sent_ns = code.sent_ns or 0
        if code.sequence < session.newest:
            self.tally.counts["out_of_order"] += 1
        else:
            session.newest = code.sequence
        if arrived_ns - sent_ns <= self._timeout_ns:
            # It was there in time; only the reading of it was not.
            _count_delivered(account, session.connection, sent_ns, arrived_ns)
            self._on_arrivals([(arrived_ns - sent_ns) // 1000], [arrived_ns])
        else:
            account.late += 1
            session.connection.late += 1

    def _tell(self, code: Code) -> None:
        sent_ns = code.sent_ns
        if sent_ns is None:
            return
        if arrivals := code.fresh():
            latest = sent_ns + self._timeout_ns
            in_time = [each for each in arrivals if each <= latest]
            self._on_arrivals([(each - sent_ns) // 1000 for each in in_time], in_time)

    def _remember(self, code: Code) -> None:
        sequence = code.sequence
        del self._flying[sequence]
        if not code.announced:
            return
        if len(self._sent) <= sequence:
            self._sent.extend([-1] * (sequence + 1 - len(self._sent)))
        self._sent[sequence] = code.sent_ns or 0 if code.owed else 0
        self._settled_count += 1
        if code.missing is not None:
            self._missed[sequence] = code
            return
        self._recent[sequence] = code
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def _forget_ended(self, now_ns: int) -> None:
        """Forget ended sessions that can be owed no code that is in flight or to come."""
        horizon = now_ns - self._timeout_ns
        for code in self._flying.values():
            if code.sent_ns is not None:
                horizon = min(horizon, code.sent_ns)
        for session in list(self._ended):
            if session.closed_ns is not None and session.closed_ns < horizon:
                del self._ended[session]


def _count_delivered(
    account: CodeTally, connection: Connection, sent_ns: int, arrived_ns: int
) -> None:
    account.delivered += 1
    account.arrived(arrived_ns, arrived_ns)
    account.latencies.add((arrived_ns - sent_ns) // 1000)
    connection.delivered += 1
