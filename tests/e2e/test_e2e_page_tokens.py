"""Real runs whose event streams need a token from a page that limits its requests."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sseload_users.core.config_path import config_path
from tests.support.runs import QUICK, run
from tests.support.socket_servers import read_until, serving

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

HTML = b"<!doctype html>\n<title>429 Too Many Requests</title>\n<h1>Too Many Requests</h1>\n"
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    b'data: {"type":"connected","connection_id":"%d"}\n\n'
)


class TokenServer:
    """The event streams of today's code server; it takes codes by HTTP.

    Args:
        pages: the number of pages for each user.
        forget_after: the number of codes after which it revokes all tokens and ends all streams;
            0: never.

    Attributes:
        requests: the number of requests by path and response status.
        tokens: the valid tokens.
    """

    def __init__(self, pages: int = 25, forget_after: int = 0) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.tokens: set[str] = set()
        self._given_out: set[str] = set()
        self._pages = pages
        self._forget_after = forget_after
        self._codes = 0
        self._given: Counter[str] = Counter()
        self._streams: dict[int, socket.socket] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; return the server's URL."""
        with serving(self._handle) as port:
            yield f"http://127.0.0.1:{port}"

    def _handle(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        while head := read_until(connection, b"\r\n\r\n").decode():
            _, url, _ = head.split(" ", 2)
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            body = connection.recv(int(length[1]), socket.MSG_WAITALL) if length else b""
            path = urlsplit(url).path
            query = {name: value for name, (value, *_) in parse_qs(urlsplit(url).query).items()}
            if path == "/events" and query["token"] in self.tokens:
                self._count(path, 200)
                self._keep(connection)
                return
            with self._lock:
                status, answer = self._answer(path, query, body)
            self._count(path, status)
            connection.sendall(
                b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%s" % (status, len(answer), answer)
            )

    def _count(self, path: str, status: int) -> None:
        with self._lock:
            self.requests[path, status] += 1

    def _answer(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        match path:
            case "/health":
                return 200, b'{"service":"code-server","status":"healthy"}'
            case "/embed-stream":
                return self._page(query["user"])
            case "/events":
                return 401, b'{"error":"Invalid or expired token"}'
            case "/sse-pong":
                # A stream whose token is revoked may answer once more before it ends.
                return (200, b"{}") if query["token"] in self._given_out else (401, b"{}")
            case "/api/ingest":
                self._broadcast(json.loads(body)["code"])
                return 200, b'{"status":"success"}'
        return 404, b"<!doctype html><title>404 Not Found</title>"

    def _page(self, user: str) -> tuple[int, bytes]:
        if self._given[user] >= self._pages:
            return 429, HTML
        self._given[user] += 1
        token = f"{user}:{int(time.time()) + 900}:{secrets.token_hex(32)}"
        self.tokens.add(token)
        self._given_out.add(token)
        page = (
            f"<script>const sseUrl = `/events?user={user}&token={token}`;\n"
            f"fetch(`/sse-pong?connection_id=${{data.connection_id}}&token={token}`, {{\n"
        )
        return 200, page.encode()

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            number = len(self._streams) + 1
            self._streams[number] = connection
            connection.sendall(STREAM % number)
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass

    def _broadcast(self, code: str) -> None:
        self._codes += 1
        data = b'data: {"type":"new_code","code":"%s"}\n\n' % code.encode()
        for each in self._streams.values():
            with contextlib.suppress(OSError):
                each.sendall(data)
        if self._codes == self._forget_after:
            self.tokens.clear()
            for each in self._streams.values():
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """The built-in profile, but with codes by HTTP."""
    built_in = config_path("targets/code-server-sse.toml").read_text("utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(
        built_in.split("[ingest]\n")[0].replace("every = 30", "every = 0.5")
        + '[ingest]\nmethod = "POST"\npath = "/api/ingest"\nbody = { "code" = "{code}" }\n',
        "utf-8",
    )
    return str(path)


@pytest.mark.parametrize("processes", [1, 2])
def test_each_worker_requests_one_page_per_user(
    tmp_path: Path, profile: str, processes: int
) -> None:
    users = tmp_path / "users.csv"
    users.write_text("username\nalice\nbob\ncarol\n", "utf-8")
    server = TokenServer()
    arguments = ("--processes", str(processes)) if processes > 1 else ()
    with server.serving() as url:
        outcome = run(
            tmp_path / "run", "40", "3", "1", *QUICK, "--host", url, "--target", profile,
            "--users-file", str(users), *arguments,
        )  # fmt: skip
    connections = outcome.report["connections"]
    assert (connections["attempted"], connections["succeeded"]) == (40, 40)
    assert outcome.report["deliveries"]["delivered"] == 120
    assert server.requests["/embed-stream", 200] == 3 * processes
    assert server.requests["/events", 200] == 40
    assert server.requests["/sse-pong", 200] >= 40
    assert not [key for key in server.requests if key[1] not in (200, 404)]


@pytest.mark.parametrize("processes", [1, 2])
def test_streams_reconnect_with_a_new_token_after_a_revoked_one(
    tmp_path: Path, profile: str, processes: int
) -> None:
    server = TokenServer(forget_after=2)
    arguments = ("--processes", str(processes)) if processes > 1 else ()
    with server.serving() as url:
        outcome = run(
            tmp_path / "run", "40", "10", "4", *QUICK, "--host", url, "--target", profile,
            "--reconnect", *arguments,
        )  # fmt: skip
    connections = outcome.report["connections"]
    # The first refusal is not a failure of the server, because the token was old.
    assert connections["attempted"] == connections["succeeded"] == 80
    assert (connections["dropped"], connections["reconnected"]) == (40, 40)
    assert [each["operation"] for each in outcome.report["errors"]["causes"]] == ["session"]
    assert server.requests["/embed-stream", 200] == 2 * processes
    assert 1 * processes <= server.requests["/events", 401] <= 40
    assert server.requests["/events", 200] == 80


def test_a_refused_page_fails_all_connections_that_wait_for_it(
    tmp_path: Path, profile: str
) -> None:
    server = TokenServer(pages=0)
    with server.serving() as url:
        # All start at once, so that they wait for each other's requests.
        outcome = run(
            tmp_path / "run", "40", "2", "1", "-r", "5000", *QUICK, "--host", url,
            "--target", profile,
        )  # fmt: skip
    connections = outcome.report["connections"]
    assert (connections["attempted"], connections["failed"]) == (40, 40)
    causes = outcome.report["errors"]["causes"]
    (cause,) = [each for each in causes if each["operation"] == "before"]
    assert (cause["cause"], cause["count"]) == ("HTTP 429", 40)
    # Twenty connections are opened at a time.
    assert server.requests["/embed-stream", 429] <= 10
    assert server.requests["/events", 401] == 0


def test_a_refused_new_token_is_reported_with_the_servers_text(
    tmp_path: Path, profile: str
) -> None:
    class Strict(TokenServer):
        def _page(self, user: str) -> tuple[int, bytes]:
            answer = super()._page(user)
            self.tokens.clear()
            return answer

    server = Strict()
    with server.serving() as url:
        arguments = ("--host", url, "--target", profile)
        outcome = run(tmp_path / "run", "40", "2", "1", *QUICK, *arguments)
        checked = run(tmp_path / "check", "check", *arguments, report=False)
    causes = outcome.report["errors"]["causes"]
    (cause,) = [each for each in causes if each["operation"] == "handshake"]
    assert (cause["cause"], cause["count"]) == ("HTTP 401", 40)
    assert server.requests["/embed-stream", 200] == 2
    assert server.requests["/events", 401] == 41
    assert checked.status == 1
    assert "FAILED: handshake: HTTP 401" in checked.stdout
    assert "Invalid or expired token" in checked.stdout
