"""The code server as it runs today, played byte by byte, to each of its three profiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sseload_users.core.config_path import config_path
from tests.servers.code_server import INGEST_TOKEN, ORIGIN, CodeServer
from tests.support.runs import QUICK, Outcome, run

pytestmark = pytest.mark.e2e

#: More than the server gives pages in a minute.
CONNECTIONS, CODES = 40, 5
LOAD = (str(CONNECTIONS), str(CODES), "1", "-r", "100", *QUICK)
SOCKET = ("--target", "code-server-socket", "--value", f"ingest_token={INGEST_TOKEN}")
STREAMS = ("--value", f"ingest_token={INGEST_TOKEN}", "--header", f"Origin: {ORIGIN}")
SSE = ("--target", "code-server-sse", *STREAMS)


def all_is_well(outcome: Outcome, server: CodeServer) -> None:
    """Hold that everybody got everything, and that nothing strange was said."""
    causes = outcome.report["errors"]["causes"]
    assert (outcome.status, outcome.reasons) == (0, {}), (causes, outcome.stderr)
    report = outcome.report
    assert report["connections"]["succeeded"] == report["connections"]["attempted"] == CONNECTIONS
    assert report["codes"]["accepted"] == len(server.codes) == CODES
    deliveries = report["deliveries"]
    assert deliveries["owed"] == deliveries["delivered"] == CONNECTIONS * CODES
    for none in ("duplicate", "out_of_order", "unexpected", "malformed"):
        assert deliveries[none] == 0, none
    # The greeting over Socket.IO, and a stream's ping.
    assert deliveries["foreign"] == CONNECTIONS
    assert report["errors"]["failed"] == 0
    assert report["run"]["notes"] == []
    assert server.strange == []
    assert all(re.fullmatch(r"LT-\w+-\d+-\w+", code) for code in server.codes)
    assert ("POST", "/api/ingest") not in server.requests
    assert not any("verify" in path for _, path in server.requests)


def test_the_profile_for_socketio(tmp_path: Path) -> None:
    with CodeServer().running() as server:
        outcome = run(tmp_path, *LOAD, *SOCKET, "--host", server.url)
    all_is_well(outcome, server)
    # One more, for the publisher.
    assert server.requests["GET", "/socket.io/"] == CONNECTIONS + 1
    assert server.origins == []


def test_the_profile_for_server_sent_events(tmp_path: Path) -> None:
    with CodeServer().running() as server:
        outcome = run(tmp_path, *LOAD, *SSE, "--host", server.url)
    all_is_well(outcome, server)
    assert server.requests["GET", "/embed-stream"] == 1
    assert server.requests["GET", "/events"] == CONNECTIONS


def test_its_pongs_keep_the_codes_coming(tmp_path: Path) -> None:
    text = config_path("targets/code-server-sse.toml").read_text("utf-8")
    assert "every = 30 " in text
    hasty = tmp_path / "hasty.toml"
    hasty.write_text(text.replace("every = 30 ", "every = 0.6 "), "utf-8")
    with CodeServer(pong_within=1.5).running() as server:
        outcome = run(
            tmp_path, str(CONNECTIONS), str(CODES), "3", "-r", "100", *QUICK, *STREAMS,
            "--target", str(hasty), "--host", server.url,
        )  # fmt: skip
    all_is_well(outcome, server)
    assert server.pongs >= 3 * CONNECTIONS


def test_the_profile_for_the_server_of_the_guide_names_those_that_fit(tmp_path: Path) -> None:
    with CodeServer().running() as server:
        outcome = run(tmp_path, *LOAD, "--target", "code-server", "--host", server.url)
    assert outcome.status == 1
    report = outcome.report
    assert report["connections"]["succeeded"] == CONNECTIONS
    assert (report["codes"]["accepted"], report["codes"]["rejected"]) == (0, CODES)
    (cause,) = report["errors"]["causes"]
    assert (cause["operation"], cause["cause"], cause["count"]) == ("ingest", "HTTP 410", CODES)
    assert "HTTP ingest has been disabled" in cause["said"]
    for named in ("--target code-server-socket", "code-server-sse"):
        assert named in cause["hint"]
        assert named in " ".join(outcome.stdout.split())
    assert server.strange == []


@pytest.mark.parametrize("words", [SOCKET, SSE], ids=["socketio", "sse"])
def test_a_check_finds_all_well(tmp_path: Path, words: tuple[str, ...]) -> None:
    with CodeServer().running() as server:
        outcome = run(tmp_path, "check", *words, "--host", server.url, report=False)
    assert (outcome.status, outcome.stderr) == (0, ""), outcome.stdout
    assert len(server.codes) == 3
    assert server.strange == []
    # What the run would not try, and this server refuses.
    assert ("clients that poll first" in outcome.stdout) is (words is SOCKET)
    assert ("5 × HTTP 400" in outcome.stdout) is (words is SOCKET)
    assert INGEST_TOKEN not in outcome.stdout


def test_a_check_with_the_guides_profile_names_those_that_fit(tmp_path: Path) -> None:
    with CodeServer().running() as server:
        words = ("check", "--target", "code-server", "--host", server.url)
        outcome = run(tmp_path, *words, report=False)
    assert (outcome.status, outcome.stderr) == (1, "")
    assert "HTTP ingest has been disabled" in outcome.stdout
    assert "--target code-server-socket" in outcome.stdout
