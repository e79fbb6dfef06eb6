"""A chat server: what one client sends goes to all; it records who sent what."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from tests.support.socket_servers import read_until, serving
from tests.support.wire import acceptance_of, frame

#: What the sender of a message gets: the message like all others, a message of another type with
#: it, or nothing.
ECHOES = ("same", "result", "none")


class ChatServer:
    """A WebSocket server that broadcasts what its clients send.

    Args:
        echo: one of `ECHOES`.
        loses: whether a client is not sent a message, by the numbers of client and message.

    Attributes:
        emitted: number of messages by client.
        lost: number of messages that were not sent to a client.
    """

    def __init__(self, echo: str, loses: Callable[[int, int], bool] = lambda *_: False) -> None:
        self.emitted: Counter[int] = Counter()
        self.lost = 0
        self._echo = echo
        self._loses = loses
        self._clients: dict[int, socket.socket] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; return the server's URL."""
        with serving(self._handle) as port:
            yield f"http://127.0.0.1:{port}"

    def _handle(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        head = read_until(connection, b"\r\n\r\n")
        if b"upgrade: websocket" not in head.lower():
            return
        with self._lock:
            connection.sendall(acceptance_of(head))
            number = len(self._clients) + 1
            self._clients[number] = connection
            connection.sendall(frame(0x81, b'{"type":"welcome"}'))
        while (message := _read(connection)) is not None:
            with self._lock:
                self._broadcast(number, json.loads(message)["payload"])

    def _broadcast(self, sender: int, payload: object) -> None:
        self.emitted[sender] += 1
        sequence = self.emitted.total()
        for number, each in self._clients.items():
            kind = "broadcast"
            if number == sender:
                if self._echo == "none":
                    continue
                kind = "broadcast" if self._echo == "same" else "broadcastResult"
            if self._loses(number, sequence):
                self.lost += 1
                continue
            data = json.dumps({"type": kind, "payload": payload}).encode()
            with contextlib.suppress(OSError):
                each.sendall(frame(0x81, data))


def _read(connection: socket.socket) -> bytes | None:
    """Read a client's text message; None at the end."""
    head = connection.recv(2, socket.MSG_WAITALL)
    if len(head) < 2 or head[0] & 0x0F == 8:
        return None
    size = head[1] & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))
    mask = connection.recv(4, socket.MSG_WAITALL)
    body = connection.recv(size, socket.MSG_WAITALL) if size else b""
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
