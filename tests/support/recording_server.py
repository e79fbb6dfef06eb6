"""An HTTP server that gives its answers in turn, and records what each connection requested."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from sseload_users.transports.http_request import HttpRequest
from tests.support.socket_servers import read_until, serving

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 2\r\n\r\n{}"


@dataclass
class RecordingServer:
    """Answers requests; it records the target of each, by connection.

    Attributes:
        answers: the answers to the requests of each connection, in turn; it closes the connection
            after the last one. An empty one closes it without an answer.
        connections: the targets that were requested, by connection.
        heads: the heads of all requests.
    """

    answers: list[bytes] = field(default_factory=lambda: [EMPTY] * 100)
    connections: list[list[str]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def running(self) -> Iterator[RecordingServer]:
        """Serve."""
        with serving(self._handle) as self.port:
            yield self

    def request(self, path: str = "/", method: str = "GET", body: bytes = b"") -> HttpRequest:
        """Return a request to this server."""
        return HttpRequest(method, f"http://127.0.0.1:{self.port}{path}", (), body)

    def _handle(self, connection: socket.socket) -> None:
        with self._lock:
            targets: list[str] = []
            self.connections.append(targets)
        for answer in self.answers:
            head = read_until(connection, b"\r\n\r\n")
            if not head:
                return
            targets.append(head.split()[1].decode())
            self.heads.append(head)
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            for _ in range(int(length[1]) if length else 0):
                connection.recv(1)
            if not answer:
                return
            connection.sendall(answer)
