"""Two nodes of Socket.IO behind nginx, side by side with Socket.IO's own client.

Whoever the official client fails for, sseload fails for.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from sseload_users.transports import CarrierName, ConnectFailed
from sseload_users.transports.engine_transport import EngineTransport
from tests.servers.nginx_balancer import Sticky, balancer
from tests.servers.socketio_servers import socketio_server
from tests.support.listener import events_listener
from tests.support.npm import node_environment

CLIENTS = 16
CLIENT = Path(__file__).parent / "socketio_client.js"
POLLING_FIRST: tuple[CarrierName, ...] = ("polling", "websocket")


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    with gevent.Timeout(150):  # npm installs what the first test on Node needs
        yield


def official(url: str, transports: tuple[CarrierName, ...]) -> dict[str, Any]:
    """Return how many of the official clients were connected, upgraded, and the first error."""

    def run() -> str:
        command = ["node", str(CLIENT), url, str(CLIENTS), ",".join(transports)]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60, env=node_environment()
        ).stdout

    said: dict[str, Any] = json.loads(gevent.get_hub().threadpool.apply(run))
    return said


def ours(url: str, transports: tuple[CarrierName, ...]) -> tuple[int, int, set[str]]:
    """Return how many of ours were connected, how many upgraded, and the causes of failures."""
    passages: list[str] = []
    causes: set[str] = set()

    def connect() -> bool:
        one = events_listener(
            f"ws{url.removeprefix('http')}/socket.io/", auth={"token": "t"}, transports=transports
        )
        assert isinstance(one.transport, EngineTransport)
        one.transport.on_passage = lambda passage, *_: passages.append(passage)
        try:
            one.transport.connect()
        except ConnectFailed as failed:
            causes.add(failed.cause)
            return False
        listening = gevent.spawn(one.transport.listen)
        listening.join(1.5)
        one.transport.leave()
        closed = listening.get()
        if closed.cause != "left":
            causes.add(closed.cause)
        return True

    connecting = [gevent.spawn(connect) for _ in range(CLIENTS)]
    gevent.joinall(connecting)
    return sum(each.get() for each in connecting), passages.count("upgraded"), causes


@pytest.mark.parametrize("sticky", ["no", "cookie", "address"])
def test_whoever_the_official_client_fails_for_sseload_fails_for(sticky: Sticky) -> None:
    with socketio_server("node") as first, socketio_server("node") as second:
        ports = [int(each.url.split("/")[2].rpartition(":")[2]) for each in (first, second)]
        with balancer(ports, sticky) as url:
            theirs = official(url, POLLING_FIRST)
            connected, upgraded, causes = ours(url, POLLING_FIRST)
            by_websocket = ours(url, ("websocket",))
    if sticky == "no":
        # Each request goes to the next node: hardly a session survives its first ones.
        assert theirs["connected"] < CLIENTS
        assert "Session ID unknown" in theirs["error"]
        assert upgraded < CLIENTS
        assert causes == {"HTTP 400: session id unknown"}
    else:
        assert (theirs["connected"], theirs["upgraded"]) == (CLIENTS, CLIENTS)
        assert (connected, upgraded, causes) == (CLIENTS, CLIENTS, set())
    # What a test by WebSocket alone would say of all three.
    assert by_websocket == (CLIENTS, 0, set())
