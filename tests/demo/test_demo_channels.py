"""Channels of the embedded target, what it sends beside them, and what it replays."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import requests

from sseload_users.demo.record import Record
from tests.support.demo_clients import (
    PATIENCE,
    SOCKETIO,
    TRANSPORTS,
    Client,
    Seen,
    Stream,
    Target,
    compare,
    open_websocket,
    target,
    wait_until,
)

#: What each group of clients subscribes to; empty for the channel of everybody.
AUDIENCES = ("a", "b", "a,b", "")
#: The channel of each code, in turn.
CHANNELS = ("a", "b", "", "nobody")
CODES = 24


def play(folder: Path, *options: str) -> tuple[dict[str, list[Seen]], Record]:
    """Send codes to the channels; return what each audience saw, and the record."""
    with target(folder, *options) as server:
        made = {
            channel: [Client(server, each, channel=channel) for each in TRANSPORTS]
            for channel in AUDIENCES
        }
        for each in chain.from_iterable(made.values()):
            assert each.seen.subscribed.wait(PATIENCE)
        for number in range(CODES):
            channel = CHANNELS[number % len(CHANNELS)]
            more = {"channel": channel} if channel else {}
            assert server.post(f"C-{number + 1}", **more).status_code == 200
        wait_until(lambda: written(server) == CODES, "the last code")
        truth = server.stop()
        seen = {channel: [each.join() for each in group] for channel, group in made.items()}
    compare(list(chain.from_iterable(seen.values())), truth)
    return seen, truth


def written(server: Target) -> int:
    """Return the number of codes whose deliveries have an outcome."""
    return server.path.read_text().count('"event":"code"')


def outsiders(truth: Record, channel: str) -> set[int]:
    """Return the connections that are not subscribed to a channel."""
    return {
        number
        for number, each in truth.connections.items()
        if channel not in (each.channels or [""])
    }


def test_a_code_reaches_its_channel_alone(tmp_path: Path) -> None:
    seen, truth = play(tmp_path)
    for channel, group in seen.items():
        own = (channel or "").split(",")
        wanted = [
            f"C-{number + 1}" for number in range(CODES) if CHANNELS[number % len(CHANNELS)] in own
        ]
        assert wanted
        assert all(each.codes == wanted for each in group)
    assert (truth.leaked, truth.misrouted) == (0, 0)
    assert {code.channel for code in truth.codes.values()} == {*CHANNELS}
    assert sorted(each.channels for each in truth.connections.values()) == sorted(
        [*[[]] * 3, *[["a"]] * 3, *[["a", "b"]] * 3, *[["b"]] * 3]
    )


def test_a_leak_reaches_connections_outside_the_channel(tmp_path: Path) -> None:
    _, truth = play(tmp_path, "--leak", "0.3")
    pairs = 0
    for code in truth.codes.values():
        outside = outsiders(truth, code.channel)
        assert set(code.leaked) <= outside
        assert len(code.leaked) == len(set(code.leaked))
        pairs += len(outside)
    assert 0 < truth.leaked < pairs
    assert truth.sent == truth.subscribers


def test_all_leak(tmp_path: Path) -> None:
    _, truth = play(tmp_path, "--leak", "1")
    for code in truth.codes.values():
        assert set(code.leaked) == outsiders(truth, code.channel)


def test_a_wrong_room_gets_a_code_instead_of_its_channel(tmp_path: Path) -> None:
    _, truth = play(tmp_path, "--wrong-room", "0.5")
    wrong = [code for code in truth.codes.values() if code.leaked]
    assert len(wrong) in (CODES // 2, CODES // 2 + 1)
    for code in wrong:
        # Nobody is in both the right channel and the wrong one, apart from those in a and b.
        assert all(truth.connections[each].channels == ["a", "b"] for each in code.sent)
        assert set(code.leaked) <= outsiders(truth, code.channel)
    assert all(code.misrouted for code in wrong if code.channel != "nobody")
    assert truth.sent + truth.misrouted == truth.subscribers


@pytest.mark.parametrize(
    ("options", "replayed", "withheld"),
    [
        ([], [3, 5], []),
        (["--history", "2"], [5], [3]),
        (["--lose-gap"], [], [3, 5]),
        (["--replay-all"], [1, 3, 5], []),
        (["--history", "0"], [], [3, 5]),
    ],
)
def test_a_client_that_returns_gets_its_channel(
    tmp_path: Path, options: list[str], replayed: list[int], withheld: list[int]
) -> None:
    with target(tmp_path, *options) as server:
        with Stream(f"{server.url}/stream?channel=a") as stream:
            assert stream.block().startswith("id: 0\ndata: ")
        for number in range(1, 7):
            server.post(f"C-{number}", channel="a" if number % 2 else "b")
        wait_until(lambda: written(server) == 6, "the last code")
        with Stream(f"{server.url}/stream?channel=a", **{"Last-Event-ID": "1"}) as stream:
            assert stream.block().startswith("id: 1\n")
            for each in replayed:
                assert stream.block().startswith(f"id: {each}\n")
            server.post("C-7", channel="a")
            assert stream.block().startswith("id: 7\n")
        for query in ("channel=a&offset=1", "subscribe=message"):
            with open_websocket(f"{server.websocket_url}/ws?{query}") as socket:
                assert receive(socket)["type"] == "connected"
                if query == "subscribe=message":
                    socket.send(json.dumps({"type": "subscribe", "channel": "a", "offset": 1}))
                    assert receive(socket) == {
                        "type": "subscribed",
                        "channel": "a",
                        "offset": 1,
                    }
                # The seventh code was sent meanwhile, and took the oldest one's place.
                server.post("C-8", channel="a")
                got: list[str] = []
                while not got or got[-1] != "C-8":
                    got.append(receive(socket)["code"])
        truth = server.stop()
    first, again, *_ = truth.connections.values()
    assert (first.after, first.replayed, first.withheld) == (None, [], [])
    assert (again.after, again.replayed, again.withheld) == (1, replayed, withheld)


def test_messages_subscribe_and_unsubscribe(tmp_path: Path) -> None:
    with target(tmp_path) as server:
        with open_websocket(f"{server.websocket_url}/ws?subscribe=message") as socket:
            receive(socket)
            server.post("C-1")
            wait_until(lambda: written(server) == 1, "the first code")
            for text in ("no JSON", "[]", '{"type":"subscribe","channel":7}'):
                socket.send(text)
            socket.send('{"type":"subscribe","channel":"a"}')
            assert receive(socket) == {"type": "subscribed", "channel": "a", "offset": 1}
            requests.post(
                f"{server.url}/api/ingest?channel=a",
                json={"username": "alice", "code": "C-2"},
                timeout=PATIENCE,
            )
            got = receive(socket)
            assert (got["code"], got["channel"], got["offset"]) == ("C-2", "a", 2)
            socket.send('{"type":"unsubscribe","channel":"a"}')
            assert receive(socket) == {"type": "unsubscribed", "channel": "a"}
            server.post("C-3", channel="a")
            wait_until(lambda: written(server) == 3, "the last code")
        truth = server.stop()
    assert [code.sent for code in truth.codes.values()] == [[], [1], []]


def test_a_socketio_client_names_its_channel_as_it_joins(tmp_path: Path) -> None:
    with target(tmp_path) as server:
        with open_websocket(f"{server.websocket_url}{SOCKETIO}&channel=b") as socket:
            socket.recv(PATIENCE)
            socket.send('40{"channel":"a"}')
            assert str(socket.recv(PATIENCE)).startswith("40{")
            server.post("C-1", channel="a")
            assert '"C-1"' in str(socket.recv(PATIENCE))
        truth = server.stop()
    assert truth.connections[1].channels == ["a"]


def receive(socket: Any) -> dict[str, Any]:
    """Return the next message."""
    found: dict[str, Any] = json.loads(socket.recv(PATIENCE))
    return found
