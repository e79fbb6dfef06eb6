"""How long to wait before a connection is tried again."""

from __future__ import annotations

import random

#: Seconds before a further attempt to connect: at most, for the first and for any.
_FIRST_S, _LONGEST_S = 1.0, 30.0
#: Attempts after which the wait grows no more.
_MOST_DOUBLINGS = 10


def back_off_s(attempt: int) -> float:
    """Seconds to wait before a further attempt, by how many there were; in part by chance.

    Args:
        attempt: 0 for a connection that was lost, else the number of attempts that failed.
    """
    # Jitter over the whole time, so that those who were dropped together come apart.
    return random.uniform(0, min(_FIRST_S * 2 ** min(attempt, _MOST_DOUBLINGS), _LONGEST_S))
