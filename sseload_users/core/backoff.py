"""Exponential back-off with jitter between attempts to connect."""

from __future__ import annotations

import random

#: The longest wait in seconds before the first retry, and before any.
_BASE_S, _MAX_S = 1.0, 30.0
#: Attempts after which the wait no longer grows.
_MAX_DOUBLINGS = 10


def back_off_s(attempt: int) -> float:
    """Return how many seconds to wait before a further attempt; a random number.

    Args:
        attempt: number of attempts that have failed; 0 for a connection that was lost.
    """
    # Full jitter, so that connections that were dropped together do not reconnect together.
    return random.uniform(0, min(_BASE_S * 2 ** min(attempt, _MAX_DOUBLINGS), _MAX_S))
