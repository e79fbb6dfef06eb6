"""Socket.IO against python-socketio and the reference server on Node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from sseload_users.transports import CarrierName, Closed, ParsedMessage
from sseload_users.transports.engine_transport import EngineTransport
from tests.servers.socketio_servers import Server, socketio_server
from tests.support.listener import DISCONNECTED, LEFT, Listener, events_listener

pytestmark = pytest.mark.dear

# The differences between the two servers.
NO_NAMESPACE = {"python": "unable to connect", "node": "invalid namespace"}
NO_PATH = {"python": "HTTP 404", "node": "connection closed"}
OLD_VERSION = {
    "python": ("handshake", "HTTP 400"),
    "node": ("subscribe", "bad handshake answer"),
}
OLD_POLLING = {
    "python": ("handshake", "HTTP 400"),
    "node": ("handshake", "HTTP 400: unsupported protocol version"),
}
WAYS: list[tuple[CarrierName, ...]] = [("websocket",), ("polling",), ("polling", "websocket")]
BY_CLIENT = {"python": "client disconnect", "node": "client namespace disconnect"}


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    with gevent.Timeout(150):  # npm installs what the first test on Node needs
        yield


@pytest.mark.parametrize("transports", WAYS, ids="-".join)
@pytest.mark.parametrize("kind", ["python", "node"])
class TestRealServers:
    def test_codes_of_all_shapes(self, kind: str, transports: tuple[CarrierName, ...]) -> None:
        with socketio_server(kind) as server:
            one = events_listener(
                server.url,
                auth={"token": "t"},
                hello=('42/events,["start"]',),
                transports=transports,
            )
            assert one.run() == DISCONNECTED
        assert one.parsed == [
            ParsedMessage("connected", [{"message": "username=ann"}]),
            ParsedMessage("new_code", [{"code": "text é"}]),
            ParsedMessage("new_code", [{"code": "with bytes", "of": [b"42/events,[", b""]}]),
            ParsedMessage("new_code", [{"code": "to acknowledge"}]),
            ParsedMessage("new_code", [b"only bytes"]),
            ParsedMessage("new_code", ["with bytes, to acknowledge"]),
        ]
        assert not one.malformed
        connected_ns = one.messages[0][1]
        # By polling, both come in one answer.
        assert connected_ns <= one.transport.subscribed_ns or kind == "node"
        if transports[0] == "websocket":
            assert (connected_ns < one.transport.subscribed_ns) == (kind == "python")

    def test_events_are_acknowledged_to_whom_asks(
        self, kind: str, transports: tuple[CarrierName, ...]
    ) -> None:
        with socketio_server(kind) as server:
            one = events_listener(
                server.url, auth={"token": "t"}, hello=('42/events,["ask"]',), transports=transports
            )
            listening = gevent.spawn(one.run)
            said = [_line(server) for _ in range(2)]
            one.transport.leave()
            assert listening.get(timeout=5) == LEFT
        assert said == ["acknowledged"] * 2
        asked = [
            ParsedMessage("new_code", [{"code": "asks"}]),
            ParsedMessage("new_code", [b"asks"]),
        ]
        assert one.parsed[1:] == asked

    def test_refusals(self, kind: str, transports: tuple[CarrierName, ...]) -> None:
        polls = transports[0] == "polling"
        with socketio_server(kind) as server:
            for more, operation, cause in (
                ({}, "subscribe", "unauthorized or unknown username"),
                ({"namespace": "/nosuch"}, "subscribe", NO_NAMESPACE[kind]),
                ({"url": f"{server.url}&EIO=3"}, *(OLD_POLLING if polls else OLD_VERSION)[kind]),
                (
                    {"url": server.url.replace("socket.io", "nosuch")},
                    "handshake",
                    "HTTP 404" if polls else NO_PATH[kind],
                ),
            ):
                given: Any = {"url": server.url, "transports": transports, **more}
                failed = events_listener(**given).fails()
                assert (failed.operation, failed.cause) == (operation, cause)

    def test_every_connection_gets_every_code_and_heartbeats_continue(
        self, kind: str, transports: tuple[CarrierName, ...]
    ) -> None:
        passages: Counter[str] = Counter()
        # A pong by long polling takes a request of its own.
        ping_ms, timeout_ms = (100, 150) if transports[0] == "websocket" else (200, 2000)
        with socketio_server(kind, ping_ms, timeout_ms) as server:
            people = [
                events_listener(server.url, auth={"token": "t"}, transports=transports)
                for _ in range(30)
            ]
            for one in people:
                assert isinstance(one.transport, EngineTransport)
                one.transport.on_passage = lambda passage, *_: passages.update([passage])
            greenlets = [gevent.spawn(one.run) for one in people]
            while not all(one.messages for one in people):
                gevent.sleep(0.01)
            for number in range(5):
                people[number].transport.send(f'42/events,["broadcast","{number}"]')
                gevent.sleep(0.3)  # longer than the ping interval plus timeout
            for one in people:
                one.transport.leave()
            gevent.joinall(greenlets)
            # Not in the hub: servers that close each connection get their goodbye over a new one.
            gone = [_line(server) for _ in people]
        assert {greenlet.value for greenlet in greenlets} == {LEFT}
        codes = [ParsedMessage("new_code", [{"code": str(number)}]) for number in range(5)]
        assert all(one.parsed[1:] == codes for one in people)
        assert gone == [f"gone: {BY_CLIENT[kind]}"] * 30
        began = 30 * (transports[0] == "polling")
        assert passages == Counter(polling=began, upgraded=began * (len(transports) > 1))


@pytest.mark.parametrize("transports", WAYS, ids="-".join)
@pytest.mark.parametrize(
    ("kind", "more"), [("node 2", {"engine": 3}), ("node msgpack", {"parser": "msgpack"})]
)
def test_other_forms_of_the_protocol(
    kind: str, more: dict[str, Any], transports: tuple[CarrierName, ...]
) -> None:
    """Socket.IO 2, and the msgpack parser: all shapes of codes, acknowledgements, heartbeats."""
    if kind != "node 2":
        more = {**more, "auth": {"token": "t"}}
    with socketio_server(kind, 200, 1000) as server:
        url = f"{server.url}&token=t"
        one = events_listener(url, hello=('42/events,["ask"]',), transports=transports, **more)
        listening = gevent.spawn(one.run)
        said = [_line(server) for _ in range(2)]
        gevent.sleep(1.5)  # longer than the ping interval plus timeout
        one.transport.send('42/events,["broadcast","é 😀"]')
        one.transport.send('42/events,["start"]')
        assert listening.get(timeout=5) == DISCONNECTED
        refused = events_listener(url, namespace="/nosuch", transports=transports, **more).fails()
    assert said == ["acknowledged"] * 2
    assert one.parsed == [
        ParsedMessage("connected", [{"message": "username=ann"}]),
        ParsedMessage("new_code", [{"code": "asks"}]),
        ParsedMessage("new_code", [b"asks"]),
        ParsedMessage("new_code", [{"code": "é 😀"}]),
        ParsedMessage("new_code", [{"code": "text é"}]),
        ParsedMessage("new_code", [{"code": "with bytes", "of": [b"42/events,[", b""]}]),
        ParsedMessage("new_code", [{"code": "to acknowledge"}]),
        ParsedMessage("new_code", [b"only bytes"]),
        ParsedMessage("new_code", ["with bytes, to acknowledge"]),
    ]
    assert not one.malformed
    assert (refused.operation, refused.cause) == ("subscribe", NO_NAMESPACE["node"])


@pytest.mark.parametrize("transports", WAYS, ids="-".join)
def test_a_server_of_socketio_2_is_told_by_name(transports: tuple[CarrierName, ...]) -> None:
    with socketio_server("node 2") as server:
        failed = events_listener(server.url, transports=transports).fails()
        assert (failed.operation, failed.cause) == ("subscribe", "Socket.IO 2: no session ID")
        failed = events_listener(server.url, transports=transports, engine=3).fails()
        assert failed.cause == "unauthorized or unknown username"
        one = events_listener(server.url, transports=transports, engine=3, namespace="/")
        one.transport.connect()
        one.transport.leave()


@pytest.mark.parametrize("transports", WAYS, ids="-".join)
def test_a_lost_session_is_restored_with_what_it_missed(
    transports: tuple[CarrierName, ...],
) -> None:
    def listening(**more: Any) -> Listener:
        one = events_listener(server.url, auth={"token": "t"}, transports=transports, **more)
        assert isinstance(one.transport, EngineTransport)
        one.transport.on_passage = lambda passage, *_: passages.append(passage)
        greenlets.append(gevent.spawn(one.run))
        with gevent.Timeout(5):
            while not one.messages:
                gevent.sleep(0.005)
        return one

    passages: list[str] = []
    greenlets: list[gevent.Greenlet[..., Closed]] = []
    with socketio_server("node recovery") as server:
        lost = listening()
        lost.transport.send('42/events,["ask"]')  # these events have no offset
        assert [_line(server) for _ in range(2)] == ["acknowledged"] * 2
        lost.transport.end(Closed("network", "cut"))
        assert _line(server).startswith("gone: ")
        other = listening()
        other.transport.send('42/events,["broadcast","missed"]')
        with gevent.Timeout(5):
            while len(other.messages) < 2:
                gevent.sleep(0.005)
        assert "resumed" not in passages
        again = listening(last_event_id=lost.transport.last_event_id)
        for each in (other, again):
            each.transport.leave()
        gevent.joinall(greenlets)
    assert passages.count("resumed") == 1
    missed = again.parsed[0]
    assert missed is not None
    assert isinstance(missed.data, list)
    assert missed.data[0] == {"code": "missed"}


def _line(server: Server) -> str:
    """Return the server's next line, while the hub goes on."""
    line: str = gevent.get_hub().threadpool.apply(server.lines.get, (), {"timeout": 5})
    return line
