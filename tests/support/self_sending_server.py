"""A server that sends by itself, and loses, doubles and reorders what it sends; it has a record."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal

from tests.support.socket_servers import read_until, serving
from tests.support.wire import acceptance_of, frame

#: What becomes of a message for a client: it is sent once, not at all, twice, or after the next.
Fate = Literal["sent", "lost", "doubled", "delayed"]


class SelfSendingServer:
    """A WebSocket server whose messages nobody but itself causes.

    Args:
        clients: number of clients for which it waits before it sends.
        fate: what becomes of a message for a client, by the numbers of both, from 0.
        messages: number of messages.
        interval_s: seconds from one message to the next.
        make: makes a message of its number, from 0, and the time (ns).

    Attributes:
        record: number of pairs of message and client, by their fate.
        done: set once all messages are sent.
    """

    def __init__(
        self,
        clients: int,
        fate: Callable[[int, int], Fate],
        *,
        messages: int,
        interval_s: float,
        make: Callable[[int, int], object],
        pause_s: float = 1.0,
    ) -> None:
        self.record: Counter[Fate] = Counter()
        self.done = threading.Event()
        self._expected = clients
        self._fate = fate
        self._messages = messages
        self._interval_s = interval_s
        self._pause_s = pause_s
        self._make = make
        self._clients: list[socket.socket] = []
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
        connection.sendall(acceptance_of(head))
        with self._lock:
            self._clients.append(connection)
            complete = len(self._clients) == self._expected
        if complete:
            threading.Thread(target=self._send_all, daemon=True).start()
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass

    def _send_all(self) -> None:
        # The observation begins when all are connected.
        time.sleep(self._pause_s)
        held: dict[int, bytes] = {}
        for message in range(self._messages):
            data = frame(0x81, json.dumps(self._make(message, time.time_ns())).encode())
            for number, client in enumerate(self._clients):
                fate = self._fate(message, number)
                self.record[fate] += 1
                parts = {"sent": data, "lost": b"", "doubled": data + data, "delayed": b""}[fate]
                parts += held.pop(number, b"")
                if fate == "delayed":
                    held[number] = data
                with contextlib.suppress(OSError):
                    client.sendall(parts)
            time.sleep(self._interval_s)
        self.done.set()
