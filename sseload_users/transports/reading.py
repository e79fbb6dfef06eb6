"""One read of one connection: its bytes, when they arrived, and how it can end."""

from __future__ import annotations

import _socket
import logging
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from sseload_users.core.clock import from_kernel
from sseload_users.transports.lag import LagRecorder

_logger = logging.getLogger(__name__)

#: Most bytes that one read takes. A buffer of this size is allocated for each read and
#: shrunk to what arrived, which costs less than a second read for a burst.
READ_BYTES = 16384
#: Room for one ``SCM_TIMESTAMPNS``: a control message header and a ``struct timespec``.
ANCILLARY_BYTES = 32
#: Unpack a ``struct timespec``: seconds and nanoseconds.
unpack_timespec: Callable[[bytes], tuple[Any, ...]] = struct.Struct("@ll").unpack

#: Called in the hub with the bytes of one read, when the newest of them arrived, and when the
#: socket's buffer was last known to be empty (both wall clock, ns; the latter None if it is
#: not known): all bytes arrived between the two. It must neither block nor raise.
OnBytes: TypeAlias = Callable[[bytes, int, int | None], None]
#: Called in the hub once there will be no more bytes: with None at the end of the stream, or
#: with the error.
OnEnd: TypeAlias = Callable[[Exception | None], None]


class Readable(Protocol):
    """A connection, as a reader sees it.

    Attributes:
        sock: non-blocking.
        backlog: bytes that wait to be written.
        empty_ns: when it was last seen that there was nothing to read, before it was handed
            to a reader (the kernel's clock, ns).
        on_bytes: gets the bytes of each read.
        on_end: gets the end.
    """

    sock: _socket.socket
    backlog: bytes
    empty_ns: int
    on_bytes: OnBytes
    on_end: OnEnd

    def fileno(self) -> int:
        """Return the file descriptor."""

    def flush_backlog(self) -> None:
        """Write what waits, as far as there is room; never raises."""


class Reader(Protocol):
    """Watches connections in the hub and hands their bytes to them."""

    lag: LagRecorder

    def add(self, connection: Readable) -> None:
        """Start to read a connection, and to write its backlog."""

    def remove(self, connection: Readable) -> None:
        """Stop watching a connection; does nothing if it is not watched."""

    def want_write(self, connection: Readable) -> None:
        """Watch for room to write if, and only if, the connection has a backlog."""


def receive(sock: Any, lag: LagRecorder | None, size: int = READ_BYTES) -> tuple[bytes, int]:
    """Read once; return the bytes and when the newest of them arrived (wall clock, ns).

    Args:
        sock: a non-blocking socket.
        lag: records the generator's lag; None where a late read is intended.
        size: most bytes.

    Raises:
        BlockingIOError: there is nothing to read.
        OSError: the connection is broken.
    """
    if not hasattr(sock, "recvmsg"):  # Windows
        return sock.recv(size), from_kernel(time.time_ns())
    data, ancillary, _, _ = sock.recvmsg(size, ANCILLARY_BYTES)
    stamp = time.time_ns()
    if ancillary:
        seconds, nanoseconds = unpack_timespec(ancillary[0][2])
        arrived = seconds * 1_000_000_000 + nanoseconds
        if lag is not None:
            lag.add(stamp - arrived)
        stamp = arrived
    return data, from_kernel(stamp)


def read_once(
    reader: Reader, connection: Readable, lag: LagRecorder | None, size: int = READ_BYTES
) -> None:
    """Read a connection once and hand over what was there; never raises.

    Args:
        reader: watches the connection.
        connection: is read.
        lag: records the generator's lag; None where a late read is intended.
        size: most bytes.
    """
    try:
        data, stamp = receive(connection.sock, lag, size)
    except BlockingIOError:
        return
    except OSError as error:
        end_watch(reader, connection, error)
        return
    if not data:
        end_watch(reader, connection, None)
        return
    try:
        connection.on_bytes(data, stamp, None)
    except Exception as error:  # noqa: BLE001 - nothing may reach the hub
        end_watch(reader, connection, error)


def end_watch(reader: Reader, connection: Readable, error: Exception | None) -> None:
    """Stop reading a connection and report why; never raises."""
    try:
        reader.remove(connection)
        connection.on_end(error)
    except Exception:
        _logger.exception("the end of a connection could not be handled")
