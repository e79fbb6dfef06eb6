"""Servers that send without end, drip, or answer with bytes that no client should accept."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
from collections.abc import Callable

from tests.support.socket_servers import read_until
from tests.support.wire import accept_websocket, frame

#: Seconds that no operation against these servers may take.
TIME_LIMIT_S = 8.0

OK = b"HTTP/1.1 200 OK\r\n"
#: The beginning of 200 MiB of zeros, compressed.
GZIP_BOMB = gzip.compress(bytes(200 << 20), 1)[: 1 << 19]

#: WebSocket frames that violate RFC 6455, and the cause with which a client closes.
INVALID_FRAMES = {
    "reserved bits": (frame(0xC1, b"\x4a\x4c"), "protocol error: reserved bits"),
    "unknown opcode": (frame(0x83, b""), "protocol error: unknown opcode"),
    "continuation without a beginning": (
        frame(0x00, b"x"),
        "protocol error: bad fragment order",
    ),
    "oversized ping": (frame(0x89, b"x" * 200), "protocol error: oversized control frame"),
    "masked frame": (frame(0x81, b"LT-1", mask=b"abcd"), "protocol error: masked frame"),
    "length in a longer form": (
        frame(0x81, b"LT-1", form=126),
        "protocol error: length not minimal",
    ),
}


def send_without_end(connection: socket.socket, data: bytes, *, interval_s: float = 0.0) -> None:
    """Send the same bytes again and again, until the client closes the connection.

    Args:
        connection: to the client.
        data: the bytes.
        interval_s: the pause after each copy; 0 sends at full speed.
    """
    deadline = time.monotonic() + TIME_LIMIT_S
    block = data if interval_s else data * max(1, 65536 // len(data))
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            connection.sendall(block)
            time.sleep(interval_s)


def http_server(
    *parts: bytes, endless: bytes = b"", interval_s: float = 0.0
) -> Callable[[socket.socket], None]:
    """Return a handler that answers any request with the same bytes.

    Args:
        *parts: sent once.
        endless: sent without end after them; without it the server closes its side.
        interval_s: see `send_without_end`.
    """

    def handle(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"".join(parts))
        if endless:
            send_without_end(connection, endless, interval_s=interval_s)
        else:
            # Closing a connection with unread data resets it.
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.2)
            read_until(connection, b"never")

    return handle


def websocket_server(*parts: bytes, endless: bytes = b"") -> Callable[[socket.socket], None]:
    """Return a handler that accepts a WebSocket handshake and sends the same bytes.

    Args:
        *parts: sent once.
        endless: sent without end after them.
    """

    def handle(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + b"".join(parts))
        if endless:
            send_without_end(connection, endless)
        else:
            read_until(connection, b"never")

    return handle
