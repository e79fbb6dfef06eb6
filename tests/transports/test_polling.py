"""Long polling and the way over to WebSocket, against a server that a test scripts."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import gevent
import pytest

from sseload_users.transports import Closed, ParsedMessage
from sseload_users.transports.engine_transport import EngineTransport
from tests.support.listener import DISCONNECTED, LEFT, Listener, events_listener
from tests.support.polling_server import PollingServer
from tests.support.wire import frame, receive_frame

BOTH = ("polling", "websocket")
STALL_S = 0.3


def event(name: str) -> str:
    return f'42["{name}"]'


def names(one: Listener) -> list[str]:
    return [each.name for each in one.parsed if each is not None]


class Session:
    """A listener that polls first, in a greenlet of its own."""

    def __init__(self, url: str, **more: Any) -> None:
        given: dict[str, Any] = {"namespace": "/", "transports": BOTH, **more}
        self.one = events_listener(url, **given)
        self.passages: list[tuple[str, str]] = []
        assert isinstance(self.one.transport, EngineTransport)
        self.one.transport.on_passage = lambda passage, cause, _: self.passages.append(
            (passage, cause)
        )
        self._greenlet = gevent.spawn(self.one.run)

    def wait_for(self, *passages: str) -> None:
        """Wait for what becomes of the session."""
        with gevent.Timeout(5):
            while [passage for passage, _ in self.passages] != list(passages):
                gevent.sleep(0.005)

    def wait_for_messages(self, count: int) -> None:
        """Wait for so many messages."""
        with gevent.Timeout(5):
            while len(self.one.messages) < count:
                gevent.sleep(0.005)

    def leave(self) -> Closed:
        """End the session; return how it ended."""
        self.one.transport.leave()
        return self.end()

    def end(self) -> Closed:
        """Wait for the end of the session; return how it ended."""
        closed = self._greenlet.get(timeout=5)
        assert isinstance(closed, Closed)
        return closed


def test_a_session_that_only_polls() -> None:
    server = PollingServer(upgrades=())
    with server.serving() as url:
        session = Session(url, hello=(event("hello"),))
        session.wait_for("polling")
        server.say(event("a"), "2", event("b"))
        server.say(event("c"))
        session.wait_for_messages(3)
        assert session.leave() == LEFT
        with gevent.Timeout(5):
            while "1" not in server.posted:
                gevent.sleep(0.005)
    assert names(session.one) == ["a", "b", "c"]
    assert server.posted == ["40", event("hello"), "3", "41", "1"]
    assert server.most_polls == 1
    first, second, _ = (arrived_ns for _, arrived_ns in session.one.messages)
    assert first == second
    # One connection polls, one posts; both are kept alive.
    assert {head.partition(" HTTP")[0].partition("?")[0] for head in server.heads} == {
        "GET /socket.io/",
        "POST /socket.io/",
    }


def test_compressed_payloads_are_decoded() -> None:
    server = PollingServer(upgrades=(), compress=True)
    with server.serving() as url:
        session = Session(url)
        session.wait_for("polling")
        server.say(event("a" * 5000), event("b"))
        session.wait_for_messages(2)
        assert session.leave() == LEFT
    assert names(session.one) == ["a" * 5000, "b"]
    wire, inflated, _ = session.one.transport.network.inflation.drain()
    assert inflated > 5000
    assert wire < inflated / 5


@pytest.mark.parametrize(
    ("payload", "cause"),
    [(b"4" * (17 << 20), "inflated message too large"), (None, "bad compressed data")],
)
def test_a_payload_that_cannot_be_decoded_ends_the_session(
    payload: bytes | None, cause: str
) -> None:
    server = PollingServer(upgrades=(), compress=payload is not None)
    with server.serving() as url:
        session = Session(url)
        session.wait_for("polling")
        if payload is None:
            server.coding = "gzip"  # what it says, and not what it does
        server.answers.put(payload or b"4" * 20)
        assert session.end() == Closed("network", cause)


def test_messages_while_it_goes_over_come_once_and_in_order() -> None:
    def on_websocket(websocket: socket.socket, server: PollingServer) -> None:
        assert receive_frame(websocket) == (0x81, b"2probe")
        websocket.sendall(frame(0x81, b"3probe"))
        server.say(event("polled"))
        server.say("6")  # if it has polled once more before it read the probe's answer
        heard = [receive_frame(websocket)[1]]
        websocket.sendall(frame(0x81, event("over").encode()))
        while heard[-1]:
            heard.append(receive_frame(websocket)[1])
        over.extend(heard)

    over: list[bytes] = []
    server = PollingServer(on_websocket)
    with server.serving() as url:
        session = Session(url)
        session.wait_for("polling", "upgraded")
        session.wait_for_messages(2)
        assert session.one.transport.send(event("mine"))
        assert session.leave() == LEFT
    assert names(session.one) == ["polled", "over"]
    assert over[:3] == [b"5", event("mine").encode(), b"41"]
    assert server.posted == ["40"]


def test_what_waits_to_be_posted_goes_over_as_well() -> None:
    def on_websocket(websocket: socket.socket, server: PollingServer) -> None:
        receive_frame(websocket)
        websocket.sendall(frame(0x81, b"3probe"))
        may_release.wait(5)
        server.say("6")
        heard.extend(receive_frame(websocket)[1] for _ in range(2))

    may_release = threading.Event()
    heard: list[bytes] = []
    with PollingServer(on_websocket).serving() as url:
        session = Session(url)
        session.wait_for("polling")
        gevent.sleep(0.1)  # it has probed, and polls for the last time
        session.one.transport.send(event("late"))
        may_release.set()
        session.wait_for("polling", "upgraded")
        session.end()
    assert heard == [b"5", event("late").encode()]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (None, "handshake: HTTP 400: session id unknown"),
        (b"", "probe: connection closed"),
        (frame(0x81, b"3"), "probe: bad packet"),
        (frame(0x88, b"\x03\xf0"), "probe: closed by server: 1008"),
    ],
    ids=("refused", "closed", "another answer", "close frame"),
)
def test_a_session_that_cannot_go_over_stays_on_polling(answer: bytes | None, cause: str) -> None:
    def on_websocket(websocket: socket.socket, _: PollingServer) -> None:
        assert receive_frame(websocket) == (0x81, b"2probe")
        websocket.sendall(answer or b"")

    server = PollingServer(None if answer is None else on_websocket)
    with server.serving() as url:
        session = Session(url)
        session.wait_for("polling", "failed")
        server.say(event("a"))
        session.wait_for_messages(1)
        assert session.leave() == LEFT
    assert session.passages[1] == ("failed", cause)


def test_cookies_go_with_all_further_requests() -> None:
    server = PollingServer(
        cookies=("node=b; Path=/; HttpOnly", "other=x; Path=/elsewhere", "mine=new; Path=/")
    )
    with server.serving() as url:
        session = Session(url, headers=(("Cookie", "mine=old; kept=1"), ("X-Own", "1")))
        session.wait_for("polling", "failed")
        session.leave()
    first, *others = (
        head.partition("ookie: ")[2].partition("\r\n")[0].split("; ") for head in server.heads
    )
    assert first == ["mine=old", "kept=1"]
    assert len(others) >= 3
    assert all(sorted(each) == ["kept=1", "mine=new", "node=b"] for each in others)
    assert all("X-Own: 1" in head for head in server.heads)
    assert sum("transport=websocket" in head for head in server.heads) == 1


def test_a_server_may_close_each_connection() -> None:
    server = PollingServer(upgrades=(), keeps=False)
    with server.serving() as url:
        session = Session(url)
        session.wait_for("polling")
        for name in "abc":
            server.say(event(name))
        session.wait_for_messages(3)
        assert session.leave() == LEFT
        with gevent.Timeout(5):
            while "1" not in server.posted:
                gevent.sleep(0.005)


def test_a_session_that_a_node_does_not_know() -> None:
    server = PollingServer(upgrades=())
    server.answers.put(400)
    with server.serving() as url:
        failed = events_listener(url, namespace="/", transports=BOTH).fails()
    assert (failed.operation, failed.cause) == ("subscribe", "HTTP 400: session id unknown")
    server = PollingServer(upgrades=())
    with server.serving() as url:
        session = Session(url)
        session.wait_for("polling")
        server.answers.put(400)
        assert session.end() == Closed(
            "server", "HTTP 400: session id unknown", None, "Session ID unknown"
        )


@pytest.mark.parametrize(
    ("answer", "closed", "malformed"),
    [
        ("1", DISCONNECTED, []),
        (f"41{event('x')}", DISCONNECTED, []),
        ("", Closed("client", "message too large"), []),
        ("bA", Closed("client", "protocol error: bad payload"), ["bad payload"]),
    ],
)
def test_ends_of_sessions(answer: str, closed: Closed, malformed: list[str]) -> None:
    server = PollingServer(upgrades=())
    with server.serving() as url:
        session = Session(url, max_message=5000)
        session.wait_for("polling")
        server.say(answer or "4" * 5001, event("after the end"))
        assert session.end() == closed
    assert session.one.messages == []
    assert session.one.malformed == malformed


def test_arrivals_are_stamped_by_the_kernel() -> None:
    server = PollingServer(upgrades=())
    with server.serving() as url:
        session = Session(url)
        session.wait_for("polling")
        if session.one.transport.network.timestamps != "kernel":
            pytest.skip("the kernel does not stamp arrivals")
        gevent.sleep(0.1)  # it polls
        sent_ns = time.time_ns()
        server.say(event("a"))
        time.sleep(STALL_S)  # the hub does not run
        session.wait_for_messages(1)
        read_ns = time.time_ns()
        session.leave()
    arrived_ns = session.one.messages[0][1]
    assert read_ns - sent_ns > STALL_S * 1e9
    assert arrived_ns - sent_ns < STALL_S * 1e9 / 2


def test_binary_events_come_in_base64() -> None:
    server = PollingServer(upgrades=())
    with server.serving() as url:
        session = Session(url)
        session.wait_for("polling")
        server.say('451-["a",{"_placeholder":true,"num":0}]', "bAAEC", event("b"))
        session.wait_for_messages(2)
        session.leave()
    assert session.one.parsed == [ParsedMessage("a", [b"\0\1\2"]), ParsedMessage("b", [])]


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ('96:0{"sid":"x","upgrades":[]}2:40', "Socket.IO 2: no session ID"),
        ("<html>", "bad handshake answer"),
    ],
)
def test_a_server_of_another_kind_fails_the_connect(body: str, cause: str) -> None:
    class Other(PollingServer):
        def opening(self) -> str:
            return body

    with Other().serving() as url:
        failed = events_listener(url, namespace="/", transports=BOTH).fails()
    assert (failed.operation, failed.cause) == ("subscribe", cause)


def test_a_refused_session_is_closed_at_the_server() -> None:
    class Refusing(PollingServer):
        def _take(self, body: str) -> None:
            if body.startswith("40"):
                self.posted.append(body)
                self.say('44{"message":"no"}')
            else:
                super()._take(body)

    server = Refusing()
    with server.serving() as url:
        failed = events_listener(url, namespace="/", transports=("polling",)).fails()
        assert (failed.operation, failed.cause) == ("subscribe", "no")
        with gevent.Timeout(5):
            while len(server.posted) < 2:
                gevent.sleep(0.005)
    assert server.posted == ["40", "1"]
