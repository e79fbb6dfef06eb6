"""Socket.IO packets and heartbeats: what the contract of all transports leaves open."""

from __future__ import annotations

import itertools
import socket
import time
from typing import Any

import gevent
import pytest

from sseload_users.transports import Closed, ConnectFailed, ParsedMessage
from sseload_users.transports.socketio import SocketIOTransport
from tests.support.listener import DISCONNECTED, LEFT, events_listener
from tests.support.replies import confirmed_by
from tests.support.socket_servers import Handler, read_until, serving
from tests.support.wire import accept_websocket, frame, receive_frame, unmask

OPEN = '0{"sid":"x","upgrades":[],"pingTimeout":20000,"pingInterval":25000,"maxPayload":1000000}'
CONNECTED = '42/events,["connected",{"message":"Connected to events endpoint"}]'
JOINED = '40/events,{"sid":"y"}'
CODE = '42/events,["new_code",{"code":"CODE-1","metadata":{}}]'


def in_frames(*packets: str | bytes) -> bytes:
    """Return packets in frames: in binary ones for bytes."""
    return b"".join(
        frame(0x82, each) if isinstance(each, bytes) else frame(0x81, each.encode())
        for each in packets
    )


def receive_text(connection: socket.socket) -> str:
    """Receive the client's next short packet; empty for a close frame or the end."""
    first, body = receive_frame(connection)
    return body.decode() if first == 0x81 else ""


def serves(*steps: str | bytes | float, stays: bool = False, heard: Any = None) -> Handler:
    """A server that opens, receives the connect packet, and sends or waits for these steps.

    Steps without a wait between them are sent together.
    """

    def server(connection: socket.socket) -> None:
        said = [] if heard is None else heard
        connection.sendall(accept_websocket(connection) + in_frames(OPEN))
        said.append(receive_text(connection))
        for waits, some in itertools.groupby(steps, lambda step: isinstance(step, float)):
            if waits:
                time.sleep(sum(some))  # type: ignore[arg-type]
            else:
                connection.sendall(in_frames(*some))  # type: ignore[arg-type]
        while stays and (text := receive_text(connection)):
            said.append(text)

    return server


def test_events_are_parsed() -> None:
    assert SocketIOTransport.parse(CODE.encode()) == ParsedMessage(
        "new_code", [{"code": "CODE-1", "metadata": {}}]
    )


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("/socket.io/?username=a%20b", "/socket.io/?username=a%20b&EIO=4&transport=websocket"),
        ("/socket.io/", "/socket.io/?EIO=4&transport=websocket"),
        ("/x?transport=websocket&EIO=3", "/x?transport=websocket&EIO=3"),
        ("/x?EIO=", "/x?EIO=&transport=websocket"),
    ],
)
def test_missing_engine_io_parameters_are_added(given: str, asked: str) -> None:
    transport = events_listener(f"ws://h:1{given}").transport
    assert transport.endpoint.url == f"ws://h:1{asked}"


def test_connecting_to_an_invalid_url_fails() -> None:
    with pytest.raises(ConnectFailed, match="bad URL"):
        events_listener("ws://[").transport.connect()


def test_the_code_servers_packets() -> None:
    heard: list[str] = []

    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection))
        time.sleep(0.02)
        connection.sendall(in_frames(OPEN))
        heard.append(receive_text(connection))
        connection.sendall(in_frames(CONNECTED))
        time.sleep(0.05)
        connection.sendall(in_frames(JOINED, CODE))
        time.sleep(0.05)
        connection.sendall(in_frames("2"))
        heard.append(receive_text(connection))
        connection.sendall(in_frames(CODE, "42/other,[]", CODE.replace("42/events,", "42")))
        time.sleep(0.05)
        connection.sendall(frame(0x88, b"\x03\xf3"))
        connection.recv(10)

    with serving(server) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/socket.io/", auth={"token": "s"})
        one.transport.connect()
        assert one.messages == []
        closed = one.transport.listen()
    assert closed == Closed("server", "closed by server: 1011", 1011)
    assert heard == ['40/events,{"token":"s"}', "3"]
    assert [payload.decode() for payload in one.payloads] == [CONNECTED, CODE, CODE]
    early, same_read, _ = (arrived_ns for _, arrived_ns in one.messages)
    assert one.transport.started_ns < early < one.transport.subscribed_ns == same_read
    assert not one.malformed


def test_the_default_namespace_has_a_shorter_form() -> None:
    heard: list[str] = []
    steps = ('40{"sid":"y"}', '42["a"]', '4217["b-1"]', '42/events,["c"]', "41")
    with serving(serves(*steps, heard=heard)) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/", namespace="/")
        assert one.run() == DISCONNECTED
    assert heard == ["40"]
    assert one.parsed == [ParsedMessage("a", []), ParsedMessage("b-1", [])]


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
        (("40/events,",), "Socket.IO 2: no session ID"),
        (("451-/events,[]", JOINED), "timed out"),
        (("x", "47", ""), "timed out"),
    ],
)
def test_a_refusal_fails_the_connect_though_the_socket_stays_open(
    steps: tuple[str, ...], cause: str
) -> None:
    with serving(serves(*steps, stays=True)) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/", connect_timeout=0.4)
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
def test_a_refusals_text_is_kept_whole(step: str, cause: str, said: str | None) -> None:
    with serving(serves(step, stays=True)) as port, pytest.raises(ConnectFailed) as failed:
        events_listener(f"ws://127.0.0.1:{port}/", connect_timeout=0.4).transport.connect()
    assert failed.value.cause == cause
    assert said in (None, failed.value.server_text)


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ((frame(0x88, b"\x03\xf0"),), "closed by server: 1008"),
        (
            (in_frames(REFUSED_USER[0]), frame(0x88, b"\x03\xe8")),
            "unauthorized or unknown username",
        ),
        ((), "connection closed"),
    ],
)
def test_closing_the_socket_refuses_as_well(steps: tuple[bytes, ...], cause: str) -> None:
    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + in_frames(OPEN))
        receive_text(connection)
        connection.sendall(b"".join(steps))

    with serving(server) as port, pytest.raises(ConnectFailed) as failed:
        events_listener(f"ws://127.0.0.1:{port}/").transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("subscribe", cause)


@pytest.mark.parametrize(
    "opening", ["", "40", "0", "0{}", "hello", '0{"pingInterval":"1"}', "[1,2,3]", '{"a":1}']
)
def test_a_server_of_another_protocol_fails_the_handshake(opening: str) -> None:
    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + in_frames(opening))
        connection.recv(100)

    with serving(server) as port, pytest.raises(ConnectFailed) as failed:
        events_listener(f"ws://127.0.0.1:{port}/").transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("subscribe", "bad handshake answer")
    assert failed.value.detail == opening


def test_engine_ios_http_error_has_its_status_and_text() -> None:
    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        said = b'{"code":5,"message":"Unsupported protocol version"}'
        head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(said)
        connection.sendall(head + said)

    with serving(server) as port, pytest.raises(ConnectFailed) as failed:
        events_listener(f"ws://127.0.0.1:{port}/").transport.connect()
    assert (failed.value.operation, failed.value.cause) == (
        "handshake",
        "HTTP 400: unsupported protocol version",
    )
    assert failed.value.server_text == "Unsupported protocol version"


def test_events_before_the_acknowledgement_are_limited() -> None:
    with serving(serves(*[CODE] * 100, stays=True)) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/", max_message=2000)
        with pytest.raises(ConnectFailed) as failed:
            one.transport.connect()
    assert failed.value.cause == "never acknowledged"


# A further confirmation


def test_the_profiles_subscription_follows_the_acknowledgement() -> None:
    heard: list[str] = []

    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + in_frames(OPEN))
        heard.append(receive_text(connection))
        connection.sendall(in_frames(JOINED))
        heard.extend([receive_text(connection), receive_text(connection)])
        connection.sendall(in_frames(CODE))
        time.sleep(0.05)
        connection.sendall(in_frames('42/events,["joined"]', CODE, '42/events,["ping",1]'))
        heard.append(receive_text(connection))
        connection.sendall(in_frames("41/events,"))

    with serving(server) as port:
        one = events_listener(
            f"ws://127.0.0.1:{port}/",
            hello=('42/events,["join","a"]', '42/events,["join","b"]'),
            confirm=confirmed_by(b'42/events,["joined"]'),
            reply=lambda payload, send: b"ping" in payload and send('42/events,["pong"]'),
        )
        assert one.run() == DISCONNECTED
    assert heard == [
        "40/events,",
        '42/events,["join","a"]',
        '42/events,["join","b"]',
        '42/events,["pong"]',
    ]
    assert [payload.decode() for payload in one.payloads] == [CODE, CODE, '42/events,["ping",1]']
    assert one.messages[0][1] < one.transport.subscribed_ns == one.messages[1][1]


def test_every_event_is_answered_once_and_none_before_the_acknowledgement() -> None:
    """Also the one that confirms, and those that come before the subscription."""
    heard: list[str] = []

    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + in_frames(OPEN, '42/events,["ask",1]'))
        heard.append(receive_text(connection))
        connection.sendall(in_frames(JOINED))
        heard.append(receive_text(connection))
        connection.sendall(in_frames('42/events,["ask",2]'))
        heard.append(receive_text(connection))
        connection.sendall(in_frames('42/events,["joined"]', CODE, '42/events,["ask",3]'))
        heard.extend([receive_text(connection), receive_text(connection)])
        connection.sendall(in_frames("41/events,"))
        assert read_until(connection, b"nothing else")[:1] in (b"", b"\x88")

    with serving(server) as port:
        one = events_listener(
            f"ws://127.0.0.1:{port}/",
            confirm=confirmed_by(b'42/events,["joined"]'),
            reply=lambda payload, send: payload != CODE.encode() and send(payload.decode()[11:]),
        )
        assert one.run() == DISCONNECTED
    assert heard == ["40/events,", '"ask",1]', '"ask",2]', '"joined"]', '"ask",3]']


@pytest.mark.parametrize("steps", [('42/events,["no","7"]', JOINED), (JOINED, '42/events,["no"]')])
def test_the_profiles_refusal_counts_before_and_after_joining(
    steps: tuple[str, ...],
) -> None:
    with serving(serves(*steps, stays=True)) as port:
        one = events_listener(
            f"ws://127.0.0.1:{port}/",
            confirm=lambda *_: None,
            refuse=lambda payload: "not allowed" if b'"no"' in payload else None,
        )
        with pytest.raises(ConnectFailed) as failed:
            one.transport.connect()
    assert (failed.value.operation, failed.value.cause) == ("subscribe", "not allowed")


# The session


def test_binary_events_and_acknowledgements_are_handled() -> None:
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
    with serving(serves(*steps)) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/")
        assert one.run() == DISCONNECTED
    assert one.parsed == [
        ParsedMessage("new_code", [{"a": b"2", "b": [b"42/events,["]}]),
        ParsedMessage("with id", []),
        ParsedMessage("none", []),
        ParsedMessage("new_code", [{"code": "CODE-1", "metadata": {}}]),
    ]
    assert not one.malformed


def test_invalid_packets_are_counted_and_the_session_goes_on() -> None:
    steps = (JOINED, "x", "", "4", "48", '45["a"]', OPEN, b"\x04bytes", "421-[]", CODE, "1")
    with serving(serves(*steps)) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/")
        assert one.run() == DISCONNECTED
    assert [payload.decode() for payload in one.payloads] == [CODE]
    assert one.malformed == ["bad packet"] * 8


def test_attachments_count_towards_the_message_size_limit() -> None:
    steps: list[str | bytes] = [JOINED, '459999-/events,["a"]', *[b"x" * 300] * 20]
    with serving(serves(*steps, stays=True)) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/", max_message=1000)
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
def test_packets_that_end_the_session(last: str, closed: Closed) -> None:
    with serving(serves(JOINED, 0.03, CODE, "41/other,", last, CODE, stays=True)) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/")
        assert one.run() == closed
    assert [payload.decode() for payload in one.payloads] == [CODE]


def short_heartbeats(*pauses: float) -> tuple[Handler, list[str]]:
    """A server that announces pings every 0.2 s, up to 0.3 s late, and sends some."""
    heard: list[str] = []

    def server(connection: socket.socket) -> None:
        opening = '0{"sid":"x","pingInterval":200,"pingTimeout":300}'
        connection.sendall(accept_websocket(connection) + in_frames(opening))
        receive_text(connection)
        connection.sendall(in_frames(JOINED))
        for pause in pauses:
            time.sleep(pause)
            connection.sendall(in_frames("2", CODE))
            heard.append(receive_text(connection))
        # Codes are not heartbeats.
        for _ in range(40):
            time.sleep(0.1)
            connection.sendall(in_frames(CODE))

    return server, heard


def test_a_missed_heartbeat_ends_the_session() -> None:
    server, heard = short_heartbeats(0.3, 0.3, 0.3)
    with serving(server) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/")
        one.transport.connect()
        began = time.monotonic()
        closed = one.transport.listen()
        took = time.monotonic() - began
    assert closed == Closed("network", "heartbeat missed")
    assert heard == ["3", "3", "3"]
    # Three pings, then 0.5 s, then one second for unread data.
    assert 2.3 < took < 3.5


def test_a_stall_of_this_process_is_no_missed_heartbeat() -> None:
    server, heard = short_heartbeats(*[0.2] * 10)
    with serving(server) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/")
        one.transport.connect()
        gevent.spawn_later(0.3, time.sleep, 1.0)  # blocks the whole hub
        gevent.spawn_later(1.8, one.transport.leave)
        assert one.transport.listen() == LEFT
    assert heard.count("3") >= 2


def test_leaving_sends_a_disconnect_packet_and_a_close_frame() -> None:
    ends: list[Any] = []

    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + in_frames(OPEN))
        receive_text(connection)
        connection.sendall(in_frames(JOINED))
        ends.append(receive_text(connection))
        ends.append(unmask(connection.recv(8, socket.MSG_WAITALL)))
        ends.append(connection.recv(1))

    with serving(server) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/")
        one.transport.connect()
        gevent.spawn_later(0.05, one.transport.leave)
        assert one.transport.listen() == LEFT
    assert ends == ["41/events,", (0x88, b"\x03\xe8"), b""]


def test_leaving_while_joining_ends_the_attempt() -> None:
    with serving(serves(CONNECTED, stays=True)) as port:
        one = events_listener(f"ws://127.0.0.1:{port}/")
        gevent.spawn_later(0.1, one.transport.leave)
        with pytest.raises(ConnectFailed) as failed:
            one.transport.connect()
        assert failed.value.cause == "left"
        assert one.transport.listen() == LEFT


def test_a_callback_that_raises_on_an_early_event_ends_the_session() -> None:
    def fail(message: bytes) -> None:
        raise ZeroDivisionError

    for steps in ((CONNECTED, JOINED), (JOINED, 0.05, CODE)):
        with serving(serves(*steps, stays=True)) as port:
            one = events_listener(f"ws://127.0.0.1:{port}/")
            one.also = fail
            assert one.run() == Closed("client", "listener error: ZeroDivisionError")
