"""One event stream against real servers, good and bad ones."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from sseload_users.transports import Closed, ConnectFailed, ParsedMessage
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from sseload_users.transports.sse import SseTransport
from sseload_users.transports.transport import Transport
from tests.support.socket_servers import CERTIFICATES, Handler, read_until, serving
from tests.support.wire import chunk

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LEFT = Closed("client", "left")


@pytest.fixture(autouse=True)
def _no_test_waits_for_ever() -> Iterator[None]:
    with gevent.Timeout(20):
        yield


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
        self.transport = SseTransport(
            Endpoint(endpoint) if isinstance(endpoint, str) else endpoint,
            shared or Network(connect_timeout=5, ca_file=str(CERTIFICATES / "ca.pem")),
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


def says(*parts: bytes, stays: bool = False, reset: bool = False) -> Handler:
    """A server that answers with these parts, a moment apart."""

    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)
        if stays:
            connection.recv(1)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return server


@contextlib.contextmanager
def listener_to(handler: Handler, *, tls: bool = False, **endpoint: Any) -> Iterator[Listener]:
    with serving(handler, certificate="server.pem" if tls else None) as port:
        url = f"http{'s' if tls else ''}://127.0.0.1:{port}/events?user=ann"
        yield Listener(Endpoint(url, **endpoint))


def test_it_is_a_transport() -> None:
    transport: Transport = Listener("http://localhost/").transport
    assert transport.kind == "SSE"
    assert transport.parse(b"event: code\ndata: a") == ParsedMessage("code", "a")
    assert transport.parse(b"data: a") == ParsedMessage("message", "a")
    assert transport.listen() == LEFT


@pytest.mark.parametrize("tls", [False, True])
def test_events_of_all_shapes_and_the_end_arrive(tls: bool) -> None:
    long = b"data: " + "é".encode() * 100_000
    parts = (
        CHUNKED + chunk(b": hello\n\n") + chunk(b"data: one\n\n"),
        chunk(b"data: two\n\n"),
        chunk(b": keep-alive\n\n"),
        chunk(b"id: 7\r\nevent: code\r\nda"),
        chunk(b"ta: three\r\n\r\n")[:-1],
        b"\n" + chunk(long + b"\n\n"),
        chunk(b"retry: 1500\n\n") + chunk(b"data: cut off"),
        b"0\r\n\r\n",
    )
    before = time.time_ns()
    with listener_to(says(*parts, stays=True), tls=tls) as listener:
        closed = listener.run()
    transport = listener.transport
    assert closed == Closed("server", "end of stream")
    assert listener.texts == [
        b"data: one",
        b"data: two",
        b"id: 7\nevent: code\ndata: three",
        long,
    ]
    stamps = [transport.started_ns, transport.subscribed_ns, *(ns for _, ns in listener.messages)]
    assert before <= stamps[0]
    assert stamps == sorted(stamps)
    assert listener.messages[0][1] == transport.subscribed_ns
    assert stamps[-1] <= time.time_ns()
    assert (transport.last_event_id, transport.retry_ms) == ("7", 1500)
    assert not listener.malformed


DATA = b"data: one\n\n"


@pytest.mark.parametrize(
    ("server", "closed"),
    [
        (says(CHUNKED + chunk(DATA)), Closed("network", "connection closed")),
        (says(CHUNKED + chunk(DATA) + b"5\r\nda"), Closed("network", "connection closed")),
        (says(CHUNKED + chunk(DATA), reset=True), Closed("network", "connection reset")),
        (says(HEAD + b"\r\n" + DATA), Closed("server", "end of stream")),
        (says(HEAD + b"Content-Length: 11\r\n\r\n", DATA), Closed("server", "end of stream")),
        (says(HEAD + b"Content-Length: 12\r\n\r\n" + DATA), Closed("network", "connection closed")),
        (
            says(HEAD.replace(b"1.1", b"1.0") + b"\r\n" + DATA[:4], DATA[4:]),
            Closed("server", "end of stream"),
        ),
    ],
)
def test_an_end_by_server_or_network_is_told_apart(server: Handler, closed: Closed) -> None:
    with listener_to(server) as listener:
        assert listener.run() == closed
    assert listener.texts == [b"data: one"]


def test_a_stream_without_any_event_ends_too() -> None:
    with listener_to(says(HEAD + b"Content-Length: 0\r\n\r\n", stays=True)) as listener:
        assert listener.run() == Closed("server", "end of stream")


@pytest.mark.parametrize(
    ("parts", "cause", "malformed"),
    [
        ([chunk(DATA), b"zz\r\n"], "protocol error: bad chunk", ["bad chunk"]),
        ([chunk(DATA) + b"0x5\r\nhello\r\n"], "protocol error: bad chunk", ["bad chunk"]),
        ([chunk(DATA)] + [b"5" * 1000] * 5, "protocol error: bad chunk", ["bad chunk"]),
        ([chunk(DATA), chunk(b"data: " + b"x" * 2000 + b"\n\n")], "message too large", []),
        ([chunk(DATA)] + [chunk(b"x" * 600)] * 2, "message too large", []),
    ],
)
def test_what_breaks_the_protocol_ends_the_session(
    parts: list[bytes], cause: str, malformed: list[str]
) -> None:
    for together in (False, True):
        said = [CHUNKED + b"".join(parts)] if together else [CHUNKED, *parts]
        with listener_to(says(*said, stays=True), max_message=1000) as listener:
            assert listener.run() == Closed("client", cause)
        assert listener.texts == [b"data: one"]
        assert listener.malformed == malformed


# Connecting


SUBSCRIPTION: dict[str, Any] = {
    "hello": ("nobody", "hears this"),
    "confirm": lambda payload: payload == b"data: joined",
    "refuse": lambda payload: "not allowed" if b"denied" in payload else None,
    "reply": lambda payload: "nor this",
}


def test_only_what_comes_after_the_confirmation_is_handed_over() -> None:
    heard = []

    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(CHUNKED + chunk(b"data: too early\n\n"))
        time.sleep(0.05)
        connection.sendall(chunk(b"data: joined\n\n") + chunk(b"data: same read\n\n"))
        time.sleep(0.05)
        connection.sendall(chunk(b"data: later\n\n") + b"0\r\n\r\n")
        heard.append(connection.recv(100))

    with listener_to(server, **SUBSCRIPTION) as listener:
        listener.also = listener.transport.keep_alive
        assert listener.run() == Closed("server", "end of stream")
    assert listener.texts == [b"data: same read", b"data: later"]
    assert listener.messages[0][1] == listener.transport.subscribed_ns
    assert heard == [b""]


@pytest.mark.parametrize(
    ("server", "cause"),
    [
        (says(CHUNKED + chunk(b"data: denied\n\n"), stays=True), "not allowed"),
        (says(CHUNKED + chunk(b"data: hm\n\n"), stays=True), "timed out"),
        (says(CHUNKED + chunk(b"data: hm\n\n")), "connection closed"),
        (says(CHUNKED, b"0\r\n\r\n", stays=True), "end of stream"),
        (says(CHUNKED + b"0\r\n\r\n", stays=True), "end of stream"),
        (says(CHUNKED, b"zz\r\n", stays=True), "protocol error: bad chunk"),
    ],
)
def test_a_refused_subscription_is_a_failed_connect(server: Handler, cause: str) -> None:
    with serving(server) as port:
        endpoint = Endpoint(f"http://127.0.0.1:{port}/", **SUBSCRIPTION)
        listener = Listener(endpoint, Network(connect_timeout=0.5))
        with pytest.raises(ConnectFailed) as failed:
            listener.transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("subscribe", cause)
    assert listener.messages == []
    assert listener.transport.listen().by != "network"


@pytest.mark.parametrize(
    ("server", "cause", "detail"),
    [
        (says(b"HTTP/1.1 503 Busy\r\nContent-Length: 6\r\n\r\n", b"asleep"), "HTTP 503", "asleep"),
        (says(b"HTTP/1.1 500 Oh\r\n\r\nnever ends", stays=True), "HTTP 500", "never ends"),
        (
            says(
                b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nno\r\n", stays=True
            ),
            "HTTP 401",
            "no",
        ),
        (says(b"HTTP/1.1 404 Not Found\r\n\r\n"), "HTTP 404", "Not Found"),
        (says(b"HTTP/1.1 302 F\r\nLocation: /b\r\n\r\n"), "redirected: HTTP 302", "/b"),
        (
            says(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>"),
            "not an event stream: text/html",
            "",
        ),
        (
            says(HEAD + b"Content-Encoding: gzip\r\n\r\n"),
            "content encoding not supported: gzip",
            "",
        ),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "bad handshake answer", None),
        (
            says(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000, stays=True),
            "bad handshake answer",
            None,
        ),
        (says(b"HTTP/1.1 200 OK\r\nTransf"), "connection closed", ""),
        (says(reset=True), "connection reset", None),
        (says(HEAD, stays=True), "timed out", None),
    ],
)
def test_a_handshake_that_fails_has_a_short_cause(
    server: Handler, cause: str, detail: str | None
) -> None:
    with serving(server) as port:
        listener = Listener(f"http://127.0.0.1:{port}/", Network(connect_timeout=0.5))
        began = time.monotonic()
        with pytest.raises(ConnectFailed) as failed:
            listener.transport.connect()
        assert time.monotonic() - began < 3
    assert (failed.value.operation, failed.value.cause) == ("handshake", cause)
    assert detail in (None, failed.value.detail)
    assert listener.transport.listen().by == "client"


def test_a_session_goes_on_from_the_last_event_id() -> None:
    heads: list[bytes] = []

    def server(connection: socket.socket) -> None:
        heads.append(read_until(connection, b"\r\n\r\n"))
        event = [b"id: a\xc3\xa9\ndata: 1\n\n", b"data: 2\n\n", b"id\ndata: 3\n\n"][len(heads) - 1]
        connection.sendall(CHUNKED + chunk(event) + b"0\r\n\r\n")

    last = ""
    shared = Network()
    with serving(server) as port:
        for expected in ("aé", "aé", ""):
            listener = Listener(Endpoint(f"http://localhost:{port}/", last_event_id=last), shared)
            listener.run()
            last = listener.transport.last_event_id
            assert last == expected
    assert [b"Last-Event-ID: a\xc3\xa9\r\n" in head for head in heads] == [False, True, True]


@pytest.mark.skipif(Network().timestamps != "kernel", reason="no stamps to keep connect time right")
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("stall_at", [0.0, 0.15])
def test_connect_time_is_not_the_generators_own_queue(tls: bool, stall_at: float) -> None:
    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        time.sleep(0.1)
        connection.sendall(CHUNKED)
        time.sleep(0.2)
        connection.sendall(chunk(b"data: joined\n\n"))
        connection.recv(1)

    with listener_to(server, tls=tls, **SUBSCRIPTION) as listener:
        gevent.spawn_later(stall_at, time.sleep, 0.6)  # blocks the whole hub
        began = time.monotonic()
        listener.transport.connect()
        took = time.monotonic() - began
        connect_time = (listener.transport.subscribed_ns - listener.transport.started_ns) / 1e9
        listener.transport.leave()
    assert took > 0.6
    assert 0.25 < connect_time < 0.45


# Leaving


def test_leaving_waits_for_nobody() -> None:
    with listener_to(says(CHUNKED + chunk(DATA), stays=True)) as listener:
        listener.transport.connect()
        began = time.monotonic()
        gevent.spawn_later(0.05, listener.transport.leave)
        assert listener.transport.listen() == LEFT
        assert listener.texts == [b"data: one"]
        # Never listened to, and left twice.
        other = Listener(listener.transport.endpoint)
        other.transport.connect()
        other.transport.leave()
        other.transport.leave()
        assert other.transport.listen() == LEFT
        assert time.monotonic() - began < 2


def test_leaving_while_it_connects_ends_the_connecting() -> None:
    for server in (says(stays=True), says(b"HTTP/1.1 500 Oh\r\n\r\n", stays=True)):
        with listener_to(server) as listener:
            gevent.spawn_later(0.1, listener.transport.leave)
            began = time.monotonic()
            with pytest.raises(ConnectFailed) as failed:
                listener.transport.connect()
            assert failed.value.cause == "left"
            assert time.monotonic() - began < 3
            assert listener.transport.listen() == LEFT


def test_leaving_in_the_middle_of_a_read_hands_nothing_more_on() -> None:
    events = chunk(b"data: 1\n\n") + chunk(b"data: 2\n\ndata: 3\n\n")

    def leave_at_two(message: bytes) -> None:
        if message == b"data: 2":
            listener.transport.leave()

    with listener_to(says(CHUNKED, events, stays=True)) as listener:
        listener.also = leave_at_two
        assert listener.run() == LEFT
    assert listener.texts == [b"data: 1", b"data: 2"]


def test_a_killed_listener_closes_its_connection() -> None:
    ends: list[bytes] = []

    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(CHUNKED + chunk(DATA))
        ends.append(connection.recv(1))

    with listener_to(server) as listener:
        greenlet = gevent.spawn(listener.run)
        while not listener.messages:
            gevent.sleep(0.01)
        greenlet.kill(timeout=2)
        assert greenlet.dead
    assert ends == [b""]


def test_a_callback_that_raises_ends_its_own_session(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(message: bytes) -> None:
        raise ZeroDivisionError

    for parts in ((CHUNKED, chunk(DATA)), (CHUNKED + chunk(DATA),)):
        with listener_to(says(*parts, stays=True)) as listener:
            listener.also = fail
            assert listener.run() == Closed("client", "listener error: ZeroDivisionError")
    assert "Traceback" not in capfd.readouterr().err
    assert {record.levelname for record in caplog.records} == {"ERROR"}


def test_reads_with_several_events_are_told_from_others() -> None:
    shared = Network()
    parts = (CHUNKED, chunk(DATA), chunk(DATA) + chunk(DATA), chunk(DATA + DATA), b"0\r\n\r\n")
    with serving(says(*parts)) as port:
        listener = Listener(f"http://127.0.0.1:{port}/", shared)
        listener.run()
    assert len(listener.messages) == 5
    assert len(shared.lag.drain_errors()) == 2
