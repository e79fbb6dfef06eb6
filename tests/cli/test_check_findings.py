"""What `check` concludes from what came: of losses, of batches, of servers that are slow to
subscribe."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.cli import check_findings as findings
from tests.support.login_server import LoginServer
from tests.support.runs import ROOT, clean_environment
from tests.support.scripted_server import CONNECTED, ScriptedServer, accept, code_frame
from tests.support.wire import frame

CODES = ("A", "B", "C")


def received(*rows: str) -> list[findings.Arrivals]:
    """Return the arrivals of connections, each given by the codes that it received."""
    return [{code: [1] for code in row} for row in rows]


@pytest.mark.parametrize(
    ("rows", "lost", "pattern"),
    [
        (("", "", ""), 9, "no connection received any"),
        (("ABC", "", "ABC"), 3, "connection 2 received nothing, the others everything"),
        (("", "ABC", ""), 6, "connections 1 and 3 received nothing, the others everything"),
        (("AB", "AB", "AB"), 3, "code 3 of 3 reached no connection"),
        (("A", "A", "A"), 6, "code 2 and code 3 of 3 reached no connection"),
        (("A", "B", "C"), 6, "each code reached only one connection"),
        (
            ("AC", "B", "AC"),
            4,
            "each code reached only one of 2 groups of connections, and all of that group",
        ),
        (("AB", "BC", "BC"), 3, "3 of 3 connections lack at least one code"),
        (("ABC", "AB", "C"), 3, "2 of 3 connections lack at least one code"),
    ],
)
def test_a_loss_is_described_by_its_pattern(rows: Sequence[str], lost: int, pattern: str) -> None:
    loss = findings.loss(CODES, received(*rows))
    assert loss is not None
    assert (loss.lost, loss.owed, loss.pattern) == (lost, 9, pattern)
    assert loss.hint


@given(st.lists(st.sets(st.sampled_from(CODES)), min_size=1, max_size=6))
def test_every_loss_is_counted_and_has_a_pattern(rows: list[set[str]]) -> None:
    loss = findings.loss(CODES, received(*map("".join, rows)))
    lost = sum(len(CODES) - len(each) for each in rows)
    assert (loss.lost if loss else 0) == lost
    assert loss is None or loss.pattern


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        (b'{"code":"A"}\n{"code":"B"}', "lines = true"),
        (b"A\nB", "lines = true"),
        (b'data: {"code":"A"}\ndata: {"code":"B"}', "lines = true"),
        (b'{"code":"B"}\x1e{"code":"A"}\x1e', 'separator = "\\u001e"'),
        (b"A\0B\0", 'separator = "\\u0000"'),
        (b'{"code":"A"}{"code":"B"}', "concatenated = true"),
        (b'[{"code":"A"}, {"code":"B"}]', "[*]"),
        (b'{"batch":["A","B"]}', "[*]"),
        (b'42["codes",[{"n":1,"code":"A"},{"code":"B"}]]', "[*]"),
        (b"A and B", "regex"),
    ],
)
def test_a_batch_is_answered_with_the_key_that_reads_it(payload: bytes, key: str) -> None:
    assert key in findings.batch_hint(payload, "AB")


def check(url: str, *words: str, target: str = "websocket") -> tuple[int, list[str]]:
    """Run a check; return its status, and its lines without their times."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sseload_users", "check", "--host", url, "--target", target),
            *("--delivery-timeout", "0.7", *words),
        ],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.returncode, [line[13:] for line in done.stdout.splitlines()]


class Batching(ScriptedServer):
    """A server that puts the second and third code into one message."""

    def __init__(self) -> None:
        super().__init__(None, self._take)
        self._held: queue.Queue[str] = queue.Queue()

    def _take(self, number: int, code: str, connection: socket.socket) -> None:
        accept(connection)
        if number == 1:
            self.broadcast(code_frame(code))
        elif number == 2:
            self._held.put(code)
        else:
            both = f'{{"code":"{self._held.get(timeout=5)}"}}\n{{"code":"{code}"}}'
            self.broadcast(frame(0x81, both.encode()))


@pytest.mark.e2e
def test_a_batch_is_found_where_one_code_alone_arrives() -> None:
    with Batching().serving() as url:
        status, lines = check(url, "--settle", "0")
    assert status == 1
    (at,) = (index for index, line in enumerate(lines) if "FAILED" in line)
    assert lines[at].startswith(
        "receive   FAILED: 2 codes came in one message, of which the profile reads 0: {"
    )
    assert lines[at + 1].strip() == (
        "→ The server puts several codes into one message. Each is in a line of its own: set "
        "lines = true."
    )


@pytest.mark.e2e
def test_a_server_that_serves_half_of_its_clients_is_found() -> None:
    def take(_: int, code: str, connection: socket.socket) -> None:
        accept(connection)
        for each in server.listeners[::2]:
            each.sendall(code_frame(code))

    server = ScriptedServer(None, take)
    with server.serving() as url:
        status, lines = check(url, "--settle", "0", "--connections", "4")
    assert status == 1
    (failed,) = (line for line in lines if "FAILED" in line)
    assert "6 of 12 copies did not come within 0.7 s: connections" in failed
    assert failed.endswith("received nothing, the others everything")


@pytest.mark.e2e
@pytest.mark.parametrize(("settle", "status"), [("0", 1), ("1", 0)])
def test_codes_are_sent_after_the_time_to_settle(settle: str, status: int) -> None:
    def subscribe_late(_: int, connection: socket.socket) -> None:
        connection.sendall(CONNECTED)
        time.sleep(0.8)
        server.listeners.append(connection)
        connection.recv(1)

    def take(_: int, code: str, connection: socket.socket) -> None:
        server.broadcast(code_frame(code))
        accept(connection)

    server = ScriptedServer(subscribe_late, take)
    with server.serving() as url:
        done, lines = check(url, "--settle", settle, "--delivery-timeout", "0.3")
    assert done == status, lines


@pytest.mark.e2e
def test_connections_and_publisher_log_in(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text(
        'transport = "websocket"\n'
        '[[before]]\nmethod = "POST"\npath = "/login"\nbody = { "name" = "{username}" }\n'
        'capture = { "token" = { field = "access_token" } }\n'
        '[connect]\npath = "/ws"\nquery = { "token" = "{token}" }\n'
        '[confirm]\nany = true\n[code]\nfield = "code"\n'
        '[ingest]\nmethod = "POST"\npath = "/publish"\nbody = { "code" = "{code}" }\n'
        'headers = { "Authorization" = "Bearer {token}" }\n',
        "utf-8",
    )
    server = LoginServer(lifetime=2)
    with server.serving() as url:
        status, lines = check(url, "--settle", "0", target=str(profile))
    assert status == 0, lines
    assert [line for line in lines if line.startswith(("before", "publish"))] == [
        f"before    POST {url}/login: HTTP 200",
        "publish   logged in as loadtest",
    ]
    assert server.requests["/publish", 200] == 3
    # One login for each connection, one for the publisher, and one as the latter expired.
    assert server.requests["/login", 200] == 5 + 2


@pytest.mark.e2e
@pytest.mark.parametrize("number", ["0", "101"])
def test_the_number_of_connections_is_bounded(number: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sseload_users", "check", "--connections", number],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"sseload: Invalid --connections {number}: use a number from 1")
