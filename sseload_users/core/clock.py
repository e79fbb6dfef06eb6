"""The wall clock that sends and arrivals are stamped with.

It counts nanoseconds since the Unix epoch, like the kernel's receive timestamps
(``SO_TIMESTAMPNS`` reports ``CLOCK_REALTIME``), and it is the only clock that processes and
machines can share. Intervals within a process use ``time.monotonic`` instead.
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
    """Return the time, in nanoseconds since the Unix epoch."""
    now_ns = time.time_ns()
    return from_kernel(now_ns) if _drift else now_ns + _offset_ns


def from_kernel(stamp_ns: int) -> int:
    """Convert a kernel receive timestamp (``CLOCK_REALTIME``, ns) to this clock."""
    if _drift:
        return stamp_ns + _offset_ns + round((stamp_ns - _since_ns) * _drift)
    return stamp_ns + _offset_ns


def set_offset(offset_ns: int, drift_ppm: float = 0.0) -> None:
    """Make this process's clock wrong, to simulate a machine without time synchronization.

    Args:
        offset_ns: how far it is ahead now, in nanoseconds.
        drift_ppm: how much it runs too fast, in parts per million.
    """
    global _offset_ns, _drift, _since_ns
    _offset_ns, _drift, _since_ns = offset_ns, drift_ppm / 1e6, time.time_ns()


def host_id() -> str:
    """Return an identifier that exactly the processes with the same clock share.

    On Linux, containers and network namespaces of a host share it, as they share the clock. A
    process with a simulated offset or drift has an identifier of its own.
    """
    if _offset_ns or _drift:
        return uuid.uuid4().hex
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}-{psutil.boot_time():.0f}"
