"""When the last segments of a TCP connection came and went, to the kernel's tick.

A socket's timestamps come with its bytes. The end of a stream has none, and neither have bytes
that another library reads; the kernel's statistics of the connection (tcp(7), ``TCP_INFO``) say
how long ago the last segments came.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from typing import Any

from sseload_users.core.clock import wall_ns

# struct tcp_info's tcpi_last_data_recv and tcpi_last_ack_recv, in ms (linux/tcp.h).
_TCP_INFO = struct.Struct("52xII")
# The same for tcpi_last_data_sent.
_TCP_INFO_SENT = struct.Struct("44xI")
#: The kernel counts in ticks, of 10 ms at most.
_TICK_MS = 10


def latest_arrival_ns(sock: Any) -> int:
    """Return a time by which all that has been received had arrived (wall clock, ns).

    The end of a stream counts: its segment carries an acknowledgement. A reset does not.

    Args:
        sock: a TCP socket. If nothing is known of it, this is the current time.
    """
    return arrival_bounds_ns(sock)[1]


def latest_data_arrival_ns(sock: Any) -> int:
    """Return a time by which all bytes that have been received had arrived (wall clock, ns).

    Acknowledgements do not count, such as those of an answer to these bytes.

    Args:
        sock: a TCP socket. If nothing is known of it, this is the current time.
    """
    now_ns = wall_ns()
    return min(earliest_arrival_ns(sock) + 2 * _TICK_MS * 1_000_000, now_ns)


def earliest_arrival_ns(sock: Any) -> int:
    """Return a time before which the newest bytes cannot have arrived (wall clock, ns).

    Args:
        sock: a TCP socket. If nothing is known of it, this is the current time.
    """
    return arrival_bounds_ns(sock)[0]


def arrival_bounds_ns(sock: Any) -> tuple[int, int]:
    """Return both `earliest_arrival_ns` and `latest_arrival_ns`."""
    now_ns = wall_ns()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, struct.error):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            data_ms, ack_ms = _TCP_INFO.unpack(info)
            latest_ms = max(min(data_ms, ack_ms) - _TICK_MS, 0)
            return now_ns - (data_ms + _TICK_MS) * 1_000_000, now_ns - latest_ms * 1_000_000
    return now_ns, now_ns


def earliest_send_ns(sock: Any) -> int:
    """Return a time before which the newest bytes cannot have left (wall clock, ns).

    Args:
        sock: a TCP socket. If nothing is known of it, this is 0.
    """
    now_ns = wall_ns()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, struct.error):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SENT.size)
            since_ms: int = _TCP_INFO_SENT.unpack(info)[0]
            return now_ns - (since_ms + _TICK_MS) * 1_000_000
    return 0


def has_input_since(sock: Any, deadline: float) -> bool:
    """Whether there is something to read that may have arrived before a deadline.

    Args:
        sock: a non-blocking TCP socket.
        deadline: on ``time.monotonic``'s clock.
    """
    try:
        sock.recv(1, socket.MSG_PEEK)
    except OSError:
        return False
    late_ns = round((time.monotonic() - deadline) * 1e9)
    return earliest_arrival_ns(sock) <= wall_ns() - late_ns
