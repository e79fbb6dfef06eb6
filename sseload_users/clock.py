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
