"""Requests over kept connections: which share one, and what ends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sseload_users.run.before_requests import BeforeRequests
from sseload_users.targets import Target
from sseload_users.targets import load as load_profile
from sseload_users.targets.identities import Identity
from sseload_users.transports.network import Network
from sseload_users.transports.request_client import RequestClient
from sseload_users.users.login import Login
from tests.support.recording_server import EMPTY, OK, RecordingServer


def test_requests_of_one_user_share_a_connection() -> None:
    with RecordingServer().running() as server:
        network = Network()
        ann, again = (RequestClient(network, 5, user="ann") for _ in range(2))
        ann.answer(server.request("/1"))
        ann.answer(server.request("/2"))
        again.answer(server.request("/3"))
        RequestClient(network, 5, user="bob").answer(server.request("/4"))
        RequestClient(network, 5).answer(server.request("/5"))
        network.kept.close()
    assert server.connections == [["/1", "/2", "/3"], ["/4"], ["/5"]]


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"Content-Length: 2\r\n\r\n{}" + EMPTY,
        OK + b"Content-Length: 2000000\r\n\r\n" + b"x" * 2_000_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=["close", "HTTP/1.0", "a second answer", "a long answer", "another protocol"],
)
def test_a_connection_that_cannot_be_used_again_is_closed(answer: bytes) -> None:
    with RecordingServer([answer, EMPTY]).running() as server:
        client = RequestClient(Network(), 5, user="ann")
        for _ in range(2):
            client.answer(server.request())
    assert len(server.connections) == 2


@pytest.mark.parametrize(
    "answer",
    [
        EMPTY,
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + EMPTY,
        b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["length", "chunks", "nothing", "interim", "redirect"],
)
def test_a_whole_answer_leaves_the_connection(answer: bytes) -> None:
    with RecordingServer([answer, EMPTY, EMPTY]).running() as server:
        network = Network()
        client = RequestClient(network, 5, user="ann")
        for _ in range(2):
            client.answer(server.request())
        network.kept.close()
    assert len(server.connections) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_a_kept_connection_did_not_take_is_sent_again(method: str) -> None:
    with RecordingServer([EMPTY, b""]).running() as server:
        network = Network()
        client = RequestClient(network, 5, user="ann")
        for path in ("/1", "/2"):
            assert client.answer(server.request(path, method)).status == 200
        network.kept.close()
    assert server.connections == [["/1", "/2"], ["/2"]]


def test_a_request_that_a_new_connection_did_not_take_fails() -> None:
    with RecordingServer([b""]).running() as server, pytest.raises(ConnectionError):
        RequestClient(Network(), 5, user="ann").answer(server.request())
    assert len(server.connections) == 1


PROFILE = """\
transport = "websocket"

[[before]]
path = "/page"

[[before]]
path = "/login"
query = { "user" = "{username}" }

[[before]]
path = "/ticket"

[connect]
path = "/ws"

[code]
whole = true

[ingest]
path = "/in/{code}"
"""


def log_in(server: RecordingServer, folder: Path, *names: str) -> None:
    """Make the requests before connecting of some users, one after the other."""
    path = folder / "target.toml"
    path.write_text(PROFILE, "utf-8")
    target = Target(load_profile(str(path)), f"http://127.0.0.1:{server.port}")
    network = Network()
    before = BeforeRequests(network, 5)
    for name in names:
        Login(target, Identity(name), before).request()
    network.kept.close()


def test_all_users_share_the_connections_of_anonymous_requests(tmp_path: Path) -> None:
    with RecordingServer().running() as server:
        log_in(server, tmp_path, "ann", "bob", "ann")
    assert server.connections == [
        ["/page", "/ticket", "/page", "/ticket", "/page", "/ticket"],
        ["/login?user=ann", "/login?user=ann"],
        ["/login?user=bob"],
    ]


def test_a_cookie_makes_requests_those_of_its_user(tmp_path: Path) -> None:
    cookie = OK + b"Set-Cookie: session=1\r\nContent-Length: 2\r\n\r\n{}"
    with RecordingServer([cookie] * 100).running() as server:
        log_in(server, tmp_path, "ann", "bob")
    assert server.connections == [
        ["/page", "/page"],
        ["/login?user=ann", "/ticket"],
        ["/login?user=bob", "/ticket"],
    ]
