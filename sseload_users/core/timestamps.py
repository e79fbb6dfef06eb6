"""Arrival times that are known between two bounds only; pure.

The kernel keeps one timestamp for what lies together in a socket's buffer: that of the
newest bytes, or of the stream's end behind them. Of messages that were read together, all
but the last came at that time or before, though not before this process last saw the buffer
empty.
"""

from __future__ import annotations


class SharedStamp(int):
    """The latest time at which a message can have come (wall clock, ns).

    Attributes:
        earliest_ns: the earliest.
    """

    earliest_ns: int

    @classmethod
    def of(cls, latest_ns: int, earliest_ns: int) -> SharedStamp:
        """A stamp between these bounds."""
        new = cls(latest_ns)
        new.earliest_ns = earliest_ns
        return new


def earliest(arrived_ns: int) -> int:
    """The earliest time at which a message with this stamp can have come."""
    return arrived_ns.earliest_ns if isinstance(arrived_ns, SharedStamp) else arrived_ns
