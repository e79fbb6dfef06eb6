"""The embedded target with ``--as today``: its messages on the wire, and its record."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import socketio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from sseload_users.demo.embed import RateLimit
from tests.support.demo_clients import (
    PATIENCE,
    SOCKETIO,
    Stream,
    Target,
    open_websocket,
    receive,
    target,
    wait_until,
)

TOKEN = "s3cret"
ORIGIN = "https://codes.example"
#: By default the client sends the server's URL as Origin, which is not allowed.
NO_ORIGIN: dict[str, Any] = {"websocket_extra_options": {"suppress_origin": True}}
TODAY = ("--as", "today", "--ingest-token", TOKEN, "--sse-ping", "0.2")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("today"), *TODAY, "--page-limit", "0") as running:
        yield running


def join(server: Target, namespace: str, username: str = "loadtest") -> ClientConnection:
    """Connect and join a namespace, up to its acknowledgement; the caller closes it."""
    connection = open_websocket(f"{server.websocket_url}{SOCKETIO}&username={username}")
    receive(connection)
    connection.send(f"40{namespace},")
    while not receive(connection).startswith(f"40{namespace},"):
        pass
    return connection


def hand_in(connection: ClientConnection, code: str, number: str = "7", token: str = TOKEN) -> None:
    connection.send(
        f'42/ws/ingest,{number}["code",{{"code":"{code}","source":"load-test",'
        f'"type":"default","token":"{token}"}}]'
    )


def exchange(server: Target, request: bytes) -> bytes:
    """Send a request with ``Connection: close``, and return the whole answer."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(request)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    return data


def handshake(server: Target, origin: bytes, version: bytes = b"4") -> bytes:
    """Return the whole answer to a refused Socket.IO handshake."""
    return exchange(
        server,
        b"GET /socket.io/?EIO=%b&transport=websocket&username=bob HTTP/1.1\r\n"
        b"Host: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Origin: %b\r\n\r\n" % (version, origin),
    )


def page(server: Target, user: str = "loadtest", origin: str | None = ORIGIN) -> requests.Response:
    headers = {} if origin is None else {"Origin": origin}
    query = {"user": user, "nonce": "12345678"}
    url = f"{server.url}/embed-stream"
    return requests.get(url, params=query, headers=headers, timeout=PATIENCE)


def stream_url(server: Target, user: str = "loadtest") -> str:
    found = re.search(r"sseUrl = `(.*)`;", page(server, user).text)
    assert found is not None
    return server.url + found[1]


@contextlib.contextmanager
def disconnecting(client: socketio.Client) -> Iterator[None]:
    """Disconnect the client on exit."""
    try:
        yield
    finally:
        client.disconnect()


class TestRemovedRoutes:
    def test_http_ingest_is_gone_and_names_the_namespace(self, tmp_path: Path) -> None:
        with target(tmp_path, *TODAY) as server:
            response = server.post("C-1")
            assert response.status_code == 410
            assert response.json() == {
                "error": "HTTP ingest has been disabled",
                "next_steps": "Connect to the /ws/ingest Socket.IO namespace and include the "
                "shared ingest token.",
            }
            empty = requests.post(f"{server.url}/api/ingest", data="{", timeout=PATIENCE)
            assert empty.status_code == 410
            truth = server.stop()
        assert [(each.code, each.status, each.index) for each in truth.ingests] == [
            ("C-1", 410, None),
            ("", 410, None),
        ]

    @pytest.mark.parametrize("path", ["/api/users/loadtest/verify", "/ws", "/stream", "/x"])
    def test_an_unknown_path_is_answered_with_a_page(self, server: Target, path: str) -> None:
        response = requests.get(server.url + path, timeout=PATIENCE)
        assert (response.status_code, response.reason) == (404, "NOT FOUND")
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.text.startswith("<!doctype html>\n<html lang=en>\n<title>404 Not Found")

    def test_health_is_unchanged(self, server: Target) -> None:
        health = requests.get(f"{server.url}/health", timeout=PATIENCE)
        assert health.json() == {"service": "code-server", "status": "healthy"}


class TestOrigins:
    def test_a_handshake_with_a_disallowed_origin_is_refused(self, tmp_path: Path) -> None:
        with target(tmp_path, *TODAY) as server:
            for refused in (
                handshake(server, b"https://elsewhere.example"),
                handshake(server, server.url.encode()),
                # The origin is checked before the version.
                handshake(server, b"https://elsewhere.example", b"3"),
            ):
                head, _, body = refused.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 400 BAD REQUEST\r\n")
                assert b"\r\nTransfer-Encoding: chunked" in head
                assert b"\r\nContent-Type: text/plain\r\n" in head
                assert b"Content-Length" not in head
                assert body == b'19\r\n"Not an accepted origin."\r\n0\r\n\r\n'
            truth = server.stop()
        assert [each.refused for each in truth.connections.values()] == ["origin"] * 3
        assert truth.connections[1].username == "bob"

    @pytest.mark.parametrize("origin", [None, ORIGIN])
    def test_no_origin_or_an_allowed_one_is_accepted(
        self, server: Target, origin: str | None
    ) -> None:
        with socketio.SimpleClient(**NO_ORIGIN) as client:
            client.connect(
                f"{server.url}?username=loadtest",
                headers={} if origin is None else {"Origin": origin},
                namespace="/events",
                transports=["websocket"],
            )
            assert client.receive(PATIENCE)[0] == "connected"

    def test_origins_can_be_configured(self, tmp_path: Path) -> None:
        origins = "https://a.example,https://b.example"
        with target(tmp_path, *TODAY, "--origins", origins) as server:
            statuses = [page(server, origin=each).status_code for each in origins.split(",")]
            assert statuses == [200, 200]
            assert page(server).status_code == 403

    @pytest.mark.parametrize("origin", [None, "", "https://elsewhere.example"])
    def test_the_page_requires_an_allowed_origin(self, server: Target, origin: str | None) -> None:
        response = page(server, origin=origin)
        assert response.status_code == 403
        assert response.json() == {"error": "Unauthorized origin - iframe access only"}
        assert page(server, origin=server.url).status_code == 403


class TestIngest:
    def test_the_packets_on_the_wire(self, tmp_path: Path) -> None:
        with (
            target(tmp_path, *TODAY) as server,
            join(server, "/events", "alice") as listener,
            open_websocket(f"{server.websocket_url}{SOCKETIO}&username=bob") as publisher,
        ):
            receive(publisher)
            publisher.send("40/ws/ingest,")
            hello = '42/ws/ingest,["connected",{"message":"Connected to ingest endpoint"}]'
            assert receive(publisher) == hello
            assert re.fullmatch(r'40/ws/ingest,\{"sid":"[^"]+"\}', receive(publisher))
            hand_in(publisher, "C-1")
            assert receive(publisher) == "43/ws/ingest,7[]"
            assert re.fullmatch(
                r'42/events,\["new_code",\{"code":"C-1","source":"load-test","type":"default",'
                r'"codetype":"default","username":"bob","user_id":3,'
                r'"metadata":\{"ingested_via":"ws/ingest"\},"timestamp":"[^"]+"\}\]',
                receive(listener),
            )
            # Without an id there is no acknowledgement.
            hand_in(publisher, "C-2", number="")
            hand_in(publisher, "C-3", number="123")
            assert receive(publisher) == "43/ws/ingest,123[]"
            assert ['"C-2"' in receive(listener), '"C-3"' in receive(listener)] == [True, True]
            truth = server.stop()
        assert truth.connections[1].subscribed.keys() == {"/events"}
        assert truth.connections[1].publishing_ns is None
        assert truth.connections[2].subscribed == {}
        assert truth.connections[2].publishing_ns is not None
        assert [(each.code, each.status, each.connection) for each in truth.ingests] == [
            ("C-1", "accepted", 2),
            ("C-2", "accepted", 2),
            ("C-3", "accepted", 2),
        ]
        assert truth.sent == truth.subscribers == 3

    @pytest.mark.parametrize(
        ("argument", "error"),
        [
            ('{"code":"C-1"}', "Ingest token is required"),
            ('{"code":"C-1","token":""}', "Ingest token is required"),
            ('"C-1"', "Ingest token is required"),
            ('{"code":"C-1","token":"s3cre"}', "Invalid ingest token"),
            ('{"code":"C-1","token":7}', "Invalid ingest token"),
            ('{"code":" ","token":"t\\u00f6ken"}', "Invalid ingest token"),
            ('{"code":" ","token":"s3cret"}', "Invalid code data"),
            ('{"token":"s3cret"}', "Invalid code data"),
            ('{"code":7,"token":"s3cret"}', "Invalid code data"),
            (f'{{"code":"{"x" * 1001}","token":"s3cret"}}', "Invalid code data"),
        ],
    )
    def test_an_error_is_sent_and_then_acknowledged(
        self, server: Target, argument: str, error: str
    ) -> None:
        with join(server, "/ws/ingest") as publisher:
            publisher.send(f'42/ws/ingest,["code",{argument}]')
            publisher.send(f'42/ws/ingest,8["code",{argument}]')
            error_event = f'42/ws/ingest,["error",{{"message":"{error}"}}]'
            assert [receive(publisher) for _ in range(3)] == [
                error_event,
                error_event,
                "43/ws/ingest,8[]",
            ]

    def test_the_longest_code_is_accepted(self, server: Target) -> None:
        with join(server, "/ws/ingest") as publisher:
            hand_in(publisher, "x" * 1000)
            assert receive(publisher) == "43/ws/ingest,7[]"

    def test_other_events_are_ignored(self, server: Target) -> None:
        with join(server, "/events") as listener:
            # The namespace is not joined yet.
            hand_in(listener, "C-1")
            listener.send("40/ws/ingest,")
            receive(listener)
            receive(listener)
            for text in ('1["other",{}]', '2["code"', "3{}", '4[["code"]]'):
                listener.send(f"42/ws/ingest,{text}")
            hand_in(listener, "one for both", number="5")
            # One connection can do both.
            got = sorted(receive(listener) for _ in range(2))
            assert got[0].startswith('42/events,["new_code",{"code":"one for both"')
            assert got[1] == "43/ws/ingest,5[]"
            listener.send("41/ws/ingest,")
            hand_in(listener, "C-3")
            listener.send("40/nosuch,")
            assert receive(listener) == '44/nosuch,"Unable to connect"'

    @pytest.mark.parametrize("namespace", ["/events", "/ws/ingest"])
    def test_an_unknown_user_is_refused(self, tmp_path: Path, namespace: str) -> None:
        with target(tmp_path, *TODAY, "--ping-interval", "0.2") as server:
            with open_websocket(f"{server.websocket_url}{SOCKETIO}&username=mallory") as connection:
                receive(connection)
                connection.send(f"40{namespace},")
                assert [receive(connection) for _ in range(4)] == [
                    f'42{namespace},["error",{{"message":"Unauthorized or unknown username"}}]',
                    f"41{namespace},",
                    f'44{namespace},{{"message":"Connection rejected by server"}}',
                    "2",
                ]
                hand_in(connection, "C-1")
                connection.send("3")
                assert receive(connection) == "2"
            truth = server.stop()
        assert truth.connections[1].refused == "unknown username"
        assert (truth.ingests, truth.connections[1].publishing_ns) == ([], None)

    def test_python_socketio_submits_a_code(self, server: Target) -> None:
        got: list[Any] = []
        publisher = socketio.Client(**NO_ORIGIN)
        with socketio.SimpleClient(**NO_ORIGIN) as listener, disconnecting(publisher):
            listener.connect(
                f"{server.url}?username=alice", namespace="/events", transports=["websocket"]
            )
            assert listener.receive(PATIENCE)[0] == "connected"
            publisher.on("error", got.append, namespace="/ws/ingest")
            publisher.connect(
                f"{server.url}?username=bob", namespaces=["/ws/ingest"], transports=["websocket"]
            )
            code = {"code": "R-1", "metadata": {"a": 1}}
            publisher.call("code", code, namespace="/ws/ingest", timeout=int(PATIENCE))
            code["token"] = TOKEN
            publisher.call("code", code, namespace="/ws/ingest", timeout=int(PATIENCE))
            name, data = listener.receive(PATIENCE)
        assert got == [{"message": "Ingest token is required"}]
        assert (name, data["code"], data["username"]) == ("new_code", "R-1", "bob")
        assert data["metadata"] == {"a": 1, "ingested_via": "ws/ingest"}

    def test_a_repeated_code_is_acknowledged_but_not_broadcast(self, tmp_path: Path) -> None:
        with (
            target(tmp_path, *TODAY) as server,
            join(server, "/events") as listener,
            join(server, "/ws/ingest") as publisher,
        ):
            for code in ("C-1", "C-1", "C-2"):
                hand_in(publisher, code)
                assert receive(publisher) == "43/ws/ingest,7[]"
            assert ['"C-1"' in receive(listener), '"C-2"' in receive(listener)] == [True, True]
            truth = server.stop()
        assert [(each.status, each.fault) for each in truth.ingests] == [
            ("accepted", ""),
            ("accepted", "dedupe"),
            ("accepted", ""),
        ]
        assert truth.options["dedupe"] == 5.0

    def test_ingest_faults_apply_to_socketio_too(self, tmp_path: Path) -> None:
        faults = ("--ingest-status", "503", "--ingest-share", "0.5", "--ingest-hang", "0.5")
        with (
            target(tmp_path, *TODAY, *faults) as server,
            join(server, "/ws/ingest") as publisher,
        ):
            for number in range(8):
                hand_in(publisher, f"C-{number}", number=str(number))
            wait_until(lambda: server.path.read_text().count('"ingest"') == 8, "the codes")
            publisher.send("40/nosuch,")
            received = []
            while "nosuch" not in (text := receive(publisher)):
                received.append(text)
            truth = server.stop()
        injected = '42/ws/ingest,["error",{"message":"Injected fault"}]'
        faults_met = [each.fault for each in truth.ingests]
        assert received.count(injected) == faults_met.count("status") == 4
        assert sum(text.startswith("43") for text in received) == 8 - faults_met.count("hang")
        assert 0 < faults_met.count("hang") <= 4
        assert len(truth.codes) == 4

    def test_a_reset_leaves_the_code_unanswered_and_broadcast(self, tmp_path: Path) -> None:
        with (
            target(tmp_path, *TODAY, "--ingest-reset", "1") as server,
            join(server, "/events") as listener,
            join(server, "/ws/ingest") as publisher,
        ):
            hand_in(publisher, "C-1")
            with pytest.raises(ConnectionClosed):
                receive(publisher)
            assert '"C-1"' in receive(listener)
            wait_until(lambda: '"closed"' in server.path.read_text(), "the end")
            truth = server.stop()
        assert [(each.status, each.index) for each in truth.ingests] == [("reset", 1)]
        assert truth.connections[2].closed_by == "server"

    def test_publishers_are_not_counted_for_drop(self, tmp_path: Path) -> None:
        with target(tmp_path, *TODAY, "--drop", "0.5") as server:
            publishers = [join(server, "/ws/ingest") for _ in range(3)]
            listeners = [join(server, "/events") for _ in range(4)]
            hand_in(publishers[0], "C-1")
            wait_until(lambda: server.path.read_text().count('"dropped"') == 2, "the drops")
            assert receive(publishers[0]) == "43/ws/ingest,7[]"
            truth = server.stop()
            for each in (*publishers, *listeners):
                each.close()
        dropped = {each.connection for each in truth.connections.values() if each.dropped}
        assert len(dropped) == 2
        assert dropped <= {4, 5, 6, 7}


@pytest.mark.parametrize("version", ["guide", "today"])
def test_without_ingest_token_any_token_is_accepted(tmp_path: Path, version: str) -> None:
    with (
        target(tmp_path, "--as", version) as server,
        join(server, "/events") as listener,
        join(server, "/ws/ingest") as publisher,
    ):
        hand_in(publisher, "C-1", token="")
        assert "Ingest token is required" in receive(publisher)
        assert receive(publisher) == "43/ws/ingest,7[]"
        hand_in(publisher, "C-1", token="whatever")
        assert receive(publisher) == "43/ws/ingest,7[]"
        assert '"C-1"' in receive(listener)


class TestStreams:
    def test_the_page_has_its_urls_in_template_literals(self, server: Target) -> None:
        text = page(server).text
        token = r"loadtest:(\d+):[0-9a-f]{64}"
        found = re.search(
            rf"^const sseUrl = `/events\?user=loadtest&token=({token})`;$", text, re.MULTILINE
        )
        assert found is not None
        again = f"fetch(`/sse-pong?connection_id=${{data.connection_id}}&token={found[1]}`, {{\n"
        assert again in text
        assert 890 < int(found[2]) - time.time() <= 901

    def test_a_token_opens_any_number_of_its_users_streams(self, server: Target) -> None:
        url = stream_url(server)
        streams = [Stream(url) for _ in range(30)]
        identities = {stream.data()["connection_id"] for stream in streams}
        for stream in streams:
            stream.__exit__()
        assert len(identities) == 30
        refused = [
            url.replace("user=loadtest", "user=alice"),
            url[:-1] + ("0" if url[-1] != "0" else "1"),
            url + "`;",
            f"{server.url}/events?user=loadtest",
        ]
        for each in refused:
            response = requests.get(each, timeout=PATIENCE)
            assert response.status_code == 401
            assert response.json() == {"error": "Invalid or expired token"}

    def test_codes_have_all_fields_and_pings_the_connection_id(self, server: Target) -> None:
        with (
            Stream(stream_url(server)) as stream,
            join(server, "/ws/ingest") as publisher,
        ):
            identity = stream.data()["connection_id"]
            assert stream.data() == {"type": "ping", "connection_id": identity}
            hand_in(publisher, "S-1")
            while (code := stream.data())["type"] == "ping":
                pass
        assert code.pop("timestamp")
        assert code == {
            "code": "S-1",
            "source": "load-test",
            "type": "default",
            "codetype": "default",
            "username": "loadtest",
            "user_id": 1,
            "metadata": {"ingested_via": "ws/ingest"},
        }

    def test_without_pongs_codes_stop_and_the_stream_stays_open(self, tmp_path: Path) -> None:
        with target(tmp_path, *TODAY, "--pong-timeout", "0.8") as server:
            url = stream_url(server)
            token = url.partition("token=")[2]
            pong = f"{server.url}/sse-pong?token={token}&connection_id="
            with Stream(url) as mute, Stream(url) as well, join(server, "/ws/ingest") as publisher:
                mute.data()
                identity = well.data()["connection_id"]
                wait_until(
                    lambda: (
                        requests.post(pong + identity, timeout=PATIENCE).status_code == 200
                        and '"no pong"' in server.path.read_text()
                    ),
                    "the stop",
                )
                hand_in(publisher, "C-1")
                while (code := well.data())["type"] == "ping":
                    pass
                assert code["code"] == "C-1"
                assert [mute.data()["type"] for _ in range(3)] == ["ping"] * 3
                truth = server.stop()
        assert [(each.sent, each.silenced) for each in truth.codes.values()] == [([2], [1])]

    def test_a_token_expires(self, tmp_path: Path) -> None:
        with target(tmp_path, *TODAY, "--token-lifetime", "0.5") as server:
            url = stream_url(server)
            with Stream(url) as stream:
                identity = stream.data()["connection_id"]
                wait_until(
                    lambda: requests.get(url, stream=True, timeout=PATIENCE).status_code == 401,
                    "the expiry",
                )
                token = url.partition("token=")[2]
                pong = f"{server.url}/sse-pong?token={token}&connection_id={identity}"
                assert requests.post(pong, timeout=PATIENCE).status_code == 401
                # An open stream stays open.
                assert stream.data()["type"] == "ping"
            with Stream(stream_url(server)) as stream:
                assert stream.data()["type"] == "connected"

    def test_the_page_is_rate_limited_per_user(self, tmp_path: Path) -> None:
        with target(tmp_path, *TODAY) as server:
            statuses = [page(server).status_code for _ in range(26)]
            assert statuses == [200] * 25 + [429]
            refused = page(server)
            assert refused.headers["Content-Type"] == "text/html; charset=utf-8"
            assert "<h1>Too Many Requests</h1>\n<p>25 per 1 minute</p>" in refused.text
            assert page(server, "alice").status_code == 200
            truth = server.stop()
        assert [(each.username, each.status) for each in truth.pages] == [
            *[("loadtest", 200)] * 25,
            *[("loadtest", 429)] * 2,
            ("alice", 200),
        ]

    def test_a_configured_rate_limit_expires(self, tmp_path: Path) -> None:
        with target(tmp_path, *TODAY, "--page-limit", "1:0.3") as server:
            assert [page(server).status_code for _ in range(2)] == [200, 429]
            wait_until(lambda: page(server).status_code == 200, "the next one")

    def test_an_unknown_user_is_rate_limited(self, tmp_path: Path) -> None:
        with target(tmp_path, *TODAY) as server:
            first = page(server, "mallory")
            assert (first.status_code, first.json()) == (403, {"error": "Unknown username"})
            second = page(server, "mallory")
            assert (second.status_code, second.text[:15]) == (429, "<!doctype html>")
            assert page(server, "eve").status_code == 403


def test_a_rate_limit_starts_a_new_window_when_one_is_over() -> None:
    limit = RateLimit(2, 10.0)
    requested = [
        ("a", 0.0),
        ("a", 9.0),
        ("a", 9.9),
        ("b", 9.9),
        ("a", 10.0),
        ("a", 11.0),
        ("a", 19.9),
    ]
    allowed = [limit.allows(name, now) for name, now in requested]
    assert allowed == [True, True, False, True, True, True, False]
    assert limit.description == "2 per 10 second"
