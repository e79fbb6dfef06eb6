"""Values for a profile in real runs: from --value, from the web form, and for workers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from sseload_users.core.config_path import config_path
from tests.support.runs import PATIENCE, QUICK, SSELOAD, run
from tests.support.scripted_server import ScriptedServer, accept, code_frame
from tests.support.web_ui import form_fields, web_ui

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

SECRET = "hunter2, or 'so' $HOME"


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """A profile with one value of its own, `room`, that needs another one, `token`."""
    path = tmp_path / "mine.toml"
    text = config_path("targets/websocket.toml").read_text("utf-8")
    text = text.replace("[ingest]\n", '[values]\nroom = "lobby"\n\n[ingest]\n', 1)
    text = text.replace('path = "/ws"\n', 'path = "/ws"\nheaders = { "X-Room" = "{room}" }\n', 1)
    text = text.replace(
        'path = "/api/ingest"\n', 'path = "/api/ingest"\nquery = { "t" = "{token}" }\n'
    )
    path.write_text(text, "utf-8")
    return str(path)


@pytest.fixture
def code_server() -> Iterator[tuple[ScriptedServer, str]]:
    def on_code(_: int, code: str, connection: socket.socket) -> None:
        made.broadcast(code_frame(code))
        accept(connection)

    made = ScriptedServer(None, on_code)
    with made.serving() as url:
        yield made, url


def received(server: ScriptedServer) -> tuple[set[str], set[str]]:
    """Return the rooms of all connections and the tokens of all codes that a server received."""
    rooms: set[str] = set()
    tokens: set[str] = set()
    for head in server.heads:
        line, *rest = head.decode().split("\r\n")
        if line.startswith("POST"):
            tokens.update(parse_qs(urlsplit(line.split()[1]).query)["t"])
        elif "upgrade" in head.decode().lower():
            rooms.update(each.partition(": ")[2] for each in rest if each.startswith("X-Room"))
    return rooms, tokens


def test_values_reach_workers_and_are_shown_nowhere(
    tmp_path: Path, profile: str, code_server: tuple[ScriptedServer, str]
) -> None:
    server, url = code_server
    arguments = ("--host", url, "--target", profile, "--value", f"token={SECRET}")
    outcome = run(
        tmp_path / "run",
        "6",
        "3",
        "1",
        *QUICK,
        *arguments,
        "--value",
        "room=attic",
        "--processes",
        "2",
    )
    assert outcome.report["deliveries"]["delivered"] == 18
    assert received(server) == ({"attic"}, {SECRET})
    assert outcome.report["run"]["options"]["value"] == ["token", "room"]
    checked = run(tmp_path / "check", "check", *arguments, command=SSELOAD, report=False)
    assert checked.status == 0
    assert received(server) == ({"attic", "lobby"}, {SECRET})
    for file in (tmp_path / "run").rglob("*"):
        assert file.is_dir() or "hunter2" not in file.read_text("utf-8", "replace"), file
    assert "hunter2" not in checked.stdout + checked.stderr


ONE, TWO, CHECK = ("6", "3", "1"), ("6", "3", "1", "--processes", "2"), ("check",)
MISSING = (
    "sseload: target {profile}: ingest.query needs {{token}}; set it with --value token=TEXT, in a "
    "column token of a users file, or in the profile's [values]."
)
UNKNOWN = "sseload: --value rom: target {profile} has no {{rom}}; it has: room, token."


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (ONE, (), MISSING),
        (TWO, (), MISSING),
        (CHECK, (), MISSING),
        (TWO, ("--value", "token=hunter2", "--value", "rom=hunter2"), UNKNOWN),
        (CHECK, ("--value", "hunter2"), "sseload: --value: one is not of the form name=text."),
    ],
)
def test_missing_and_unknown_values_refuse_a_run(
    tmp_path: Path,
    profile: str,
    code_server: tuple[ScriptedServer, str],
    arguments: tuple[str, ...],
    options: tuple[str, ...],
    message: str,
) -> None:
    server, url = code_server
    where = ("--host", url, "--target", profile)
    outcome = run(tmp_path, *arguments, *where, *options, report=False)
    assert outcome.status == 2
    assert outcome.error_messages == [message.format(profile=profile)]
    assert "hunter2" not in outcome.stderr + outcome.stdout
    assert server.heads == []


def test_the_web_form_takes_values_and_does_not_show_them(
    tmp_path: Path, profile: str, code_server: tuple[ScriptedServer, str]
) -> None:
    server, url = code_server
    arguments = ("--codes", "2", "--duration", "0.5", "--host", url, "--target", profile)

    def answer(**fields: str) -> Any:
        form = {"user_count": "3", "spawn_rate": "50", **fields}
        return requests.post(f"{ui}/swarm", data=form, timeout=PATIENCE).json()

    def swarm(**fields: str) -> None:
        assert answer(**fields)["success"] is True

    def wait_for_end(runs: int) -> None:
        session.wait_until(lambda: session.stdout.count("Verdict") >= runs, "the end of the run")

    with web_ui(tmp_path / "run", *arguments, "--value", "room=a,b") as (session, ui):
        # The form may give the missing value, so it is missed only when the form is sent.
        refusal = answer(value="")["message"]
        assert refusal.startswith(f"target {profile}: ingest.query needs {{token}}")
        assert server.heads == []

        swarm(value=f'token="{SECRET}"')
        wait_for_end(1)
        assert received(server) == ({"a,b"}, {SECRET})

        # The values hold for the next run, and each can be replaced.
        swarm(value="room=attic")
        wait_for_end(2)
        swarm(value="")
        wait_for_end(3)
        assert received(server) == ({"a,b", "attic"}, {SECRET})

        page = requests.get(ui, timeout=PATIENCE).text
        field = form_fields(page)["value"]
        assert (field["is_secret"], field["default_value"]) == (True, "")
        pages = [page, *(requests.get(ui + each, timeout=PATIENCE).text for each in _PAGES)]
        session.interrupt()
        outcome = session.finish()
    for text in (*pages, outcome.stdout, outcome.stderr):
        assert "hunter2" not in text
        assert "a,b" not in text
    assert outcome.report["run"]["options"]["value"] == ["room", "token"]


_PAGES = (
    "/stats/requests", "/delivery/new", "/delivery", "/delivery/report.html",
    "/delivery/report.json",
)  # fmt: skip
