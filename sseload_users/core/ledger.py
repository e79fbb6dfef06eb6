"""The ledger: which sessions were owed which codes, and what arrived.

It has no sockets and no clock. A receipt only stores when the first copy arrived; everything
else is computed when a code is settled, for all sessions at once. So a receipt costs one
dictionary lookup, and the account is correct in whatever order announcements, copies, and the
beginnings and ends of sessions become known.

Memory is bounded by the codes in flight: of a settled code, only its send time is kept and, as
one bit each, the pairs that are missing, as these can still arrive late.
"""

from __future__ import annotations

from collections.abc import Callable

from sseload_users.core.code_registry import CodeRegistry
from sseload_users.core.code_tally import OPEN_STATUSES, CodeTally, Status
from sseload_users.core.counting import (
    count_delivered,
    count_duplicates,
    count_first_copies,
    count_further_copies,
    count_owed,
    count_without_copy,
    note_order,
)
from sseload_users.core.pair_rules import PairRules
from sseload_users.core.sessions import NEVER, Connection, Session, SessionSet, TrackedCode
from sseload_users.core.tally import Tally
from sseload_users.core.timestamps import earliest

#: Sequence number of the account of codes that nobody sent.
STRAY = 0
#: Limits of unannounced codes, and of their copies: a server that makes up numbers must not
#: exhaust the memory. The oldest are discarded first.
_MAX_UNANNOUNCED, _MAX_UNANNOUNCED_COPIES = 10_000, 1_000_000
#: Minimum time that a closed session is kept, for codes that were sent before it closed and are
#: announced later.
_KEEP_CLOSED_NS = 10_000_000_000


class Ledger:
    """The account of one worker.

    Calls may come in the order in which things become known, within these limits: `announce`
    comes before `set_status` for a code that was sent; a session receives nothing after
    `close_session`; and a code is announced within ten seconds, or the delivery timeout if that
    is longer. Sessions that closed before a later announcement are owed the code only if they
    received it.

    Args:
        delivery_timeout_s: seconds after its sending within which a code counts as delivered.
        on_arrivals: called with the latencies (in microseconds) and the arrivals (wall clock,
            ns) of first copies that came in time to sessions that were owed them. Both are in
            the order of arrival. It is called after a code's announcement and before it is
            settled.

    Attributes:
        tally: where outcomes are counted; replaced by `take`.
        codes: the codes.
        connections: all connections, in the order in which they were added.
        rules: decide about pairs without a copy.
    """

    def __init__(
        self,
        delivery_timeout_s: float,
        on_arrivals: Callable[[list[int], list[int]], None] = lambda _latencies, _arrived: None,
    ) -> None:
        self.tally = Tally()
        self.codes = CodeRegistry()
        self.connections: list[Connection] = []
        self.rules = PairRules(round(delivery_timeout_s * 1e9))
        self._on_arrivals = on_arrivals
        self._sessions = 0
        self._newest_sent_ns = 0
        # Open sessions, and closed ones that may be owed a code that is in flight or not
        # announced yet.
        self._open: dict[Session, None] = {}
        self._closed: dict[Session, None] = {}

    # Connections and sessions

    def add_connection(self, username: str = "") -> Connection:
        """Add a connection and return it."""
        new = Connection(len(self.connections) + 1, username)
        self.connections.append(new)
        return new

    @property
    def open_sessions(self) -> int:
        """The number of open sessions."""
        return len(self._open)

    def open_session(self, connection: Connection, started_ns: int, subscribed_ns: int) -> Session:
        """Open a session, which is owed codes from now on.

        Args:
            connection: its connection.
            started_ns: when its connect began (wall clock, ns), or when the oldest code was
                sent that could still be meant for it then.
            subscribed_ns: when the subscription was confirmed (wall clock, ns).
        """
        started_ns = min(started_ns, subscribed_ns)
        session = Session(self, connection, self._sessions, started_ns, subscribed_ns)
        self._sessions += 1
        connection.sessions += 1
        self._open[session] = None
        for code in self.codes.settled.sent_since(subscribed_ns):
            # It was settled as all sessions that were known had it; this is one more.
            count_owed("missing", self.tally.code(code.sequence), connection)
            self.codes.settled.add_missing(code, session)
        return session

    def begin_leaving(self, session: Session, at_ns: int) -> None:
        """Owe a session no further codes, because sseload is about to close it.

        Args:
            session: from `open_session`.
            at_ns: the time (wall clock, ns).
        """
        if session.leaving_ns == NEVER:
            # What is announced already may have been counted.
            session.leaving_ns = max(at_ns, self._newest_sent_ns)

    def awaits(self, session: Session, now_ns: int) -> bool:
        """Whether a session lacks a code that it is owed and that can still come in time."""
        if session.lacks is None or not self.rules.is_awaited(session.lacks, session, now_ns):
            # The newest is the last to time out.
            codes = reversed(self.codes.in_flight.values())
            session.lacks = next(
                (code for code in codes if self.rules.is_awaited(code, session, now_ns)), None
            )
        return session.lacks is not None

    def close_session(self, session: Session, at_ns: int, *, released: bool) -> None:
        """Close a session, unless it is closed.

        Args:
            session: from `open_session`.
            at_ns: when it ended (wall clock, ns).
            released: sseload ended it, so that codes which may still have come are not owed.
        """
        if session.closed_ns is not None:
            return
        session.closed_ns = at_ns
        session.released = released
        self._open.pop(session, None)
        self._closed[session] = None
        for code in self.codes.settled.missed_since(at_ns - self.rules.timeout_ns):
            if self.codes.settled.remove_missing(code, session):
                # It was settled before its timeout; this session closed before that.
                account = self.tally.code(code.sequence)
                count_owed("missing", account, session.connection, -1)
                count_without_copy(self.rules, account, session, code.sent_ns or 0)

    def release_all(self, at_ns: int) -> None:
        """Close all sessions as released, at the end of the run."""
        for session in list(self._open):
            self.close_session(session, at_ns, released=True)

    # Codes

    def code(self, sequence: int, sent_ns: int | None = None) -> TrackedCode:
        """Return the code with that sequence number, for `Session.receive`.

        Args:
            sequence: the sequence number in its text, from 1.
            sent_ns: the send time in its text (wall clock, ns), if there is one. A text with
                a different time than the code was sent with is not that code.
        """
        found = self.codes.find(sequence, sent_ns)
        if found is None:
            found = self.codes.add_unannounced(sequence, sent_ns)
            if len(self.codes.unannounced) > _MAX_UNANNOUNCED:
                self._discard(next(iter(self.codes.unannounced.values())))
        return found

    def announce(self, sequence: int, sent_ns: int, text_ns: int | None = None) -> None:
        """Announce a code that was sent.

        Args:
            sequence: its sequence number.
            sent_ns: when it was sent (this worker's wall clock, ns).
            text_ns: the time in its text, on the sender's wall clock; None if there is none.
        """
        code = self.codes.announce(sequence, text_ns)
        if not code.settled:
            code.text_ns = text_ns
            code.sent_ns = sent_ns
            self._newest_sent_ns = max(self._newest_sent_ns, sent_ns)

    def set_status(self, sequence: int, status: Status, overtakable_by: int = 0) -> None:
        """Set the status of a code.

        Args:
            sequence: its sequence number.
            status: "unsent" if no request was written; "unknown" while its sender is lost.
                Such a code is not settled before the end, unless another status follows.
            overtakable_by: see `TrackedCode`; it does not matter if the code is unanswered.
        """
        code = self.codes.announce(sequence)
        if not code.settled:
            code.status = status
            code.overtakable_by = overtakable_by

    def count_further_copy(self, session: Session, code: TrackedCode, arrived_ns: int) -> None:
        """Count a copy that is not the first, or whose code is settled."""
        if code.settled:
            # The caller may hold an object that is no longer the code's.
            code = self.codes.find(code.sequence, code.text_ns) or code
        if code.copies is None:
            self._count_after_settling(session, code, arrived_ns)
        elif session in code.copies:
            code.count_further(session)
        else:
            session.receive(code, arrived_ns)

    # Settling

    def report_arrivals(self) -> None:
        """Report the arrivals since the last call to `on_arrivals`."""
        for code in self.codes.in_flight.values():
            self._report_arrivals_of(code)

    def settle(self, now_ns: int, *, final: bool = False) -> None:
        """Close the account of each code that has timed out or that all sessions have.

        Args:
            now_ns: the time (wall clock, ns).
            final: the run is over: settle all codes. Copies of a code that nobody announced
                are unexpected.
        """
        for code in list(self.codes.in_flight.values()):
            if final or self._is_due(code, now_ns):
                self._settle(code)
        copies = sum(len(code.copies or ()) for code in self.codes.unannounced.values())
        for code in list(self.codes.unannounced.values()):
            if not final and copies <= _MAX_UNANNOUNCED_COPIES:
                break
            copies -= len(code.copies or ())
            self._discard(code)
        self._forget_closed(now_ns)

    def take(self) -> Tally:
        """Return what was counted since the last call."""
        taken, self.tally = self.tally, Tally()
        return taken

    def _is_due(self, code: TrackedCode, now_ns: int) -> bool:
        copies, sent_ns = code.copies, code.sent_ns
        if code.status in OPEN_STATUSES or copies is None:
            return False
        if not code.is_owed:
            return True
        if sent_ns is None:
            return False
        if now_ns > sent_ns + self.rules.timeout_ns:
            return True
        lacks = code.lacks
        if lacks is not None and lacks not in copies and self.rules.is_undecided(lacks, sent_ns):
            return False
        for sessions in (self._open, self._closed):
            if sessions.keys() <= copies.keys():  # the usual case, and several times cheaper
                continue
            for session in sessions:
                if (
                    session.subscribed_ns <= sent_ns
                    and session not in copies
                    and self.rules.is_undecided(session, sent_ns)
                ):
                    code.lacks = session
                    return False
        return True

    def _settle(self, code: TrackedCode) -> None:
        """Close the account of an announced code."""
        self._report_arrivals_of(code)
        account = self.tally.code(code.sequence)
        if code.status in (*OPEN_STATUSES, "unanswered"):
            # The server may take it at any time.
            code.overtakable_by = NEVER
        if code.sent_ns is not None and code.is_owed:
            code.owed = True
            latest_ns = code.sent_ns + self.rules.timeout_ns
            count_first_copies(self.tally.counters, account, code, latest_ns)
            missing = self._count_all_without_copy(account, code, code.sent_ns)
            code.missing = SessionSet.of(missing)
        else:
            account.unexpected += len(code.copies or ())
        count_further_copies(self.tally.counters, account, code)
        self.codes.settle(code)

    def _discard(self, code: TrackedCode) -> None:
        """Close the account of a code that was not announced."""
        account = self.tally.code(STRAY)
        account.unexpected += len(code.copies or ())
        count_further_copies(self.tally.counters, account, code)
        self.codes.discard(code)

    def _count_all_without_copy(
        self, account: CodeTally, code: TrackedCode, sent_ns: int
    ) -> list[Session]:
        """Count the sessions without a copy; return those that miss the code."""
        copies = code.copies or {}
        missing: list[Session] = []
        for sessions in (self._open, self._closed):
            if sessions.keys() <= copies.keys():  # the usual case, and several times cheaper
                continue
            for session in sessions:
                if session.subscribed_ns <= sent_ns and session not in copies:
                    if code.status == "unknown":
                        # It may never have left its sender.
                        account.released += self.rules.outcome(session, sent_ns) is not None
                        continue
                    outcome = count_without_copy(self.rules, account, session, sent_ns)
                    if outcome == "missing":
                        missing.append(session)
        return missing

    def _count_after_settling(self, session: Session, code: TrackedCode, arrived_ns: int) -> None:
        """Count a copy of a settled code."""
        account = self.tally.code(code.sequence if code.announced else STRAY)
        connection, sent_ns = session.connection, code.sent_ns
        if not code.owed or sent_ns is None or session.started_ns > sent_ns:
            account.unexpected += 1
            note_order(self.tally.counters, session, code)
            return
        if not session.is_owed(sent_ns):
            if session.add_unowed(code.sequence):
                count_duplicates(account, connection, 1)
                return
            if session.leaving_ns < sent_ns:
                account.released += 1
                note_order(self.tally.counters, session, code)
                return
        elif self.codes.settled.remove_missing(code, session):
            count_owed("missing", account, connection, -1)
        else:
            count_duplicates(account, connection, 1)
            return
        note_order(self.tally.counters, session, code)
        latest_ns = sent_ns + self.rules.timeout_ns
        if earliest(arrived_ns) <= latest_ns:
            # It arrived in time; only this process read it late.
            connection.delivered += 1
            self.tally.counters.in_doubt += int(arrived_ns > latest_ns)
            in_time_ns = min(arrived_ns, latest_ns)
            latencies_us = [(in_time_ns - sent_ns) // 1000]
            count_delivered(account, latencies_us, [in_time_ns])
            self._on_arrivals(latencies_us, [in_time_ns])
        else:
            count_owed("late", account, connection)

    def _report_arrivals_of(self, code: TrackedCode) -> None:
        sent_ns = code.sent_ns
        if sent_ns is None or not code.is_owed:
            return
        latest = sent_ns + self.rules.timeout_ns
        # Few arrive after the latest time; only for those is the earliest time needed.
        in_time = [
            arrived_ns if arrived_ns <= latest else latest
            for session, arrived_ns in code.take_new_copies()
            if (arrived_ns <= latest or earliest(arrived_ns) <= latest)
            and session.started_ns <= sent_ns <= session.leaving_ns
        ]
        if in_time:
            in_time.sort()  # nearly sorted; counting sorted values is much cheaper
            latencies_us = [(each - sent_ns) // 1000 for each in in_time]
            if code.in_time is None:
                code.in_time = CodeTally()
            count_delivered(code.in_time, latencies_us, in_time)
            self._on_arrivals(latencies_us, in_time)

    def _forget_closed(self, now_ns: int) -> None:
        """Forget closed sessions that no code in flight or to come can be owed to."""
        horizon = now_ns - max(self.rules.timeout_ns, _KEEP_CLOSED_NS)
        for code in self.codes.in_flight.values():
            if code.sent_ns is not None:
                horizon = min(horizon, code.sent_ns)
        for session in list(self._closed):
            if session.closed_ns is None or session.closed_ns > horizon:
                # The following ones closed later, or can wait.
                break
            del self._closed[session]
