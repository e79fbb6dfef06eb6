"""The contract of all transports: connect, subscribe, listen, end."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable

import gevent
import pytest

from sseload_users.transports import Closed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from tests.support.listener import LEFT, Listener
from tests.support.socket_servers import Handler, read_until, serving
from tests.support.transport_wires import SocketIOWire, SseWire, WebSocketWire, Wire
from tests.support.wire import receive_frame

kernel_stamps = pytest.mark.skipif(
    Network().timestamps != "kernel", reason="this kernel does not stamp what TCP receives"
)


@pytest.fixture(params=[WebSocketWire, SocketIOWire, SseWire], ids=lambda each: each.name)
def wire(request: pytest.FixtureRequest) -> Wire:
    found: Wire = request.param()
    return found


def listener_for(
    wire: Wire,
    endpoint: Endpoint,
    network: Network | None = None,
    also: Callable[[bytes], object] = lambda _: None,
) -> Listener:
    return Listener(wire.name, endpoint, network, also)


def sends(wire: Wire, *parts: bytes, stays: bool = False, reset: bool = False) -> Handler:
    """A server that accepts and sends the first part in one piece, then the others."""

    def server(connection: socket.socket) -> None:
        first, *further = parts or (b"",)
        connection.sendall(wire.accept(connection) + first)
        for part in further:
            time.sleep(0.02)
            connection.sendall(part)
        if stays:
            drain(connection)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return server


def answers(response: bytes) -> Handler:
    """A server that sends the same response to every request."""

    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(response)

    return server


def drain(connection: socket.socket) -> bytes:
    """Return everything that the client sends until it closes."""
    data = b""
    while more := connection.recv(1000):
        data += more
    return data


# Connect and receive


def test_a_new_transport_knows_nothing_and_has_left(wire: Wire) -> None:
    transport = listener_for(wire, wire.endpoint(1, last_event_id="")).transport
    assert (transport.started_ns, transport.subscribed_ns) == (0, 0)
    assert transport.send("anything") is False
    assert transport.listen() == LEFT


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_messages_arrive_in_order_with_their_stamps_until_the_server_ends(
    wire: Wire, tls: bool
) -> None:
    long = "x" * 100_000
    parts = [b"", *map(wire.message, ("one", "two")), wire.message("three") + wire.message(long)]
    before = time.time_ns()
    certificate = "server.pem" if tls else None
    with serving(sends(wire, *parts, wire.goodbye()), certificate=certificate) as port:
        listener = listener_for(wire, wire.endpoint(port, tls=tls))
        assert listener.run() == wire.closed
    assert listener.payloads == [wire.payload(text) for text in ("one", "two", "three", long)]
    transport = listener.transport
    stamps = [transport.started_ns, transport.subscribed_ns, *(ns for _, ns in listener.messages)]
    assert before <= stamps[0]
    assert stamps == sorted(stamps)
    assert stamps[-1] <= time.time_ns()
    assert listener.malformed == []


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_messages_in_the_handshakes_last_read_wait_for_listen(wire: Wire, tls: bool) -> None:
    second = wire.message("second")
    parts = (wire.message("first") + second[:7], second[7:] + wire.goodbye())
    certificate = "server.pem" if tls else None
    with serving(sends(wire, *parts), certificate=certificate) as port:
        listener = listener_for(wire, wire.endpoint(port, tls=tls))
        listener.transport.connect()
        assert listener.messages == []
        assert listener.transport.listen() == wire.closed
    assert listener.payloads == [wire.payload("first"), wire.payload("second")]


def test_a_session_can_end_with_the_handshake(wire: Wire) -> None:
    with serving(sends(wire, wire.goodbye(), stays=True)) as port:
        assert listener_for(wire, wire.endpoint(port)).run() == wire.closed


@kernel_stamps
@pytest.mark.parametrize(
    ("tls", "stall_at"), [(False, 0.0), (False, 0.15), (True, 0.0), (True, 0.02)]
)
def test_the_connect_time_excludes_stalls_of_this_process(
    wire: Wire, tls: bool, stall_at: float
) -> None:
    def server(connection: socket.socket) -> None:
        last = wire.accept(connection)
        time.sleep(0.1)
        connection.sendall(last)
        time.sleep(0.2)
        connection.sendall(wire.message("joined"))
        drain(connection)

    with serving(server, certificate="server.pem" if tls else None) as port:
        endpoint = wire.endpoint(port, tls=tls, **wire.subscription())
        transport = listener_for(wire, endpoint).transport
        # Blocks the whole hub: at 0, from the first wait on.
        if stall_at:
            gevent.spawn_later(stall_at, time.sleep, 0.6)
        else:
            gevent.spawn(time.sleep, 0.6)
        began = time.monotonic()
        transport.connect()
        took = time.monotonic() - began
        connect_time = (transport.subscribed_ns - transport.started_ns) / 1e9
        times = transport.times
        transport.leave()
    assert took > 0.6
    assert 0.25 < connect_time < 0.45
    assert times is not None
    assert times.connect_ns == transport.subscribed_ns - transport.started_ns
    # The stall is the generator's own time, wherever it was.
    assert 0.15 < times.own_ns / 1e9 < took - connect_time + 1e-3
    # Socket.IO's handshake is a part of the subscription; and what one read finds after a stall
    # has one stamp. A plain request is written before the first wait.
    if not isinstance(wire, SocketIOWire) and (tls, stall_at) in {(False, 0.15), (True, 0.0)}:
        assert 0.05 < times.handshake_ns / 1e9 < 0.25
        assert 0.1 < times.subscription_ns / 1e9 < 0.35
    assert times.tcp_ns / 1e9 < 0.05
    assert (times.tls_ns > 0) is tls


# Subscribe


def test_the_message_that_confirms_starts_the_session(wire: Wire) -> None:
    confirmed = wire.message("joined") + wire.message("same read")
    parts = (wire.message("early"), confirmed, wire.message("later") + wire.goodbye())
    with serving(sends(wire, *parts)) as port:
        listener = listener_for(wire, wire.endpoint(port, **wire.subscription()))
        assert listener.run() == wire.closed
    texts = ["early", "same read", "later"] if wire.keeps_early else ["same read", "later"]
    assert listener.payloads == [wire.payload(text) for text in texts]
    stamps = dict(listener.messages)
    assert stamps[wire.payload("same read")] == listener.transport.subscribed_ns


@pytest.mark.parametrize("ends", ["refused", "silent", "closed", "cut"])
def test_a_subscription_that_fails_is_a_failed_connect(wire: Wire, ends: str) -> None:
    parts, stays, cause = {
        "refused": ((b"", wire.message("hm"), wire.message("no")), True, "not allowed"),
        "silent": ((b"", wire.message("hm")), True, "timed out"),
        "closed": ((b"", wire.goodbye()), True, wire.closed.cause),
        "cut": ((b"", wire.message("hm")), False, "connection closed"),
    }[ends]
    with serving(sends(wire, *parts, stays=stays)) as port:
        endpoint = wire.endpoint(port, **wire.subscription())
        failed = listener_for(wire, endpoint, Network(connect_timeout=0.5)).fails()
    assert (failed.operation, failed.cause) == ("subscribe", cause)


def test_the_endpoints_replies_are_sent(wire: Wire) -> None:
    heard: list[bytes] = []

    def server(connection: socket.socket) -> None:
        connection.sendall(wire.accept(connection) + wire.message("ping"))
        if wire.hears:
            heard.append(receive_frame(connection)[1])
        connection.sendall(wire.goodbye())
        if not wire.hears:
            heard.append(drain(connection))

    with serving(server) as port:
        endpoint = wire.endpoint(
            port, reply=lambda payload, send: send(f"pong to {payload.decode()}")
        )
        listener = listener_for(wire, endpoint)
        assert listener.run() == wire.closed
    assert heard == [b"pong to " + wire.payload("ping") if wire.hears else b""]


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("held", [True, False])
def test_a_message_that_the_endpoint_names_ends_the_session(
    wire: Wire, held: bool, stays: bool
) -> None:
    """What comes after that message is not of the session, not even the server's own end."""
    ended = Closed("server", "ended by server: enough", reason="enough", final=True)
    after = wire.message("more") if stays else wire.goodbye()
    first, rest = wire.message("first"), wire.message("end") + after
    parts = (first + rest,) if held else (first, rest)
    with serving(sends(wire, *parts, stays=stays)) as port:
        endpoint = wire.endpoint(
            port, end=lambda payload: ended if payload == wire.payload("end") else None
        )
        listener = listener_for(wire, endpoint)
        assert listener.run() == ended
    assert listener.payloads == [wire.payload("first"), wire.payload("end")]


# Refused or broken handshakes


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 6\r\n\r\nasleep", "HTTP 503"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404"),
        (b"HTTP/1.1 302 F\r\nContent-Length: 0\r\n\r\n", "redirected: HTTP 302"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "bad handshake answer"),
        (b"HTTP/1.1 200 OK\r\nTransf", "connection closed"),
        (b"", "connection closed"),
    ],
)
def test_a_handshake_that_fails_has_a_short_cause(wire: Wire, response: bytes, cause: str) -> None:
    with serving(answers(response)) as port:
        failed = listener_for(wire, wire.endpoint(port)).fails()
    assert (failed.operation, failed.cause) == ("handshake", cause)
    if cause == "HTTP 503":
        assert "asleep" in str(failed)


def test_a_handshake_without_a_response_times_out(wire: Wire) -> None:
    with serving(drain) as port:
        failed = listener_for(wire, wire.endpoint(port), Network(connect_timeout=0.3)).fails()
    assert (failed.operation, failed.cause) == ("handshake", "timed out")


def test_a_handshake_of_endless_headers_fails(wire: Wire) -> None:
    with serving(answers(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000)) as port:
        failed = listener_for(wire, wire.endpoint(port)).fails()
    assert (failed.operation, failed.cause) == ("handshake", "bad handshake answer")


def test_a_port_that_nobody_listens_on_refuses(wire: Wire) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    failed = listener_for(wire, wire.endpoint(port)).fails()
    assert (failed.operation, failed.cause) == ("connect", "connection refused")


def test_an_untrusted_certificate_fails(wire: Wire) -> None:
    with serving(drain, certificate="server.pem") as port:
        failed = listener_for(
            wire, wire.endpoint(port, tls=True), Network(connect_timeout=5)
        ).fails()
    assert (failed.operation, failed.cause) == ("tls", "certificate not trusted")


# Ends


def test_a_stream_that_ends_without_goodbye_is_a_drop(wire: Wire) -> None:
    cut = wire.message("cut off")[:5]
    with serving(sends(wire, wire.message("one") + cut)) as port:
        listener = listener_for(wire, wire.endpoint(port))
        assert listener.run() == wire.cut
    assert listener.payloads == [wire.payload("one")]


def test_a_reset_is_a_drop(wire: Wire) -> None:
    with serving(sends(wire, wire.message("one"), b"", reset=True)) as port:
        listener = listener_for(wire, wire.endpoint(port))
        assert listener.run() == Closed("network", "connection reset")


def test_a_message_that_is_too_large_ends_the_session(wire: Wire) -> None:
    parts = (b"", wire.message("small"), wire.message("x" * 2000), wire.message("after"))
    with serving(sends(wire, *parts, stays=True)) as port:
        listener = listener_for(wire, wire.endpoint(port, max_message=1000))
        assert listener.run() == Closed("client", "message too large")
    assert listener.payloads == [wire.payload("small")]
    assert listener.malformed == []


def test_a_session_can_be_ended_from_above(wire: Wire) -> None:
    with serving(sends(wire, stays=True)) as port:
        listener = listener_for(wire, wire.endpoint(port))
        listener.transport.connect()
        missed = Closed("network", "heartbeat missed")
        gevent.spawn_later(0.05, listener.transport.end, missed)
        assert listener.transport.listen() == missed


def test_a_callback_that_raises_ends_only_its_own_session(
    wire: Wire, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    everybody = threading.Event()

    def server(connection: socket.socket) -> None:
        connection.sendall(wire.accept(connection) + wire.message("hello"))
        everybody.wait(5)
        connection.sendall(wire.message("boom") + wire.message("fine") + wire.goodbye())
        drain(connection)

    def fail(payload: bytes) -> None:
        if payload == wire.payload("boom"):
            raise ZeroDivisionError

    network = Network()
    with serving(server) as port:
        endpoint = wire.endpoint(port)
        good = listener_for(wire, endpoint, network)
        bad = [listener_for(wire, endpoint, network, fail) for _ in range(3)]
        greenlets = [gevent.spawn(each.run) for each in [*bad, good]]
        while not all(each.messages for each in [*bad, good]):
            gevent.sleep(0.01)
        everybody.set()
        gevent.joinall(greenlets)
    failed = Closed("client", "listener error: ZeroDivisionError")
    assert [each.value for each in greenlets] == [failed, failed, failed, wire.closed]
    assert good.payloads == [wire.payload(text) for text in ("hello", "boom", "fine")]
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_a_callback_that_raises_on_a_held_message_ends_the_session(wire: Wire) -> None:
    def fail(payload: bytes) -> None:
        raise ZeroDivisionError

    with serving(sends(wire, wire.message("held"), stays=True)) as port:
        listener = listener_for(wire, wire.endpoint(port), also=fail)
        assert listener.run() == Closed("client", "listener error: ZeroDivisionError")


# Leave


def test_leaving_does_not_wait_for_the_server(wire: Wire) -> None:
    with serving(sends(wire, wire.message("one"), stays=True)) as port:
        listener = listener_for(wire, wire.endpoint(port))
        listener.transport.connect()
        began = time.monotonic()
        gevent.spawn_later(0.05, listener.transport.leave)
        assert listener.transport.listen() == LEFT
        assert listener.payloads == [wire.payload("one")]
        # Never listened to, and left twice.
        other = listener_for(wire, wire.endpoint(port))
        other.transport.connect()
        other.transport.leave()
        other.transport.leave()
        assert other.transport.listen() == LEFT
        assert time.monotonic() - began < 2


def test_leaving_while_connecting_ends_the_attempt(wire: Wire) -> None:
    for server in (drain, sends(wire, stays=True)):
        with serving(server) as port:
            listener = listener_for(wire, wire.endpoint(port, **wire.subscription()))
            gevent.spawn_later(0.1, listener.transport.leave)
            began = time.monotonic()
            assert listener.fails().cause == "left"
            assert time.monotonic() - began < 3
            assert listener.transport.listen() == LEFT


def test_leaving_in_the_middle_of_a_read_hands_over_nothing_more(wire: Wire) -> None:
    def leave_at_two(payload: bytes) -> None:
        if payload == wire.payload("two"):
            listener.transport.leave()

    parts = (b"", b"".join(map(wire.message, ("one", "two", "three"))))
    with serving(sends(wire, *parts, stays=True)) as port:
        listener = listener_for(wire, wire.endpoint(port), also=leave_at_two)
        assert listener.run() == LEFT
    assert listener.payloads == [wire.payload("one"), wire.payload("two")]


def test_a_killed_listener_closes_its_connection(wire: Wire) -> None:
    closed = threading.Event()

    def server(connection: socket.socket) -> None:
        connection.sendall(wire.accept(connection) + wire.message("one"))
        drain(connection)
        closed.set()

    with serving(server) as port:
        listener = listener_for(wire, wire.endpoint(port))
        greenlet = gevent.spawn(listener.run)
        while not listener.messages:
            gevent.sleep(0.01)
        greenlet.kill(timeout=2)
        assert greenlet.dead
        assert closed.wait(5)


# Slow consumers


def test_a_slow_connection_reads_everything_at_its_rate(wire: Wire) -> None:
    texts = [f"{number:04}" + "x" * 496 for number in range(20)]
    data = b"".join(map(wire.message, texts))
    rate = len(data) // 1.0
    with serving(sends(wire, b"", data, wire.goodbye(), stays=True)) as port:
        listener = listener_for(wire, wire.endpoint(port, slow=True), Network(slow_rate=rate))
        listener.transport.connect()
        began = time.monotonic()
        assert listener.transport.listen() == wire.closed
        took = time.monotonic() - began
    assert listener.payloads == [wire.payload(text) for text in texts]
    assert took > 0.7
