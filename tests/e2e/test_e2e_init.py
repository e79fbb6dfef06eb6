"""`init` against servers that it knows nothing of: the profile that it writes has to fit."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.servers.coalescing import CoalescingServer
from tests.support.runs import ROOT, SSELOAD, clean_environment, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]


def init(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run the command; return how it ended, and the profile that it wrote, if it did."""
    done = subprocess.run(
        [*SSELOAD, "init", "--out", str(folder / "mine.toml"), *arguments],
        check=False, cwd=folder, env={**clean_environment(), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    written = folder / "mine.toml"
    return done, tomllib.loads(written.read_text()) if written.exists() else {}


def copied(url: str, body: object) -> str:
    return f"curl {url}/api/ingest -H 'Content-Type: application/json' -d '{json.dumps(body)}'"


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (["--ws", "/ws?username=loadtest"], {"field": "code"}),
        (["--sse", "/stream?username=loadtest"], {"field": "code"}),
        ([], {"event": "new_code", "field": "[0].code"}),
    ],
    ids=["WebSocket", "event stream", "not said: Socket.IO"],
)
def test_a_profile_is_learned_by_watching(
    tmp_path: Path, way: list[str], expected: dict[str, str]
) -> None:
    with target(tmp_path) as (server, _):
        send = copied(server.url, {"username": "loadtest", "code": "hello"})
        done, profile = init(tmp_path, *way, "--send", send)
    assert done.returncode == 0, done.stdout + done.stderr
    assert profile["code"] == expected
    assert profile["ingest"]["body"]["code"] == "{code}"
    assert "the profile fits the server" in done.stdout
    assert re.search(r"sseload.* 50 10 60 --host \S+ --target \S+mine\.toml\n$", done.stdout)


def test_a_built_in_profile_needs_no_request_and_keeps_the_options_given(tmp_path: Path) -> None:
    with target(tmp_path) as (server, _):
        done, profile = init(
            tmp_path, "--like", "websocket", "--host", server.url,
            "--header", "X-Trace: s3cret-value", "--delivery-timeout", "4",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert profile["transport"] == "websocket"
    assert "s3cret-value" not in done.stdout
    assert done.stdout.endswith("mine.toml --header '…' --delivery-timeout 4\n")


def test_codes_that_share_a_message_are_seen(tmp_path: Path) -> None:
    server = CoalescingServer(
        lambda codes: "\n".join(json.dumps({"batch": [{"c": code}]}) for code in codes)
    )
    with server.running() as url:
        done, profile = init(
            tmp_path, "--ws", "/ws", "--send", f"curl {url}/in -H 'Content-Type: text/plain' -d hi"
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert profile["lines"] is True
    assert profile["code"] == {"field": "batch[*].c"}


def test_what_no_client_gets_is_said_with_what_was_tried(tmp_path: Path) -> None:
    with target(tmp_path, "--lose", "1") as (server, _):
        send = copied(server.url, {"username": "loadtest", "code": "hello", "note": "x"})
        done, profile = init(tmp_path, "--ws", "/ws?username=loadtest", "--send", send)
    assert (done.returncode, profile) == (1, {})
    assert done.stderr.startswith("sseload: No code came to the clients; it was tried in code ")
    assert len(done.stderr.splitlines()) == 1


def test_no_way_to_connect_is_said(tmp_path: Path) -> None:
    with target(tmp_path) as (server, _):
        send = copied(server.url, {"username": "loadtest", "code": "hello"})
        done, _ = init(tmp_path, "--ws", "/nowhere", "--send", send)
    assert done.returncode == 1
    assert "websocket at /nowhere: handshake: HTTP 404" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "--send is missing."),
        (("--send", "wget x"), "Cannot read the curl command 'wget x': it must begin with curl."),
        (("--send", "curl http://h/"), "The copied request has no text that a code could replace"),
        (("--har", "none.har"), "none.har: cannot read the recording"),
        (("--send", "curl h -d a=b", "--like", "x"), "Unknown --like 'x'"),
        (("--send", "curl h -d a=b", "--out", "x"), "Invalid --out 'x'"),
    ],
)
def test_invalid_arguments_are_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done, _ = init(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"sseload: {sentence}")
    assert len(done.stderr.splitlines()) == 1


def test_a_mistake_names_the_file_that_the_user_gets(tmp_path: Path) -> None:
    send = ("--send", "curl http://127.0.0.1:9/ -d a=b")
    done, profile = init(tmp_path, "--ws", "no slash", *send)
    assert (done.returncode, profile) == (2, {})
    assert done.stderr.startswith(f"sseload: {tmp_path / 'mine.toml'}: connect.path: 'no slash'")
    done, _ = init(tmp_path, "--ws", "/ws", "--subscribe", "{unknown}", *send)
    assert done.stderr.startswith(f"sseload: target {tmp_path / 'mine.toml'}: connect needs {{unkn")


def test_a_channel_that_is_named_is_looked_for_in_both_places(tmp_path: Path) -> None:
    with target(tmp_path) as (server, _):
        send = ("--send", copied(server.url, {"username": "loadtest", "code": "hello"}))
        done, profile = init(tmp_path, "--ws", "/ws?username=loadtest", *send, "--channel", "lobby")
        assert (done.returncode, profile) == (1, {})
        assert done.stderr.startswith(
            "sseload: --channel lobby: the name is not in what clients send to subscribe or in the "
        )
        # The target knows no other users, but this one's name is in both.
        done, profile = init(
            tmp_path, "--ws", "/ws?username=loadtest", *send, "--channel", "loadtest"
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert profile["values"] == {"channel": "loadtest"}
    assert profile["connect"]["query"] == {"username": "{channel}"}
    assert profile["ingest"]["body"] == {"username": "{channel}", "code": "{code}"}
