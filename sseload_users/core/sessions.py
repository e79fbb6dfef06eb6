"""Connections and their sessions, and codes while they are tracked."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from sseload_users.core.code_tally import OPEN_STATUSES, OWED_STATUSES, CodeTally, Status
from sseload_users.core.gaps import Gaps
from sseload_users.core.session_set import SessionSet
from sseload_users.core.spans import (
    ALWAYS,
    NEVER,
    Relation,
    Span,
    after_leaving,
    relation_in,
    without_details,
)
from sseload_users.core.unusual_pairs import UnusualPairs

#: Time for which each stretch of a session in a channel is kept by itself.
_DETAILED_NS = 60_000_000_000


class SessionLedger(Protocol):
    """The ledger, as a session uses it."""

    def count_further_copy(self, session: Session, code: TrackedCode, arrived_ns: int) -> None:
        """Count a copy that is not the first, or whose code is settled."""


@dataclass(slots=True, eq=False)
class Connection:
    """One simulated client, through all its sessions.

    Attributes:
        number: number within its worker, from 1.
        username: user it connects as.
        node: index of the node that it connects to; None in a run without nodes.
        slow: whether it reads slowly on purpose; None in a run where no connection does.
        source: local address of its latest session; empty if unknown.
        away_ns: since when it is away after a planned end (wall clock, ns); None if it is not.
        unusual: keeps its pairs that were not simply delivered; None if they are not wanted.
        connect_us: duration of its first successful connect; None before.
        sessions: number of its sessions.
        drops: number of sessions that the server or the network ended.
        delivered: owed pairs of settled codes that were delivered; the next five count other
            outcomes.
        channels: channels that it has subscribed to.
        session: its session that goes on across gaps; None if the server does not promise that.
        last_cause: cause of its last failure or drop.
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
    recovered: int = 0
    duplicate: int = 0
    last_cause: str = ""
    channels: Sequence[str] = ()
    session: Session | None = None
    node: int | None = None
    slow: bool | None = None
    source: str = ""
    away_ns: int | None = None
    unusual: UnusualPairs | None = None

    @property
    def owed(self) -> int:
        """Pairs of settled codes that its sessions were owed."""
        undelivered = self.late + self.missing + self.interrupted
        return self.delivered + self.recovered + undelivered

    @property
    def is_grouped(self) -> bool:
        """Whether its pairs are counted for groups of connections as well: nodes or paces."""
        return self.node is not None or self.slow is not None


class Session:
    """One stretch of a connection, from subscribed to closed.

    If the server promises that nothing is lost in gaps, all stretches of a connection and the
    gaps between them are one session.

    Attributes:
        connection: the connection.
        number: number of the session, from 0, in the order in which sessions were opened.
        started_ns: when its connect began (wall clock, ns).
        subscribed_ns: since when it is owed codes (wall clock, ns).
        leaving_ns: until when it is owed new codes (wall clock, ns); NEVER unless sseload is
            about to end it.
        closed_ns: when it ended; None while it is open.
        released: sseload ended it.
        gaps: its gaps; None if it ends with its stretch.
        history_ns: codes that were sent then or later, and before the session, may come, since the
            client has asked for what it had missed (wall clock, ns); NEVER if it has not.
        channels: its spans in each channel that it has belonged to; None in a run without
            channels.
        newest: highest sequence number that has arrived, in a run without channels and with one
            stream of codes.
        newest_in: the same for each order key of codes; None in such a run.
        unowed: sequence numbers of settled codes that arrived although they were sent before
            `subscribed_ns` or after `leaving_ns`; None if there are none.
        lacks: the code that it lacked when that was last checked, while it is leaving.
    """

    __slots__ = (
        "_ledger",
        "channels",
        "closed_ns",
        "connection",
        "gaps",
        "history_ns",
        "lacks",
        "leaving_ns",
        "newest",
        "newest_in",
        "number",
        "released",
        "started_ns",
        "subscribed_ns",
        "unowed",
    )

    def __init__(
        self,
        ledger: SessionLedger,
        connection: Connection,
        number: int,
        started_ns: int,
        subscribed_ns: int,
        channels: Iterable[str] | None = None,
        *,
        has_streams: bool = False,
    ) -> None:
        self.connection = connection
        self.number = number
        self.started_ns = started_ns
        self.subscribed_ns = subscribed_ns
        self.leaving_ns = NEVER
        self.closed_ns: int | None = None
        self.released = False
        self.gaps: Gaps | None = None
        self.history_ns = NEVER
        self.channels: dict[str, tuple[Span, ...]] | None = None
        self.newest = 0
        self.newest_in: dict[Hashable, int] | None = None
        if channels is not None:
            connection.channels = tuple(channels)
            self.channels = dict.fromkeys(connection.channels, (ALWAYS,))
        if channels is not None or has_streams:
            self.newest_in = {}
        self.unowed: set[int] | None = None
        self.lacks: TrackedCode | None = None
        self._ledger = ledger

    def receive(self, code: TrackedCode, arrived_ns: int) -> None:
        """Count a copy of a code. This is the hot path: once per message.

        Args:
            code: from `Ledger.code`.
            arrived_ns: when it arrived (wall clock, ns).
        """
        copies = code.copies
        if copies is None or self in copies:
            self._ledger.count_further_copy(self, code, arrived_ns)
            return
        copies[self] = arrived_ns
        if self.newest_in is not None:
            newest = self.advance(code)
            if code.sequence < newest:
                code.count_overtaken(newest)
        elif code.sequence < self.newest:
            code.count_overtaken(self.newest)
        else:
            self.newest = code.sequence

    @property
    def newest_of_all(self) -> int:
        """The highest sequence number that has arrived; 0 before the first."""
        return self.newest if self.newest_in is None else max(self.newest_in.values(), default=0)

    def newest_before(self, code: TrackedCode) -> int:
        """Return the highest sequence number that has arrived with a code's order key."""
        return self.newest if self.newest_in is None else self.newest_in.get(code.order_key, 0)

    def advance(self, code: TrackedCode) -> int:
        """Note the first copy of a code; return what `newest_before` returned until then.

        The server may deliver codes of different channels, and of different publishers, in any
        order.
        """
        newest = self.newest_before(code)
        if code.sequence > newest:
            if self.newest_in is None:
                self.newest = code.sequence
            else:
                self.newest_in[code.order_key] = code.sequence
        return newest

    @property
    def is_leaving(self) -> bool:
        """Whether it has ended, or sseload is about to end it."""
        return self.closed_ns is not None or self.leaving_ns != NEVER

    def has_recovered(self, sent_ns: int, arrived_ns: int) -> bool:
        """Whether a first copy came in a later stretch than the code was sent in."""
        return self.gaps is not None and self.gaps.brought(sent_ns, arrived_ns)

    def is_owed(self, sent_ns: int, channel: str | None = None) -> bool:
        """Whether a code that was sent then is owed, if the session is still open."""
        if not self.subscribed_ns <= sent_ns <= self.leaving_ns:
            return False
        return channel is None or self.relation(sent_ns, channel) == "owed"

    def relation(
        self, sent_ns: int, channel: str | None = None, arrived_ns: int = NEVER
    ) -> Relation:
        """Return how a code relates to the session's time in the code's channel.

        Args:
            sent_ns: when the code was sent (wall clock, ns).
            channel: its channel; None in a run without channels.
            arrived_ns: when it arrived (wall clock, ns); NEVER if it did not.
        """
        within: Relation = "owed"
        if channel is not None:
            within = relation_in((self.channels or {}).get(channel, ()), sent_ns, arrived_ns)
        if within == "outside":
            return within
        if within == "before" or sent_ns < self.started_ns:
            return "before"
        if sent_ns < self.subscribed_ns:
            return "joining"
        return "leaving" if sent_ns > self.leaving_ns else within

    def ask_to_join(self, channel: str, at_ns: int, since_ns: int) -> None:
        """Begin a span in a channel.

        Args:
            channel: the channel.
            at_ns: when it asks (wall clock, ns).
            since_ns: when the oldest code was sent that can be meant for it (wall clock, ns).

        Raises:
            ValueError: the run has no channels.
        """
        if self.channels is None:
            raise ValueError("a run without channels has none to join")
        if channel not in self.connection.channels:
            self.connection.channels = (*self.connection.channels, channel)
        earlier = without_details(self.channels.get(channel, ()), since_ns - _DETAILED_NS)
        new = Span(after_leaving(earlier, since_ns), begun_ns=at_ns)
        self.channels[channel] = (*earlier, new)

    @property
    def has_moved(self) -> bool:
        """Whether it has ever asked to join a channel, or to leave one."""
        return any(spans != (ALWAYS,) for spans in (self.channels or {}).values())

    def is_leaving_channel(self, channel: str) -> bool:
        """Whether it has left a channel, or is about to."""
        return self.span(channel).leaving_ns != NEVER

    def is_in(self, channel: str) -> bool:
        """Whether it is in a channel, and not about to leave it."""
        for span in (self.channels or {}).get(channel, ())[-1:]:
            return span.joined_ns != NEVER and span.leaving_ns == NEVER
        return False

    def begin_leaving(self, at_ns: int, channel: str | None = None) -> None:
        """Stop being owed codes, or only those of a channel, from a time (wall clock, ns) on."""
        if channel is None:
            self.leaving_ns = min(self.leaving_ns, at_ns)
        else:
            span = self.span(channel)
            span.leaving_ns = min(span.leaving_ns, at_ns)

    def span(self, channel: str) -> Span:
        """Return the latest span in a channel, to end it; it is the session's own.

        Raises:
            KeyError: the session never was in the channel.
        """
        spans = (self.channels or {})[channel]
        if spans[-1] is ALWAYS:
            spans = (*spans[:-1], Span(0, 0))
            if self.channels is not None:
                self.channels[channel] = spans
        return spans[-1]

    def add_unowed(self, sequence: int) -> bool:
        """Note the arrival of a code that was sent before `subscribed_ns` or after `leaving_ns`.

        Returns:
            Whether it had arrived before.
        """
        if self.unowed is None:
            self.unowed = {sequence}
            return False
        if sequence in self.unowed:
            return True
        self.unowed.add(sequence)
        return False


class TrackedCode:
    """A code in flight, or what is left of it once it is settled.

    Attributes:
        sequence: its sequence number in the run, from 1.
        sent_ns: when it was sent (wall clock, ns); None until that is known.
        text_ns: send time in its text, on the sender's wall clock; None if there is none.
        status: result of its request.
        channel: the channel that it is published to; None in a run without channels.
        order_key: what it has in common with the codes that must arrive in order with it.
        announced: the broadcaster has announced it; a server can make up texts.
        copies: arrival of the first copy by session, in the order of reading; None once the
            code is settled.
        overtakable_by: highest sequence number of a code that may arrive before it, because it
            was sent before this code's request had its result; NEVER if there was none.
        overtaken: number of first copies that came after a code with a higher sequence number,
            by that number; None if there are none, or once the code is settled.
        replayed: number of further copies that came in a later stretch of the session.
        further: number of further copies by session and, as in `overtaken`, by the highest
            sequence number that had come; None if there are none, or once it is settled.
        in_time: account of the first copies reported so far, to be counted if the code is
            owed; None once it is settled.
        lacks: a session that did not have it at the last check.
        overlooked: it came in a message in which the profile does not look for it.
        exempt: the session that sent it, if what that session gets of it does not count. It
            has a copy from the beginning.
        owed: once it is settled: whether it was owed to anybody.
        missing: once it is settled: the sessions that miss it; None if there are none.
    """

    __slots__ = (
        "_reported",
        "announced",
        "channel",
        "copies",
        "exempt",
        "further",
        "in_time",
        "lacks",
        "missing",
        "order_key",
        "overlooked",
        "overtakable_by",
        "overtaken",
        "owed",
        "replayed",
        "sent_ns",
        "sequence",
        "status",
        "text_ns",
    )

    def __init__(
        self,
        sequence: int,
        sent_ns: int | None = None,
        channel: str | None = None,
        order_key: Hashable = None,
    ) -> None:
        self.sequence = sequence
        self.channel = channel
        self.order_key = order_key
        self.sent_ns = self.text_ns = sent_ns
        self.status: Status = "pending"
        self.announced = False
        self.copies: dict[Session, int] | None = {}
        self.overtakable_by = 0
        self.overtaken: dict[int, int] | None = None
        self.further: dict[Session, dict[int, int]] | None = None
        self.replayed = 0
        self.in_time: CodeTally | None = None
        self.lacks: Session | None = None
        self.overlooked = False
        self.exempt: Session | None = None
        self.owed = False
        self.missing: SessionSet | None = None
        self._reported = 0

    def had_arrived(self, at_ns: int) -> bool:
        """Whether the first copy that was read had arrived at a time (wall clock, ns)."""
        return next(iter(self.counted_copies().values()), NEVER) < at_ns

    def set_exempt(self, session: Session) -> None:
        """Do not count what a session gets of this code, which it has just sent itself."""
        if self.copies is not None and session not in self.copies:
            self.copies[session] = self.sent_ns or 0
            self.exempt = session
            self._reported += 1

    def counted_copies(self) -> Mapping[Session, int]:
        """Return the arrivals of first copies, by session, without that of the exempt one."""
        copies = self.copies or {}
        if self.exempt is None:
            return copies
        return {session: at for session, at in copies.items() if session is not self.exempt}

    def take_new_copies(self) -> Iterable[tuple[Session, int]]:
        """Return the first copies, with their arrivals, that came since the last call."""
        if not self.copies or len(self.copies) == self._reported:
            return ()
        reported, self._reported = self._reported, len(self.copies)
        return islice(self.copies.items(), reported, None)

    def count_further(self, session: Session) -> None:
        """Count a further copy; the code is not settled."""
        first_ns = (self.copies or {}).get(session, NEVER)
        if session.gaps is not None and session.gaps.is_replay(first_ns):
            self.replayed += 1
            return
        if self.further is None:
            self.further = {}
        copies = self.further.setdefault(session, {})
        newest = session.newest_before(self)
        copies[newest] = copies.get(newest, 0) + 1

    def count_overtaken(self, newest: int) -> None:
        """Count a first copy that came after a code with a higher sequence number."""
        if self.overtaken is None:
            self.overtaken = {}
        self.overtaken[newest] = self.overtaken.get(newest, 0) + 1

    def is_out_of_order_after(self, newest: int) -> bool:
        """Whether it must not arrive after the code with that sequence number."""
        return newest > self.sequence and newest > self.overtakable_by

    def count_out_of_order(self, overtaken: Mapping[int, int]) -> int:
        """Return how many of these copies, as in `overtaken`, came out of order."""
        return sum(
            copies for newest, copies in overtaken.items() if self.is_out_of_order_after(newest)
        )

    @property
    def is_owed(self) -> bool:
        """Whether sessions are owed it, as far as is known."""
        return self.status in OPEN_STATUSES or self.status in OWED_STATUSES

    @property
    def settled(self) -> bool:
        """Whether its account is closed; late copies may still correct it."""
        return self.copies is None
