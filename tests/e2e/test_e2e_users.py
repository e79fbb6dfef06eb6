"""Who connects in real runs, with what headers, and who is known before there is any load."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
from collections import Counter
from pathlib import Path

import pytest

from sseload_users.demo import record
from tests.support.runs import QUICK, run, run_against_target, target
from tests.support.socket_servers import read_until, serving

pytestmark = pytest.mark.e2e


def users_file(folder: Path, *names: str) -> str:
    path = folder / "users.csv"
    path.write_text("\n".join(("username", *names)) + "\n", "utf-8")
    return str(path)


def test_users_take_turns_over_all_workers_and_so_do_slow_ones(tmp_path: Path) -> None:
    outcome, _ = run_against_target(
        tmp_path / "run", "12", "2", "1", *QUICK, "--target", "code-server", "--processes", "2",
        "--users-file", users_file(tmp_path, "loadtest", "alice", "bob"), "--slow-share", "0.25",
    )  # fmt: skip
    assert outcome.status == 0
    rows = outcome.table("connections")
    assert Counter(row["username"] for row in rows) == {"loadtest": 4, "alice": 4, "bob": 4}
    assert Counter(row["worker"] for row in rows) == dict.fromkeys(
        {row["worker"] for row in rows}, 6
    )
    shared, slow = outcome.report["run"]["notes"]
    assert shared.startswith("The users file has 3 users for up to 12 connections: some users ")
    assert outcome.stderr.index(shared[:40]) < outcome.stderr.index("broadcast ")
    assert slow.startswith("3 connections read slowly")


def test_an_unknown_user_ends_the_run_before_any_load(tmp_path: Path) -> None:
    users = users_file(tmp_path, "alice", "nobody", "bob")
    with target(tmp_path) as (server, path):
        outcome = run(
            tmp_path / "run", "6", "2", "1", *QUICK, "--target", "code-server",
            "--users-file", users, "--host", server.url,
        )  # fmt: skip
    assert outcome.status == 2
    assert outcome.error_messages == [
        (
            "sseload: The server does not know the user 'nobody'; create it there, or give "
            "another with --username or --users-file."
        )
    ]
    assert not outcome.has_report
    truth = record.read(path)
    assert (truth.connections, truth.ingests) == ({}, [])


def test_only_the_first_of_many_users_are_asked_about(tmp_path: Path) -> None:
    known = [f"user{number}" for number in range(20)]
    users = users_file(tmp_path, *known, "nobody")
    outcome, _ = run_against_target(
        tmp_path / "run", "21", "2", "1", *QUICK, "--target", "code-server", "--users-file", users,
        faults=("--users", ",".join(known)),
    )  # fmt: skip
    assert outcome.report["connections"]["succeeded"] == 20
    (cause,) = outcome.report["errors"]["causes"]
    assert (cause["operation"], cause["cause"]) == (
        "subscribe",
        "refused: Unauthorized or unknown username",
    )


def test_headers_go_with_every_request_and_some_with_ingest_alone(tmp_path: Path) -> None:
    heads: list[str] = []

    def server(connection: socket.socket) -> None:
        head = read_until(connection, b"\r\n\r\n").decode()
        heads.append(head)
        if head.startswith("POST"):
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            return
        match = re.search(r"sec-websocket-key: (\S+)", head, re.IGNORECASE)
        if match is None:
            return
        digest = hashlib.sha1(f"{match[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        connection.recv(1000)

    with serving(server) as port:
        run(
            tmp_path / "run", "check", "--target", "nchan", "--host", f"http://127.0.0.1:{port}",
            "--header", "X-Who: all", "--header", "Cookie: sid=1",
            "--ingest-header", "X-Who: ingest", "--ingest-header", "Authorization: Bearer t",
            "--delivery-timeout", "0.1",
            report=False,
        )  # fmt: skip
    handshakes = [head for head in heads if head.startswith("GET")]
    (ingest,) = (head for head in heads if head.startswith("POST"))
    assert len(handshakes) == 5
    assert "X-Who: ingest\r\n" in ingest
    assert "X-Who: all" not in ingest
    assert "Authorization: Bearer t\r\n" in ingest
    for handshake in handshakes:
        assert "X-Who: all\r\n" in handshake
        assert "Authorization" not in handshake
    for head in (*handshakes, ingest):
        assert "Cookie: sid=1\r\n" in head
