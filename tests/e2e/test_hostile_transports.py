"""Transports against hostile servers: each ends in time and bounded memory, with a clear cause.

Servers send without end, at full speed or byte by byte. Clients have a third of a second to
connect, and other greenlets of their process must go on running.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import struct
import time
import tracemalloc
from collections.abc import Iterator

import gevent
import pytest

from sseload_users.transports import Closed, ConnectFailed, Malformed
from sseload_users.transports.endpoint import Confirm, Endpoint
from sseload_users.transports.network import Network
from sseload_users.transports.socketio import SocketIOTransport
from sseload_users.transports.sse import SseTransport
from sseload_users.transports.transport import Transport
from sseload_users.transports.websocket import WebSocketTransport
from tests.support.hostile_servers import (
    GZIP_BOMB,
    INVALID_FRAMES,
    TIME_LIMIT_S,
    http_server,
    websocket_server,
)
from tests.support.socket_servers import Handler, read_until, serving
from tests.support.wire import frame

#: Seconds that a client has to connect.
CONNECT_TIMEOUT_S = 0.3

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
OPENING = frame(0x81, b'0{"sid":"a","pingInterval":25000,"pingTimeout":20000,"upgrades":[]}')
JOINED = frame(0x81, b'40{"sid":"b"}')
NESTED = b"[" * 100_000


def stream_head(header: bytes) -> bytes:
    """Return the response head of an event stream with one more header."""
    return STREAM.removesuffix(b"\r\n") + header + b"\r\n\r\n"


class Client:
    """A transport, and what it received.

    Args:
        kind: the transport's class.
        port: of the server.
        confirm: whether a message confirms the subscription.
        timeout_s: for connecting.
    """

    def __init__(
        self,
        kind: type[Transport],
        port: int,
        *,
        confirm: Confirm | None = None,
        timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self.messages = 0
        self.malformed: list[str] = []
        scheme = "http" if kind is SseTransport else "ws"
        self.transport = kind(
            Endpoint(f"{scheme}://127.0.0.1:{port}/", confirm=confirm),
            Network(connect_timeout=timeout_s),
            self._on_message,
            self.malformed.append,
        )

    def _on_message(self, payload: bytes, arrived_ns: int) -> None:
        del payload, arrived_ns
        self.messages += 1

    def run(self) -> Closed:
        """Connect, and listen until the session ends."""
        self.transport.connect()
        return self.transport.listen()

    def failure(self) -> str:
        """Return the operation and the cause of a connect that has to fail."""
        with pytest.raises(ConnectFailed) as raised:
            self.transport.connect()
        return f"{raised.value.operation}: {raised.value.cause}"


@pytest.fixture(autouse=True)
def bounded_resources() -> Iterator[None]:
    """Fail a test that takes too long or too much memory, or that blocks other greenlets."""
    turns: list[float] = [time.monotonic()]

    def take_turns() -> None:
        while True:
            gevent.sleep(0.01)
            turns.append(time.monotonic())

    other = gevent.spawn(take_turns)
    tracemalloc.start()
    try:
        with gevent.Timeout(TIME_LIMIT_S):
            yield
        turns.append(time.monotonic())
        gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
        assert max(gaps) < 10, "other greenlets were blocked"
        assert tracemalloc.get_traced_memory()[1] < 64 << 20, "too much memory was allocated"
    finally:
        tracemalloc.stop()
        other.kill()


def socketio_server(endless: bytes) -> Handler:
    """Return a handler that opens a Socket.IO session, and then sends without end."""
    return websocket_server(OPENING, JOINED, endless=endless)


def never_confirms(*_: object) -> None:
    return None


SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"
ACCEPTING = SWITCHING + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
HANDSHAKE_RESPONSES = {
    "endless headers": (
        http_server(SWITCHING, endless=b"X-Header: more and more\r\n"),
        "handshake: bad handshake answer",
    ),
    "an endless header": (
        http_server(SWITCHING, b"X-Header: ", endless=b"more"),
        "handshake: bad handshake answer",
    ),
    "a header byte by byte": (http_server(endless=b"H", interval_s=0.05), "handshake: timed out"),
    "headers line by line": (
        http_server(SWITCHING, endless=b"a: b\r\n", interval_s=0.05),
        "handshake: timed out",
    ),
    "nothing": (http_server(), "handshake: connection closed"),
    "no accept key": (http_server(SWITCHING, b"\r\n"), "handshake: bad handshake answer"),
    "a wrong accept key": (
        http_server(ACCEPTING, b"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
        "handshake: bad handshake answer",
    ),
    "a status of many digits": (
        http_server(b"HTTP/1.1 ", b"1" * 5000, b"\r\n\r\n"),
        "handshake: bad handshake answer",
    ),
    "an endless refusal": (
        http_server(b"HTTP/1.1 503 No\r\nContent-Length: 99999999999\r\n\r\n", endless=b"sorry"),
        "handshake: HTTP 503",
    ),
    "an invalid cookie": (
        http_server(ACCEPTING, b'x\r\nSet-Cookie: \x7f="\\\r\n\r\n'),
        "handshake: bad handshake answer",
    ),
}


@pytest.mark.parametrize("name", HANDSHAKE_RESPONSES)
def test_hostile_handshake_response(name: str) -> None:
    handler, cause = HANDSHAKE_RESPONSES[name]
    with serving(handler) as port:
        assert Client(WebSocketTransport, port).failure() == cause


@pytest.mark.parametrize(
    "location", ["/", "http://127.0.0.1:{port}/", "ftp://127.0.0.1/", "file:///etc/passwd", "//x"]
)
def test_redirects_of_a_websocket_are_not_followed(location: str) -> None:
    requests = []

    def handle(connection: socket.socket) -> None:
        requests.append(read_until(connection, b"\r\n\r\n"))
        target = location.format(port=connection.getsockname()[1])
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode())

    with serving(handle) as port:
        assert Client(WebSocketTransport, port).failure() == "handshake: redirected: HTTP 302"
    assert len(requests) == 1


@pytest.mark.parametrize("kind", [WebSocketTransport, SocketIOTransport])
def test_endless_messages_do_not_delay_the_connect_timeout(kind: type[Transport]) -> None:
    opening = (OPENING, JOINED) if kind is SocketIOTransport else ()
    message = frame(0x81, b'42["no",1]')
    with serving(websocket_server(*opening, endless=message)) as port:
        cause = Client(kind, port, confirm=never_confirms).failure()
    assert cause in ("subscribe: timed out", "subscribe: never acknowledged")


def test_endless_events_do_not_delay_the_connect_timeout() -> None:
    with serving(http_server(STREAM, endless=b"data: no\n\n")) as port:
        assert (
            Client(SseTransport, port, confirm=never_confirms).failure() == "subscribe: timed out"
        )


HUGE = (1 << 63) - 1
OVERSIZED_FRAMES = {
    "of the largest length": (b"\x81\x7f" + struct.pack("!Q", HUGE), b"x"),
    "of ten megabytes": (b"\x81\x7f" + struct.pack("!Q", 10 << 20), b"x"),
    "in endless fragments": (frame(0x01, b"x"), frame(0x00, b"y" * 1000)),
}


@pytest.mark.parametrize("name", OVERSIZED_FRAMES)
def test_oversized_message(name: str) -> None:
    beginning, rest = OVERSIZED_FRAMES[name]
    with serving(websocket_server(beginning, endless=rest)) as port:
        closed = Client(WebSocketTransport, port).run()
    assert closed == Closed("client", "message too large")


@pytest.mark.parametrize("name", INVALID_FRAMES)
def test_invalid_frame(name: str) -> None:
    data, cause = INVALID_FRAMES[name]
    with serving(websocket_server(data)) as port:
        closed = Client(WebSocketTransport, port).run()
    assert closed == Closed("client", cause)


FLOODS: dict[str, tuple[type[Transport], Handler]] = {
    "pings": (WebSocketTransport, websocket_server(endless=frame(0x89, b"ping"))),
    "messages": (WebSocketTransport, websocket_server(endless=frame(0x81, b"once more"))),
    "empty fragments": (
        WebSocketTransport,
        websocket_server(frame(0x01, b"x"), endless=frame(0x00, b"")),
    ),
    "events": (SseTransport, http_server(STREAM, endless=b"data: once more\n\n")),
    "blank lines": (SseTransport, http_server(STREAM, endless=b"\n")),
    "comments": (SseTransport, http_server(STREAM, endless=b":\n")),
    "ids": (SseTransport, http_server(STREAM, endless=b"id: " + b"x" * 50_000 + b"\n\n")),
    "packets": (SocketIOTransport, socketio_server(frame(0x81, b"3probe"))),
    "heartbeats": (SocketIOTransport, socketio_server(frame(0x81, b"2"))),
    "other namespaces": (SocketIOTransport, socketio_server(frame(0x81, b"42/x,1"))),
    "acknowledgements": (SocketIOTransport, socketio_server(JOINED)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_client_can_leave_during_a_flood(name: str) -> None:
    kind, handler = FLOODS[name]
    with serving(handler) as port:
        client = Client(kind, port, timeout_s=3)
        gevent.spawn_later(CONNECT_TIMEOUT_S, client.transport.leave)
        try:
            closed = client.run()
        except ConnectFailed as error:
            closed = Closed("client", error.cause)
    assert closed == Closed("client", "left")


STREAM_RESPONSES = {
    "endless headers": (
        http_server(b"HTTP/1.1 200 OK\r\n", endless=b"X-Header: more and more\r\n"),
        "handshake: bad handshake answer",
    ),
    "endless interim responses": (
        http_server(endless=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        "handshake: timed out",
    ),
    "a header byte by byte": (http_server(endless=b"H", interval_s=0.05), "handshake: timed out"),
    "an endless refusal": (
        http_server(b"HTTP/1.1 503 No\r\n\r\n", endless=b"sorry"),
        "handshake: HTTP 503",
    ),
    "a compressed stream": (
        http_server(stream_head(b"Content-Encoding: compress"), endless=b"\x1f\x9d"),
        "handshake: content encoding not supported: compress",
    ),
    "two lengths": (
        http_server(stream_head(b"Content-Length: 3\r\nContent-Length: 4")),
        "handshake: bad handshake answer",
    ),
    "a length of many digits": (
        http_server(stream_head(b"Content-Length: " + b"9" * 5000 + b"")),
        "handshake: bad handshake answer",
    ),
}


@pytest.mark.parametrize("name", STREAM_RESPONSES)
def test_hostile_stream_response(name: str) -> None:
    handler, cause = STREAM_RESPONSES[name]
    with serving(handler) as port:
        assert Client(SseTransport, port).failure() == cause


STREAM_BODIES = {
    "an endless line": (http_server(STREAM, b"data: ", endless=b"x"), "message too large"),
    "a compressed endless line": (
        http_server(stream_head(b"Content-Encoding: gzip"), GZIP_BOMB),
        "message too large",
    ),
    "a bomb of comments": (
        http_server(
            stream_head(b"Content-Encoding: gzip"), gzip.compress(b": x\n" * (16 << 20), 9)
        ),
        "inflated stream too large",
    ),
    "an endless block": (http_server(STREAM, endless=b"data: x\n"), "message too large"),
    "an endless comment": (http_server(STREAM, b": ", endless=b"x"), "message too large"),
    "an endless chunk size": (
        http_server(stream_head(b"Transfer-Encoding: chunked"), endless=b"1"),
        "protocol error: bad chunk",
    ),
    "an endless trailer": (
        http_server(
            stream_head(b"Transfer-Encoding: chunked") + b"0\r\n",
            endless=b"a: b\r\n",
        ),
        "protocol error: bad chunk",
    ),
}


@pytest.mark.parametrize("name", STREAM_BODIES)
def test_hostile_stream_body(name: str) -> None:
    handler, cause = STREAM_BODIES[name]
    with serving(handler) as port:
        assert Client(SseTransport, port).run().cause == cause


OPENINGS = {
    "deeply nested": b"0" + b'{"a":' * 50_000,
    "a nested list": b"0" + NESTED,
    "huge numbers": b'0{"pingInterval":' + b"9" * 4000 + b',"pingTimeout":1}',
    "numbers with too many digits": b'0{"pingInterval":' + b"9" * 5000 + b',"pingTimeout":1}',
    "not-a-number and infinity": b'0{"pingInterval":NaN,"pingTimeout":Infinity}',
    "wrong types": b'0{"pingInterval":[],"pingTimeout":{}}',
}


@pytest.mark.parametrize("name", OPENINGS)
def test_hostile_engine_io_opening(name: str) -> None:
    with serving(websocket_server(frame(0x81, OPENINGS[name]))) as port:
        cause = Client(SocketIOTransport, port).failure()
    assert cause == "subscribe: bad handshake answer"


@pytest.mark.parametrize("interval", [b"1e-300", b"1e300"])
def test_impossible_heartbeat_interval(interval: bytes) -> None:
    opening = frame(0x81, b'0{"sid":"a","pingInterval":%b,"pingTimeout":0.0001}' % interval)
    with serving(websocket_server(opening, JOINED)) as port:
        client = Client(SocketIOTransport, port, timeout_s=2)
        gevent.spawn_later(1.2, client.transport.leave)
        assert client.run().cause in ("heartbeat missed", "left")


PACKETS = [
    b"42" + NESTED,
    b'42["a",' + b"1," * 100_000 + b"1]",
    b"451-" + NESTED,
    b'451-["a",{"_placeholder":true,"num":99999999999}]',
    b'451-["a",{"_placeholder":true,"num":-1}]',
    b'459999-["a"]',
    b'42["a",' + b"9" * 5000 + b"]",
    b"42" + b"9" * 5000 + b'["a"]',
    b"42[" + b'"\\ud800",' * 10_000 + b"1]",
    b'44{"message":' + NESTED,
]


@pytest.mark.parametrize("packet", PACKETS, ids=range(len(PACKETS)))
def test_a_hostile_packet_ends_at_most_its_own_session(packet: bytes) -> None:
    after = frame(0x82, b"attached"), frame(0x81, b"41"), frame(0x88, b"\x03\xe8")
    with serving(websocket_server(OPENING, JOINED, frame(0x81, packet), *after)) as port:
        client = Client(SocketIOTransport, port, timeout_s=3)
        closed = client.run()
    assert closed.by == "server"
    with contextlib.suppress(Malformed):
        SocketIOTransport.parse(packet)
