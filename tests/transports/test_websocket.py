"""One WebSocket connection against real servers, good and bad ones."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from sseload_users.transports import Closed, ConnectFailed, Transport
from sseload_users.transports.network import Endpoint, Network
from sseload_users.transports.websocket import WebSocketTransport
from tests.support.socket_servers import CERTIFICATES, Handler, read_until, serving
from tests.transports.test_frames import frame, unmask

MS = 1_000_000


@pytest.fixture(autouse=True)
def _no_test_waits_for_ever() -> Iterator[None]:
    with gevent.Timeout(20):
        yield


@contextlib.contextmanager
def websocket_server(
    handler: Callable[[ServerConnection], object],
    *,
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
    subprotocols: list[Subprotocol] | None = None,
) -> Iterator[str]:
    """The URL of a WebSocket server that gives each connection to the handler."""

    def handle(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            handler(connection)

    server: Server = serve(
        handle,
        "127.0.0.1",
        0,
        process_request=process_request,
        subprotocols=subprotocols,
        compression=None,
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"ws://localhost:{server.socket.getsockname()[1]}/codes?as=x"
    finally:
        server.shutdown()
        thread.join(5)


def answer(connection: socket.socket) -> bytes:
    """Read a handshake's request; the answer that accepts it."""
    return answer_to(read_until(connection, b"\r\n\r\n"))


def answer_to(request: bytes) -> bytes:
    """The answer that accepts a handshake."""
    key = next(
        line.split(b":", 1)[1].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
    )


class Listener:
    """A transport and what it handed over."""

    def __init__(
        self,
        endpoint: Endpoint | str,
        shared: Network | None = None,
        also: Callable[[bytes], object] | None = None,
    ) -> None:
        self.also = also
        self.messages: list[tuple[bytes, int]] = []
        self.malformed: list[str] = []
        self.transport: WebSocketTransport = WebSocketTransport(
            Endpoint(endpoint) if isinstance(endpoint, str) else endpoint,
            shared or Network(connect_timeout=5),
            self.on_message,
            self.malformed.append,
        )

    def on_message(self, message: bytes, arrived_ns: int) -> None:
        self.messages.append((message, arrived_ns))
        if self.also is not None:
            self.also(message)

    @property
    def texts(self) -> list[bytes]:
        return [message for message, _ in self.messages]

    def run(self) -> Closed:
        self.transport.connect()
        return self.transport.listen()


def test_it_is_a_transport() -> None:
    transport: Transport = Listener("ws://localhost/").transport
    assert transport.kind == "WS"


def test_messages_of_all_shapes_and_the_close_arrive() -> None:
    def server(connection: ServerConnection) -> None:
        connection.send("one")
        connection.send(b"two")
        connection.send(["th", "r", "ee"])
        assert connection.ping().wait(5)
        connection.send("é" * 100_000)
        connection.close(4001, "enough")

    shared = Network()
    with websocket_server(server) as url:
        listener = Listener(url, shared)
        before = time.time_ns()
        closed = listener.run()
    transport = listener.transport
    assert closed == Closed("server", "closed by server: 4001", 4001, "enough")
    assert listener.texts == [b"one", b"two", b"three", ("é" * 100_000).encode()]
    stamps = [transport.started_ns, transport.subscribed_ns, *(ns for _, ns in listener.messages)]
    assert before <= stamps[0]
    assert stamps == sorted(stamps)
    assert stamps[-1] <= time.time_ns()
    assert not listener.malformed


@pytest.mark.skipif(Network().timestamps != "kernel", reason="no stamps to keep connect time right")
@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("stall_at", [0.0, 0.02, 0.15])
def test_connect_time_is_not_the_generators_own_queue(scheme: str, stall_at: float) -> None:
    def server(connection: socket.socket) -> None:
        accepted = answer(connection)
        time.sleep(0.1)
        connection.sendall(accepted)
        connection.recv(1000)
        time.sleep(0.2)
        connection.sendall(frame(0x81, b"joined"))
        connection.recv(100)

    shared = Network(connect_timeout=5, ca_file=str(CERTIFICATES / "ca.pem"))
    with serving(server, certificate="server.pem" if scheme == "wss" else None) as port:
        endpoint = Endpoint(
            f"{scheme}://127.0.0.1:{port}/", hello=("join",), confirm=lambda text: text == b"joined"
        )
        transport = Listener(endpoint, shared).transport
        gevent.spawn_later(stall_at, time.sleep, 0.6)  # blocks the whole hub
        began = time.monotonic()
        transport.connect()
        took = time.monotonic() - began
        connect_time = (transport.subscribed_ns - transport.started_ns) / 1e9
        transport.leave()
    assert took > 0.6
    assert 0.25 < connect_time < 0.45


@pytest.mark.parametrize("tls", [False, True])
def test_what_comes_with_the_handshakes_answer_is_not_lost(tls: bool) -> None:
    def server(connection: socket.socket) -> None:
        connection.sendall(answer(connection) + frame(0x81, b"first") + frame(0x81, b"second")[:3])
        time.sleep(0.05)
        connection.sendall(frame(0x81, b"second")[3:] + frame(0x88, b"\x03\xe8"))
        connection.recv(100)

    with serving(server, certificate="server.pem" if tls else None) as port:
        shared = Network(ca_file=str(CERTIFICATES / "ca.pem"))
        listener = Listener(f"ws{'s' if tls else ''}://localhost:{port}/", shared)
        listener.transport.connect()
        assert listener.messages == []
        closed = listener.transport.listen()
    assert listener.texts == [b"first", b"second"]
    assert closed.cause == "closed by server: 1000"


# Subscribing


def subscription(url: str, **more: object) -> Endpoint:
    return Endpoint(
        url,
        hello=('{"join":"codes"}', '{"since":"now"}'),
        confirm=lambda message: message == b"joined",
        refuse=lambda message: "not allowed" if message.startswith(b"denied") else None,
        reply=lambda message: "pong " + message[5:].decode() if message[:5] == b"ping " else None,
    )


def test_only_what_comes_after_the_confirmation_is_handed_over() -> None:
    def server(connection: socket.socket) -> None:
        connection.sendall(answer(connection) + frame(0x81, b"too early"))
        time.sleep(0.05)
        data = frame(0x81, b"ping 7") + frame(0x81, b"joined") + frame(0x81, b"in the same read")
        connection.sendall(data)
        time.sleep(0.05)
        connection.sendall(frame(0x81, b"later") + frame(0x88, b""))
        while connection.recv(1000):
            pass

    with serving(server) as port:
        listener = Listener(subscription(f"ws://127.0.0.1:{port}/"))
        closed = listener.run()
    assert listener.texts == [b"in the same read", b"later"]
    assert listener.messages[0][1] == listener.transport.subscribed_ns
    assert closed == Closed("server", "closed by server: no code")


def test_hello_and_replies_reach_the_server() -> None:
    heard: list[str | bytes] = []

    def server(connection: ServerConnection) -> None:
        heard.extend([connection.recv(), connection.recv()])
        connection.send("ping 1")
        heard.append(connection.recv())
        connection.send("joined")
        connection.send("ping 2")
        heard.append(connection.recv())

    with websocket_server(server) as url:
        listener = Listener(subscription(url))
        listener.also = listener.transport.keep_alive
        assert listener.run().code == 1000
    assert heard == ['{"join":"codes"}', '{"since":"now"}', "pong 1", "pong 2"]


def refuse(connection: ServerConnection) -> None:
    connection.send("hello")
    connection.send("denied: unknown user")
    connection.recv()
    connection.recv()


def drop(connection: ServerConnection) -> None:
    connection.close(4003, "who are you?")


def vanish(connection: socket.socket) -> None:
    connection.sendall(answer(connection))


def say_nothing(connection: ServerConnection) -> None:
    for _ in range(3):
        connection.recv()


def test_a_refused_subscription_is_a_failed_connect() -> None:
    for server, cause, said in (
        (refuse, "not allowed", "denied: unknown user"),
        (drop, "closed by server: 4003", "who are you?"),
        (say_nothing, "timed out", ""),
    ):
        with websocket_server(server) as url:
            listener = Listener(subscription(url), Network(connect_timeout=0.5))
            with pytest.raises(ConnectFailed) as failed:
                listener.transport.connect()
            assert (failed.value.operation, failed.value.cause) == ("subscribe", cause)
            assert failed.value.said == said
            assert listener.messages == []
    with serving(vanish) as port:
        with pytest.raises(ConnectFailed) as failed:
            Listener(subscription(f"ws://127.0.0.1:{port}/")).transport.connect()
        assert failed.value.operation == "subscribe"
        assert failed.value.cause in ("connection closed", "connection reset")


# The handshake


def says(head: bytes, *, reads: bool = True) -> Handler:
    def server(connection: socket.socket) -> None:
        if reads:
            read_until(connection, b"\r\n\r\n")
        connection.sendall(head)

    return server


@pytest.mark.parametrize(
    ("server", "cause"),
    [
        (says(b"HTTP/1.1 503 Busy\r\nContent-Length: 7\r\n\r\nsleeping"), "HTTP 503"),
        (says(b"HTTP/1.1 404 Not Found\r\n\r\n"), "HTTP 404"),
        (says(b"HTTP/1.1 200 OK\r\n\r\n"), "HTTP 200"),
        (says(b"HTTP/1.1 302 F\r\nLocation: ws://nosuch.test/\r\n\r\n"), "redirected: HTTP 302"),
        (says(b"HTTP/1.1 301 F\r\n\r\n"), "redirected: HTTP 301"),
        (says(b"HTTP/1.1 101 Hm\r\nUpgrade: websocket\r\n\r\n"), "bad handshake answer"),
        (says(b"HTTP/1.1 101 Hm\r\nSet-Cookie: a:b=c\r\n\r\n"), "bad handshake answer"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "bad handshake answer"),
        (says(b"\xff\xfe\r\n\r\n"), "bad handshake answer"),
        (says(b"\r\n"), "bad handshake answer"),
        (says(b"HTTP/1.1 101 Hm\r\nUpgr"), "connection closed"),
        (says(b""), "connection closed"),
        (lambda connection: time.sleep(0.6), "timed out"),
    ],
)
def test_a_handshake_that_fails_has_a_short_cause(server: Handler, cause: str) -> None:
    with serving(server) as port:
        listener = Listener(f"ws://127.0.0.1:{port}/", Network(connect_timeout=0.4))
        with pytest.raises(ConnectFailed) as failed:
            listener.transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("handshake", cause)
    assert listener.transport.listen().by == "client"
    if cause == "HTTP 503":
        assert failed.value.said == "sleepin"


REFUSED = b"HTTP/1.1 400 BAD REQUEST\r\n"
WORDS = b'"Not an accepted origin."'


def slowly(*pieces: bytes, stays: bool = False) -> Handler:
    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.01)
        if stays:
            connection.recv(1)

    return server


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (slowly(REFUSED + b"Content-Length: 25\r\n\r\n", WORDS, stays=True), WORDS.decode()),
        (
            slowly(REFUSED + b"Transfer-Encoding: chunked\r\n\r\n", *chunks(WORDS, 7), stays=True),
            WORDS.decode(),
        ),
        (slowly(REFUSED + b"Connection: close\r\n\r\n", WORDS[:9], WORDS[9:]), WORDS.decode()),
        (slowly(REFUSED + b"\r\n" + WORDS), WORDS.decode()),
        (slowly(b"HTTP/1.0 400 BAD REQUEST\n\n", WORDS), WORDS.decode()),
        (slowly(REFUSED + b"Content-Length: 0\r\n\r\n", stays=True), "BAD REQUEST"),
        # More than anybody wants to know, and what never ends
        (slowly(REFUSED + b"Content-Length: 999999\r\n\r\n" + b"x" * 99_999), "x" * 300),
        (slowly(REFUSED + b"\r\n" + WORDS, stays=True), WORDS.decode()),
        (slowly(REFUSED + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloBAD"), "hello"),
        (
            slowly(
                REFUSED + b"\r\n<!doctype html><head><title>No</title><style>p {}</style></head>"
                b"<!-- a note --><h1>Not&nbsp;you</h1>\n<p class='a'>at <i>all</i>"
            ),
            "Not you at all",
        ),
        (
            slowly(REFUSED + b"\r\n<html lang=en>\n<title>404 No</title>\n<h1>No</h1><p>Not you."),
            "No Not you.",
        ),
        (slowly(REFUSED + b"\r\n<html><head><title>Only a title"), "Only a title"),
    ],
    ids=(
        *("length", "chunks", "until close", "in one piece", "HTTP/1.0", "no body"),
        *("too long", "without an end", "broken chunk", "page", "page without a head"),
        "page with a title alone",
    ),
)
def test_what_a_refusal_says_is_read_however_it_is_framed(server: Handler, said: str) -> None:
    with serving(server) as port:
        listener = Listener(f"ws://127.0.0.1:{port}/", Network(connect_timeout=5))
        began = time.monotonic()
        with pytest.raises(ConnectFailed) as failed:
            listener.transport.connect()
        assert time.monotonic() - began < 3
    why = failed.value
    assert (why.operation, why.cause, why.said) == ("handshake", "HTTP 400", said)


def test_a_refusal_that_trickles_holds_up_nobody_for_long() -> None:
    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(REFUSED + b"\r\n")
        for _ in range(1000):
            connection.sendall(b"x")
            time.sleep(0.01)

    with serving(server) as port:
        listener = Listener(f"ws://127.0.0.1:{port}/", Network(connect_timeout=30))
        beats: list[float] = []

        def beat() -> None:
            while True:
                beats.append(time.monotonic())
                gevent.sleep(0.01)

        beating = gevent.spawn(beat)
        with pytest.raises(ConnectFailed) as failed:
            listener.transport.connect()
        beating.kill()
    assert set(failed.value.said) == {"x"}
    assert 0.5 < beats[-1] - beats[0] < 5
    assert len(beats) > 20


def test_the_request_is_what_the_endpoint_says() -> None:
    requests: list[Request] = []

    def keep(connection: ServerConnection, request: Request) -> None:
        requests.append(request)

    server = websocket_server(
        lambda _: None, process_request=keep, subprotocols=[Subprotocol("codes.v2")]
    )
    with server as url:
        port = url.split(":")[2].split("/")[0]
        with contextlib.suppress(ConnectFailed):
            Listener(Endpoint(url)).run()
        headers = (
            ("X-Username", "ann"),
            ("host", "codes.test"),
            ("Origin", "https://codes.test"),
            ("Cookie", "a=1"),
            ("Cookie", "b=2"),
        )
        Listener(Endpoint(url, headers=headers, subprotocols=("codes.v2",))).run()
    plain, full = requests
    assert plain.headers.get_all("Origin") == []
    assert plain.path == full.path == "/codes?as=x"
    assert plain.headers["Host"] == f"localhost:{port}"
    assert full.headers.get_all("Host") == ["codes.test"]
    assert full.headers.get_all("Origin") == ["https://codes.test"]
    assert full.headers.get_all("Cookie") == ["a=1; b=2"]
    assert full.headers["X-Username"] == "ann"
    assert full.headers["Sec-WebSocket-Protocol"] == "codes.v2"


def test_a_subprotocol_that_is_not_chosen_is_a_failure() -> None:
    with websocket_server(lambda _: None, subprotocols=[Subprotocol("codes.v2")]) as url:
        listener = Listener(Endpoint(url, subprotocols=("codes.v1",)))
        with pytest.raises(ConnectFailed, match=r"HTTP 400|bad handshake answer"):
            listener.transport.connect()


def test_one_users_cookies_are_not_sent_by_another() -> None:
    cookies = []

    def server(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        cookies.append(b"cookie:" in head.lower())
        connection.sendall(
            b"HTTP/1.1 403 No\r\nSet-Cookie: user=ann; Domain=localhost\r\n\r\n"
            if not cookies[:-1]
            else b"HTTP/1.1 302 F\r\nSet-Cookie: user=ann; Domain=localhost\r\n\r\n"
        )

    shared = Network()
    with serving(server) as port:
        for _ in range(3):
            with pytest.raises(ConnectFailed):
                Listener(f"ws://localhost:{port}/", shared).transport.connect()
    assert cookies == [False, False, False]


# The end


def ends(data: bytes, *, reset: bool = False) -> Handler:
    def server(connection: socket.socket) -> None:
        connection.sendall(answer(connection) + frame(0x81, b"hello") + data)
        if reset:
            time.sleep(0.1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return server


@pytest.mark.parametrize(
    ("server", "closed"),
    [
        (ends(b""), Closed("network", "no close frame")),
        (ends(frame(0x81, b"cut")[:3]), Closed("network", "no close frame")),
        (ends(b"", reset=True), Closed("network", "connection reset")),
        (
            ends(frame(0x88, b"\x03\xf3oops")),
            Closed("server", "closed by server: 1011", 1011, "oops"),
        ),
    ],
)
def test_an_end_by_server_or_network_is_told_apart(server: Handler, closed: Closed) -> None:
    with serving(server) as port:
        listener = Listener(f"ws://127.0.0.1:{port}/")
        assert listener.run() == closed
    assert listener.texts == [b"hello"]


@pytest.mark.parametrize(
    ("data", "code", "malformed"),
    [
        (frame(0xC1, b"x"), 1002, ["reserved bits"]),
        (frame(0x81, b"\xff"), 1007, ["invalid UTF-8"]),
        (frame(0x81, b"x" * 2000), 1009, []),
    ],
)
def test_a_frame_that_breaks_the_protocol_ends_the_session(
    data: bytes, code: int, malformed: list[str]
) -> None:
    heard = []

    def server(connection: socket.socket) -> None:
        connection.sendall(answer(connection) + data)
        heard.append(unmask(connection.recv(100)))

    with serving(server) as port:
        listener = Listener(Endpoint(f"ws://127.0.0.1:{port}/", max_message=1000))
        closed = listener.run()
    cause = f"protocol error: {malformed[0]}" if malformed else "message too large"
    assert closed == Closed("client", cause)
    assert listener.malformed == malformed
    assert heard == [(0x88, struct.pack("!H", code))]


def test_leaving_says_goodbye_and_waits_for_nobody() -> None:
    codes = []

    def server(connection: ServerConnection) -> None:
        try:
            connection.recv()
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else None)

    with websocket_server(server) as url:
        listener = Listener(url)
        listener.transport.connect()
        began = time.monotonic()
        gevent.spawn_later(0.05, listener.transport.leave)
        assert listener.transport.listen() == Closed("client", "left")
        # Never listened to, and left twice.
        other = Listener(url)
        other.transport.connect()
        other.transport.leave()
        other.transport.leave()
        assert other.transport.listen() == Closed("client", "left")
        assert time.monotonic() - began < 2
    assert codes == [1000, 1000]


def test_a_killed_listener_says_goodbye_too() -> None:
    codes = []

    def server(connection: ServerConnection) -> None:
        try:
            connection.recv()
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else None)

    with websocket_server(server) as url:
        listener = Listener(url)
        greenlet = gevent.spawn(listener.run)
        while not listener.transport.subscribed_ns:
            gevent.sleep(0.01)
        gevent.sleep(0.05)
        greenlet.kill(timeout=2)
        assert greenlet.dead
    assert codes == [1000]


def test_leaving_while_it_connects_ends_the_connecting() -> None:
    with serving(lambda connection: connection.recv(10_000) and connection.recv(1)) as port:
        listener = Listener(f"ws://127.0.0.1:{port}/")
        gevent.spawn_later(0.1, listener.transport.leave)
        began = time.monotonic()
        with pytest.raises(ConnectFailed) as failed:
            listener.transport.connect()
        assert failed.value.cause == "left"
        assert time.monotonic() - began < 3
        assert listener.transport.listen() == Closed("client", "left")


def test_a_callback_that_raises_ends_its_own_session_and_is_logged_once(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    told = threading.Event()

    def server(connection: ServerConnection) -> None:
        told.wait(5)
        connection.send("boom")
        connection.send("fine")

    def fail(message: bytes) -> None:
        raise ZeroDivisionError

    shared = Network()
    with websocket_server(server) as url:
        good = Listener(url, shared)
        bad = [Listener(url, shared, fail) for _ in range(3)]
        greenlets = [gevent.spawn(listener.run) for listener in [*bad, good]]
        while not all(listener.transport.subscribed_ns for listener in [*bad, good]):
            gevent.sleep(0.01)
        told.set()
        gevent.joinall(greenlets)
    assert [greenlet.value for greenlet in greenlets[:3]] == [
        Closed("client", "listener error: ZeroDivisionError")
    ] * 3
    assert greenlets[3].value == Closed("server", "closed by server: 1000", 1000)
    assert good.texts == [b"boom", b"fine"]
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_a_session_can_be_ended_from_above() -> None:
    with websocket_server(lambda connection: connection.recv()) as url:
        listener = Listener(url)
        listener.transport.connect()
        missed = Closed("network", "heartbeat missed")
        gevent.spawn_later(0.05, listener.transport.end, missed)
        assert listener.transport.listen() == missed


def test_pings_are_answered_while_no_greenlet_wakes() -> None:
    answered = []

    def server(connection: ServerConnection) -> None:
        answered.extend([connection.ping().wait(5) for _ in range(100)])

    with websocket_server(server) as url:
        listener = Listener(url)
        assert listener.run().code == 1000
    assert answered == [True] * 100
    assert listener.messages == []


def test_a_server_that_refuses_over_http_is_no_error_of_the_listener() -> None:
    def busy(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "try later")

    with websocket_server(lambda connection: None, process_request=busy) as url:
        with pytest.raises(ConnectFailed) as failed:
            Listener(url).transport.connect()
        assert failed.value.cause == "HTTP 503"
        assert failed.value.detail == "try later"


PATCHED = """
import gevent.monkey
gevent.monkey.patch_all()
import sys
import gevent
from sseload_users.transports import Transport
from sseload_users.transports.network import Endpoint, Network
from sseload_users.transports.websocket import WebSocketTransport

shared = Network(ca_file=sys.argv[2])
received = []

def one(url):
    transport: Transport = WebSocketTransport(
        Endpoint(url), shared, lambda message, _: received.append(message), print
    )
    transport.connect()
    return transport.listen()

people = [gevent.spawn(one, sys.argv[1]) for _ in range(20)]
gevent.joinall(people, raise_error=True)
print(len(received), {one.value.cause for one in people})
"""


@pytest.mark.parametrize("tls", [False, True])
def test_it_works_where_locust_has_patched_everything_first(tls: bool) -> None:
    def server(connection: socket.socket) -> None:
        head = answer(connection)
        for data in (head, frame(0x81, b"one") + frame(0x01, b"tw"), frame(0x80, b"o")):
            connection.sendall(data)
            time.sleep(0.01)
        connection.sendall(frame(0x89, b"still there?"))
        assert unmask(connection.recv(100)) == (0x8A, b"still there?")
        connection.sendall(frame(0x88, b"\x03\xe8"))
        connection.recv(100)

    with serving(server, certificate="server.pem" if tls else None) as port:
        url = f"ws{'s' if tls else ''}://localhost:{port}/"
        done = subprocess.run(
            [sys.executable, "-c", PATCHED, url, str(CERTIFICATES / "ca.pem")],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.stdout.strip() == "40 {'closed by server: 1000'}", done.stderr
