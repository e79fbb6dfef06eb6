"""Whole runs against hostile servers: they end, and the report states what happened."""

from __future__ import annotations

import contextlib
import csv
import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.ground_truth import sequence_of
from tests.support.hostile_servers import GZIP_BOMB, INVALID_FRAMES, OK, send_without_end
from tests.support.runs import QUICK, Outcome, run
from tests.support.scripted_server import CONNECTED, OnCode, ScriptedServer, accept, code_frame
from tests.support.wire import frame

pytestmark = pytest.mark.e2e


ENCODED = OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s"


def endless(data: bytes, then: bytes, interval_s: float = 0.0) -> OnCode:
    def answer(_: int, __: str, connection: socket.socket) -> None:
        connection.sendall(data)
        send_without_end(connection, then, interval_s=interval_s)

    return answer


def once(data: bytes) -> OnCode:
    def answer(_: int, __: str, connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    return answer


#: What the server does with each code in turn, and the status and the cause of that code.
INGEST_RESPONSES: list[tuple[OnCode, str, str]] = [
    (lambda _n, _c, connection: accept(connection), "accepted", ""),
    (once(ENCODED % (b"gzip", len(GZIP_BOMB), GZIP_BOMB)), "accepted", ""),
    (once(ENCODED % (b"gzip", 2, b"{}")), "accepted", ""),
    (once(ENCODED % (b"zstd", 2, b"{}")), "accepted", ""),
    (endless(OK, b"X-Header: more\r\n"), "unanswered", "answer too large"),
    (endless(OK + b"\r\n", b"more"), "unanswered", "answer too large"),
    (
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "unanswered",
        "answer too large",
    ),
    (endless(OK, b"a: b\r\n", 0.1), "unanswered", "no answer in time"),
    (endless(OK + b"\r\n", b"x", 0.1), "unanswered", "no answer in time"),
    # It leads to a page that is there.
    (once(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), "accepted", ""),
    (
        once(b"HTTP/1.1 500 \xff\r\nContent-Length: 1\r\n\r\n\xff"),
        "rejected",
        "HTTP 500",
    ),
    (once(b"HTTP/1.1 700 Odd\r\nContent-Length: 0\r\n\r\n"), "rejected", "HTTP 700"),
    (once(b"SSH-2.0\r\n"), "unanswered", "bad answer"),
    (once(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), "unanswered", "bad answer"),
    (once(OK + b"Content-Length: 99\r\n\r\n{}"), "unanswered", "bad answer"),
    (once(b""), "unanswered", "connection closed"),
]


def test_each_code_has_a_status_whatever_the_ingest_response(tmp_path: Path) -> None:
    def on_code(number: int, code: str, connection: socket.socket) -> None:
        server.broadcast(code_frame(code))
        # By sequence number: on a busy machine one code may overtake another.
        INGEST_RESPONSES[sequence_of(code) - 1][0](number, code, connection)

    server = ScriptedServer(None, on_code)
    with server.serving() as url:
        outcome = run(
            tmp_path,
            *("3", str(len(INGEST_RESPONSES)), "2", *QUICK, "--target", "websocket", "--host", url),
            *("--ingest-timeout", "1.5"),
        )
    report = outcome.report
    statuses = {row["seq"]: row["status"] for row in report["per_code"]}
    assert statuses == {number: status for number, (_, status, _) in enumerate(INGEST_RESPONSES, 1)}
    owed = sum(status != "rejected" for _, status, _ in INGEST_RESPONSES)
    deliveries = report["deliveries"]
    assert deliveries["owed"] == deliveries["delivered"] == 3 * owed
    assert deliveries["unexpected"] == 3 * (len(INGEST_RESPONSES) - owed)
    causes = {each["cause"]: each["count"] for each in report["errors"]["causes"]}
    assert causes == Counter(cause for _, _, cause in INGEST_RESPONSES if cause)
    assert outcome.grade == "issues"
    assert report["generator"]["rss_mib"] < 200


PROFILE = """
transport = "websocket"

[health]
path = "/health"

[connect]
path = "/ws"

[confirm]
fields = { "type" = "connected" }

[[refuse]]
has = ["error"]
reason = "error"

[code]
field = "code"

[ingest]
method = "POST"
path = "/api/ingest"
body = { "code" = "{code}" }
"""

HOSTILE_TEXT = '=HYPERLINK("x") <img src=x onerror=alert(1)> \x1b]0;owned\x07\x1b[2J\u202e\x9b31m'
ATTEMPTS = 130


def test_texts_of_servers_are_harmless_and_bounded(tmp_path: Path) -> None:
    def on_listener(number: int, connection: socket.socket) -> None:
        if number <= 10:
            connection.sendall(CONNECTED)
            server.listeners.append(connection)
        else:
            # Letters, because numbers are removed from causes.
            own = "".join(chr(ord("g") + int(digit)) for digit in str(number))
            refusal = json.dumps({"error": f"{own} {HOSTILE_TEXT}"})
            connection.sendall(frame(0x81, refusal.encode()))
        with contextlib.suppress(OSError):
            connection.recv(4096)

    def on_code(number: int, code: str, connection: socket.socket) -> None:
        for each in (HOSTILE_TEXT, code + HOSTILE_TEXT, code.replace("-", "\x1b-")):
            server.broadcast(code_frame(each))
        server.broadcast(code_frame(code))
        if number == 4:
            for at, listener in enumerate(server.listeners, 3000):
                listener.sendall(frame(0x88, at.to_bytes(2, "big") + HOSTILE_TEXT.encode()[:100]))
        connection.sendall(
            b"HTTP/1.1 200 %s\r\nContent-Length: 0\r\n\r\n" % HOSTILE_TEXT.encode()[:40]
        )

    server = ScriptedServer(on_listener, on_code)
    profile = tmp_path / "hostile.toml"
    profile.write_text(PROFILE)
    with server.serving() as url:
        outcome = run(
            tmp_path,
            *(str(ATTEMPTS), "4", "1", *QUICK, "--target", str(profile), "--host", url),
            *("--csv", str(tmp_path / "locust"), "--loglevel", "DEBUG"),
        )
    report = outcome.report
    assert report["connections"]["failed"] == ATTEMPTS - 10
    assert report["connections"]["dropped"] == 10
    causes = report["errors"]["causes"]
    assert 100 <= len(causes) <= 105
    assert sum(each["count"] for each in causes) == report["errors"]["failed"]
    assert any(each["cause"] == "other" for each in causes)
    assert report["deliveries"]["foreign"] >= 3 * 4
    assert outcome.grade == "issues"
    check_harmless(outcome, tmp_path)


def check_harmless(outcome: Outcome, folder: Path) -> None:
    """Check that no output has active content for a terminal, a browser or a spreadsheet."""
    texts = {"stdout": outcome.stdout, "stderr": outcome.stderr}
    files = [*outcome.folder.iterdir(), *folder.glob("locust*.csv")]
    assert len(files) >= 9
    texts |= {path.name: path.read_text("utf-8") for path in files}
    for name, text in texts.items():
        control = {char for char in text if not char.isprintable()} - set("\n\r\t")
        assert not control & set("\x1b\x07\x9b\u202e"), name
    assert "<img src=x" not in texts["report.html"]
    assert "&lt;img src=x" in texts["report.html"]
    for path in files:
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                cells = {cell for row in csv.reader(file) for cell in row if cell}
            assert not [cell for cell in cells if cell.lstrip()[0] in "=@+\t"], path.name


def test_a_flood_is_counted_and_ends_with_the_run(tmp_path: Path) -> None:
    """Send duplicates, foreign codes, invented codes and padded messages at full speed."""
    over = threading.Event()

    def flood(code: str) -> None:
        head, sequence, sent = code.rsplit("-", 2)
        invented = int(sequence)
        block = code_frame(code) * 20 + code_frame("LT-nobody-1-a") * 20
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and not over.is_set():
            invented += 1000
            others = (code_frame(f"{head}-{invented + each}-{sent}") for each in range(100))
            padded = code_frame(code, pad=f"{invented}" * 10_000)
            server.broadcast(block + b"".join(others) + padded)

    def on_code(_: int, code: str, connection: socket.socket) -> None:
        server.broadcast(code_frame(code))
        connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")
        if not floods:
            floods.append(threading.Thread(target=flood, args=(code,)))
            floods[0].start()

    floods: list[threading.Thread] = []
    server = ScriptedServer(None, on_code)
    try:
        with server.serving() as url:
            outcome = run(
                tmp_path,
                *("3", "4", "2", *QUICK, "--target", "websocket", "--host", url),
                *("--delivery-timeout", "5"),
            )
    finally:
        over.set()
        for each in floods:
            each.join()
    deliveries = outcome.report["deliveries"]
    assert outcome.report["run"]["complete"]
    assert deliveries["owed"] == deliveries["delivered"] == 3 * 4
    assert deliveries["duplicate"] > 500
    assert deliveries["unexpected"] > 500
    assert deliveries["foreign"] > 500
    assert outcome.reasons["duplicates"] == "warning"
    assert outcome.report["generator"]["rss_mib"] < 250
    assert outcome.seconds < 40


def test_invented_codes_are_not_delivered(tmp_path: Path) -> None:
    """A server that has seen one code sends the next ones itself, and no real one."""

    def on_code(number: int, code: str, connection: socket.socket) -> None:
        if number == 1:
            head, _, sent = code.rsplit("-", 2)
            for sequence in range(1, 5):
                server.broadcast(code_frame(f"{head}-{sequence}-{sent}"))
        accept(connection)

    server = ScriptedServer(None, on_code)
    with server.serving() as url:
        arguments = ("3", "4", "1", *QUICK, "--target", "websocket", "--host", url)
        outcome = run(tmp_path, *arguments)
    deliveries = outcome.report["deliveries"]
    assert deliveries["delivered"] == 3 * 1
    assert deliveries["missing"] == deliveries["unexpected"] == 3 * 3
    assert outcome.grade == "issues"
    assert outcome.reasons["unexpected"] == "warning"


def test_an_invalid_frame_ends_its_session(tmp_path: Path) -> None:
    """Send one kind of invalid frame to each connection but the last."""
    invalid = [data for data, _ in INVALID_FRAMES.values()]
    first_code = threading.Event()

    def on_listener(number: int, connection: socket.socket) -> None:
        if number <= len(invalid):
            connection.sendall(CONNECTED)
            first_code.wait(30)
            connection.sendall(invalid[number - 1])
            with contextlib.suppress(OSError):
                while connection.recv(4096):
                    pass
        else:
            server.keep(number, connection)

    def on_code(_: int, code: str, connection: socket.socket) -> None:
        server.broadcast(code_frame(code))
        accept(connection)
        first_code.set()

    server = ScriptedServer(on_listener, on_code)
    with server.serving() as url:
        outcome = run(
            tmp_path,
            *(str(len(invalid) + 1), "3", "2", *QUICK, "--target", "websocket", "--host", url),
        )
    report = outcome.report
    assert report["connections"]["dropped"] == report["deliveries"]["malformed"] == len(invalid)
    causes = {each["cause"] for each in report["connections"]["causes"]}
    assert causes == {cause for _, cause in INVALID_FRAMES.values()}
    assert report["deliveries"]["delivered"] == 3
    assert outcome.grade == "issues"
