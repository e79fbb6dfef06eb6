"""Arrival times that are known only to lie between two bounds.

The kernel keeps one timestamp for all bytes in a socket's buffer: that of the newest, or of the
stream's end after them. Of messages that were read together, all but the last arrived at that
time or before, but not before this process last found the buffer empty.
"""

from __future__ import annotations

from collections.abc import Iterable


class SharedStamp(int):
    """The latest possible arrival time of a message (wall clock, ns).

    Attributes:
        earliest_ns: its earliest possible arrival time.
    """

    earliest_ns: int

    @classmethod
    def of(cls, latest_ns: int, earliest_ns: int) -> SharedStamp:
        """Return a stamp with these bounds."""
        new = cls(latest_ns)
        new.earliest_ns = earliest_ns
        return new


#: Error of a stamp from which a latency is imprecise.
IMPRECISE_NS = 100_000_000


def earliest(arrived_ns: int) -> int:
    """Return the earliest possible arrival time that a stamp stands for."""
    return arrived_ns.earliest_ns if isinstance(arrived_ns, SharedStamp) else arrived_ns


def count_imprecise(arrivals_ns: Iterable[int]) -> int:
    """Return how many messages may have arrived sooner than their stamps by a tenth of a second."""
    shared = (each for each in arrivals_ns if isinstance(each, SharedStamp))
    return sum(each - each.earliest_ns >= IMPRECISE_NS for each in shared)
