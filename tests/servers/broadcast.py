"""A minimal server that broadcasts codes; the tests set its faults.

Codes come in over Socket.IO (namespace ``/ws/ingest``, with a token) or a plain WebSocket
(``/publish``), and go out over Socket.IO (namespace ``/events``), plain WebSockets (``/listen``)
and event streams (``/stream``). It is written from the protocols, and knows nothing of sseload.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.support.socket_servers import serving

TOKEN = "ingest-secret-token"
KNOWN = ("loadtest", "alice")
INGEST, EVENTS = "/ws/ingest", "/events"


@dataclass
class Code:
    """A submitted code.

    Attributes:
        text: the code.
        ns: when it was read (wall clock, ns).
        count: how many came before it, and this one.
        peer: the connection that it came by.
        number: by which it is to be acknowledged; empty where it is not.
    """

    text: str
    ns: int
    count: int
    peer: Peer
    number: str = ""


@dataclass
class Peer:
    """A WebSocket connection."""

    sock: socket.socket
    lock: threading.Lock = field(default_factory=threading.Lock)

    @staticmethod
    def accepting(key: str) -> bytes:
        """The answer to a handshake with that key."""
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    def send(self, text: str) -> None:
        """Send a text message; who has gone away gets nothing."""
        data = text.encode()
        size = len(data)
        head = bytes([0x81, size]) if size < 126 else b"\x81\x7e" + struct.pack("!H", size)
        with self.lock, contextlib.suppress(OSError):
            self.sock.sendall(head + data)

    def close(self, code: int = 1011) -> None:
        """Say goodbye, and hang up."""
        with self.lock, contextlib.suppress(OSError):
            self.sock.sendall(b"\x88\x02" + struct.pack("!H", code))
            self.sock.shutdown(socket.SHUT_RDWR)

    def messages(self) -> Iterator[str]:
        """The text messages that come, until the connection ends."""
        stream = self.sock.makefile("rb")
        while head := stream.read(2):
            size = head[1] & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", stream.read(2))
            mask = stream.read(4)
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(stream.read(size)))
            if head[0] & 0x0F == 8:
                return
            if head[0] & 0x0F == 1:
                yield data.decode()


class Server:
    """The server.

    Args:
        on_code: what becomes of a code; by default `take`.

    Attributes:
        codes: those that came in, in their order.
        sessions: how many connections joined the ingest.
        paths: the paths that were asked for.
    """

    def __init__(self, on_code: Callable[[Server, Code], None] | None = None) -> None:
        self.codes: list[Code] = []
        self.sessions = 0
        self.paths: list[str] = []
        self.pongs = 0
        self.port = 0
        self.ping_every = 25.0
        self._on_code = on_code or Server.take
        self._listeners: list[Callable[[str], None]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        """Serve, as long as that is wanted."""
        with serving(self._handle) as self.port:
            yield self

    # Outcomes of a code

    def broadcast(self, code: Code) -> None:
        """Send a code to all who listen."""
        for each in list(self._listeners):
            each(code.text)

    def take(self, code: Code) -> None:
        """Broadcast a code, then say that it was taken."""
        self.broadcast(code)
        self.acknowledge(code)

    def acknowledge(self, code: Code, *arguments: object) -> None:
        """Say that a code was handled."""
        if code.number:
            code.peer.send(f"43{INGEST},{code.number}{json.dumps(arguments)}")
        else:
            code.peer.send(json.dumps({"type": "stored", "code": code.text}))

    def complain(self, code: Code, words: str, **more: object) -> None:
        """Say that a code is refused, without saying which."""
        said = {"message": words, **more}
        if code.number or code.peer in self._socketio:
            code.peer.send(f"42{INGEST},{json.dumps(['error', said])}")
        else:
            code.peer.send(json.dumps({"type": "error", **said}))

    # Connections

    _socketio: tuple[Peer, ...] = ()

    def _handle(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = sock.recv(1)
            if not byte:
                return
            head += byte
        sock.settimeout(None)
        request, *lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        url = urlsplit(request.split()[1])
        self.paths.append(url.path)
        if url.path == "/health":
            _answer(sock, '{"status":"healthy"}')
        elif url.path == "/stream":
            self._stream(sock)
        elif "sec-websocket-key" in headers:
            sock.sendall(Peer.accepting(headers["sec-websocket-key"]))
            peer = Peer(sock)
            names = parse_qs(url.query).get("username", [""])
            match url.path:
                case "/socket.io/":
                    self._socketio += (peer,)
                    self._engine(peer, names[0])
                case "/publish":
                    self.sessions += 1
                    for text in peer.messages():
                        self._plain(peer, text)
                case "/listen":
                    self._listeners.append(lambda text: peer.send(json.dumps({"code": text})))
                    peer.send('{"type":"connected"}')
                    for text in peer.messages():
                        self._plain(peer, text)

    def _stream(self, sock: socket.socket) -> None:
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            b'data: {"type":"connected"}\n\n'
        )

        def write(text: str) -> None:
            with contextlib.suppress(OSError):
                sock.sendall(f"data: {json.dumps({'code': text})}\n\n".encode())

        self._listeners.append(write)
        while sock.recv(1000):
            pass

    def _plain(self, peer: Peer, text: str) -> None:
        said = json.loads(text)
        if "code" in said:
            self._came(said["code"], peer)
        elif said == {"type": "pong"}:
            self.pongs += 1

    def _engine(self, peer: Peer, username: str) -> None:
        ping = round(self.ping_every * 1000)
        opening = {"sid": "s", "upgrades": [], "pingInterval": ping, "pingTimeout": ping}
        peer.send(f"0{json.dumps(opening)}")
        stop = threading.Event()

        def keep_asking() -> None:
            while not stop.wait(self.ping_every):
                peer.send("2")

        threading.Thread(target=keep_asking, daemon=True).start()
        try:
            for text in peer.messages():
                self._packet(peer, username, text)
        finally:
            stop.set()

    def _packet(self, peer: Peer, username: str, text: str) -> None:
        if text == "3":
            self.pongs += 1
        elif text.startswith("40"):
            self._join(peer, username, text[2:].rstrip(","))
        elif text.startswith(f"42{INGEST},"):
            number, bracket, rest = text.removeprefix(f"42{INGEST},").partition("[")
            event, said = json.loads(bracket + rest)
            assert event == "code"
            code = Code(said["code"], time.time_ns(), len(self.codes) + 1, peer, number)
            if said.get("token") != TOKEN:
                words = "Invalid ingest token" if said.get("token") else "Ingest token is required"
                self.complain(code, words)
                self.acknowledge(code)
                return
            self._came(code.text, peer, number)

    def _join(self, peer: Peer, username: str, namespace: str) -> None:
        if username not in KNOWN:
            said = {"message": "Unauthorized or unknown username"}
            peer.send(f"42{namespace},{json.dumps(['error', said])}")
            peer.send(f"41{namespace},")
            peer.send(f'44{namespace},{{"message":"Connection rejected by server"}}')
            return
        peer.send(f'42{namespace},["connected",{{"message":"Connected"}}]')
        peer.send(f'40{namespace},{{"sid":"s"}}')
        if namespace == INGEST:
            self.sessions += 1
        else:
            self._listeners.append(
                lambda text: peer.send(f"42{EVENTS},{json.dumps(['new_code', {'code': text}])}")
            )

    def _came(self, text: str, peer: Peer, number: str = "") -> None:
        code = Code(text, time.time_ns(), len(self.codes) + 1, peer, number)
        self.codes.append(code)
        self._on_code(self, code)


def _answer(sock: socket.socket, body: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    sock.sendall(f"{head}{body}".encode())
