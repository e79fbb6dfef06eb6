"""The embedded target's protocols, each tested with an independent client."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import socketio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

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
from tests.support.socket_servers import CERTIFICATES


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("protocols")) as running:
        yield running


def status_of(url: str) -> int:
    with pytest.raises(InvalidStatus) as refused:
        open_websocket(url)
    return refused.value.response.status_code


class TestWebSocket:
    def test_it_sends_a_greeting_and_then_codes(self, server: Target) -> None:
        with open_websocket(f"{server.websocket_url}/ws?username=alice") as connection:
            assert json.loads(receive(connection))["type"] == "connected"
            server.post("C-1")
            code = json.loads(receive(connection))
        assert (code["type"], code["code"], code["username"]) == ("new_code", "C-1", "loadtest")

    @pytest.mark.parametrize("code", ['"\\', "grüße 🎉", "x" * 125, "x" * 126, "x" * 1000])
    def test_a_code_arrives_unchanged(self, server: Target, code: str) -> None:
        with open_websocket(f"{server.websocket_url}/ws") as connection:
            receive(connection)
            server.post(code)
            assert json.loads(receive(connection))["code"] == code

    def test_an_unknown_user_is_refused_but_none_is_accepted(self, server: Target) -> None:
        assert status_of(f"{server.websocket_url}/ws?username=mallory") == 403
        assert status_of(f"{server.websocket_url}/elsewhere") == 404
        assert requests.get(f"{server.url}/ws", timeout=PATIENCE).status_code == 426
        with open_websocket(f"{server.websocket_url}/ws") as connection:
            receive(connection)

    def test_it_answers_pings_and_ignores_other_messages(self, server: Target) -> None:
        with open_websocket(f"{server.websocket_url}/ws") as connection:
            receive(connection)
            connection.send(["in ", "pieces"])
            connection.send(b"bytes")
            assert connection.ping().wait(PATIENCE)

    def test_it_echoes_the_close_code(self, tmp_path: Path) -> None:
        with target(tmp_path) as server:
            with open_websocket(f"{server.websocket_url}/ws") as connection:
                receive(connection)
                connection.close(4321, "enough")
                assert connection.close_code == 4321
            wait_until(lambda: '"closed"' in server.path.read_text(), "the end")
            truth = server.stop()
        assert truth.connections[1].closed_by == "client"
        assert truth.connections[1].closed_code == 4321


class TestSocketIO:
    def test_python_socketio_receives_codes(self, server: Target) -> None:
        got: list[dict[str, Any]] = []
        with socketio.SimpleClient() as client:
            client.connect(
                f"{server.url}?username=loadtest", namespace="/events", transports=["websocket"]
            )
            assert client.receive(PATIENCE) == [
                "connected",
                {"message": "Connected to events endpoint"},
            ]
            requests.post(
                f"{server.url}/api/ingest",
                json={"username": "loadtest", "code": "C-1", "source": "t", "metadata": {"a": 1}},
                timeout=PATIENCE,
            )
            name, data = client.receive(PATIENCE)
            got.append(data)
        assert name == "new_code"
        assert got[0].pop("timestamp")
        assert got == [
            {
                "code": "C-1",
                "source": "t",
                "type": "default",
                "username": "loadtest",
                "user_id": 1,
                "metadata": {"a": 1},
            }
        ]

    def test_the_packets_on_the_wire(self, server: Target) -> None:
        with open_websocket(f"{server.websocket_url}{SOCKETIO}&username=loadtest") as connection:
            opening = receive(connection)
            assert opening[0] == "0"
            assert json.loads(opening[1:]).keys() == {
                "sid",
                "upgrades",
                "pingTimeout",
                "pingInterval",
                "maxPayload",
            }
            connection.send("40/events,")
            hello = '42/events,["connected",{"message":"Connected to events endpoint"}]'
            assert receive(connection) == hello
            assert receive(connection).startswith('40/events,{"sid":"')
            server.post("C-1")
            assert receive(connection).startswith('42/events,["new_code",{"code":"C-1",')

    def test_each_joined_namespace_gets_every_code(self, server: Target) -> None:
        with open_websocket(f"{server.websocket_url}{SOCKETIO}&username=loadtest") as connection:
            connection.send("40")
            connection.send("40/events,")
            while not receive(connection).startswith("40/events,"):
                pass
            server.post("C-1")
            both = sorted(receive(connection).partition("[")[0] for _ in range(2))
            assert both == ["42", "42/events,"]
            connection.send("41/events,")
            connection.send("40/nosuch,")
            assert receive(connection) == '44/nosuch,"Unable to connect"'
            server.post("C-2")
            assert receive(connection).startswith('42["new_code",{"code":"C-2"')

    @pytest.mark.parametrize("username", ["", "&username=mallory"])
    def test_an_unknown_user_is_refused_and_the_socket_stays_open(
        self, tmp_path: Path, username: str
    ) -> None:
        with target(tmp_path, "--ping-interval", "0.2") as server:
            with open_websocket(f"{server.websocket_url}{SOCKETIO}{username}") as connection:
                receive(connection)
                connection.send("40/events,")
                assert [receive(connection) for _ in range(4)] == [
                    '42/events,["error",{"message":"Unauthorized or unknown username"}]',
                    "41/events,",
                    '44/events,{"message":"Connection rejected by server"}',
                    "2",
                ]
                server.post("C-1")
                connection.send("3")
                assert receive(connection) == "2"
            truth = server.stop()
        assert truth.connections[1].refused == "unknown username"
        assert truth.subscribers == 0

    def test_the_user_can_be_given_in_a_header(self, server: Target) -> None:
        connection = connect(
            f"{server.websocket_url}{SOCKETIO}",
            additional_headers={"X-Username": "bob"},
            proxy=None,
            legacy=True,
        )
        assert isinstance(connection, ClientConnection)
        with closing(connection):
            receive(connection)
            connection.send("40/events,")
            assert "Connected to events endpoint" in receive(connection)

    def test_a_client_that_misses_a_pong_is_disconnected(self, tmp_path: Path) -> None:
        beats = ["--ping-interval", "0.2", "--ping-timeout", "0.3"]
        with (
            target(tmp_path, *beats) as server,
            open_websocket(server.websocket_url + SOCKETIO) as mute,
        ):
            receive(mute)
            assert receive(mute) == "2"
            mute.send("3")
            assert receive(mute) == "2"
            with pytest.raises(ConnectionClosed) as ended:
                receive(mute)
            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 1011

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("EIO=3&transport=websocket", 400),
            ("EIO=3&transport=polling", 400),
            ("EIO=4&transport=polling&sid=unknown", 400),
            ("EIO=4&transport=webtransport", 400),
            ("EIO=4", 400),
        ],
    )
    def test_an_unsupported_version_or_transport_is_refused(
        self, server: Target, query: str, status: int
    ) -> None:
        assert status_of(f"{server.websocket_url}/socket.io/?{query}") == status
        plain = requests.get(f"{server.url}{SOCKETIO}", timeout=PATIENCE)
        assert plain.status_code == 400
        assert status_of(f"{server.websocket_url}/socket.oi/?EIO=4&transport=websocket") == 404


def embedded(server: Target, user: str = "loadtest") -> str:
    """Return the stream URL in a user's page."""
    page = requests.get(
        f"{server.url}/embed-stream?user={user}&nonce=12345678",
        headers={"Origin": server.url},
        timeout=PATIENCE,
    )
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    return server.url + page.text.partition('EventSource("')[2].partition('"')[0]


class TestStreams:
    def test_the_plain_stream_numbers_its_codes(self, tmp_path: Path) -> None:
        with target(tmp_path) as server:
            with Stream(f"{server.url}/stream?username=alice") as stream:
                kind = "text/event-stream; charset=utf-8"
                assert stream.response.headers["Content-Type"] == kind
                assert stream.data()["type"] == "connected"
                for number in (1, 2):
                    server.post(f"C-{number}")
                    assert stream.block().startswith(
                        f'id: {number}\ndata: {{"type":"new_code","code":"C-{number}",'
                    )
            server.post("C-3")
            with Stream(f"{server.url}/stream", **{"Last-Event-ID": "1"}) as stream:
                stream.data()
                assert [stream.block().split("\n")[0] for _ in range(2)] == ["id: 2", "id: 3"]
                server.post("C-4")
                assert stream.block().startswith("id: 4\n")
            refused = requests.get(f"{server.url}/stream?username=mallory", timeout=PATIENCE)
            assert refused.status_code == 403
            truth = server.stop()
        assert (truth.replayed, truth.sent) == (2, 3)

    def test_a_foreign_code_has_no_id(self, tmp_path: Path) -> None:
        with (
            target(tmp_path, "--foreign", "1") as server,
            Stream(f"{server.url}/stream") as stream,
        ):
            stream.data()
            server.post("C-1")
            assert stream.block().startswith("id: 1\n")
            assert stream.block().startswith('data: {"type":"new_code","code":"LT-others-1-1"')

    def test_codes_stop_without_pongs(self, tmp_path: Path) -> None:
        with target(tmp_path, "--sse-ping", "0.2", "--pong-timeout", "1") as server:
            url = embedded(server)
            token = url.partition("token=")[2]
            with Stream(url) as stream:
                identity = stream.data()["connection_id"]
                pong = f"{server.url}/sse-pong?connection_id={identity}&token={token}"
                for number in range(1, 4):
                    time.sleep(0.4)
                    assert requests.post(pong, timeout=PATIENCE).json() == {"status": "ok"}
                    server.post(f"C-{number}")
                    while (message := stream.data())["type"] == "ping":
                        pass
                    assert message["code"] == f"C-{number}"
                time.sleep(1.3)
                server.post("C-4")
                requests.post(pong, timeout=PATIENCE)
                server.post("C-5")
                # Codes stop; the stream stays open and pings continue.
                deadline = time.monotonic() + 0.4
                while time.monotonic() < deadline:
                    assert stream.data()["type"] == "ping"
            truth = server.stop()
        assert (truth.sent, truth.silenced) == (3, 2)
        assert truth.connections[1].dropped == "no pong"

    def test_pings_alternate_with_comments(self, tmp_path: Path) -> None:
        with (
            target(tmp_path, "--sse-ping", "0.1") as server,
            Stream(f"{server.url}/stream") as stream,
        ):
            stream.data()
            blocks = [stream.block() for _ in range(4)]
        assert blocks == [": SSE keepalive", 'data: {"type":"ping"}'] * 2

    def test_the_page_requires_its_own_origin_and_a_known_user(self, server: Target) -> None:
        def status(query: str, origin: str = server.url) -> int:
            return requests.get(
                f"{server.url}/embed-stream?{query}", headers={"Origin": origin}, timeout=PATIENCE
            ).status_code

        assert status("user=alice&nonce=12345678") == 200
        assert status("user=alice&nonce=12345678", "http://elsewhere.example") == 403
        assert status("user=alice&nonce=12345678", "") == 403
        assert status("user=alice&nonce=1234567") == 400
        assert status("user=mallory&nonce=12345678") == 403

    def test_a_token_is_valid_only_for_its_user(self, server: Target) -> None:
        url = embedded(server, "alice")
        forged = [
            url.replace("user=alice", "user=bob"),
            url[:-1] + ("0" if url[-1] != "0" else "1"),
            url.replace("token=alice:", "token=alice:9"),
            f"{server.url}/events?user=alice&token=",
            f"{server.url}/events?user=alice&token=::",
            f"{server.url}/events",
        ]
        for each in forged:
            refused = requests.get(each, timeout=PATIENCE)
            assert refused.status_code == 401
            assert refused.json() == {"error": "Invalid or expired token"}
        with Stream(url) as stream:
            identity = stream.data()["connection_id"]
            pong = f"{server.url}/sse-pong?token=x&connection_id="
            assert requests.post(pong + identity, timeout=PATIENCE).status_code == 401
            assert requests.post(pong + "x", timeout=PATIENCE).status_code == 404

    def test_streams_above_the_limit_get_a_500(self, tmp_path: Path) -> None:
        with target(tmp_path, "--max-streams", "1") as server:
            with Stream(f"{server.url}/stream") as stream:
                stream.data()
                second = requests.get(f"{server.url}/stream", timeout=PATIENCE)
                assert second.status_code == 500
            wait_until(lambda: '"closed"' in server.path.read_text(), "the end")
            with Stream(f"{server.url}/stream") as stream:
                stream.data()
            truth = server.stop()
        assert truth.connections[2].refused == "too many streams"


def test_all_transports_work_over_tls(tmp_path: Path) -> None:
    with target(tmp_path, "--tls-cert", str(CERTIFICATES / "server.pem")) as server:
        assert server.url.startswith("https://")
        trust = CERTIFICATES / "ca.pem"
        local = server.url.replace("127.0.0.1", "localhost")
        with requests.Session() as session:
            # Otherwise a CA bundle in the environment would replace this one.
            session.trust_env = False
            session.verify = str(trust)
            assert session.get(f"{local}/health", timeout=PATIENCE).status_code == 200
            connection = connect(
                local.replace("https", "wss") + "/ws",
                ssl=ssl.create_default_context(cafile=trust),
                proxy=None,
                legacy=True,
            )
            assert isinstance(connection, ClientConnection)
            with closing(connection), session.get(f"{local}/stream", stream=True) as stream:
                receive(connection)
                pieces = stream.iter_content(None)
                next(pieces)
                body = {"username": "alice", "code": "x" * 1000}
                for _ in range(20):
                    session.post(f"{local}/api/ingest", json=body, timeout=PATIENCE)
                codes = [json.loads(receive(connection))["code"] for _ in range(20)]
                streamed = b""
                while streamed.count(b"x" * 1000) < 20:
                    streamed += next(pieces)
                reader = threading.Thread(target=lambda: list(pieces))
                reader.start()
                truth = server.stop()
                reader.join(PATIENCE)
                assert not reader.is_alive()
                with pytest.raises(ConnectionClosed):
                    receive(connection)
    assert codes == ["x" * 1000] * 20
    assert truth.sent == 40
    assert {each.closed_code for each in truth.connections.values()} == {None, 1001}


def test_a_client_without_tls_or_trust_does_not_disturb_others(tmp_path: Path) -> None:
    with target(tmp_path, "--tls-cert", str(CERTIFICATES / "server.pem")) as server:
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url.replace("https", "http") + "/health", timeout=PATIENCE)
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{server.url}/health", timeout=PATIENCE)
        healthy = requests.get(
            server.url.replace("127.0.0.1", "localhost") + "/health",
            verify=str(CERTIFICATES / "ca.pem"),
            timeout=PATIENCE,
        )
        assert healthy.status_code == 200
