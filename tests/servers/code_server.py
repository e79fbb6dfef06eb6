"""The code server as it runs today, byte by byte, written from what was seen on its wire.

It has no faults and no options. What a client says that the server was never seen to be told is
kept, so that a test can hold that there is none of it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from tests.servers.broadcast import Peer
from tests.support.socket_servers import read_until, serving

USER = "loadtest"
ORIGIN = "https://codes.example"
INGEST_TOKEN = "the-shared-token"
#: How often the page is had in a minute.
PAGES = 25
#: How long a code is not to be repeated.
REPEAT_SECONDS = 5.0

_NOT_FOUND = (
    "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>The "
    "requested URL was not found on the server. If you entered the URL manually please check "
    "your spelling and try again.</p>\n"
)
_TOO_MANY = (
    "<!doctype html>\n<html lang=en>\n<title>429 Too Many Requests</title>\n"
    "<h1>Too Many Requests</h1>\n<p>25 per 1 minute</p>\n"
)
_GONE = (
    '{"error":"HTTP ingest has been disabled","next_steps":"Connect to the /ws/ingest Socket.IO '
    'namespace and include the shared ingest token."}\n'
)
_PAGE = """<!DOCTYPE html>
<html><head><script>
const sseUrl = `/events?user={user}&token={token}`;
const source = new EventSource(sseUrl);
fetch(`/sse-pong?connection_id=${{data.connection_id}}&token={token}`, {{
  method: 'POST',
}});
</script></head></html>
"""
_CODE = (
    '{{"code":"{code}","source":"load-test","type":"default","codetype":"default",'
    '"username":"loadtest","user_id":1,"metadata":{{"ingested_via":"ws/ingest"}},'
    '"timestamp":"2026-11-24T00:08:12.592656"}}'
)
#: A code as the profile's author hands it in.
_HANDED_IN = re.compile(
    r'42/ws/ingest,(\d*)\["code",\{"code":"([^"]*)","source":"load-test","type":"default",'
    r'"token":"([^"]*)"\}\]'
)


@dataclass(frozen=True)
class Request:
    """A request's head."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class CodeServer:
    """The server.

    Args:
        pong_within: seconds after which a stream without pongs gets no more codes.

    Attributes:
        requests: how often each method and path was asked for.
        origins: those that came with handshakes.
        queries: those of the streams that were asked for.
        codes: the codes that it took, in their order.
        pongs: how many came for a stream that there is.
        strange: what was said to it that it does not know.
    """

    def __init__(self, pong_within: float = 120.0) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.origins: list[str] = []
        self.queries: list[dict[str, str]] = []
        self.codes: list[str] = []
        self.pongs = 0
        self.strange: list[str] = []
        self.port = 0
        self._pong_within = pong_within
        self._claim = f"{USER}:{int(time.time()) + 900}"
        self._token = f"{self._claim}:{hashlib.sha256(self._claim.encode()).hexdigest()}"
        self._heard: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[CodeServer]:
        """Serve, as long as that is wanted."""
        with serving(self._handle) as self.port:
            yield self

    def _handle(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = read_until(sock, b"\r\n\r\n")
        if not head:
            return
        sock.settimeout(60)
        request = _parsed(head.decode("latin-1"))
        with self._lock:
            self.requests[request.method, request.path] += 1
        match request.method, request.path:
            case "GET", "/health":
                _answer(sock, "200 OK", "application/json", _HEALTH)
            case "POST", "/api/ingest":
                read = sock.recv(int(request.headers["content-length"]), socket.MSG_WAITALL)
                assert read
                _answer(sock, "410 GONE", "application/json", _GONE)
            case "GET", "/socket.io/":
                self._handshake(sock, request)
            case "GET", "/embed-stream":
                self._page(sock, request)
            case "GET", "/events":
                self._stream(sock, request)
            case "POST", "/sse-pong":
                self._pong(sock, request)
            case _:
                _answer(sock, "404 NOT FOUND", _HTML, _NOT_FOUND)

    # Socket.IO

    def _handshake(self, sock: socket.socket, request: Request) -> None:
        query, origin = dict(request.query), request.headers.get("origin")
        if origin is not None:
            self.origins.append(origin)
            if origin != ORIGIN:
                sock.sendall(
                    b"HTTP/1.1 400 BAD REQUEST\r\nServer: gunicorn\r\nConnection: close\r\n"
                    b"Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"
                    b'19\r\n"Not an accepted origin."\r\n0\r\n\r\n'
                )
                return
        username = query.pop("username", "")
        if query.get("transport") == "polling":
            # As if its WebSockets alone were let through.
            _answer(sock, "400 BAD REQUEST", "text/plain", '"Invalid transport"')
            return
        if query != {"EIO": "4", "transport": "websocket"}:
            self.strange.append(f"handshake with {query}")
        key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        peer = Peer(sock)
        peer.send(
            '0{"sid":"eVqTkqzGFPsEl5CMAAAA","upgrades":[],"pingTimeout":20000,'
            '"pingInterval":25000,"maxPayload":1000000}'
        )
        for text in peer.messages():
            self._packet(peer, username, text)

    def _packet(self, peer: Peer, username: str, text: str) -> None:
        if text in ("40/events,", "40/ws/ingest,"):
            self._join(peer, username, text[2:-1])
        elif (found := _HANDED_IN.fullmatch(text)) is not None:
            number, code, token = found.groups()
            self._take(peer, code, token)
            if number:
                peer.send(f"43/ws/ingest,{number}[]")
        elif text not in ("3", "1", "41/events,", "41/ws/ingest,"):
            self.strange.append(text)

    def _join(self, peer: Peer, username: str, namespace: str) -> None:
        if username != USER:
            peer.send(f'42{namespace},["error",{{"message":"Unauthorized or unknown username"}}]')
            peer.send(f"41{namespace},")
            peer.send(f'44{namespace},{{"message":"Connection rejected by server"}}')
            return
        name = "events" if namespace == "/events" else "ingest"
        peer.send(f'42{namespace},["connected",{{"message":"Connected to {name} endpoint"}}]')
        peer.send(f'40{namespace},{{"sid":"8s3Jk0l1dGFn-ZqTAAAB"}}')
        if name == "events":
            self._listeners.append(
                lambda code: peer.send(f'42/events,["new_code",{_CODE.format(code=code)}]')
            )

    def _take(self, peer: Peer, code: str, token: str) -> None:
        words = ""
        if not token:
            words = "Ingest token is required"
        elif token != INGEST_TOKEN:
            words = "Invalid ingest token"
        elif not code.strip() or len(code) > 1000:
            words = "Invalid code data"
        if words:
            peer.send(f'42/ws/ingest,["error",{{"message":"{words}"}}]')
            return
        now = time.monotonic()
        if now - self._taken.get(code, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        self._taken[code] = now
        self.codes.append(code)
        for each in list(self._listeners):
            each(code)

    # Server-sent events

    def _page(self, sock: socket.socket, request: Request) -> None:
        if request.headers.get("origin") != ORIGIN:
            refusal = '{"error":"Unauthorized origin - iframe access only"}\n'
            _answer(sock, "403 FORBIDDEN", "application/json", refusal)
        elif self.requests["GET", "/embed-stream"] > PAGES:
            _answer(sock, "429 TOO MANY REQUESTS", _HTML, _TOO_MANY)
        elif request.query.get("user") != USER or len(request.query.get("nonce", "")) < 8:
            self.strange.append(f"page with {request.query}")
        else:
            _answer(sock, "200 OK", _HTML, _PAGE.format(user=USER, token=self._token))

    def _stream(self, sock: socket.socket, request: Request) -> None:
        self.queries.append(request.query)
        if request.query != {"user": USER, "token": self._token}:
            refusal = '{"error":"Invalid or expired token"}\n'
            _answer(sock, "401 UNAUTHORIZED", "application/json", refusal)
            return
        lock = threading.Lock()

        def write(text: str) -> None:
            data = text.encode()
            with lock, contextlib.suppress(OSError):
                sock.sendall(b"%x\r\n%b\r\n" % (len(data), data))

        def code(text: str) -> None:
            if time.monotonic() - self._heard[identity] < self._pong_within:
                write(f"data: {_CODE.format(code=text)}\n\n")

        sock.sendall(
            b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nConnection: keep-alive\r\n"
            b"Transfer-Encoding: chunked\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
            b"Cache-Control: no-cache\r\n\r\n"
        )
        identity = f"conn-{id(sock)}"
        self._heard[identity] = time.monotonic()
        write(f'data: {{"type":"connected","connection_id":"{identity}"}}\n\n')
        self._listeners.append(code)
        write(": SSE keepalive\n\n")
        write(f'data: {{"type":"ping","connection_id":"{identity}"}}\n\n')
        while sock.recv(1000):
            pass

    def _pong(self, sock: socket.socket, request: Request) -> None:
        identity = request.query.get("connection_id", "")
        if request.query.get("token") != self._token or identity not in self._heard:
            self.strange.append(f"pong with {request.query}")
        self._heard[identity] = time.monotonic()
        self.pongs += 1
        _answer(sock, "200 OK", "application/json", '{"status":"ok"}\n')


_HTML = "text/html; charset=utf-8"
_HEALTH = '{"service":"code-server","status":"healthy"}\n'


def _parsed(head: str) -> Request:
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    return Request(method, url.path, dict(parse_qsl(url.query)), headers)


def _answer(sock: socket.socket, status: str, kind: str, body: str) -> None:
    sock.sendall(
        f"HTTP/1.1 {status}\r\nServer: gunicorn\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
