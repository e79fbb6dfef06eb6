"""A server of event streams in this process, whose answers a test scripts."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator

from tests.support.socket_servers import read_until, serving
from tests.support.wire import chunk

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CONNECTED = chunk(b'data: {"type":"connected"}\n\n')
END = b"0\r\n\r\n"

#: Called with a user and the number of its request, from 1: returns the response to a request
#: for an event stream that opens none, empty to close without one; None opens a stream.
Refuse = Callable[[str, int], bytes | None]


def status(line: str, *headers: str) -> bytes:
    """Return a response without a body."""
    return "\r\n".join([f"HTTP/1.1 {line}", *headers, "Content-Length: 0", "", ""]).encode()


class StreamServer:
    """A server for the profile `sse`.

    Args:
        refuse: see `Refuse`.
        end_after: number of codes after which each stream ends; None for never.
        moved: whether all resources have moved, so that requests for them are redirected.

    Attributes:
        requests: the heads of requests for event streams, by user.
        codes: the codes that were accepted.
        delivered: how many events with codes were written.
    """

    def __init__(
        self, refuse: Refuse, *, end_after: int | None = None, moved: bool = False
    ) -> None:
        self._moved = moved
        self.requests: dict[str, list[bytes]] = defaultdict(list)
        self.codes: list[str] = []
        self.delivered = 0
        self._refuse = refuse
        self._end_after = end_after
        self._streams: dict[socket.socket, int] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; return the server's URL."""
        with serving(self._handle) as port:
            yield f"http://127.0.0.1:{port}"

    def _handle(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        while head := read_until(connection, b"\r\n\r\n"):
            if self._moved:
                method, path, rest = head.split(b" ", 2)
                if not path.startswith(b"/new/"):
                    size = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                    connection.recv(int(size or 0), socket.MSG_WAITALL)
                    connection.sendall(status("308 Moved", f"Location: /new{path.decode()}"))
                    continue
                head = b" ".join((method, path.removeprefix(b"/new"), rest))
            if head.startswith(b"GET /stream?username="):
                self._stream(head, connection)
                return
            if head.startswith(b"POST /api/ingest "):
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                self._broadcast(json.loads(connection.recv(length, socket.MSG_WAITALL))["code"])
            connection.sendall(status("200 OK"))

    def _stream(self, head: bytes, connection: socket.socket) -> None:
        user = head.split(b"=", 1)[1].split(b" ")[0].decode()
        with self._lock:
            self.requests[user].append(head)
            refusal = self._refuse(user, len(self.requests[user]))
            connection.sendall(STREAM + CONNECTED if refusal is None else refusal)
            if refusal is None:
                self._streams[connection] = 0
        if refusal == b"":
            return
        with contextlib.suppress(OSError):
            connection.recv(1)  # until the client or this side ends it
        with self._lock:
            self._streams.pop(connection, None)

    def _broadcast(self, code: str) -> None:
        event = f'id: {code}\ndata: {{"code":"{code}"}}\n\n'.encode()
        with self._lock:
            self.codes.append(code)
            for each in list(self._streams):
                self._streams[each] += 1
                last = self._streams[each] == self._end_after
                with contextlib.suppress(OSError):
                    each.sendall(chunk(event) + (END if last else b""))
                    self.delivered += 1
                if last:
                    del self._streams[each]
                    with contextlib.suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
