"""No secret is written anywhere, even if the server repeats everything it receives."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.runs import QUICK, SSELOAD, Outcome, run
from tests.support.socket_servers import serving

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

HEADER, INGEST_HEADER = "Hd-aaaa-hunter2-Zz", "Ih/bbbb+hunter2=Zz"
COLUMN, QUERY_COLUMN = "Co cccc hunter2 Zz", 'Qu"dddd"hunter2&Zz'
VALUE, CAPTURED = "Va-eeee-hunter2-Zz", "Cp.ffff.hunter2.Zz"
GIVEN = "Gv gggg=hunter2,Zz"
SECRETS = (HEADER, INGEST_HEADER, COLUMN, QUERY_COLUMN, VALUE, CAPTURED, GIVEN)

PROFILE = f"""\
transport = "websocket"

[values]
api_key = "{VALUE}"

[[before]]
path = "/page"
query = {{ "key" = "{{api_key}}", "pin" = "{{pin}}", "lobby" = "{{lobby}}" }}
capture = {{ "ticket" = {{ regex = "ticket=([^&]*)" }} }}

[connect]
path = "/live"
query = {{ "ticket" = "{{ticket}}" }}
headers = {{ "X-Session" = "{{session}}" }}
send = [{{ "op" = "hello", "pin" = "{{pin}}" }}]

[confirm]
fields = {{ "op" = "ok" }}

[[refuse]]
fields = {{ "op" = "error" }}
reason = "reason"

[code]
field = "code"

[ingest]
method = "POST"
path = "/in"
body = {{ "code" = "{{code}}", "key" = "{{api_key}}", "lobby" = "{{lobby}}" }}
"""

#: Where the server repeats what it was sent.
WHERES = ("page", "handshake", "refusal", "close", "message", "ingest")


class Parrot:
    """A server that repeats what it was sent, and ticks off which secrets that were.

    Args:
        where: at which step.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.seen: set[str] = set()

    def __call__(self, connection: socket.socket) -> None:
        while request := _read_request(connection):
            # Percent-encoded, escaped and plain: what was meant, and what was written.
            said = f"{request}\n{unquote(request)} {CAPTURED}"
            self.seen.update(each for each in SECRETS if each in said or json.dumps(each) in said)
            if request.startswith("GET /page"):
                if self.where == "page":
                    _answer(connection, 403, said)
                else:
                    _answer(connection, 200, f"ticket={CAPTURED}&")
            elif request.startswith("POST"):
                _answer(connection, 400 if self.where == "ingest" else 200, said)
            elif self.where == "handshake":
                _answer(connection, 401, said)
            else:
                self._converse(connection, request, said)
                return

    def _converse(self, connection: socket.socket, request: str, said: str) -> None:
        match = re.search(r"Sec-WebSocket-Key: (\S+)", request, re.IGNORECASE)
        assert match is not None
        digest = hashlib.sha1(f"{match[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        accept = base64.b64encode(digest).decode()
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        connection.recv(1000)
        if self.where == "refusal":
            for secret in SECRETS:
                if secret in said:
                    said = f"not {secret}, {secret} and {said}"
            _send(connection, 0x81, json.dumps({"op": "error", "reason": said}).encode())
        else:
            _send(connection, 0x81, b'{"op":"ok"}')
        if self.where == "close":
            _send(connection, 0x88, (1008).to_bytes(2, "big") + f"no {COLUMN} {CAPTURED}".encode())
        elif self.where == "message":
            _send(connection, 0x81, json.dumps({"op": said}).encode())
            _send(connection, 0x81, b"{" + said.encode())
        while connection.recv(1000):
            pass


def _read_request(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return ""
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    while length is not None and len(body) < int(length[1]):
        body += connection.recv(65536)
    return (head + b"\r\n\r\n" + body).decode()


def _answer(connection: socket.socket, status: int, text: str) -> None:
    body = text.encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)


def _send(connection: socket.socket, opcode: int, payload: bytes) -> None:
    size = bytes([len(payload)]) if len(payload) < 126 else b"~" + len(payload).to_bytes(2, "big")
    connection.sendall(bytes([opcode]) + size + payload)


@dataclass(frozen=True)
class Played:
    """The outcomes of a run and a check against such a server."""

    load: Outcome
    check: Outcome
    folder: Path
    seen: set[str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Played]]]:
    outputs, inputs_of_all = tmp_path_factory.mktemp("outputs"), tmp_path_factory.mktemp("inputs")

    def one(where: str) -> Played:
        folder, inputs, parrot = outputs / where, inputs_of_all / where, Parrot(where)
        folder.mkdir()
        inputs.mkdir()
        profile, users = inputs / "mine.toml", inputs / "users.csv"
        profile.write_text(PROFILE, "utf-8")
        quoted = QUERY_COLUMN.replace('"', '""')
        users.write_text(f'username,session,pin\nalice,{COLUMN},"{quoted}"\n', "utf-8")
        with serving(parrot) as port:
            words = (
                "--host", f"http://127.0.0.1:{port}", "--target", str(profile),
                "--users-file", str(users), "--header", f"Authorization: Bearer {HEADER}",
                "--ingest-header", f"X-Key: {INGEST_HEADER}", "--value", f"lobby={GIVEN}",
                "--connect-timeout", "2", *QUICK,
            )  # fmt: skip
            load = run(
                folder / "load", "3", "2", "1", *words, "--loglevel", "DEBUG", "--print-stats",
                "--csv", str(folder / "locust"), "--html", str(folder / "locust.html"),
            )  # fmt: skip
            check = run(folder / "check", "check", *words, command=(*SSELOAD,), report=False)
        return Played(load, check, folder, parrot.seen)

    with ThreadPoolExecutor(3) as pool:
        yield {where: pool.submit(one, where) for where in WHERES}


def forms(secret: str) -> set[str]:
    """Return the prefixes of a secret that reveal too much: long texts are cut off."""
    return {secret[:9].lower(), json.dumps(secret)[1:10].lower()}


@pytest.mark.parametrize("where", WHERES)
def test_nothing_that_a_run_writes_contains_a_secret(
    runs: dict[str, Future[Played]], where: str
) -> None:
    played = runs[where].result()
    assert played.seen >= {HEADER, QUERY_COLUMN, VALUE, GIVEN}, "the server was not told"
    assert played.load.has_report
    files = [each for each in played.folder.rglob("*") if each.is_file()]
    assert {"stdout", "stderr", "report.json", "report.html", "junit.xml", "connections.csv",
            "locust.html", "locust_failures.csv"} <= {each.name for each in files}  # fmt: skip
    for file in files:
        text = unquote(file.read_text("utf-8", "replace")).lower()
        for secret in SECRETS:
            for form in forms(secret):
                assert form not in text, (file.name, secret)
    assert "hunter2" not in "".join(each.read_text("utf-8", "replace") for each in files)


def test_the_rest_of_the_servers_words_is_shown(runs: dict[str, Future[Played]]) -> None:
    causes = {
        where: [
            (each["operation"], each["cause"])
            for each in runs[where].result().load.report["errors"]["causes"]
        ]
        for where in WHERES
    }
    assert causes["page"] == [("before", "HTTP 403")]
    assert causes["handshake"] == [("handshake", "HTTP 401")]
    ((operation, cause),) = causes["refusal"]
    assert operation == "subscribe"
    assert cause.startswith("refused: not ***, *** and")
    assert causes["close"] == [("session", "closed by server: 1008")]
    assert causes["ingest"] == [("ingest", "HTTP 400")]
    checks = {where: runs[where].result().check.stdout for where in WHERES}
    assert "HTTP 401 (GET /live?ticket=*** HTTP/1.1" in checks["handshake"]
    assert (
        "sessions ended before the code came: closed by server: 1008 (no *** ***)"
        in checks["close"]
    )
    assert "***" in checks["message"]
    assert "***" in checks["ingest"]
