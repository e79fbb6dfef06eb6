"""Run these servers, and say what a newcomer would type to learn a profile of each."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.npm import node_environment, require_npm_packages
from tests.support.ports import free_port

_FOLDER = Path(__file__).parent
#: Seconds in which a server must accept connections.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Stranger:
    """A server, and the command of somebody who knows what a browser's network panel shows.

    Attributes:
        program: the file in this folder.
        arguments: of `sseload init`; `HOST` stands for host and port.
        values: the secrets that `init` asks to set in the environment, `name=value`.
        channel: the word that names one channel of several; empty if there are none.
    """

    program: str
    arguments: tuple[str, ...]
    values: str = ""
    channel: str = ""


def chrome(url: str, body: str, kind: str = "application/json", headers: str = "") -> str:
    """Return a request as Chromium copies it."""
    return (
        f"curl 'http://HOST{url}' \\\n"
        "  -H 'Accept: */*' \\\n"
        "  -H 'Accept-Language: en-GB,en-US;q=0.9,en;q=0.8' \\\n"
        "  -H 'Connection: keep-alive' \\\n"
        f"  -H 'Content-Type: {kind}' \\\n"
        "  -H 'Origin: http://HOST' \\\n"
        "  -H 'Referer: http://HOST/' \\\n"
        "  -H 'Sec-Fetch-Mode: cors' \\\n"
        "  -H 'User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36' \\\n"
        f"{headers}"
        f"  --data-raw '{body}'"
    )


def multipart(url: str, headers: str = "", **fields: str | tuple[str, ...]) -> str:
    """Return a multipart form as Chromium copies it."""
    boundary = "----WebKitFormBoundaryk3Yx9q2Lw8Zr5TbV"
    parts = "".join(
        rf'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, given in fields.items()
        for value in ((given,) if isinstance(given, str) else given)
    )
    copied = chrome(url, "BODY", f"multipart/form-data; boundary={boundary}", headers)
    return copied.replace("'BODY'", rf"$'{parts}--{boundary}--\r\n'")


JWT = "  -H 'Authorization: Bearer eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl' \\\n"
FORM = "application/x-www-form-urlencoded"

STRANGERS = (
    Stranger(
        "chat_rooms.py",
        ("--ws", "/ws/rooms/lobby", "--send",
         chrome("/api/rooms/lobby/messages", '{"author":"ann","text":"hello"}')),
        channel="lobby",
    ),
    Stranger(
        "ticker.js",
        ("--ws", "/feed", "--subscribe", '{"action":"subscribe","symbols":["ACME"]}', "--send",
         chrome("/v1/news", '{"symbol":"ACME","headline":"Record quarter"}',
                headers="  -H 'X-Api-Key: k-3141592653' \\\n")),
        "api_key=k-3141592653",
        channel="ACME",
    ),
    Stranger(
        "lobby.js",
        ("--socketio", "--subscribe", '42["join","kitchen"]', "--send",
         chrome("/rooms/kitchen/say", '{"from":"ann","body":"hello there"}')),
        channel="kitchen",
    ),
    Stranger(
        "notices.py",
        ("--login", "curl http://HOST/", "--sse", "/stream?token={stream-token}", "--send",
         chrome("/announce", "title=News&text=hello+there", FORM)),
    ),
    Stranger(
        "metrics_batches.py",
        ("--ws", "/tail", "--send", chrome("/log", "hello there", "text/plain;charset=UTF-8")),
    ),
    Stranger(
        "graphql_like.js",
        ("--ws", "/socket", "--subscribe", '{"kind":"init"}', "--send",
         chrome("/graphql", '{"operationName":"AddNote","query":"mutation AddNote($input: Input!) '
                '{ addNote(input: $input) { id } }","variables":{"input":{"body":"hello"}}}')),
    ),
    Stranger(
        "packed.py",
        ("--ws", "/notifications", "--send",
         chrome("/notify", '{"title":"News","body":"hello there"}')),
    ),
    Stranger(
        "packed.js",
        ("--ws", "/positions", "--send",
         chrome("/status", '{"vehicle":"bus 12","status":"hello there"}')),
    ),
    Stranger(
        "members.py",
        ("--login", chrome("/login", "csrf_token=0123abcd&username=ann&password=correct+horse",
                           FORM, "  -b 'visit=0a1b2c3d' \\\n"),
         "--ws", "/live", "--subscribe", '{"follow":"general"}', "--send",
         chrome("/api/posts", '{"topic":"general","content":"hello"}',
                headers="  -b 'visit=0a1b2c3d; session=4e5f6071' \\\n")),
        "password=correct horse",
    ),
    Stranger(
        "orders.py",
        ("--login", chrome("/auth/token", '{"email":"ann@example.org","password":"hunter22"}'),
         "--sse", chrome("/orders/stream", '{"shops":["north"]}',
                         headers=JWT),
         "--send",
         chrome("/orders", '{"shop":"north","items":[{"name":"tea","n":2}]}',
                headers=JWT)),
        "password=hunter22",
        channel="north",
    ),
    Stranger(
        "negotiated.js",
        ("--login", chrome("/negotiate", "{}"), "--ws", "{url}", "--send",
         chrome("/api/broadcast", '{"text":"hello there"}')),
    ),
)  # fmt: skip

#: Servers of the same shapes, which were written after `init` was.
NEWCOMERS = (
    Stranger(
        "support_desk.py",
        ("--ws", ("curl 'http://HOST/desk/socket' -H 'Sec-WebSocket-Protocol: desk.v2' "
         "-H 'Origin: http://HOST' -H 'Upgrade: websocket'"),
         "--subscribe", '["watch",{"queue":"billing"}]', "--send",
         chrome("/desk/queues/billing/tickets/41", '{"status":"open","note":"hello there"}',
                headers="  -X 'PATCH' \\\n  -H 'X-Workspace: w-17' \\\n")),
        channel="billing",
    ),
    Stranger(
        "scoreboard.js",
        ("--ws", "/scores", "--send",
         chrome("/admin/say?match=fin-ger", "line=hello+there", FORM)),
    ),
    Stranger(
        "classroom.js",
        ("--socketio", "curl 'http://HOST/socket.io/?EIO=4&transport=websocket'",
         "--subscribe", '40/lessons,{"token":"t-2718281828"}',
         "--subscribe", '42/lessons,0["attend","algebra"]', "--send",
         chrome("/present", '{"lesson":"algebra","slide":{"number":3,"note":"hello there"}}')),
        "token=t-2718281828",
        channel="algebra",
    ),
    Stranger(
        "departures.py",
        ("--login", "curl http://HOST/board", "--sse", "/board/kgx/events?ticket={board-ticket}",
         "--send", chrome("/board/kgx/remarks", '{"remark":"hello there"}')),
        channel="kgx",
    ),
    Stranger(
        "sensors.py",
        ("--ws", "/query/live", "--send",
         chrome("/write", 'note text="hello there"', "text/plain")),
    ),
    Stranger(
        "outbox.py",
        ("--ws", "/outbox", "--send",
         chrome("/articles/12/comments", '{"comment":{"markdown":"hello there","notify":true}}')),
    ),
    Stranger(
        "telemetry.js",
        ("--ws", "/telemetry/pump-4", "--send",
         chrome("/devices/pump-4/commands", '{"command":{"name":"hello there","retries":2}}')),
        channel="pump-4",
    ),
    Stranger(
        "intranet.py",
        ("--login", chrome("/api/session", '{"login":"ann","password":"tr0ub4dor"}'),
         "--ws", "/api/wire", "--send",
         chrome("/api/posts", '{"title":"News","body":"hello there"}',
                headers="  -b 'sid=0a1b2c3d4e5f' \\\n  -H 'X-CSRF-Token: 6f5e4d3c2b1a' \\\n")),
        "password=tr0ub4dor",
    ),
    Stranger(
        "guestbook.py",
        ("--login", multipart("/enter", csrf_token="0123abcd", guest="ann",
                              password="correct & horse"),
         "--ws", "/entries", "--send",
         multipart("/entries", "  -b 'guest=0a1b2c3d' \\\n", tag=("new", "summer"),
                   entry="hello there")),
        "password=correct & horse",
    ),
)  # fmt: skip


@contextlib.contextmanager
def serving(program: str, port: int = 0) -> Iterator[str]:
    """Run a server until the block ends; yield its host and port.

    Args:
        program: the file in this folder.
        port: where it listens; 0 for any.
    """
    if program.endswith(".js"):
        require_npm_packages()
    interpreter = sys.executable if program.endswith(".py") else shutil.which("node") or "node"
    port = port or free_port()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        child = subprocess.Popen(
            [interpreter, str(_FOLDER / program)],
            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            env={**node_environment(), "PORT": str(port)},
        )  # fmt: skip
        try:
            _wait(child, port, errors)
            yield f"127.0.0.1:{port}"
        finally:
            child.kill()
            child.wait(_PATIENCE)


def _wait(child: subprocess.Popen[bytes], port: int, errors: IO[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    errors.seek(0)
    raise AssertionError(f"{child.args!r} does not listen: {errors.read()[-500:]}")
