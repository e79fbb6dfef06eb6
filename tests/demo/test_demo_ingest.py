"""The embedded target's HTTP API: the code server's answers and errors, and ingest faults."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.demo_clients import PATIENCE, Client, Target, target, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("ingest")) as running:
        yield running


def ingest(server: Target, **request: Any) -> requests.Response:
    return requests.post(f"{server.url}/api/ingest", timeout=PATIENCE, **request)


@pytest.mark.parametrize(
    ("payload", "status", "answer"),
    [
        (
            {"username": "alice", "code": "C-1", "source": "s", "metadata": {"a": 1}},
            200,
            {"message": "Code received and broadcasted", "status": "success", "username": "alice"},
        ),
        ({"code": "C-1"}, 400, {"error": "username is required"}),
        ({"username": "", "code": "C-1"}, 400, {"error": "username is required"}),
        ({"username": "mallory", "code": "C-1"}, 403, {"error": "Unknown username"}),
        ({"username": "mallory"}, 403, {"error": "Unknown username"}),
        ({"username": "alice"}, 400, {"error": "Invalid code data"}),
        ({"username": "alice", "code": " \n"}, 400, {"error": "Invalid code data"}),
        ({"username": "alice", "code": 7}, 400, {"error": "Invalid code data"}),
        ({"username": "alice", "code": "x" * 1001}, 400, {"error": "Invalid code data"}),
        (["alice", "C-1"], 500, {"error": "Internal server error"}),
    ],
)
def test_each_payload_is_answered_like_the_code_server(
    server: Target, payload: object, status: int, answer: dict[str, str]
) -> None:
    response = ingest(server, json=payload)
    assert (response.status_code, response.json()) == (status, answer)


def test_a_code_of_1000_characters_is_accepted(server: Target) -> None:
    assert server.post("x" * 1000).status_code == 200


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"username":"alice","code":'),
        ("application/json", b"\xff\xfe"),
        ("application/json", b"[" * 100_000),
        ("application/x-www-form-urlencoded", b"username=alice&code=C-1"),
        ("", b'{"username":"alice","code":"C-1"}'),
    ],
)
def test_a_body_that_is_not_json_is_answered_with_500(
    server: Target, kind: str, body: bytes
) -> None:
    assert ingest(server, data=body, headers={"Content-Type": kind}).status_code == 500


def test_health_users_and_unknown_paths(server: Target) -> None:
    def get(path: str) -> tuple[int, Any]:
        response = requests.get(server.url + path, timeout=PATIENCE)
        return response.status_code, response.json()

    assert get("/health") == (200, {"service": "code-server", "status": "healthy"})
    verified = {"user_id": 2, "username": "alice", "verified": True}
    assert get("/api/users/alice/verify") == (200, verified)
    unknown = {"username": "böse", "verified": False}
    assert get("/api/users/b%C3%B6se/verify") == (404, unknown)
    assert get("/nowhere")[0] == 404
    assert get("/api/ingest")[0] == 405
    head = requests.head(f"{server.url}/health", timeout=PATIENCE)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        (b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"POST /api/ingest HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", b"413"),
    ],
    ids=["no host", "tls", "bad target", "too large"],
)
def test_an_invalid_request_is_refused(server: Target, request_bytes: bytes, status: bytes) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(request_bytes)
        if status == b"413":
            connection.sendall(b"x" * 1_100_000)
        answer = connection.makefile("rb").readline()
    assert answer.split()[1] == status
    assert requests.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200


def test_pipelined_requests_are_answered_in_order(server: Target) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(
            b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
            b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
            b"GET /health HTTP/1.0\r\n\r\n"
        )
        data = b""
        while piece := connection.recv(65536):
            data += piece
    assert [line.split()[1] for line in data.splitlines() if line[:5] == b"HTTP/"] == [
        b"200",
        b"404",
        b"200",
    ]


def test_ingest_status_rejects_its_share_without_a_broadcast(tmp_path: Path) -> None:
    with target(tmp_path, "--ingest-status", "410", "--ingest-share", "0.5") as server:
        client = Client(server, "websocket")
        client.seen.subscribed.wait(PATIENCE)
        statuses = [server.post(f"C-{number}").status_code for number in range(10)]
        truth = server.stop()
        seen = client.join()
    assert sorted(statuses) == [200] * 5 + [410] * 5
    assert [each.status for each in truth.ingests] == statuses
    accepted = [f"C-{number}" for number in range(10) if statuses[number] == 200]
    assert seen.codes == [code.code for code in truth.codes.values()] == accepted
    assert [each.fault for each in truth.ingests].count("status") == 5


def test_a_delayed_answer_precedes_its_broadcast(tmp_path: Path) -> None:
    with target(tmp_path, "--ingest-delay", "0.3") as server:
        client = Client(server, "websocket")
        client.seen.subscribed.wait(PATIENCE)
        began = time.monotonic()
        assert server.post("C-1").status_code == 200
        assert time.monotonic() - began > 0.29
        wait_until(lambda: client.seen.codes, "the code")
        truth = server.stop()
        client.join()
    assert truth.codes[1].start_ns - truth.ingests[0].ns > 0.29e9


def test_an_unanswered_code_is_broadcast(tmp_path: Path) -> None:
    with target(tmp_path, "--ingest-hang", "1") as server:
        client = Client(server, "websocket")
        client.seen.subscribed.wait(PATIENCE)
        with pytest.raises(requests.ReadTimeout):
            requests.post(
                f"{server.url}/api/ingest",
                json={"username": "alice", "code": "C-1"},
                timeout=0.3,
            )
        wait_until(lambda: client.seen.codes, "the code")
        truth = server.stop()
        client.join()
    assert [(each.status, each.index) for each in truth.ingests] == [("hang", 1)]


def test_a_code_whose_connection_is_reset_is_broadcast(tmp_path: Path) -> None:
    with target(tmp_path, "--ingest-reset", "1") as server:
        client = Client(server, "websocket")
        client.seen.subscribed.wait(PATIENCE)
        with pytest.raises(requests.ConnectionError):
            server.post("C-1")
        wait_until(lambda: client.seen.codes, "the code")
        truth = server.stop()
        client.join()
    assert [(each.status, each.index) for each in truth.ingests] == [("reset", 1)]


def test_a_repeated_code_is_suppressed_until_dedupe_expires(tmp_path: Path) -> None:
    with target(tmp_path, "--dedupe", "0.5") as server:
        client = Client(server, "websocket")
        client.seen.subscribed.wait(PATIENCE)
        for code in ("C-1", "C-1", "C-2"):
            assert server.post(code).status_code == 200
        server.post("C-1", "alice")
        time.sleep(0.6)
        server.post("C-1")
        truth = server.stop()
        seen = client.join()
    # The same code from another user is a different one.
    assert seen.codes == ["C-1", "C-2", "C-1", "C-1"]
    assert [each.fault for each in truth.ingests] == ["", "dedupe", "", "", ""]


def test_asleep_answers_502_at_first(tmp_path: Path) -> None:
    with target(tmp_path, "--asleep", "0.5") as server:
        assert requests.get(f"{server.url}/health", timeout=PATIENCE).status_code == 502
        assert server.post("C-1").status_code == 502
        wait_until(
            lambda: requests.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200,
            "the end of --asleep",
        )


def test_accept_only_never_answers(tmp_path: Path) -> None:
    with target(tmp_path, "--accept-only") as server, pytest.raises(requests.ReadTimeout):
        requests.get(f"{server.url}/health", timeout=0.3)
