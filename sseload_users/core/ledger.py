"""The ledger: which sessions were owed which codes, and what arrived.

It has no sockets and no clock. A receipt only stores when the first copy arrived; everything
else is computed when a code is settled, for all sessions at once. So a receipt costs one
dictionary lookup, and the account is correct in whatever order announcements, copies, and the
beginnings and ends of sessions become known.

Memory is bounded by the codes in flight: of a settled code, only its send time is kept and, as
one bit each, the pairs that are missing, as these can still arrive late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from sseload_users.core.audience import Audience
from sseload_users.core.channels import ChannelPlan
from sseload_users.core.code_registry import CodeRegistry
from sseload_users.core.code_tally import OPEN_STATUSES, STRAY, Status
from sseload_users.core.counting import (
    count_all_without_copy,
    count_first_copies,
    count_further_copies,
    count_new_arrivals,
    count_owed,
    count_without_copy,
)
from sseload_users.core.evidence_collector import EvidenceCollector
from sseload_users.core.gaps import Gaps
from sseload_users.core.late_copies import count_copy_of_settled
from sseload_users.core.pair_rules import PairRules
from sseload_users.core.session_set import SessionSet
from sseload_users.core.sessions import Connection, Session, TrackedCode
from sseload_users.core.spans import NEVER
from sseload_users.core.streams import ONE_STREAM, StreamPlan
from sseload_users.core.tally import Tally
from sseload_users.core.unusual_pairs import UnusualPairs

#: Minimum time that a closed session is kept, for codes that were sent before it closed and are
#: announced later.
_KEEP_CLOSED_NS = 10_000_000_000

#: Called with the latencies (in microseconds) and the arrivals (wall clock, ns) of deliveries.
OnArrivals: TypeAlias = Callable[[list[int], list[int]], None]


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
        channels: deals codes to channels; None for a run without channels.
        streams: deals codes to publishers and nodes.
        resume: the server promises that a connection which returns gets what was sent meanwhile.
        history: the server sends new sessions what was sent before.
        unusual: keeps the pairs that were not simply delivered; None if they are not wanted.

    Attributes:
        tally: where outcomes are counted; replaced by `take`.
        codes: the codes.
        audience: the sessions.
        connections: all connections, in the order in which they were added.
        rules: decide about pairs without a copy.
        evidence: collects what losses and drops have in common.
        unusual: the pairs that were not simply delivered, if they are wanted one by one.
    """

    def __init__(
        self,
        delivery_timeout_s: float,
        on_arrivals: OnArrivals = lambda _latencies, _arrived: None,
        channels: ChannelPlan | None = None,
        *,
        streams: StreamPlan = ONE_STREAM,
        resume: bool = False,
        history: bool = False,
        unusual: UnusualPairs | None = None,
    ) -> None:
        self.tally = Tally()
        self.codes = CodeRegistry(channels, streams)
        self.audience = Audience()
        self.connections: list[Connection] = []
        self.rules = PairRules(round(delivery_timeout_s * 1e9), history=history)
        self._on_arrivals = on_arrivals
        self._sessions = 0
        self._newest_sent_ns = 0
        self._has_channels = channels is not None
        self._has_streams = streams.count > 1
        self.evidence = EvidenceCollector(self.rules.timeout_ns)
        self.unusual = unusual
        self._resume = resume
        self._away = 0

    # Connections and sessions

    def add_connection(self, username: str = "") -> Connection:
        """Add a connection and return it."""
        new = Connection(len(self.connections) + 1, username, unusual=self.unusual)
        self.connections.append(new)
        return new

    @property
    def open_sessions(self) -> int:
        """The number of open sessions."""
        return len(self.audience.open) - self._away

    def open_session(
        self,
        connection: Connection,
        started_ns: int,
        subscribed_ns: int,
        channels: Iterable[str] = (),
        missed_since_ns: int | None = None,
    ) -> Session:
        """Open a session, which is owed codes from now on.

        If the server promises that, the connection's earlier session goes on, and is owed what
        was sent since it paused.

        Args:
            connection: its connection.
            started_ns: when its connect began (wall clock, ns), or when the oldest code was
                sent that could still be meant for it then.
            subscribed_ns: since when it is owed codes, perhaps not yet (wall clock, ns).
            channels: the channels that it is subscribed to, in a run with channels.
            missed_since_ns: since when the client, as it has told the server, has missed codes
                (wall clock, ns); None if it has not told.
        """
        started_ns = min(started_ns, subscribed_ns)
        connection.sessions += 1
        session = connection.session
        if session is not None and session.gaps is not None and session.closed_ns is None:
            if session.gaps.away_ns is not None:
                self._away -= 1
                # What came before the gap was not brought by this session.
                started_ns = max(started_ns, session.gaps.away_ns)
            oldest_ns = self.codes.oldest_sent_ns(started_ns)
            session.gaps.come_back(started_ns, subscribed_ns, oldest_ns)
            if session.has_moved:
                self._return_to_channels(session, channels, started_ns, subscribed_ns)
            return session
        own = channels if self._has_channels else None
        times, streams = (started_ns, subscribed_ns), self._has_streams
        session = Session(self, connection, self._sessions, *times, own, has_streams=streams)
        self._sessions += 1
        if self._resume:
            connection.session = session
            session.gaps = Gaps()
        if missed_since_ns is not None:
            session.history_ns = self.rules.undecided_since(missed_since_ns)
        self.audience.add(session)
        self.evidence.opened(session)
        self._count_settled(session, subscribed_ns)
        return session

    def ask_to_join(
        self, session: Session, channel: str, at_ns: int, since_ns: int | None = None
    ) -> None:
        """Note that an open session asks to join a further channel.

        Args:
            session: from `open_session`.
            channel: the channel; the session is not in it.
            at_ns: when it asks (wall clock, ns); what is sent later may arrive.
            since_ns: when the oldest code was sent that can still be meant for it (wall clock,
                ns); None if there is none.
        """
        session.ask_to_join(channel, at_ns, at_ns if since_ns is None else min(since_ns, at_ns))
        self.audience.join(session, channel)

    def confirm_join(self, session: Session, channel: str, at_ns: int) -> None:
        """Note that an open session has joined a channel, whose codes it is owed from now on.

        Args:
            session: from `open_session`.
            channel: the channel, after `ask_to_join`.
            at_ns: when that was confirmed (wall clock, ns).
        """
        span = session.span(channel)
        span.joined_ns = max(at_ns, span.asked_ns)
        self._count_settled(session, span.joined_ns, channel)

    def leave_channel(self, session: Session, channel: str, at_ns: int) -> None:
        """Note that the server has confirmed that a session left a channel.

        Args:
            session: from `open_session`.
            channel: the channel, after `begin_leaving`.
            at_ns: when (wall clock, ns); what is sent later and arrives is a leak.
        """
        span = session.span(channel)
        span.left_ns = max(at_ns, span.leaving_ns)
        self.audience.leave(session, channel)

    def _return_to_channels(
        self, session: Session, channels: Iterable[str], started_ns: int, subscribed_ns: int
    ) -> None:
        """Note to which channels a session has returned, whatever it asked for before its gap."""
        own = {*channels}
        for channel in own:
            if not session.is_in(channel):
                if channel not in (session.channels or {}) or session.is_leaving_channel(channel):
                    self.ask_to_join(session, channel, started_ns)
                self.confirm_join(session, channel, subscribed_ns)
        for channel in {*(session.channels or {})} - own:
            if session.span(channel).left_ns == NEVER:
                self.begin_leaving(session, subscribed_ns, channel)
                self.leave_channel(session, channel, subscribed_ns)
        # From where on it wants codes, it tells the server for all channels alike.
        newest = self.codes.find(session.newest_of_all, None)
        if newest is not None and newest.sent_ns is not None:
            since_ns = self.rules.undecided_since(newest.sent_ns)
            session.history_ns = min(session.history_ns, since_ns)

    def _count_settled(self, session: Session, since_ns: int, channel: str | None = None) -> None:
        """Count the codes that were settled before it was known that a session was owed them."""
        for code in self.codes.settled.owed_to(session, since_ns):
            # All sessions that were known had it; this is one more.
            known = session.unowed is not None and code.sequence in session.unowed
            if channel in (None, code.channel) and not known:
                count_owed("missing", self.tally.code(code.sequence), session, code)
                self.codes.settled.add_missing(code, session)

    def begin_leaving(self, session: Session, at_ns: int, channel: str | None = None) -> None:
        """Owe a session no further codes, because sseload is about to close it.

        Args:
            session: from `open_session`.
            at_ns: the time (wall clock, ns).
            channel: leave only this channel, in which the session is.
        """
        # What is announced already may have been counted.
        session.begin_leaving(max(at_ns, self._newest_sent_ns), channel)

    def awaits(self, session: Session, now_ns: int, channel: str | None = None) -> bool:
        """Whether a session lacks a code that it is owed and that can still come in time.

        Args:
            session: from `open_session`.
            now_ns: the time (wall clock, ns).
            channel: only codes of that channel count; None for all.
        """

        def is_awaited(code: TrackedCode) -> bool:
            return channel in (None, code.channel) and self.rules.is_awaited(code, session, now_ns)

        if session.lacks is None or not is_awaited(session.lacks):
            # The newest is the last to time out.
            codes = reversed(self.codes.in_flight.values())
            session.lacks = next(filter(is_awaited, codes), None)
        return session.lacks is not None

    def pause_session(
        self, session: Session, at_ns: int, *, released: bool, planned: bool = False
    ) -> None:
        """End a session that the same client will continue if the server promises that.

        If the server does not, this closes it. One that never returns is closed as of then.

        Args:
            session: from `open_session`.
            at_ns: when it ended (wall clock, ns).
            released: sseload ended it.
            planned: the server ended it as planned, which is no drop to explain.
        """
        if session.gaps is None:
            self.close_session(session, at_ns, released=released, planned=planned)
        elif session.closed_ns is None and session.gaps.away_ns is None:
            self._away += 1
            if not released and not planned:
                self.evidence.dropped(session, at_ns)
            self._count_catch_up(session.gaps.go_away(at_ns, by_us=released))

    def close_session(
        self, session: Session, at_ns: int, *, released: bool, planned: bool = False
    ) -> None:
        """Close a session, unless it is closed.

        Args:
            session: from `open_session`.
            at_ns: when it ended (wall clock, ns).
            released: sseload ended it, so that codes which may still have come are not owed.
            planned: the server ended it as planned, which is no drop to explain.
        """
        if session.closed_ns is not None:
            return
        if session.gaps is not None:
            self._count_catch_up(session.gaps.catch_up_ns())
            if session.gaps.away_ns is not None:
                # It never returned.
                self._away -= 1
                at_ns, released = session.gaps.away_ns, session.gaps.by_us
        elif not released and not planned:
            self.evidence.dropped(session, at_ns)
        session.closed_ns = at_ns
        session.released = released
        self.audience.close(session)
        for code in self.codes.settled.missed_since(at_ns - self.rules.timeout_ns):
            if self.codes.settled.remove_missing(code, session):
                # It was settled before its timeout; this session closed before that.
                account = self.tally.code(code.sequence)
                count_owed("missing", account, session, code, -1)
                count_without_copy(self.rules, account, session, code)

    def release_all(self, at_ns: int) -> None:
        """Close all sessions as released, at the end of the run."""
        for session in list(self.audience.open):
            self.close_session(session, at_ns, released=True)

    def _count_catch_up(self, took_ns: int | None) -> None:
        if took_ns is not None:
            self.tally.catch_up.add(took_ns // 1000)

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
            if oldest := self.codes.beyond_limit():
                self._discard(oldest)
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
            self.evidence.came_again(session, code)
            in_time_ns = count_copy_of_settled(
                self.tally, self.codes.settled, self.rules, session, code, arrived_ns
            )
            if in_time_ns is not None and code.sent_ns is not None:
                self._on_arrivals([(in_time_ns - code.sent_ns) // 1000], [in_time_ns])
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
            members = self.audience.members(code.channel)
            if final or self.rules.is_due(code, members, now_ns):
                self._settle(code)
        for code in self.codes.to_discard(final=final):
            self._discard(code)
        horizon_ns = now_ns - max(self.rules.timeout_ns, _KEEP_CLOSED_NS)
        self.audience.forget_closed(min(horizon_ns, self.codes.oldest_sent_ns(now_ns)))

    def take(self) -> Tally:
        """Return what was counted since the last call."""
        taken, self.tally = self.tally, Tally()
        taken.count_connects()
        taken.evidence = self.evidence.take()
        return taken

    def _settle(self, code: TrackedCode) -> None:
        """Close the account of an announced code."""
        self._report_arrivals_of(code)
        account = self.tally.code(code.sequence)
        account.overlooked |= code.overlooked
        if code.status in (*OPEN_STATUSES, "unanswered"):
            # The server may take it at any time.
            code.overtakable_by = NEVER
        if code.sent_ns is not None and code.is_owed:
            code.owed = True
            count_first_copies(self.tally, self.rules, account, code)
            members = self.audience.members(code.channel)
            missing = count_all_without_copy(self.rules, account, code, members)
            code.missing = SessionSet.of(missing)
            self.evidence.settled(code)
        else:
            account.unexpected += len(code.counted_copies())
        count_further_copies(self.tally, self.rules, account, code)
        self.codes.settle(code)

    def _discard(self, code: TrackedCode) -> None:
        """Close the account of a code that was not announced."""
        account = self.tally.code(STRAY)
        account.unexpected += len(code.copies or ())
        count_further_copies(self.tally, self.rules, account, code)
        self.codes.discard(code)

    def _report_arrivals_of(self, code: TrackedCode) -> None:
        latencies_us, in_time = count_new_arrivals(code, self.rules.timeout_ns)
        if in_time:
            self._on_arrivals(latencies_us, in_time)
