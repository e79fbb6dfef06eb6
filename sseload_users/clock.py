"""The one clock that sends and arrivals are stamped with.

Wall time in nanoseconds since the Unix epoch: the clock of the kernel's receive
timestamps (``SO_TIMESTAMPNS`` reports ``CLOCK_REALTIME``) and the only one that two
processes, or two machines, can share. Intervals that never leave the process use
``time.monotonic`` instead.
"""

import time

_offset_ns = 0


def wall_ns() -> int:
    """The time now, in nanoseconds since the Unix epoch."""
    return time.time_ns() + _offset_ns


def from_kernel(stamp_ns: int) -> int:
    """A kernel receive timestamp (``CLOCK_REALTIME``, ns) on this clock."""
    return stamp_ns + _offset_ns


def set_offset(offset_ns: int) -> None:
    """Shift this process's clock, as a machine whose clock is wrong would have it."""
    global _offset_ns  # noqa: PLW0603 - this module is the state's one place
    _offset_ns = offset_ns
