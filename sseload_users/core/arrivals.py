"""The arrivals of a code, while it is in flight."""

from __future__ import annotations

from collections.abc import Iterable

from sseload_users.core.sessions import Session, TrackedCode
from sseload_users.core.timestamps import earliest

#: How a code relates to a session that it was meant for.
_MEANT = frozenset({"joining", "owed"})


def new_arrivals_in_time(code: TrackedCode, sent_ns: int, timeout_ns: int) -> list[int]:
    """Return when the first copies arrived that came in time since the last call.

    See `arrivals_in_time`.
    """
    return arrivals_in_time(code, code.take_new_copies(), sent_ns, timeout_ns)


def arrivals_in_time(
    code: TrackedCode, copies: Iterable[tuple[Session, int]], sent_ns: int, timeout_ns: int
) -> list[int]:
    """Return when those of some first copies arrived that came in time.

    Copies at sessions that the code was not meant for, and those that were recovered, are left
    out.

    Args:
        code: it is owed.
        copies: sessions, and when their copies arrived (wall clock, ns).
        sent_ns: when it was sent (wall clock, ns).
        timeout_ns: time after its sending within which it counts as delivered.

    Returns:
        The arrivals (wall clock, ns), in ascending order; the latest possible time for those
        that arrived in time only as far as is known.
    """
    latest, channel = sent_ns + timeout_ns, code.channel
    # Few arrive after the latest time; only for those is the earliest time needed.
    in_time = [
        arrived_ns if arrived_ns <= latest else latest
        for session, arrived_ns in copies
        if (arrived_ns <= latest or earliest(arrived_ns) <= latest)
        and session.started_ns <= sent_ns <= session.leaving_ns
        and (session.gaps is None or not session.gaps.brought(sent_ns, arrived_ns))
        and (channel is None or session.relation(sent_ns, channel, arrived_ns) in _MEANT)
    ]
    in_time.sort()  # nearly sorted; counting sorted values is much cheaper
    return in_time
