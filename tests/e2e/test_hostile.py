"""Servers that mean harm: each ends in time, in bounded memory, with a cause that says what it was.

What is sent goes on for ever, at full speed, or drips byte by byte; the client has a third of a
second, and whoever else is in its process goes on meanwhile.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator

import gevent
import pytest

from sseload_users.transports import Closed, ConnectFailed, Malformed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from sseload_users.transports.socketio import SocketIOTransport
from sseload_users.transports.sse import SseTransport
from sseload_users.transports.transport import Transport
from sseload_users.transports.websocket import WebSocketTransport
from tests.support.socket_servers import Handler, read_until, serving
from tests.support.wire import accept_websocket, frame

#: Seconds that a client has to connect, and those that nothing may take.
PATIENCE, FAR_TOO_LONG = 0.3, 8.0

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
OPENING = frame(0x81, b'0{"sid":"a","pingInterval":25000,"pingTimeout":20000,"upgrades":[]}')
JOINED = frame(0x81, b'40{"sid":"b"}')
NESTED = b"[" * 100_000


class Client:
    """A transport, what it handed over, and how it fared.

    Args:
        kind: of transport.
        port: of the server.
        confirm: what confirms the subscription; nothing ever does.
        seconds: it has to connect.
    """

    def __init__(
        self,
        kind: type[Transport],
        port: int,
        *,
        confirm: Callable[[bytes], bool] | None = None,
        seconds: float = PATIENCE,
    ) -> None:
        self.messages = 0
        self.malformed: list[str] = []
        scheme = "http" if kind is SseTransport else "ws"
        self.transport = kind(
            Endpoint(f"{scheme}://127.0.0.1:{port}/", confirm=confirm),
            Network(connect_timeout=seconds),
            self._on_message,
            self.malformed.append,
        )

    def _on_message(self, payload: bytes, arrived_ns: int) -> None:
        del payload, arrived_ns
        self.messages += 1

    def run(self) -> Closed:
        self.transport.connect()
        return self.transport.listen()

    def refused(self) -> str:
        with pytest.raises(ConnectFailed) as raised:
            self.transport.connect()
        return f"{raised.value.operation}: {raised.value.cause}"


@pytest.fixture(autouse=True)
def turns() -> Iterator[list[float]]:
    """When somebody else in the same process had a turn; there is no long time between."""
    taken: list[float] = [time.monotonic()]

    def take() -> None:
        while True:
            gevent.sleep(0.01)
            taken.append(time.monotonic())

    other = gevent.spawn(take)
    tracemalloc.start()
    try:
        with gevent.Timeout(FAR_TOO_LONG):
            yield taken
        taken.append(time.monotonic())
        gaps = [later - sooner for sooner, later in itertools.pairwise(taken)]
        assert max(gaps) < 10, "nobody else had a turn"
        assert tracemalloc.get_traced_memory()[1] < 64 << 20, "it takes too much memory"
    finally:
        tracemalloc.stop()
        other.kill()


def for_ever(connection: socket.socket, data: bytes, *, each_s: float = 0.0) -> None:
    """Send the same bytes again and again, until the client has had enough."""
    deadline = time.monotonic() + FAR_TOO_LONG
    block = data if each_s else data * max(1, 65536 // len(data))
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            connection.sendall(block)
            time.sleep(each_s)


def raw(*parts: bytes, then: bytes = b"", each_s: float = 0.0) -> Callable[[socket.socket], None]:
    """A server that answers any request with some bytes, and others for ever."""

    def handle(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"".join(parts))
        if then:
            for_ever(connection, then, each_s=each_s)
        else:
            # What was not read when a connection is closed resets it.
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.2)
            read_until(connection, b"never")

    return handle


def shaking(*parts: bytes, then: bytes = b"") -> Callable[[socket.socket], None]:
    """A server that accepts a WebSocket's handshake, and sends some bytes and others."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + b"".join(parts))
        if then:
            for_ever(connection, then)
        else:
            read_until(connection, b"never")

    return handle


def never(_: bytes) -> bool:
    return False


SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"
ACCEPTING = SWITCHING + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
ANSWERS = {
    "headers without end": (
        raw(SWITCHING, then=b"X-Header: more and more\r\n"),
        "handshake: bad handshake answer",
    ),
    "a header without end": (
        raw(SWITCHING, b"X-Header: ", then=b"more"),
        "handshake: bad handshake answer",
    ),
    "a drip of headers": (raw(then=b"H", each_s=0.05), "handshake: timed out"),
    "a drip of whole lines": (
        raw(SWITCHING, then=b"a: b\r\n", each_s=0.05),
        "handshake: timed out",
    ),
    "nothing": (raw(then=b"", each_s=1), "handshake: connection closed"),
    "no key": (raw(SWITCHING, b"\r\n"), "handshake: bad handshake answer"),
    "a wrong key": (
        raw(ACCEPTING, b"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
        "handshake: bad handshake answer",
    ),
    "a status of many digits": (
        raw(b"HTTP/1.1 ", b"1" * 5000, b"\r\n\r\n"),
        "handshake: bad handshake answer",
    ),
    "a refusal without end": (
        raw(b"HTTP/1.1 503 No\r\nContent-Length: 99999999999\r\n\r\n", then=b"sorry"),
        "handshake: HTTP 503",
    ),
    "a cookie that is none": (
        raw(ACCEPTING, b'x\r\nSet-Cookie: \x7f="\\\r\n\r\n'),
        "handshake: bad handshake answer",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_handshake_is_answered_with(name: str) -> None:
    handler, cause = ANSWERS[name]
    with serving(handler) as port:
        assert Client(WebSocketTransport, port).refused() == cause


@pytest.mark.parametrize("kind", [WebSocketTransport, SseTransport])
@pytest.mark.parametrize(
    "place", ["/", "http://127.0.0.1:{port}/", "ftp://127.0.0.1/", "file:///etc/passwd", "//x"]
)
def test_no_redirect_is_followed(kind: type[Transport], place: str) -> None:
    asked = []

    def handle(connection: socket.socket) -> None:
        asked.append(read_until(connection, b"\r\n\r\n"))
        where = place.format(port=connection.getsockname()[1])
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {where}\r\n\r\n".encode())

    with serving(handle) as port:
        assert Client(kind, port).refused() == "handshake: redirected: HTTP 302"
    assert len(asked) == 1


@pytest.mark.parametrize("kind", [WebSocketTransport, SocketIOTransport])
def test_messages_without_end_are_no_confirmation(kind: type[Transport]) -> None:
    begin = (OPENING, JOINED) if kind is SocketIOTransport else ()
    message = frame(0x81, b'42["no",1]')
    with serving(shaking(*begin, then=message)) as port:
        cause = Client(kind, port, confirm=never).refused()
    assert cause in ("subscribe: timed out", "subscribe: never acknowledged")


def test_events_without_end_are_no_confirmation() -> None:
    with serving(raw(STREAM, then=b"data: no\n\n")) as port:
        assert Client(SseTransport, port, confirm=never).refused() == "subscribe: timed out"


HUGE = (1 << 63) - 1
FRAMES = {
    "compressed": (shaking(frame(0xC1, b"\x4a\x4c")), "client", "protocol error: reserved bits"),
    "of an unknown kind": (shaking(frame(0x83, b"")), "client", "protocol error: unknown opcode"),
    "without end": (
        shaking(b"\x81\x7f" + struct.pack("!Q", HUGE), then=b"x"),
        "client",
        "message too large",
    ),
    "ten megabytes long": (
        shaking(b"\x81\x7f" + struct.pack("!Q", 10 << 20), then=b"x"),
        "client",
        "message too large",
    ),
    "in pieces without end": (
        shaking(frame(0x01, b"x"), then=frame(0x00, b"y" * 1000)),
        "client",
        "message too large",
    ),
    "a fragment that is none": (
        shaking(frame(0x00, b"x")),
        "client",
        "protocol error: bad fragment order",
    ),
    "an oversized ping": (
        shaking(frame(0x89, b"x" * 200)),
        "client",
        "protocol error: oversized ping",
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is(name: str) -> None:
    handler, by, cause = FRAMES[name]
    with serving(handler) as port:
        closed = Client(WebSocketTransport, port).run()
    assert (closed.by, closed.cause) == (by, cause)


def test_a_masked_frame_is_read_as_websocket_client_reads_it() -> None:
    with serving(shaking(frame(0x81, b"LT-1", mask=b"abcd"), frame(0x88, b"\x03\xe8"))) as port:
        client = Client(WebSocketTransport, port)
        assert client.run().cause == "closed by server: 1000"
    assert client.messages == 1


FLOODS: dict[str, tuple[type[Transport], Handler]] = {
    "pings": (WebSocketTransport, shaking(then=frame(0x89, b"ping"))),
    "messages": (WebSocketTransport, shaking(then=frame(0x81, b"once more"))),
    "empty pieces": (WebSocketTransport, shaking(frame(0x01, b"x"), then=frame(0x00, b""))),
    "events": (SseTransport, raw(STREAM, then=b"data: once more\n\n")),
    "blank lines": (SseTransport, raw(STREAM, then=b"\n")),
    "comments": (SseTransport, raw(STREAM, then=b":\n")),
    "ids": (SseTransport, raw(STREAM, then=b"id: " + b"x" * 50_000 + b"\n\n")),
    "packets": (SocketIOTransport, shaking(OPENING, JOINED, then=frame(0x81, b"3probe"))),
    "heartbeats": (SocketIOTransport, shaking(OPENING, JOINED, then=frame(0x81, b"2"))),
    "other namespaces": (SocketIOTransport, shaking(OPENING, JOINED, then=frame(0x81, b"42/x,1"))),
    "acknowledgements": (SocketIOTransport, shaking(OPENING, JOINED, then=JOINED)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_who_wants_to_leave_a_flood_leaves_it(name: str) -> None:
    kind, handler = FLOODS[name]
    with serving(handler) as port:
        client = Client(kind, port, seconds=3)
        gevent.spawn_later(PATIENCE, client.transport.leave)
        try:
            closed = client.run()
        except ConnectFailed as error:
            closed = Closed("client", error.cause)
    assert closed == Closed("client", "left")


STREAMS = {
    "headers without end": (
        raw(b"HTTP/1.1 200 OK\r\n", then=b"X-Header: more and more\r\n"),
        "handshake: bad handshake answer",
    ),
    "interim answers without end": (
        raw(then=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        "handshake: timed out",
    ),
    "a drip": (raw(then=b"H", each_s=0.05), "handshake: timed out"),
    "a refusal without end": (
        raw(b"HTTP/1.1 503 No\r\n\r\n", then=b"sorry"),
        "handshake: HTTP 503",
    ),
    "a compressed stream": (
        raw(STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), then=b"\x1f\x8b"),
        "handshake: content encoding not supported: gzip",
    ),
    "two lengths": (
        raw(STREAM.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n")),
        "handshake: bad handshake answer",
    ),
    "a length of many digits": (
        raw(STREAM.replace(b"\r\n\r\n", b"\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")),
        "handshake: bad handshake answer",
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_begins_with(name: str) -> None:
    handler, cause = STREAMS[name]
    with serving(handler) as port:
        assert Client(SseTransport, port).refused() == cause


BODIES = {
    "a line without end": (raw(STREAM, b"data: ", then=b"x"), "message too large"),
    "a block without end": (raw(STREAM, then=b"data: x\n"), "message too large"),
    "a comment without end": (raw(STREAM, b": ", then=b"x"), "message too large"),
    "a chunk's head without end": (
        raw(STREAM.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"), then=b"1"),
        "protocol error: bad chunk",
    ),
    "a trailer without end": (
        raw(
            STREAM.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
            then=b"a: b\r\n",
        ),
        "protocol error: bad chunk",
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_stream_has(name: str) -> None:
    handler, cause = BODIES[name]
    with serving(handler) as port:
        assert Client(SseTransport, port).run().cause == cause


OPENINGS = {
    "nested": b"0" + b'{"a":' * 50_000,
    "of a list": b"0" + NESTED,
    "of huge numbers": b'0{"pingInterval":' + b"9" * 4000 + b',"pingTimeout":1}',
    "of numbers with too many digits": b'0{"pingInterval":' + b"9" * 5000 + b',"pingTimeout":1}',
    "of no numbers": b'0{"pingInterval":NaN,"pingTimeout":Infinity}',
    "of other things": b'0{"pingInterval":[],"pingTimeout":{}}',
}


@pytest.mark.parametrize("name", OPENINGS)
def test_an_engine_io_opening(name: str) -> None:
    with serving(shaking(frame(0x81, OPENINGS[name]))) as port:
        cause = Client(SocketIOTransport, port).refused()
    assert cause == "subscribe: bad handshake answer"


@pytest.mark.parametrize("interval", [b"1e-300", b"1e300"])
def test_a_heartbeat_that_nobody_can_keep(interval: bytes) -> None:
    opening = frame(0x81, b'0{"sid":"a","pingInterval":%b,"pingTimeout":0.0001}' % interval)
    with serving(shaking(opening, JOINED)) as port:
        client = Client(SocketIOTransport, port, seconds=2)
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
def test_no_packet_of_socket_io_ends_more_than_its_own_session(packet: bytes) -> None:
    after = frame(0x82, b"attached"), frame(0x81, b"41"), frame(0x88, b"\x03\xe8")
    with serving(shaking(OPENING, JOINED, frame(0x81, packet), *after)) as port:
        client = Client(SocketIOTransport, port, seconds=3)
        closed = client.run()
    assert closed.by == "server"
    with contextlib.suppress(Malformed):
        SocketIOTransport.parse(packet)
