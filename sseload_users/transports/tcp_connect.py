"""TCP connections whose received bytes carry the kernel's timestamps."""

from __future__ import annotations

import _socket
import contextlib
import errno
import functools
import os
import socket
import struct
import sys
import time
from typing import Any

import gevent.monkey

from sseload_users.core.clock import wall_ns
from sseload_users.transports.reading import ANCILLARY_BYTES
from sseload_users.transports.waiting import wait_writable

# Linux's numbers (asm-generic/socket.h, linux/in.h): the socket module lacks some of them.
_SO_TIMESTAMPNS = 35
_IP_BIND_ADDRESS_NO_PORT = 24
# struct tcp_info's tcpi_state, tcpi_rtt (µs) and tcpi_total_retrans (linux/tcp.h).
_TCP_INFO = struct.Struct("B67xI28xI")
#: The state of an open connection (``TCP_ESTABLISHED``, linux/tcp.h).
_ESTABLISHED = 1

#: Makes a new socket non-blocking; 0 on systems that have no such flag.
_NONBLOCK: int = getattr(socket, "SOCK_NONBLOCK", 0)

# The options that websocket-client sets: no delay for small frames, and a peer that vanishes
# silently is noticed within a minute.
_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
]
for _name, _value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
    if hasattr(socket, _name):
        _OPTIONS.append((socket.IPPROTO_TCP, getattr(socket, _name), _value))


def connect_tcp(
    family: int, address: Any, source: str | None, deadline: float, receive_buffer: int | None
) -> tuple[_socket.socket, int, int]:
    """Open a non-blocking TCP connection, with receive timestamps where the system has them.

    Args:
        family: ``AF_INET`` or ``AF_INET6``.
        address: the server's socket address.
        source: local address to connect from; None leaves the choice to the system.
        deadline: when to give up, on ``time.monotonic``'s clock.
        receive_buffer: size of the receive buffer in bytes; None leaves it to the kernel.

    Returns:
        The socket; when its SYN was sent, and when it was connected (wall clock, ns).

    Raises:
        TimeoutError: the deadline has passed.
        OSError: the connection was refused, or could not be made.
    """
    # The C class: smaller than its Python subclass, and not wrapped by gevent.
    sock = _socket.socket(family, socket.SOCK_STREAM | _NONBLOCK)
    try:
        if not _NONBLOCK:
            sock.setblocking(False)
        for option in _OPTIONS:
            sock.setsockopt(*option)
        _stamp(sock)
        if receive_buffer is not None:
            # Before connecting, as the handshake negotiates the window.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            _bind(sock, source)
        return sock, *_connect(sock, address, deadline)
    except BaseException:
        sock.close()
        raise


@functools.cache
def stamps_arrivals() -> bool:
    """Whether the kernel stamps received bytes.

    Linux switches stamping on shortly after the first socket enables it, and off with the
    last such socket. So one stays open for as long as the process lives, and even the first
    read of each new connection is stamped.
    """
    if sys.platform != "linux":
        return False
    blocking: type[socket.socket] = gevent.monkey.get_original("socket", "socket")
    try:
        with blocking() as keeper, blocking() as server, blocking() as sender:
            _stamp(keeper)
            _stamp(server)  # accepted sockets inherit it
            server.bind(("127.0.0.1", 0))
            server.listen(1)
            sender.connect(server.getsockname())
            with server.accept()[0] as stamped:
                for _ in range(20):
                    sender.send(b"?")
                    if stamped.recvmsg(1, ANCILLARY_BYTES)[1]:
                        keeper.detach()
                        return True
                    time.sleep(0.001)
    except OSError:
        pass
    return False


def _connect(sock: _socket.socket, address: Any, deadline: float) -> tuple[int, int]:
    started_ns = wall_ns()
    code = sock.connect_ex(address)
    # A connection within this machine is open by now, and a wait costs more than this question.
    state, round_trip_us, retransmitted = _tcp_info(sock)
    if state != _ESTABLISHED:
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY):
            wait_writable(sock.fileno(), deadline)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        _, round_trip_us, retransmitted = _tcp_info(sock)
    now_ns = wall_ns()
    # The only round trip so far is the handshake's. It shows when the server's SYN-ACK
    # arrived, however late this process woke up; not if the SYN was sent twice.
    if round_trip_us is not None and not retransmitted:
        now_ns = min(started_ns + round_trip_us * 1000, now_ns)
    return started_ns, now_ns


def _tcp_info(sock: _socket.socket) -> tuple[int | None, int | None, int]:
    """Return a socket's state, its round-trip time (µs) and how many segments it sent again.

    Returns:
        None for what the system does not tell.
    """
    if sys.platform != "linux":
        return None, None, 0
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    state, round_trip_us, retransmitted = _TCP_INFO.unpack(info)
    return state, round_trip_us, retransmitted


def _bind(sock: _socket.socket, source: str) -> None:
    if sys.platform == "linux":
        # Choose the port once the destination is known. Otherwise each local port could
        # serve one connection in total instead of one per destination.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


def _stamp(sock: _socket.socket) -> None:
    if sys.platform == "linux":
        try:  # noqa: SIM105 - each connect does it
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        except OSError:
            pass
