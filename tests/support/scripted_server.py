"""A code server in this process, whose treatment of connections and codes a test scripts."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

from tests.support.hostile_servers import OK
from tests.support.socket_servers import read_until, serving
from tests.support.wire import acceptance_of, frame

CONNECTED = frame(0x81, b'{"type":"connected"}')

#: Called with a connection's number and the connection, after its WebSocket handshake.
OnListener = Callable[[int, socket.socket], object]
#: Called with a request's number, its code and its connection.
OnCode = Callable[[int, str, socket.socket], object]


class ScriptedServer:
    """A server for the profile `websocket` that always passes its health check.

    Args:
        on_listener: gets each WebSocket, which is closed when it returns.
            None: subscribe the listener and keep the connection open.
        on_code: gets each code, and answers the request.

    Attributes:
        listeners: the subscribed connections.
        heads: the heads of all requests.
    """

    def __init__(self, on_listener: OnListener | None, on_code: OnCode) -> None:
        self.listeners: list[socket.socket] = []
        self.heads: list[bytes] = []
        self._on_listener = on_listener
        self._on_code = on_code
        self._lock = threading.Lock()
        self._connections = self._codes = 0

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; return the server's URL."""
        with serving(self._handle) as port:
            yield f"http://127.0.0.1:{port}"

    def _handle(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        while head := read_until(connection, b"\r\n\r\n"):
            self.heads.append(head)
            if head.startswith(b"GET /ws"):
                with self._lock:
                    self._connections += 1
                    number = self._connections
                connection.sendall(acceptance_of(head))
                (self._on_listener or self.keep)(number, connection)
                return
            if head.startswith(b"POST"):
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                body = connection.recv(length, socket.MSG_WAITALL)
                with self._lock:
                    self._codes += 1
                    number = self._codes
                self._on_code(number, json.loads(body)["code"], connection)
            else:
                accept(connection)

    def keep(self, _: int, connection: socket.socket) -> None:
        """Subscribe a listener, and keep its connection until it closes it."""
        connection.sendall(CONNECTED)
        self.listeners.append(connection)
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass

    def broadcast(self, data: bytes) -> None:
        """Send bytes to all listeners."""
        for each in self.listeners:
            with contextlib.suppress(OSError):
                each.sendall(data)


def code_frame(code: str, **fields: str) -> bytes:
    """Return the WebSocket frame that carries a code and further fields."""
    return frame(0x81, json.dumps({"code": code, **fields}).encode())


def accept(connection: socket.socket) -> None:
    """Answer a request with status 200."""
    connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")
