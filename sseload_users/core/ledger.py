"""Who was owed which code, and what came: sends, sessions and receipts in, outcomes out.

Pure: no sockets, no clock. A receipt only notes when the first copy came; everything else
is worked out when a code is settled, for all sessions at once. That keeps the cost of a
receipt at a dictionary look-up, and it makes the books right in whatever order the
announcement of a code, its copies, and the beginnings and ends of sessions become known.

What is kept is bounded by the codes in flight: of a settled code there remain its send
time and, as one bit each, the pairs that are missing, since these can still come late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sseload_users.core.code_tally import CodeTally, Status
from sseload_users.core.sessions import Bits, Code, Connection, Session
from sseload_users.core.settled import Settled
from sseload_users.core.tally import Tally
from sseload_users.core.timestamps import earliest

#: The sequence number, that no code has, under which codes are counted that nobody sent.
STRAY = 0
#: Most codes, and most copies of them, that wait for their announcement: a server that makes
#: up numbers does not fill the memory. The oldest are given up first.
_MOST_UNKNOWN, _MOST_UNKNOWN_COPIES = 10_000, 1_000_000
#: A session that ended is kept for so long at least, for codes that were sent before it did
#: and that become known here only now.
_KEEP_ENDED_NS = 10_000_000_000


class Ledger:
    """The account of one worker.

    The calls may come in whatever order things become known, within these bounds: of one
    code ``sent`` comes before ``answered``, if it was sent; a session receives nothing more
    once it is closed; and a code is announced within ten seconds, or the delivery timeout
    if that is longer. If it is announced later, sessions that ended meanwhile are owed it
    only if they had it.

    Args:
        delivery_timeout_s: seconds after its sending in which a code is delivered in time.
        on_arrivals: is told the latencies (in microseconds) of first copies that came in
            time to sessions that were owed them, and when they arrived (wall clock, ns), both
            in that order, once their code is announced and before it is settled.

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
        # Codes that are announced and not settled, those that are not announced, the rest.
        self._flying: dict[int, Code] = {}
        self._unknown: dict[tuple[int, int | None], Code] = {}
        self._settled = Settled()

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
            started_ns: when its connect began (wall clock, ns), or when the oldest code was
                sent that could then still be meant for it.
            subscribed_ns: when the subscription was confirmed (wall clock, ns).
        """
        started_ns = min(started_ns, subscribed_ns)
        session = Session(self, connection, self._sessions, started_ns, subscribed_ns)
        self._sessions += 1
        connection.sessions += 1
        self._open[session] = None
        for code in self._settled.sent_since(subscribed_ns):
            # All who were known had it, so its account was closed; here is one more.
            _count_owed("missing", self.tally.code(code.sequence), connection)
            self._settled.misses(code, session)
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
        for code in self._settled.missed_since(at_ns - self._timeout_ns):
            if self._settled.no_longer_misses(code, session):
                # Its account was closed before its time was over; this session left first.
                account = self.tally.code(code.sequence)
                _count_owed("missing", account, session.connection, -1)
                self._close_without(account, session, code.sent_ns or 0)

    def release_all(self, at_ns: int) -> None:
        """End every session from this side, since the run ends."""
        for session in list(self._open):
            self.closed(session, at_ns, released=True)

    # Codes

    def code(self, sequence: int, sent_ns: int | None = None) -> Code:
        """The code with that sequence number, for `Session.receive`.

        Args:
            sequence: as its text says, from 1.
            sent_ns: as its text says (wall clock, ns), if it does. A text with another time
                than the code was sent with is not that code: somebody made it up.
        """
        found = self._find(sequence, sent_ns)
        if found is None:
            found = self._unknown[sequence, sent_ns] = Code(sequence, sent_ns)
            if len(self._unknown) > _MOST_UNKNOWN:
                self._give_up(next(iter(self._unknown.values())))
        return found

    def sent(self, sequence: int, sent_ns: int, text_ns: int | None = None) -> None:
        """A code is announced.

        Args:
            sequence: the code's.
            sent_ns: when it was sent (this worker's wall clock, ns).
            text_ns: the time in its text, if there is one: on the sender's wall clock.
        """
        code = self._announced(sequence, text_ns)
        if not code.settled:
            code.text_ns = text_ns
            code.sent_ns = sent_ns

    def answered(self, sequence: int, status: Status) -> None:
        """What became of a code's request; "unsent" where there was none."""
        code = self._announced(sequence)
        if not code.settled:
            code.status = status

    def _announced(self, sequence: int, text_ns: int | None = None) -> Code:
        code = self._unknown.pop((sequence, text_ns), None) or self._find(sequence, text_ns)
        if code is None and text_ns is None:
            # Whatever came under its number was it, as far as one can tell.
            code = next(
                (each for each in self._unknown.values() if each.sequence == sequence), None
            )
            if code is not None:
                del self._unknown[sequence, code.text_ns]
        code = code or Code(sequence, text_ns)
        if not code.announced:
            code.announced = True
            self._flying[sequence] = code
        return code

    def _find(self, sequence: int, text_ns: int | None) -> Code | None:
        known = self._flying.get(sequence) or self._settled.find(sequence)
        if known is not None and (text_ns is None or known.text_ns in (None, text_ns)):
            return known
        return self._unknown.get((sequence, text_ns))

    @property
    def in_flight(self) -> int:
        """Codes that are announced and not settled."""
        return len(self._flying)

    @property
    def settled(self) -> int:
        """Codes that were announced and are settled."""
        return self._settled.count

    def under_way_since(self) -> int | None:
        """When the oldest code was sent that has reached nobody here; None without one.

        The server may have yet to broadcast it, to a session as well that only begins now.
        """
        return min(
            (
                code.sent_ns
                for code in self._flying.values()
                if code.sent_ns is not None and not code.copies and code.is_owed
            ),
            default=None,
        )

    def standing(self) -> tuple[int, int]:
        """Of codes in flight: pairs that are owed as far as one can tell, and delivered."""
        owed = delivered = 0
        for code in self._flying.values():
            if code.copies is not None and code.is_owed:
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
        copies = sum(len(code.copies or ()) for code in self._unknown.values())
        for code in list(self._unknown.values()):
            if not final and copies <= _MOST_UNKNOWN_COPIES:
                break
            copies -= len(code.copies or ())
            self._give_up(code)
        self._forget_ended(now_ns)

    def take(self) -> Tally:
        """What was counted since the last time."""
        taken, self.tally = self.tally, Tally()
        return taken

    def received_per_connection(self) -> Counter[int]:
        """How many connections received how many codes in time; those that ever connected."""
        return Counter(each.delivered for each in self._connections if each.sessions)

    def _is_due(self, code: Code, now_ns: int) -> bool:
        copies, sent_ns = code.copies, code.sent_ns
        if code.status == "pending" or copies is None:
            return False
        if not code.is_owed:
            return True
        if sent_ns is None:
            return False
        if now_ns > sent_ns + self._timeout_ns:
            return True
        lacks = code.lacks
        if lacks is not None and lacks.closed_ns is None and lacks not in copies:
            return False
        if self._open.keys() <= copies.keys():  # the usual case, and several times cheaper
            return True
        for session in self._open:
            if session.subscribed_ns <= sent_ns and session not in copies:
                code.lacks = session
                return False
        return True

    def _settle(self, code: Code) -> None:
        """Close the account of a code that was announced."""
        self._tell(code)
        account = self.tally.code(code.sequence)
        if code.sent_ns is not None and code.is_owed:
            code.owed = True
            self._close_with(account, code, code.sent_ns)
            missing = self._close_all_without(account, code, code.sent_ns)
            code.missing = Bits.of(missing)
        else:
            account.unexpected += len(code.copies or ())
        self._close_more(account, code)
        del self._flying[code.sequence]
        code.copies = code.in_time = code.lacks = None
        self._settled.add(code)

    def _give_up(self, code: Code) -> None:
        """Close the account of a code that was not announced."""
        account = self.tally.code(STRAY)
        account.unexpected += len(code.copies or ())
        self._close_more(account, code)
        del self._unknown[code.sequence, code.text_ns]
        code.copies = None

    def _close_with(self, account: CodeTally, code: Code, sent_ns: int) -> None:
        """Count the first copies. In a large run this is most of what settling costs.

        The server subscribes a session before it can say so. What was sent since its connect
        began and came was meant for it; what did not come was owed only if it was subscribed.
        """
        if code.in_time is not None:
            account.merge(code.in_time)
        latest_ns = sent_ns + self._timeout_ns
        for session, arrived_ns in (code.copies or {}).items():
            if session.subscribed_ns > sent_ns:
                if session.started_ns > sent_ns:
                    account.unexpected += 1
                    continue
                session.had_early(code.sequence)
            if arrived_ns <= latest_ns:
                session.connection.delivered += 1
            elif earliest(arrived_ns) <= latest_ns:
                session.connection.delivered += 1
                self.tally.counters.in_doubt += 1
            else:
                _count_owed("late", account, session.connection)

    def _close_all_without(self, account: CodeTally, code: Code, sent_ns: int) -> list[Session]:
        """Count the sessions that have no copy; those that miss it."""
        copies = code.copies or {}
        missing: list[Session] = []
        for sessions in (self._open, self._ended):
            if sessions.keys() <= copies.keys():  # the usual case, and several times cheaper
                continue
            for session in sessions:
                if session.subscribed_ns <= sent_ns and session not in copies:
                    outcome = self._close_without(account, session, sent_ns)
                    if outcome == "missing":
                        missing.append(session)
        return missing

    def _close_without(self, account: CodeTally, session: Session, sent_ns: int) -> str | None:
        """Count a session that was subscribed in time and has no copy; how it was counted."""
        closed_ns = session.closed_ns
        if closed_ns is not None and closed_ns <= sent_ns:
            return None
        if closed_ns is None or closed_ns > sent_ns + self._timeout_ns:
            outcome = "missing"
        elif session.released:
            account.released += 1
            return "released"
        else:
            outcome = "interrupted"
        _count_owed(outcome, account, session.connection)
        return outcome

    def _close_more(self, account: CodeTally, code: Code) -> None:
        """Count the further copies: duplicates where the session was owed the code."""
        for session, (many, lower) in (code.more or {}).items():
            if code.owed and session.started_ns <= (code.sent_ns or 0):
                _count("duplicate", account, session.connection, many)
            else:
                account.unexpected += many
                self.tally.counters.out_of_order += lower
        code.more = None

    def further(self, session: Session, code: Code, arrived_ns: int) -> None:
        """Note a copy that is not the first, or that came after its code was settled."""
        if code.settled:
            # Who remembers codes may remember one that is not kept any more.
            code = self._find(code.sequence, code.text_ns) or code
        if code.copies is None:
            self._caught_up(session, code, arrived_ns)
        elif session in code.copies:
            code.again(session)
        else:
            session.receive(code, arrived_ns)

    def _caught_up(self, session: Session, code: Code, arrived_ns: int) -> None:
        """Count a copy of a code that was settled."""
        account = self.tally.code(code.sequence if code.announced else STRAY)
        connection, sent_ns = session.connection, code.sent_ns
        if not code.owed or sent_ns is None or session.started_ns > sent_ns:
            account.unexpected += 1
            self._note_order(session, code)
            return
        if session.subscribed_ns > sent_ns:
            if session.had_early(code.sequence):
                _count("duplicate", account, connection)
                return
        elif self._settled.no_longer_misses(code, session):
            _count_owed("missing", account, connection, -1)
        else:
            _count("duplicate", account, connection)
            return
        self._note_order(session, code)
        latest_ns = sent_ns + self._timeout_ns
        if earliest(arrived_ns) <= latest_ns:
            # It was there in time; only the reading of it was not.
            connection.delivered += 1
            self.tally.counters.in_doubt += int(arrived_ns > latest_ns)
            in_time_ns = min(arrived_ns, latest_ns)
            latencies_us = [(in_time_ns - sent_ns) // 1000]
            _count_delivered(account, latencies_us, [in_time_ns])
            self._on_arrivals(latencies_us, [in_time_ns])
        else:
            _count_owed("late", account, connection)

    def _note_order(self, session: Session, code: Code) -> None:
        if code.sequence < session.newest:
            self.tally.counters.out_of_order += 1
        else:
            session.newest = code.sequence

    def _tell(self, code: Code) -> None:
        sent_ns = code.sent_ns
        if sent_ns is None or not code.is_owed:
            return
        latest = sent_ns + self._timeout_ns
        # Few come after the latest; only those are asked when they may have come at the earliest.
        in_time = [
            arrived_ns if arrived_ns <= latest else latest
            for session, arrived_ns in code.fresh()
            if (arrived_ns <= latest or earliest(arrived_ns) <= latest)
            and session.started_ns <= sent_ns
        ]
        if in_time:
            in_time.sort()  # they nearly are; whoever counts them is spared most of the work
            latencies_us = [(each - sent_ns) // 1000 for each in in_time]
            if code.in_time is None:
                code.in_time = CodeTally()
            _count_delivered(code.in_time, latencies_us, in_time)
            self._on_arrivals(latencies_us, in_time)

    def _forget_ended(self, now_ns: int) -> None:
        """Forget ended sessions that can be owed no code that is in flight or to come."""
        horizon = now_ns - max(self._timeout_ns, _KEEP_ENDED_NS)
        for code in self._flying.values():
            if code.sent_ns is not None:
                horizon = min(horizon, code.sent_ns)
        for session in list(self._ended):
            if session.closed_ns is None or session.closed_ns > horizon:
                # Those behind it ended later; if not, they wait for their turn.
                break
            del self._ended[session]


def _count(outcome: str, account: CodeTally, connection: Connection, many: int = 1) -> None:
    setattr(account, outcome, getattr(account, outcome) + many)
    setattr(connection, outcome, getattr(connection, outcome) + many)


def _count_owed(outcome: str, account: CodeTally, connection: Connection, many: int = 1) -> None:
    _count(outcome, account, connection, many)
    account.owed += many


def _count_delivered(account: CodeTally, latencies_us: list[int], arrived_ns: list[int]) -> None:
    """Count copies that came in time, in the order of their arrival."""
    account.owed += len(arrived_ns)
    account.delivered += len(arrived_ns)
    account.add_arrivals(arrived_ns[0], arrived_ns[-1])
    account.latencies.add_all(latencies_us)
