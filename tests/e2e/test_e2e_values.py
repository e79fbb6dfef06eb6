"""Values from outside, in real runs: --value on the line, in the web form, for workers."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from sseload_users.core.config_path import config_path
from tests.e2e.test_hostile_runs import Server, answers, message, started
from tests.support.runs import LOCUST, PATIENCE, QUICK, SSELOAD, run, running

pytestmark = pytest.mark.e2e

SECRET = "hunter2, or 'so' $HOME"


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """One that leaves a name open, and has another of its own."""
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
def server() -> Iterator[tuple[Server, str]]:
    def on_code(_: int, code: str, connection: socket.socket) -> None:
        made.broadcast(message(code))
        answers(connection)

    made = Server(None, on_code)
    with started(made) as url:
        yield made, url


def heard(server: Server) -> tuple[set[str], set[str]]:
    """What the server was told: the rooms of its connections, the tokens of its codes."""
    rooms: set[str] = set()
    tokens: set[str] = set()
    for head in server.heads:
        line, *rest = head.decode().split("\r\n")
        if line.startswith("POST"):
            tokens.update(parse_qs(urlsplit(line.split()[1]).query)["t"])
        elif "upgrade" in head.decode().lower():
            rooms.update(each.partition(": ")[2] for each in rest if each.startswith("X-Room"))
    return rooms, tokens


def test_values_go_to_workers_and_stand_nowhere(
    tmp_path: Path, profile: str, server: tuple[Server, str]
) -> None:
    made, url = server
    words = ("--host", url, "--target", profile, "--value", f"token={SECRET}")
    outcome = run(
        tmp_path / "run", "6", "3", "1", *QUICK, *words, "--value", "room=attic", "--processes", "2"
    )  # fmt: skip
    assert outcome.report["deliveries"]["delivered"] == 18
    assert heard(made) == ({"attic"}, {SECRET})
    assert outcome.report["run"]["options"]["value"] == ["token", "room"]
    checked = run(tmp_path / "check", "check", *words, command=SSELOAD, report=False)
    assert checked.status == 0
    assert heard(made) == ({"attic", "lobby"}, {SECRET})
    for file in (tmp_path / "run").rglob("*"):
        assert file.is_dir() or "hunter2" not in file.read_text("utf-8", "replace"), file
    assert "hunter2" not in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "words", [("6", "3", "1"), ("6", "3", "1", "--processes", "2"), ("check",)]
)
def test_what_is_missing_or_of_no_use_is_told_before_anything_starts(
    tmp_path: Path, profile: str, server: tuple[Server, str], words: tuple[str, ...]
) -> None:
    made, url = server
    for number, (given, said) in enumerate(
        (
            (
                (),
                (
                    f"sseload: target {profile}: ingest.query needs {{token}}; give it with "
                    "--value token=TEXT, in a column token of a users file, or in the profile's "
                    "[values]."
                ),
            ),
            (
                ("--value", "token=hunter2", "--value", "rom=hunter2"),
                f"sseload: --value rom: target {profile} has no {{rom}}; it has: room, token.",
            ),
            (("--value", "hunter2"), "sseload: --value: one is not of the form name=text."),
        )
    ):
        outcome = run(
            tmp_path / str(number), *words, "--host", url, "--target", profile, *given, report=False
        )
        assert outcome.status == 2
        assert outcome.error_messages == [said]
        assert "hunter2" not in outcome.stderr + outcome.stdout
    assert made.heads == []


def test_the_web_form_takes_values_and_never_shows_them(
    tmp_path: Path, profile: str, server: tuple[Server, str]
) -> None:
    made, url = server
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ui = f"http://127.0.0.1:{port}"
    words = (
        "--web-host", "127.0.0.1", "--web-port", str(port), "--codes", "2", "--duration", "0.5",
        *QUICK, "--host", url, "--target", profile, "--value", "room=a,b",
    )  # fmt: skip

    def swarm(**fields: str) -> None:
        form = {"user_count": "3", "spawn_rate": "50", **fields}
        assert requests.post(f"{ui}/swarm", data=form, timeout=PATIENCE).json()["success"] is True

    def ended(runs: int) -> None:
        session.wait_until(lambda: session.stdout.count("Verdict") >= runs, "the end of the run")

    with running(tmp_path / "run", *words, command=LOCUST) as session:
        session.wait_for("Starting web interface")
        session.wait_until(lambda: _answers(ui), "the web UI")

        # What is missing may be said in the form, so that it is missed when a run begins.
        swarm(value="")
        session.wait_for(f"sseload: target {profile}: ingest.query needs {{token}}")
        session.wait_until(lambda: _state(ui) == "stopped", "the refusal")
        assert made.heads == []

        swarm(value=f'token="{SECRET}"')
        ended(1)
        assert heard(made) == ({"a,b"}, {SECRET})

        # It holds for the next run, and each can be replaced.
        swarm(value="room=attic")
        ended(2)
        swarm(value="")
        ended(3)
        assert heard(made) == ({"a,b", "attic"}, {SECRET})

        page = requests.get(ui, timeout=PATIENCE).text
        (arguments,) = re.findall(r"window\.templateArgs\s*=\s*(\{.*?\});?\s*</script>", page, re.S)
        field = json.loads(arguments)["extra_options"]["value"]
        assert (field["is_secret"], field["default_value"]) == (True, "")
        pages = [page, *(requests.get(ui + each, timeout=PATIENCE).text for each in _PAGES)]
        session.interrupt()
        outcome = session.finish()
    for text in (*pages, outcome.stdout, outcome.stderr):
        assert "hunter2" not in text
        assert "a,b" not in text
    assert outcome.report["run"]["options"]["value"] == ["room", "token"]


_PAGES = ("/stats/requests", "/delivery", "/delivery/report.html", "/delivery/report.json")


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


def _state(url: str) -> str:
    return str(requests.get(f"{url}/stats/requests", timeout=PATIENCE).json()["state"])
