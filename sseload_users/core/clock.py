"""The one clock that sends and arrivals are stamped with.

Wall time in nanoseconds since the Unix epoch: the clock of the kernel's receive
timestamps (``SO_TIMESTAMPNS`` reports ``CLOCK_REALTIME``) and the only one that two
processes, or two machines, can share. Intervals that never leave the process use
``time.monotonic`` instead.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import psutil

_offset_ns = 0
_drift = 0.0
_since_ns = 0


def wall_ns() -> int:
    """The time now, in nanoseconds since the Unix epoch."""
    return from_kernel(time.time_ns())


def from_kernel(stamp_ns: int) -> int:
    """A kernel receive timestamp (``CLOCK_REALTIME``, ns) on this clock."""
    if _drift:
        return stamp_ns + _offset_ns + round((stamp_ns - _since_ns) * _drift)
    return stamp_ns + _offset_ns


def set_wrong(offset_ns: int, drift_ppm: float = 0.0) -> None:
    """Put this process's clock wrong, as that of a machine would be that nobody sets.

    Args:
        offset_ns: how much it is ahead, now.
        drift_ppm: by how many millionths it runs too fast.
    """
    global _offset_ns, _drift, _since_ns
    _offset_ns, _drift, _since_ns = offset_ns, drift_ppm / 1e6, time.time_ns()


def identity() -> str:
    """What processes have in common whose clocks are the same: their host.

    On Linux, containers and network namespaces of one host share it, as they share the
    clock. A clock that was put wrong is like no other.
    """
    if _offset_ns or _drift:
        return uuid.uuid4().hex
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}-{psutil.boot_time():.0f}"


class ClockStepDetector:
    """Sees that somebody sets the wall clock, by the monotonic one, which nobody can set.

    A clock that is steered, as NTP does as long as it can, is not seen: that drift is
    within what `clocks` allows for.
    """

    def __init__(self) -> None:
        self._ahead_ns = _ahead_of_monotonic()

    def step_ns(self) -> int:
        """By how much it was set since this was last asked; 0 if it was not."""
        before, self._ahead_ns = self._ahead_ns, _ahead_of_monotonic()
        step_ns = self._ahead_ns - before
        return step_ns if abs(step_ns) >= SET_NS else 0


#: The smallest step that is told from steering: 500 millionths (RFC 5905 §A.5.5.6) over the
#: quarter of a second between two looks are forty times less.
SET_NS = 5_000_000


def _ahead_of_monotonic() -> int:
    """How far the wall clock is ahead of the monotonic one, which began anywhere."""
    looks = []
    # One that something came between says little.
    for _ in range(3):
        before, wall, after = time.monotonic_ns(), wall_ns(), time.monotonic_ns()
        looks.append((after - before, wall - (before + after) // 2))
    return min(looks)[1]
