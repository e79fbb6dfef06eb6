"""Which sessions may still bring codes that have timed out, after a gap."""

from __future__ import annotations

from sseload_users.core.audience import Audience
from sseload_users.core.settled_codes import SettledCodes


def count_catching_up(
    audience: Audience, settled: SettledCodes, timeout_ns: int, now_ns: int
) -> int:
    """Return how many open sessions miss codes and are waited for at the end of a run.

    A connection that is away is waited for as long as a code is, and one that has returned as long
    again, because it may be catching up.

    Args:
        audience: the sessions.
        settled: the settled codes.
        timeout_ns: the delivery timeout.
        now_ns: the time (wall clock, ns).
    """
    recent = [
        each
        for each in audience.open
        if each.gaps is not None and each.gaps.changed_ns > now_ns - timeout_ns
    ]
    if not recent:
        return 0
    missed = [code.missing for code in settled.missed_since(0) if code.missing is not None]
    return sum(any(each in sessions for sessions in missed) for each in recent)
