"""Rules on pairs of a code and a session that has no copy of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from sseload_users.core.code_tally import OPEN_STATUSES
from sseload_users.core.sessions import Session, TrackedCode

#: By how much the age of a pair, when sseload closes its session, may exceed the run's
#: slowest delivery for the pair to be undecided.
_MARGIN_NS = 1_000_000_000

#: How a pair without a copy ends; None if it is not owed.
Undelivered: TypeAlias = Literal["missing", "interrupted", "released"] | None

#: The open and the closed sessions in a code's channel.
Members: TypeAlias = tuple[Mapping[Session, None], Mapping[Session, None]]


class PairRules:
    """Decides about pairs without a copy.

    Args:
        timeout_ns: time after its sending within which a code counts as delivered.
        history: the server sends new sessions what was sent before.

    Attributes:
        timeout_ns: the same.
        history: the same.
        slowest_ns: duration of the run's slowest delivery, as far as is known here.
    """

    __slots__ = ("history", "slowest_ns", "timeout_ns")

    def __init__(self, timeout_ns: int, *, history: bool = False) -> None:
        self.timeout_ns = timeout_ns
        self.history = history
        self.slowest_ns = 0

    def note_delivery(self, latency_ns: int) -> None:
        """Note how long a delivery of this run took."""
        self.slowest_ns = max(self.slowest_ns, latency_ns)

    def outcome(self, session: Session, sent_ns: int, channel: str | None = None) -> Undelivered:
        """Return the outcome of a pair.

        Args:
            session: it has no copy.
            sent_ns: when the code was sent (wall clock, ns).
            channel: the code's channel; None in a run without channels.
        """
        closed_ns = session.closed_ns
        if not session.is_owed(sent_ns, channel) or (
            closed_ns is not None and closed_ns <= sent_ns
        ):
            return None
        if closed_ns is None or closed_ns > sent_ns + self.timeout_ns:
            return "missing"
        if not session.released:
            return "interrupted"
        waited_ns = closed_ns - sent_ns
        gaps = session.gaps
        if gaps is not None and sent_ns < gaps.returned_ns <= closed_ns:
            waited_ns = closed_ns - gaps.returned_ns
        return "missing" if self._is_overdue(waited_ns) else "released"

    def is_undecided(self, session: Session, sent_ns: int, channel: str | None = None) -> bool:
        """Whether the outcome of a pair is open before the timeout."""
        closed_ns = session.closed_ns
        if not session.is_owed(sent_ns, channel):
            return False
        if closed_ns is None:
            return True
        # Later deliveries may turn out to take as long as that.
        return session.released and self._is_overdue(closed_ns - sent_ns)

    def is_awaited(self, code: TrackedCode, session: Session, now_ns: int) -> bool:
        """Whether a session lacks a code that it is owed and that can still come in time."""
        return (
            code.copies is not None
            and session not in code.copies
            and code.is_owed
            and code.sent_ns is not None
            and session.is_owed(code.sent_ns, code.channel)
            and now_ns <= code.sent_ns + self.timeout_ns
        )

    def undecided_since(self, at_ns: int) -> int:
        """Return since when codes were sent that may have been under way at a time (ns)."""
        return at_ns - self.slowest_ns - _MARGIN_NS

    def is_due(self, code: TrackedCode, members: Members, now_ns: int) -> bool:
        """Whether the account of a code can be closed: it has timed out, or all have it.

        Args:
            code: it is announced. The session that is found to lack it is remembered in it.
            members: the sessions in its channel.
            now_ns: the time (wall clock, ns).
        """
        copies, sent_ns, channel = code.copies, code.sent_ns, code.channel
        if code.status in OPEN_STATUSES or copies is None:
            return False
        if not code.is_owed:
            return True
        if sent_ns is None:
            return False
        if now_ns > sent_ns + self.timeout_ns:
            return True
        lacks = code.lacks
        if lacks is not None and lacks not in copies and self.is_undecided(lacks, sent_ns, channel):
            return False
        for sessions in members:
            if sessions.keys() <= copies.keys():  # the usual case, and several times cheaper
                continue
            for session in sessions:
                if (
                    session.subscribed_ns <= sent_ns
                    and session not in copies
                    and self.is_undecided(session, sent_ns, channel)
                ):
                    code.lacks = session
                    return False
        return True

    def _is_overdue(self, age_ns: int) -> bool:
        return age_ns > self.slowest_ns + _MARGIN_NS
