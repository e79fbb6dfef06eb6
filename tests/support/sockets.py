"""Connected sockets and what they hand over."""

from __future__ import annotations

import socket
import threading
import time

import gevent.event
import pytest

from sseload_users.transports.network import Network
from sseload_users.transports.stamped_socket import StampedSocket
from tests.support.socket_servers import CERTIFICATES, Handler

CA = str(CERTIFICATES / "ca.pem")
MS = 1_000_000

kernel_stamps = pytest.mark.skipif(
    Network().timestamps != "kernel", reason="this kernel does not stamp what TCP receives"
)


def open_to(shared: Network, port: int, scheme: str = "ws") -> StampedSocket:
    """Connect to a local server."""
    return shared.open(f"{scheme}://localhost:{port}/path", time.monotonic() + 5)


class Watched:
    """Everything that a watched connection hands over, and its end."""

    def __init__(self, connection: StampedSocket) -> None:
        self.reads: list[tuple[bytes, int]] = []
        self.ended: gevent.event.AsyncResult[Exception | None] = gevent.event.AsyncResult()
        connection.watch(self.on_bytes, self.ended.set)

    def on_bytes(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        self.reads.append((data, arrived_ns))

    @property
    def data(self) -> bytes:
        return b"".join(data for data, _ in self.reads)


def sends_when(go: threading.Event, data: bytes) -> Handler:
    """A server that sends once the event is set."""

    def server(connection: socket.socket) -> None:
        go.wait(5)
        connection.sendall(data)

    return server
