"""Whether the server knows who will connect: only its own no refuses a run."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sseload_users.options import Options
from sseload_users.run.preflight import CannotRun, check_server
from sseload_users.run.resources import Resources
from tests.support.socket_servers import read_until, serving

#: Gives the answer to a question about a user; None: none ever comes.
Answers = Callable[[str], bytes | None]

PAGE = b"<!doctype html><title>404 Not Found</title><h1>Not Found</h1>"


def http(status: str, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def verified(known: object, status: str = "200 OK") -> bytes:
    return http(status, json.dumps({"verified": known}).encode())


def asking(answers: Answers, *users: str, folder: Path, wait: float = 5.0) -> list[str]:
    """What is warned of where the users are asked about at a code server; see `check_server`."""
    file = folder / "users.csv"
    file.write_text("\n".join(("username", *users)) + "\n")
    options = Options(target="code-server", users_file=str(file), connect_timeout=wait)

    def server(connection: socket.socket) -> None:
        path = read_until(connection, b"\r\n\r\n").split()[1].decode()
        if path == "/health":
            answer: bytes | None = http("200 OK", b'{"status":"healthy"}')
        else:
            answer = answers(path.split("/")[3])
        if answer is None:
            connection.recv(1)
        else:
            connection.sendall(answer)

    with serving(server) as port:
        return check_server(Resources.of(options, f"http://127.0.0.1:{port}"))


def test_who_is_known_is_nothing_to_speak_of(tmp_path: Path) -> None:
    assert asking(lambda _: verified(known=True), "ann", "bob", folder=tmp_path) == []


@pytest.mark.parametrize("status", ["404 Not Found", "200 OK", "403 Forbidden"])
def test_the_profiles_own_no_is_one(tmp_path: Path, status: str) -> None:
    with pytest.raises(CannotRun, match="does not know the user 'bob'; create it there"):
        asking(lambda who: verified(who != "bob", status), "ann", "bob", folder=tmp_path)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (http("404 Not Found", PAGE), "HTTP 404: Not Found)"),
        (http("404 Not Found"), "HTTP 404)"),
        (http("500 Oh", b"Traceback"), "HTTP 500: Traceback)"),
        (http("302 F"), "HTTP 302)"),
        (http("401 No", b'{"error":"token"}'), 'HTTP 401: {"error":"token"})'),
        (http("200 OK", PAGE), "HTTP 200: Not Found)"),
        (verified("false"), 'HTTP 200: {"verified": "false"})'),
        (b"", "remote end closed connection without response)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "bad answer: badstatusline)"),
        (None, "timed out)"),
    ],
)
def test_all_else_is_a_warning(tmp_path: Path, answer: bytes | None, why: str) -> None:
    (warning,) = asking(lambda _: answer, "ann", folder=tmp_path, wait=0.3)
    assert warning.startswith("Could not verify the user 'ann' at the server (")
    assert "/api/users/ann/verify: " in warning
    assert why in warning
    assert ("--target code-server-socket" in warning) is ("HTTP 404" in warning)


def test_one_sentence_tells_of_all_and_a_no_is_still_heard(tmp_path: Path) -> None:
    (warning,) = asking(
        lambda who: verified(known=True) if who == "eve" else http("404 Not Found", PAGE),
        *("ann", "bob", "eve", "mia"),
        folder=tmp_path,
    )
    assert "the user 'ann' and 2 others at" in warning
    with pytest.raises(CannotRun, match="'eve'"):
        asking(
            lambda who: verified(known=False) if who == "eve" else http("500 Oh"),
            *("ann", "eve"),
            folder=tmp_path,
        )


def test_a_server_that_does_not_answer_is_asked_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def silent(who: str) -> None:
        asked.append(who)

    (warning,) = asking(silent, "ann", "bob", "eve", folder=tmp_path, wait=0.3)
    assert asked == ["ann"]
    assert "the user 'ann' and 2 others at" in warning
