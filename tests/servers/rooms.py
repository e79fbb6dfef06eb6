"""A WebSocket server with rooms that leaks a known number of codes to other rooms.

Listen at ``/listen?room=ROOM``, publish with ``POST /publish?room=ROOM``. It writes down how many
copies went to clients of other rooms.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

from tests.servers.broadcast import Peer
from tests.support.socket_servers import serving

#: Says which further rooms get a code, by its sequence number and its room.
Leaking = Callable[[int, str], list[str]]


class Rooms:
    """The server.

    Args:
        leaking: which further rooms get a code.

    Attributes:
        leaked: copies that went to clients of other rooms than the code's.
        url: where it listens.
    """

    def __init__(self, leaking: Leaking) -> None:
        self.leaked = 0
        self.url = ""
        self._leaking = leaking
        self._rooms: dict[str, list[Peer]] = defaultdict(list)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def running(self) -> Iterator[Rooms]:
        """Serve until the context ends."""
        with serving(self._handle) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self

    def _handle(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while head := stream.readline().decode():
            url = urlsplit(head.split()[1])
            fields = dict(
                line.decode().strip().split(": ", 1) for line in iter(stream.readline, b"\r\n")
            )
            headers = {name.lower(): value for name, value in fields.items()}
            room = parse_qs(url.query)["room"][0]
            if url.path == "/listen":
                self._listen(connection, headers["sec-websocket-key"], room)
                return
            self._publish(stream.read(int(headers["content-length"])).decode(), room)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def _listen(self, connection: socket.socket, key: str, room: str) -> None:
        peer = Peer(connection)
        with self._lock:
            self._rooms[room].append(peer)
            connection.sendall(Peer.accepting(key))
        # It says nothing but goodbye.
        for _ in peer.messages():
            pass
        with self._lock:
            self._rooms[room].remove(peer)

    def _publish(self, code: str, room: str) -> None:
        with self._lock:
            number = int(code.split("-")[2])
            for each in self._rooms[room]:
                each.send(code)
            for other in self._leaking(number, room):
                self.leaked += len(self._rooms[other])
                for each in self._rooms[other]:
                    each.send(code)
