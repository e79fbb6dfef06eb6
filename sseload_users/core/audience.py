"""The sessions that codes may be owed to, as a whole and by channel."""

from __future__ import annotations

from collections import deque

from sseload_users.core.sessions import Session, TrackedCode
from sseload_users.core.spans import Span, after_leaving

#: By how much sessions may have been subscribed in another order than they were opened.
_MAX_UNORDERED_NS = 1_000_000_000


class Audience:
    """Open sessions, and closed ones that codes in flight or to come may still be owed to.

    Attributes:
        open: the open sessions.
        closed: the closed ones that are kept, in the order in which they were closed.
    """

    __slots__ = ("_closed_in", "_left", "_open_in", "closed", "open")

    def __init__(self) -> None:
        self.open: dict[Session, None] = {}
        self.closed: dict[Session, None] = {}
        self._open_in: dict[str, dict[Session, None]] = {}
        self._closed_in: dict[str, dict[Session, None]] = {}
        # What sessions have left, in that order.
        self._left: deque[tuple[Session, str, Span]] = deque()

    def add(self, session: Session) -> None:
        """Add an open session, with its channels."""
        self.open[session] = None
        for channel in session.channels or ():
            self.join(session, channel)

    def admit_newcomers(self, code: TrackedCode) -> None:
        """Take a code as meant for sessions that began to connect before it arrived anywhere.

        A code of another worker may be announced when a session that receives it has begun to
        connect already.

        Args:
            code: it has just been announced.
        """
        sent_ns = code.sent_ns
        if sent_ns is None:
            return
        if code.channel is not None:
            self._admit_to_channel(code, code.channel, sent_ns)
        for session in reversed(self.open):
            if session.subscribed_ns < sent_ns - _MAX_UNORDERED_NS:
                break
            if sent_ns < session.started_ns and not code.had_arrived(session.started_ns):
                session.started_ns = sent_ns

    def _admit_to_channel(self, code: TrackedCode, channel: str, sent_ns: int) -> None:
        for session in reversed(self._open_in.get(channel, {})):
            spans = (session.channels or {})[channel]
            asked_ns = spans[-1].asked_ns or session.subscribed_ns
            if asked_ns < sent_ns - _MAX_UNORDERED_NS:
                break
            if not spans[-1].asked_ns:
                continue  # since it was opened, see above
            if sent_ns < asked_ns and not code.had_arrived(asked_ns):
                spans[-1].asked_ns = after_leaving(spans[:-1], sent_ns)

    def join(self, session: Session, channel: str) -> None:
        """Add an open session to a channel, as the newest one there."""
        members = self._open_in.setdefault(channel, {})
        members.pop(session, None)
        members[session] = None

    def leave(self, session: Session, channel: str) -> None:
        """Note that a session has left a channel; until `forget_closed`, it stays there."""
        self._left.append((session, channel, session.span(channel)))

    def close(self, session: Session) -> None:
        """Move a session to the closed ones; it stays in its channels."""
        self.open.pop(session, None)
        self.closed[session] = None
        for channel in session.channels or ():
            _remove(self._open_in, channel, session)
            self._closed_in.setdefault(channel, {})[session] = None

    def forget_closed(self, horizon_ns: int) -> None:
        """Forget the sessions that were closed, and the channels that were left, long ago.

        Args:
            horizon_ns: at that time (wall clock, ns) or before.
        """
        while self._left and self._left[0][2].left_ns <= horizon_ns:
            session, channel, span = self._left.popleft()
            if session.span(channel) is span:  # otherwise it has joined again
                _remove(self._open_in, channel, session)
                _remove(self._closed_in, channel, session)
        for session in list(self.closed):
            if session.closed_ns is None or session.closed_ns > horizon_ns:
                # The following ones closed later, or can wait.
                break
            del self.closed[session]
            for channel in session.channels or ():
                _remove(self._closed_in, channel, session)

    def members(self, channel: str | None) -> tuple[dict[Session, None], dict[Session, None]]:
        """Return the open and the closed sessions that are or were in a channel.

        Args:
            channel: the channel; None for all sessions.
        """
        if channel is None:
            return self.open, self.closed
        return self._open_in.get(channel, {}), self._closed_in.get(channel, {})

    def owed(self, code: TrackedCode) -> int:
        """Return how many open sessions are owed a code, as far as is known."""
        members, _ = self.members(code.channel)
        if not self._left or code.sent_ns is None:
            return len(members)
        return sum(session.is_owed(code.sent_ns, code.channel) for session in members)


def _remove(channels: dict[str, dict[Session, None]], channel: str, session: Session) -> None:
    sessions = channels.get(channel)
    if sessions is not None:
        sessions.pop(session, None)
        if not sessions:
            del channels[channel]
