"""An Engine.IO server whose long polling and WebSockets a test scripts."""

from __future__ import annotations

import contextlib
import gzip
import json
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator

import gevent

from tests.support.socket_servers import read_until, serving
from tests.support.wire import acceptance_of

SEPARATOR = "\x1e"
UNKNOWN = b'{"code":1,"message":"Session ID unknown"}'
#: Gets a WebSocket after its handshake, and the server.
OnWebSocket = Callable[[socket.socket, "PollingServer"], object]


class PollingServer:
    """A server of one session, which joins every namespace that is asked for.

    Args:
        on_websocket: gets each WebSocket; None to refuse it.
        upgrades: what the open packet offers.
        cookies: values of Set-Cookie with the first answer.
        keeps: whether connections are kept alive.
        compress: whether answers are compressed if the client accepts that.

    Attributes:
        answers: payloads for the next polls, or statuses to refuse them with.
        heads: the heads of all requests, without the line ends.
        posted: the packets that were posted.
        most_polls: the most polls that were held at once.
        coding: the Content-Encoding of answers that are not compressed; empty for none.
    """

    def __init__(
        self,
        on_websocket: OnWebSocket | None = None,
        *,
        upgrades: tuple[str, ...] = ("websocket",),
        cookies: tuple[str, ...] = (),
        keeps: bool = True,
        compress: bool = False,
    ) -> None:
        self.answers: queue.Queue[str | bytes | int] = queue.Queue()
        self.heads: list[str] = []
        self.posted: list[str] = []
        self.coding = ""
        self.most_polls = 0
        self._polls = self._open = 0
        self._on_websocket = on_websocket
        self._upgrades = upgrades
        self._cookies = cookies
        self._keeps = keeps
        self._compress = compress
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; return the URL without Engine.IO's parameters."""
        with serving(self._handle) as port:
            try:
                yield f"ws://127.0.0.1:{port}/socket.io/"
            finally:
                self.answers.put("6")
                # The clients' goodbyes need the hub.
                for _ in range(200):
                    if self._open:
                        gevent.sleep(0.01)

    def say(self, *packets: str) -> None:
        """Answer the next poll with packets."""
        self.answers.put(SEPARATOR.join(packets))

    def opening(self) -> str:
        """Return the open packet."""
        opening = {"sid": "s1", "upgrades": self._upgrades, "pingInterval": 25000}
        return f"0{json.dumps({**opening, 'pingTimeout': 20000, 'maxPayload': 1000000})}"

    def _handle(self, connection: socket.socket) -> None:
        with self._lock:
            self._open += 1
        try:
            self._serve(connection)
        finally:
            with self._lock:
                self._open -= 1

    def _serve(self, connection: socket.socket) -> None:
        while head := read_until(connection, b"\r\n\r\n").decode():
            self.heads.append(head.strip())
            if "transport=websocket" in head:
                self._upgrade(connection, head)
                return
            if head.startswith("POST"):
                length = int(re.findall(r"(?i)content-length: (\d+)", head)[0])
                body = connection.recv(length, socket.MSG_WAITALL).decode()
                self._answer(connection, 200, b"ok")
                self._take(body)
            elif "sid=" not in head:
                self._answer(connection, 200, self.opening().encode(), *self._cookies)
            else:
                self._poll(connection)
            if not self._keeps:
                return

    def _poll(self, connection: socket.socket) -> None:
        with self._lock:
            self._polls += 1
            self.most_polls = max(self.most_polls, self._polls)
        answer = self.answers.get(timeout=8)
        with self._lock:
            self._polls -= 1
        if isinstance(answer, int):
            self._answer(connection, answer, UNKNOWN)
        else:
            self._answer(connection, 200, answer.encode() if isinstance(answer, str) else answer)

    def _take(self, body: str) -> None:
        for packet in body.split(SEPARATOR):
            self.posted.append(packet)
            if packet.startswith("40"):
                self.say(f'{packet.partition("{")[0]}{{"sid":"y"}}')
            elif packet == "1":
                self.say("6")

    def _upgrade(self, connection: socket.socket, head: str) -> None:
        if self._on_websocket is None:
            self._answer(connection, 400, UNKNOWN)
            return
        connection.sendall(acceptance_of(head.encode()))
        self._on_websocket(connection, self)

    def _answer(self, connection: socket.socket, status: int, body: bytes, *cookies: str) -> None:
        compresses = self._compress and "gzip" in self.heads[-1]
        if compresses:
            body = gzip.compress(body)
        lines = [f"HTTP/1.1 {status} Hm", f"Content-Length: {len(body)}"]
        coding = "gzip" if compresses else self.coding
        lines += [f"Content-Encoding: {coding}"] * bool(coding)
        lines += [f"Set-Cookie: {each}" for each in cookies]
        if not self._keeps:
            lines.append("Connection: close")
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
