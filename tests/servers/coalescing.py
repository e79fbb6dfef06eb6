"""A server that collects codes and pushes those of a tick in one message; it keeps a record.

Codes come in by HTTP (``POST /in``, the body is the code) and go out over WebSocket (``/ws``),
Socket.IO (``/socket.io/``) and event streams (``/events``). It knows nothing of sseload.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.servers.broadcast import Peer
from tests.support.deflating import ContentEncoder
from tests.support.socket_servers import read_until, serving

#: Seconds between two messages.
_TICK_S = 0.1


@dataclass
class Client:
    """One connection that listens.

    Attributes:
        write: sends it a message.
        codes: the codes that were sent to it, in their order.
        batches: number of messages that were sent to it.
        answers: what it has sent.
    """

    write: Callable[[str], object]
    codes: list[str] = field(default_factory=list)
    batches: int = 0
    answers: list[str] = field(default_factory=list)


class CoalescingServer:
    """The server.

    Args:
        render: returns the message with these codes.
        choose: returns the codes for a client, by its number, of those of a tick.
        flush_every: compress event streams with gzip, and flush behind so many messages; 0 to
            send them as they are.

    Attributes:
        codes: the codes that came in, in their order.
        clients: those that listened.
    """

    def __init__(
        self,
        render: Callable[[Sequence[str]], str],
        choose: Callable[[int, list[str]], list[str]] = lambda _, codes: codes,
        *,
        flush_every: int = 0,
    ) -> None:
        self.codes: list[str] = []
        self.clients: list[Client] = []
        self.port = 0
        self._render = render
        self._choose = choose
        self._flush_every = flush_every
        self._pending: list[str] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve; yield the URL."""
        stop = threading.Event()

        def tick() -> None:
            while not stop.wait(_TICK_S):
                self._flush()

        ticker = threading.Thread(target=tick, daemon=True)
        with serving(self._handle) as self.port:
            ticker.start()
            try:
                yield f"http://127.0.0.1:{self.port}"
            finally:
                stop.set()
                ticker.join()

    def _flush(self) -> None:
        with self._lock:
            codes, self._pending = self._pending, []
            clients = list(self.clients)
        if not codes:
            return
        for number, client in enumerate(clients):
            chosen = self._choose(number, list(codes))
            if chosen:
                client.codes += chosen
                client.batches += 1
                client.write(self._render(chosen))

    def _handle(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while head := read_until(sock, b"\r\n\r\n"):
            request, *lines = head.decode().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (e.partition(":") for e in lines)
            }
            method, path = request.split()[:2]
            if method == "POST":
                self._take(sock, int(headers.get("content-length", 0)))
            elif "sec-websocket-key" in headers:
                sock.settimeout(None)
                sock.sendall(Peer.accepting(headers["sec-websocket-key"]))
                self._serve(Peer(sock), socketio=path.startswith("/socket.io/"))
                return
            elif path == "/events":
                self._stream(sock)
                return
            else:
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def _take(self, sock: socket.socket, length: int) -> None:
        body = b""
        while len(body) < length:
            body += sock.recv(length - len(body))
        with self._lock:
            self.codes.append(body.decode())
            self._pending.append(body.decode())
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def _serve(self, peer: Peer, *, socketio: bool) -> None:
        client = Client(peer.send)
        if socketio:
            peer.send('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":25000}')
        else:
            self._join(client)
        for text in peer.messages():
            if socketio and text == "40":
                peer.send('40{"sid":"s"}')
                self._join(client)
            else:
                client.answers.append(text)

    def _stream(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
            + (b"Content-Encoding: gzip\r\n\r\n" if self._flush_every else b"\r\n")
        )
        encoder, client = ContentEncoder("gzip"), Client(print)

        def write(text: str) -> None:
            event = "".join(f"data: {line}\n" for line in text.split("\n")).encode() + b"\n"
            if self._flush_every:
                event = encoder.encode(event, flush=client.batches % self._flush_every == 0)
            with contextlib.suppress(OSError):
                sock.sendall(event)

        client.write = write
        self._join(client)
        while sock.recv(1000):
            pass

    def _join(self, client: Client) -> None:
        with self._lock:
            self.clients.append(client)
