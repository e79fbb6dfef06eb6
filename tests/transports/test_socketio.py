"""One Socket.IO connection against servers that speak it, byte by byte and for real."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from sseload_users.transports import Closed, ConnectFailed, ParsedMessage
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from sseload_users.transports.socketio import SocketIOTransport
from sseload_users.transports.transport import Transport
from tests.support.socket_servers import Handler, read_until, serving
from tests.support.wire import accept_websocket, frame, unmask

LEFT = Closed("client", "left")
DISCONNECTED = Closed("server", "disconnected by server")
OPEN = '0{"sid":"x","upgrades":[],"pingTimeout":20000,"pingInterval":25000,"maxPayload":1000000}'
CONNECTED = '42/events,["connected",{"message":"Connected to events endpoint"}]'
JOINED = '40/events,{"sid":"y"}'
CODE = '42/events,["new_code",{"code":"CODE-1","metadata":{}}]'


@pytest.fixture(autouse=True)
def _no_test_waits_for_ever() -> Iterator[None]:
    with gevent.Timeout(30):
        yield


class Listener:
    """A transport and what it handed over."""

    def __init__(
        self, endpoint: Endpoint, shared: Network, also: Callable[[bytes], object] | None = None
    ) -> None:
        self.also = also
        self.messages: list[tuple[bytes, int]] = []
        self.malformed: list[str] = []
        self.transport = SocketIOTransport(endpoint, shared, self.on_message, self.malformed.append)

    def on_message(self, message: bytes, arrived_ns: int) -> None:
        self.messages.append((message, arrived_ns))
        if self.also is not None:
            self.also(message)

    @property
    def texts(self) -> list[str]:
        return [message.decode() for message, _ in self.messages]

    @property
    def events(self) -> list[ParsedMessage | None]:
        return [self.transport.parse(message) for message, _ in self.messages]

    def run(self) -> Closed:
        self.transport.connect()
        return self.transport.listen()


def listener(url: str, connect_timeout: float = 5, **more: Any) -> Listener:
    more = {"namespace": "/events", **more}
    return Listener(Endpoint(url, **more), Network(connect_timeout=connect_timeout))


def texts(*packets: str | bytes) -> bytes:
    """The packets as frames: text, or binary for bytes."""
    return b"".join(
        frame(0x82, each) if isinstance(each, bytes) else frame(0x81, each.encode())
        for each in packets
    )


def hears(connection: socket.socket) -> str:
    """The next short packet that the client sends; empty for a close or the end."""
    head = connection.recv(2, socket.MSG_WAITALL)
    if len(head) < 2:
        return ""
    first, body = unmask(head + connection.recv(4 + (head[1] & 0x7F), socket.MSG_WAITALL))
    return body.decode() if first == 0x81 else ""


def speaks(*steps: str | bytes | float, stays: bool = False, heard: Any = None) -> Handler:
    """A server that opens, hears what namespace is wanted, and says or waits for these.

    What it says without waiting comes in one piece.
    """

    def server(connection: socket.socket) -> None:
        said = [] if heard is None else heard
        connection.sendall(accept_websocket(connection) + texts(OPEN))
        said.append(hears(connection))
        for waits, some in itertools.groupby(steps, lambda step: isinstance(step, float)):
            if waits:
                time.sleep(sum(some))  # type: ignore[arg-type]
            else:
                connection.sendall(texts(*some))  # type: ignore[arg-type]
        while stays and (text := hears(connection)):
            said.append(text)

    return server


def test_it_is_a_transport() -> None:
    transport: Transport = listener("ws://localhost/").transport
    assert transport.kind == "SIO"
    assert transport.parse(CODE.encode()) == ParsedMessage(
        "new_code", [{"code": "CODE-1", "metadata": {}}]
    )
    assert transport.listen() == LEFT


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("/socket.io/?username=a%20b", "/socket.io/?username=a%20b&EIO=4&transport=websocket"),
        ("/socket.io/", "/socket.io/?EIO=4&transport=websocket"),
        ("/x?transport=websocket&EIO=3", "/x?transport=websocket&EIO=3"),
        ("/x?EIO=", "/x?EIO=&transport=websocket"),
    ],
)
def test_engine_ios_parameters_are_added_where_they_lack(given: str, asked: str) -> None:
    transport = listener(f"ws://h:1{given}").transport
    assert transport.endpoint.url == f"ws://h:1{asked}"


def test_a_url_that_is_none_is_refused_where_it_is_connected_to() -> None:
    with pytest.raises(ConnectFailed, match="bad URL"):
        listener("ws://[").transport.connect()


def test_the_code_servers_exchange() -> None:
    heard: list[str] = []

    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection))
        time.sleep(0.02)
        connection.sendall(texts(OPEN))
        heard.append(hears(connection))
        connection.sendall(texts(CONNECTED))
        time.sleep(0.05)
        connection.sendall(texts(JOINED, CODE))
        time.sleep(0.05)
        connection.sendall(texts("2"))
        heard.append(hears(connection))
        connection.sendall(texts(CODE, "42/other,[]", CODE.replace("42/events,", "42")))
        time.sleep(0.05)
        connection.sendall(frame(0x88, b"\x03\xf3"))
        connection.recv(10)

    with serving(server) as port:
        one = listener(f"ws://127.0.0.1:{port}/socket.io/", auth={"token": "s"})
        one.transport.connect()
        assert one.messages == []
        closed = one.transport.listen()
    assert closed == Closed("server", "closed by server: 1011", 1011)
    assert heard == ['40/events,{"token":"s"}', "3"]
    assert one.texts == [CONNECTED, CODE, CODE]
    early, same_read, _ = (arrived_ns for _, arrived_ns in one.messages)
    assert one.transport.started_ns < early < one.transport.subscribed_ns == same_read
    assert not one.malformed


def test_the_default_namespace_has_a_shorter_form() -> None:
    heard: list[str] = []
    steps = ('40{"sid":"y"}', '42["a"]', '4217["b-1"]', '42/events,["c"]', "41")
    with serving(speaks(*steps, heard=heard)) as port:
        one = listener(f"ws://127.0.0.1:{port}/", namespace="/")
        assert one.run() == DISCONNECTED
    assert heard == ["40"]
    assert one.events == [ParsedMessage("a", []), ParsedMessage("b-1", [])]


# Refusals

REFUSED_USER = (
    '42/events,["error",{"message":"Unauthorized or unknown username"}]',
    "41/events,",
    '44/events,{"message":"Connection rejected by server"}',
)


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        (REFUSED_USER, "unauthorized or unknown username"),
        (REFUSED_USER[:2], "unauthorized or unknown username"),
        (REFUSED_USER[:1], "unauthorized or unknown username"),
        (REFUSED_USER[1:], "connection rejected by server"),
        (REFUSED_USER[2:], "connection rejected by server"),
        (('42/events,["error"]',), "connection rejected by server"),
        (("44/events,",), "connection rejected by server"),
        (('44/events,"Unable to connect"',), "unable to connect"),
        (('44/events,{"message":"Invalid namespace"}', CODE), "invalid namespace"),
        (("41/events,",), "disconnected by server"),
        (("1",), "disconnected by server"),
        ((CONNECTED, CODE, "2"), "timed out"),
        (('40{"sid":"y"}', '44/other,"no"', "41", '40/other,{"sid":"z"}'), "timed out"),
        (("40/events,",), "bad handshake answer"),
        (("451-/events,[]", JOINED), "timed out"),
        (("x", "47", ""), "timed out"),
    ],
)
def test_a_refusal_is_no_success_though_the_socket_stays_open(
    steps: tuple[str, ...], cause: str
) -> None:
    with serving(speaks(*steps, stays=True)) as port:
        one = listener(f"ws://127.0.0.1:{port}/", connect_timeout=0.4)
        with pytest.raises(ConnectFailed) as failed:
            one.transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("subscribe", cause)
    assert one.messages == []
    assert one.transport.listen().by != "network"
    if steps == REFUSED_USER:
        assert failed.value.server_text == "Unauthorized or unknown username"


@pytest.mark.parametrize(
    ("step", "cause", "said"),
    [
        (
            '44/events,{"message":"Not allowed","data":{"code":7,"retry":false}}',
            "not allowed",
            '{"message": "Not allowed", "data": {"code": 7, "retry": false}}',
        ),
        ('44/events,{"message":"Not allowed"}', "not allowed", "Not allowed"),
        (
            '44/events,{"data":{"code":7}}',
            "connection rejected by server",
            '{"data": {"code": 7}}',
        ),
        ('42/events,["error",{"no":"é"}]', "connection rejected by server", '{"no": "é"}'),
        ("44/events," + "[" * 400 + "]" * 400, "connection rejected by server", None),
        (
            '44/events,{"message":"no","data":"' + "x" * 999 + '"}',
            "no",
            '{"message": "no", "data": "' + "x" * 273,
        ),
    ],
    ids=("data", "a message alone", "no message", "an event", "nested deeply", "long"),
)
def test_all_that_a_refusal_says_is_kept(step: str, cause: str, said: str | None) -> None:
    with serving(speaks(step, stays=True)) as port, pytest.raises(ConnectFailed) as failed:
        listener(f"ws://127.0.0.1:{port}/", connect_timeout=0.4).transport.connect()
    assert failed.value.cause == cause
    assert said in (None, failed.value.server_text)


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ((frame(0x88, b"\x03\xf0"),), "closed by server: 1008"),
        ((texts(REFUSED_USER[0]), frame(0x88, b"\x03\xe8")), "unauthorized or unknown username"),
        ((), "connection closed"),
    ],
)
def test_a_closed_socket_is_a_refusal_too(steps: tuple[bytes, ...], cause: str) -> None:
    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + texts(OPEN))
        hears(connection)
        connection.sendall(b"".join(steps))

    with serving(server) as port, pytest.raises(ConnectFailed) as failed:
        listener(f"ws://127.0.0.1:{port}/").transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("subscribe", cause)


@pytest.mark.parametrize(
    "opening", ["", "40", "0", "0{}", "hello", '0{"pingInterval":"1"}', "[1,2,3]", '{"a":1}']
)
def test_a_server_of_another_protocol_is_told(opening: str) -> None:
    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + texts(opening))
        connection.recv(100)

    with serving(server) as port, pytest.raises(ConnectFailed) as failed:
        listener(f"ws://127.0.0.1:{port}/").transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("subscribe", "bad handshake answer")
    assert failed.value.detail == opening


def test_engine_ios_own_error_is_an_http_status() -> None:
    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        said = b'{"code":5,"message":"Unsupported protocol version"}'
        head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(said)
        connection.sendall(head + said)

    with serving(server) as port, pytest.raises(ConnectFailed) as failed:
        listener(f"ws://127.0.0.1:{port}/").transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("handshake", "HTTP 400")
    assert "Unsupported protocol version" in failed.value.server_text


def test_events_that_are_never_acknowledged_do_not_pile_up() -> None:
    with serving(speaks(*[CODE] * 100, stays=True)) as port:
        one = listener(f"ws://127.0.0.1:{port}/", max_message=2000)
        with pytest.raises(ConnectFailed) as failed:
            one.transport.connect()
    assert failed.value.cause == "never acknowledged"


# A further confirmation


def test_the_profiles_own_subscription_comes_after_the_acknowledgement() -> None:
    heard: list[str] = []

    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + texts(OPEN))
        heard.append(hears(connection))
        connection.sendall(texts(JOINED))
        heard.extend([hears(connection), hears(connection)])
        connection.sendall(texts(CODE))
        time.sleep(0.05)
        connection.sendall(texts('42/events,["joined"]', CODE, '42/events,["ping",1]'))
        heard.append(hears(connection))
        connection.sendall(texts("41/events,"))

    with serving(server) as port:
        one = listener(
            f"ws://127.0.0.1:{port}/",
            hello=('42/events,["join","a"]', '42/events,["join","b"]'),
            confirm=lambda payload: payload == b'42/events,["joined"]',
            reply=lambda payload: '42/events,["pong"]' if b"ping" in payload else None,
        )
        one.also = one.transport.keep_alive
        assert one.run() == DISCONNECTED
    assert heard == [
        "40/events,",
        '42/events,["join","a"]',
        '42/events,["join","b"]',
        '42/events,["pong"]',
    ]
    assert one.texts == [CODE, CODE, '42/events,["ping",1]']
    assert one.messages[0][1] < one.transport.subscribed_ns == one.messages[1][1]


@pytest.mark.parametrize("steps", [('42/events,["no","7"]', JOINED), (JOINED, '42/events,["no"]')])
def test_the_profiles_own_refusal_counts_before_and_after(steps: tuple[str, ...]) -> None:
    with serving(speaks(*steps, stays=True)) as port:
        one = listener(
            f"ws://127.0.0.1:{port}/",
            confirm=lambda payload: False,
            refuse=lambda payload: "not allowed" if b'"no"' in payload else None,
        )
        with pytest.raises(ConnectFailed) as failed:
            one.transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("subscribe", "not allowed")


# The session


def test_binary_events_and_acknowledgements_break_nothing() -> None:
    steps: list[str | bytes | float] = [
        JOINED,
        '452-/events,["new_code",{"a":{"_placeholder":true,"num":1},"b":[{"_placeholder":true,"num":0}]}]',
        b"42/events,[",
        0.03,
        b"2",
        "43/events,5[1]",
        "461-/events,6[]",
        b"to an acknowledgement",
        '451-/other,["new_code",{"_placeholder":true,"num":0}]',
        b"to another namespace",
        '42/events,9["with id"]',
        '450-/events,["none"]',
        "6",
        "3",
        CODE,
        "41/events,",
    ]
    before: list[int] = []
    with serving(speaks(*steps)) as port:
        one = listener(f"ws://127.0.0.1:{port}/")
        one.also = lambda _: before.append(one.transport._attachments_due)
        assert one.run() == DISCONNECTED
    assert one.events == [
        ParsedMessage("new_code", [{"a": b"2", "b": [b"42/events,["]}]),
        ParsedMessage("with id", []),
        ParsedMessage("none", []),
        ParsedMessage("new_code", [{"code": "CODE-1", "metadata": {}}]),
    ]
    assert before == [0, 0, 0, 0]
    assert not one.malformed


def test_what_is_no_packet_is_counted_and_the_session_goes_on() -> None:
    steps = (JOINED, "x", "", "4", "48", '45["a"]', OPEN, b"\x04bytes", "421-[]", CODE, "1")
    with serving(speaks(*steps)) as port:
        one = listener(f"ws://127.0.0.1:{port}/")
        assert one.run() == DISCONNECTED
    assert one.texts == [CODE]
    assert one.malformed == ["bad packet"] * 8


def test_attachments_are_bounded_as_a_message_is() -> None:
    steps: list[str | bytes] = [JOINED, '459999-/events,["a"]', *[b"x" * 300] * 20]
    with serving(speaks(*steps, stays=True)) as port:
        one = listener(f"ws://127.0.0.1:{port}/", max_message=1000)
        assert one.run() == Closed("client", "message too large")
    assert one.messages == []


@pytest.mark.parametrize(
    ("last", "closed"),
    [
        ("41/events,", DISCONNECTED),
        ("1", DISCONNECTED),
        (
            '44/events,{"message":"expelled"}',
            Closed("server", "disconnected by server", None, "expelled"),
        ),
    ],
)
def test_the_server_ends_the_session_by_a_packet(last: str, closed: Closed) -> None:
    with serving(speaks(JOINED, 0.03, CODE, "41/other,", last, CODE, stays=True)) as port:
        one = listener(f"ws://127.0.0.1:{port}/")
        assert one.run() == closed
    assert one.texts == [CODE]


def short_heartbeats(*pauses: float) -> tuple[Handler, list[str]]:
    """A server that wants pings each 0.2 s, up to 0.3 s late, and sends some."""
    heard: list[str] = []

    def server(connection: socket.socket) -> None:
        opening = '0{"sid":"x","pingInterval":200,"pingTimeout":300}'
        connection.sendall(accept_websocket(connection) + texts(opening))
        hears(connection)
        connection.sendall(texts(JOINED))
        for pause in pauses:
            time.sleep(pause)
            connection.sendall(texts("2", CODE))
            heard.append(hears(connection))
        # Codes are no heartbeat.
        for _ in range(40):
            time.sleep(0.1)
            connection.sendall(texts(CODE))

    return server, heard


def test_a_heartbeat_that_is_missed_ends_the_session() -> None:
    server, heard = short_heartbeats(0.3, 0.3, 0.3)
    with serving(server) as port:
        one = listener(f"ws://127.0.0.1:{port}/")
        one.transport.connect()
        began = time.monotonic()
        closed = one.transport.listen()
        took = time.monotonic() - began
    assert closed == Closed("network", "heartbeat missed")
    assert heard == ["3", "3", "3"]
    # Three pings, then 0.5 s, then a second for what might wait unread.
    assert 2.3 < took < 3.5


def test_a_stall_of_this_side_is_no_missed_heartbeat() -> None:
    server, heard = short_heartbeats(*[0.2] * 10)
    with serving(server) as port:
        one = listener(f"ws://127.0.0.1:{port}/")
        one.transport.connect()
        gevent.spawn_later(0.3, time.sleep, 1.0)  # blocks the whole hub
        gevent.spawn_later(1.8, one.transport.leave)
        assert one.transport.listen() == LEFT
    assert heard.count("3") >= 2


def test_leaving_says_goodbye_twice() -> None:
    ends: list[Any] = []

    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + texts(OPEN))
        hears(connection)
        connection.sendall(texts(JOINED))
        ends.append(hears(connection))
        ends.append(unmask(connection.recv(8, socket.MSG_WAITALL)))
        ends.append(connection.recv(1))

    with serving(server) as port:
        one = listener(f"ws://127.0.0.1:{port}/")
        one.transport.connect()
        gevent.spawn_later(0.05, one.transport.leave)
        assert one.transport.listen() == LEFT
    assert ends == ["41/events,", (0x88, b"\x03\xe8"), b""]


def test_leaving_while_it_joins_ends_the_joining() -> None:
    with serving(speaks(CONNECTED, stays=True)) as port:
        one = listener(f"ws://127.0.0.1:{port}/")
        gevent.spawn_later(0.1, one.transport.leave)
        with pytest.raises(ConnectFailed) as failed:
            one.transport.connect()
        assert failed.value.cause == "left"
        assert one.transport.listen() == LEFT


def test_what_a_callback_raises_ends_the_session_for_early_events_too() -> None:
    def fail(message: bytes) -> None:
        raise ZeroDivisionError

    for steps in ((CONNECTED, JOINED), (JOINED, 0.05, CODE)):
        with serving(speaks(*steps, stays=True)) as port:
            one = listener(f"ws://127.0.0.1:{port}/")
            one.also = fail
            assert one.run() == Closed("client", "listener error: ZeroDivisionError")


@pytest.mark.skipif(Network().timestamps != "kernel", reason="no stamps to keep connect time right")
@pytest.mark.parametrize("stall_at", [0.0, 0.15])
def test_connect_time_is_not_the_generators_own_queue(stall_at: float) -> None:
    def server(connection: socket.socket) -> None:
        accepted = accept_websocket(connection)
        time.sleep(0.1)
        connection.sendall(accepted + texts(OPEN))
        hears(connection)
        time.sleep(0.2)
        connection.sendall(texts(JOINED))
        connection.recv(100)

    with serving(server) as port:
        one = listener(f"ws://127.0.0.1:{port}/")
        gevent.spawn_later(stall_at, time.sleep, 0.6)  # blocks the whole hub
        began = time.monotonic()
        one.transport.connect()
        took = time.monotonic() - began
        connect_time = (one.transport.subscribed_ns - one.transport.started_ns) / 1e9
        one.transport.leave()
    assert took > 0.6
    assert 0.25 < connect_time < 0.45
