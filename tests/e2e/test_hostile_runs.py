"""Whole runs against servers that mean harm: they end, and the report says what happened."""

from __future__ import annotations

import contextlib
import csv
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.test_hostile import FRAMES, for_ever
from tests.e2e.test_hostile_http import BOMB, OK
from tests.support.ground_truth import sequence_of
from tests.support.runs import QUICK, Outcome, run
from tests.support.socket_servers import read_until, serving
from tests.support.wire import acceptance_of, frame

pytestmark = pytest.mark.e2e

CONNECTED = frame(0x81, b'{"type":"connected"}')

#: Does with a connection, or a request that carries a code, whatever it likes.
OnListener = Callable[[int, socket.socket], object]
OnCode = Callable[[int, str, socket.socket], object]


class Server:
    """A server that is well by its own account.

    Args:
        on_listener: gets each WebSocket after its handshake; it is closed when this returns.
            None: is good to it.
        on_code: gets each code.

    Attributes:
        listeners: those that it was good to.
        heads: of all requests that it got.
    """

    def __init__(self, on_listener: OnListener | None, on_code: OnCode) -> None:
        self.listeners: list[socket.socket] = []
        self.heads: list[bytes] = []
        self._on_listener = on_listener
        self._on_code = on_code
        self._lock = threading.Lock()
        self._connections = self._codes = 0

    def handle(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        while head := read_until(connection, b"\r\n\r\n"):
            self.heads.append(head)
            if head.startswith(b"GET /ws"):
                with self._lock:
                    self._connections += 1
                    number = self._connections
                connection.sendall(acceptance_of(head))
                (self._on_listener or self.keep)(number, connection)
                return
            if head.startswith(b"POST"):
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                body = connection.recv(length, socket.MSG_WAITALL)
                with self._lock:
                    self._codes += 1
                    number = self._codes
                self._on_code(number, json.loads(body)["code"], connection)
            else:
                connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")

    def keep(self, _: int, connection: socket.socket) -> None:
        """Be a good server to a listener, until it leaves."""
        connection.sendall(CONNECTED)
        self.listeners.append(connection)
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass

    def broadcast(self, data: bytes) -> None:
        """Send bytes to all listeners."""
        for each in self.listeners:
            with contextlib.suppress(OSError):
                each.sendall(data)


def message(code: str, **more: str) -> bytes:
    return frame(0x81, json.dumps({"code": code, **more}).encode())


def answers(connection: socket.socket, data: bytes = OK + b"Content-Length: 2\r\n\r\n{}") -> None:
    connection.sendall(data)


@contextlib.contextmanager
def started(server: Server) -> Iterator[str]:
    with serving(server.handle) as port:
        yield f"http://127.0.0.1:{port}"


def test_whatever_answers_codes_each_has_its_status(tmp_path: Path) -> None:
    encoded = OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s"

    def for_ever_from(data: bytes, then: bytes, each_s: float = 0.0) -> OnCode:
        def answer(_: int, __: str, connection: socket.socket) -> None:
            connection.sendall(data)
            for_ever(connection, then, each_s=each_s)

        return answer

    def once(data: bytes) -> OnCode:
        def answer(_: int, __: str, connection: socket.socket) -> None:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        return answer

    cases: list[tuple[OnCode, str, str]] = [
        (lambda _n, _c, connection: answers(connection), "accepted", ""),
        (once(encoded % (b"gzip", len(BOMB), BOMB)), "accepted", ""),
        (once(encoded % (b"gzip", 2, b"{}")), "accepted", ""),
        (once(encoded % (b"zstd", 2, b"{}")), "accepted", ""),
        (for_ever_from(OK, b"X-Header: more\r\n"), "unanswered", "answer too large"),
        (for_ever_from(OK + b"\r\n", b"more"), "unanswered", "answer too large"),
        (
            for_ever_from(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            "unanswered",
            "answer too large",
        ),
        (for_ever_from(OK, b"a: b\r\n", 0.1), "unanswered", "no answer in time"),
        (for_ever_from(OK + b"\r\n", b"x", 0.1), "unanswered", "no answer in time"),
        (once(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), "rejected", "HTTP 302"),
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

    def on_code(number: int, code: str, connection: socket.socket) -> None:
        server.broadcast(message(code))
        # Not in the order in which they come: on a busy machine one may overtake another.
        cases[sequence_of(code) - 1][0](number, code, connection)

    server = Server(None, on_code)
    with started(server) as url:
        outcome = run(
            tmp_path,
            *("3", str(len(cases)), "2", *QUICK, "--target", "websocket", "--host", url),
            *("--ingest-timeout", "1.5"),
        )
    report = outcome.report
    said = {row["seq"]: row["status"] for row in report["per_code"]}
    assert said == {number: status for number, (_, status, _) in enumerate(cases, 1)}
    owed = sum(status != "rejected" for _, status, _ in cases)
    deliveries = report["deliveries"]
    assert deliveries["owed"] == deliveries["delivered"] == 3 * owed
    assert deliveries["unexpected"] == 3 * (len(cases) - owed)
    causes = {each["cause"]: each["count"] for each in report["errors"]["causes"]}
    wanted = [cause for _, _, cause in cases if cause]
    assert causes == {cause: wanted.count(cause) for cause in wanted}
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

EVIL = '=HYPERLINK("x") <img src=x onerror=alert(1)> \x1b]0;owned\x07\x1b[2J\u202e\x9b31m'
MANY = 130


def test_nothing_that_servers_say_is_done_and_no_more_than_so_much_is_kept(tmp_path: Path) -> None:
    def on_listener(number: int, connection: socket.socket) -> None:
        if number <= 10:
            connection.sendall(CONNECTED)
            server.listeners.append(connection)
        else:
            # Letters, since numbers are taken out of the causes.
            own = "".join(chr(ord("g") + int(digit)) for digit in str(number))
            said = json.dumps({"error": f"{own} {EVIL}"})
            connection.sendall(frame(0x81, said.encode()))
        with contextlib.suppress(OSError):
            connection.recv(4096)

    def on_code(number: int, code: str, connection: socket.socket) -> None:
        for each in (EVIL, code + EVIL, code.replace("-", "\x1b-")):
            server.broadcast(message(each))
        server.broadcast(message(code))
        if number == 4:
            for at, listener in enumerate(server.listeners, 3000):
                listener.sendall(frame(0x88, at.to_bytes(2, "big") + EVIL.encode()[:100]))
        connection.sendall(b"HTTP/1.1 200 %s\r\nContent-Length: 0\r\n\r\n" % EVIL.encode()[:40])

    server = Server(on_listener, on_code)
    profile = tmp_path / "evil.toml"
    profile.write_text(PROFILE)
    with started(server) as url:
        outcome = run(
            tmp_path,
            *(str(MANY), "4", "1", *QUICK, "--target", str(profile), "--host", url),
            *("--csv", str(tmp_path / "locust"), "--loglevel", "DEBUG"),
        )
    report = outcome.report
    assert report["connections"]["failed"] == MANY - 10
    assert report["connections"]["dropped"] == 10
    causes = report["errors"]["causes"]
    assert 100 <= len(causes) <= 105
    assert sum(each["count"] for each in causes) == report["errors"]["failed"]
    assert any(each["cause"] == "other" for each in causes)
    assert report["deliveries"]["foreign"] >= 3 * 4
    assert outcome.grade == "issues"
    check_harmless(outcome, tmp_path)


def check_harmless(outcome: Outcome, folder: Path) -> None:
    """Nothing of what was written does anything when it is shown or opened."""
    texts = {"stdout": outcome.stdout, "stderr": outcome.stderr}
    files = [*outcome.folder.iterdir(), *folder.glob("locust*.csv")]
    assert len(files) >= 9
    texts |= {path.name: path.read_text("utf-8") for path in files}
    for name, text in texts.items():
        unseen = {char for char in text if not char.isprintable()} - set("\n\r\t")
        assert not unseen & set("\x1b\x07\x9b\u202e"), name
    assert "<img src=x" not in texts["report.html"]
    assert "&lt;img src=x" in texts["report.html"]
    for path in files:
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                cells = {cell for row in csv.reader(file) for cell in row if cell}
            assert not [cell for cell in cells if cell.lstrip()[0] in "=@+\t"], path.name


def test_a_flood_is_counted_and_ends_with_the_run(tmp_path: Path) -> None:
    """Duplicates, foreign codes, made-up numbers and padded messages, as fast as can be."""
    over = threading.Event()

    def flood(code: str) -> None:
        head, sequence, sent = code.rsplit("-", 2)
        made_up = int(sequence)
        block = message(code) * 20 + message("LT-nobody-1-a") * 20
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and not over.is_set():
            made_up += 1000
            others = (message(f"{head}-{made_up + each}-{sent}") for each in range(100))
            padded = message(code, pad=f"{made_up}" * 10_000)
            server.broadcast(block + b"".join(others) + padded)

    def on_code(_: int, code: str, connection: socket.socket) -> None:
        server.broadcast(message(code))
        connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")
        if not floods:
            floods.append(threading.Thread(target=flood, args=(code,)))
            floods[0].start()

    floods: list[threading.Thread] = []
    server = Server(None, on_code)
    try:
        with started(server) as url:
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


def test_codes_that_are_made_up_before_they_are_sent_are_not_delivered(tmp_path: Path) -> None:
    """Who has seen one code can count on, and broadcast nothing any more."""

    def on_code(number: int, code: str, connection: socket.socket) -> None:
        if number == 1:
            head, _, sent = code.rsplit("-", 2)
            for sequence in range(1, 5):
                server.broadcast(message(f"{head}-{sequence}-{sent}"))
        answers(connection)

    server = Server(None, on_code)
    with started(server) as url:
        words = ("3", "4", "1", *QUICK, "--target", "websocket", "--host", url)
        outcome = run(tmp_path, *words)
    deliveries = outcome.report["deliveries"]
    assert deliveries["delivered"] == 3 * 1
    assert deliveries["missing"] == deliveries["unexpected"] == 3 * 3
    assert outcome.grade == "issues"
    assert outcome.reasons["unexpected"] == "warning"


def test_sessions_end_by_frames_that_cannot_be(tmp_path: Path) -> None:
    """One connection for each kind of frame, and one that is well."""
    kinds = [each for each in FRAMES.values() if each[2] != "message too large"]
    bad = [frame(0xC1, b"\x4a"), frame(0x83, b""), frame(0x00, b"x"), frame(0x89, b"x" * 200)]

    def on_listener(number: int, connection: socket.socket) -> None:
        if number <= len(bad):
            connection.sendall(CONNECTED)
            time.sleep(1.5)
            connection.sendall(bad[number - 1])
            with contextlib.suppress(OSError):
                while connection.recv(4096):
                    pass
        else:
            server.keep(number, connection)

    def on_code(_: int, code: str, connection: socket.socket) -> None:
        server.broadcast(message(code))
        answers(connection)

    server = Server(on_listener, on_code)
    with started(server) as url:
        outcome = run(
            tmp_path,
            *(str(len(bad) + 1), "3", "2", *QUICK, "--target", "websocket", "--host", url),
        )
    report = outcome.report
    assert report["connections"]["dropped"] == report["deliveries"]["malformed"] == len(bad)
    causes = {each["cause"] for each in report["connections"]["causes"]}
    assert causes == {cause for _, _, cause in kinds}
    assert report["deliveries"]["delivered"] == 3
    assert outcome.grade == "issues"
