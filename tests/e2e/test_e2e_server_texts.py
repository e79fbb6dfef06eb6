"""The server's text of a refusal and its hint, in every report and in `check`."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from sseload_users.core.config_path import config_path
from sseload_users.demo import process
from tests.support.runs import PATIENCE, QUICK, ROOT, SSELOAD, Outcome, clean_environment, run
from tests.support.socket_servers import read_until, serving

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES = 6, 2
LOAD = (str(CONNECTIONS), str(CODES), "1", *QUICK)
FOREIGN = ("--header", "Origin: https://elsewhere.test")
NOT_ACCEPTED = '"Not an accepted origin."'
DISABLED = "HTTP ingest has been disabled"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start today's code server, which the profile code-server does not fit."""
    with process.start("--as", "today") as embedded:
        yield embedded.url


@pytest.fixture(scope="module")
def refused(server: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Run with a refused origin."""
    folder = tmp_path_factory.mktemp("run")
    return run(
        folder, *LOAD, "--host", server, "--target", "code-server", *FOREIGN, "--processes", "2"
    )


@pytest.fixture(scope="module")
def rejected(server: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Run with rejected codes; the server's text repeats a secret header."""
    folder = tmp_path_factory.mktemp("run")

    def repeats(connection: socket.socket) -> None:
        head = read_until(connection, b"\r\n\r\n")
        key = re.search(rb"(?i)\r\nX-Key: (.*)\r\n", head)
        assert key is not None
        body = b"bad key " + key[1]
        answer = b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        connection.sendall(answer)

    with serving(repeats) as port:
        text = config_path("targets/code-server.toml").read_text("utf-8")
        profile = folder / "mine.toml"
        profile.write_text(text.replace('"/api/ingest"', f'"http://127.0.0.1:{port}/"'), "utf-8")
        return run(
            folder, *LOAD, "--host", server, "--target", str(profile),
            "--ingest-header", "X-Key: s3cret-key", "--processes", "2",
        )  # fmt: skip


@pytest.fixture(scope="module")
def connected(server: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Run without an origin."""
    folder = tmp_path_factory.mktemp("run")
    return run(folder, *LOAD, "--host", server, "--target", "code-server")


def failure(outcome: Outcome, operation: str) -> tuple[str, int, str, str]:
    (cause,) = (
        each for each in outcome.report["errors"]["causes"] if each["operation"] == operation
    )
    return cause["cause"], cause["count"], cause["said"], cause["hint"]


def test_a_refused_origin_is_reported_with_the_servers_text(refused: Outcome) -> None:
    assert refused.status == 1
    cause, count, said, hint = failure(refused, "handshake")
    assert (cause, count, said) == ("HTTP 400", CONNECTIONS, NOT_ACCEPTED)
    assert "--header 'Origin: …'" in hint
    assert "version" not in hint
    page = (refused.folder / "report.html").read_text("utf-8").replace("&#34;", '"')
    assert f"The server said: {NOT_ACCEPTED}" in page
    junit = (refused.folder / "junit.xml").read_text("utf-8")
    assert f"the server said: {NOT_ACCEPTED}" in junit
    shown = " ".join((refused.stderr + refused.stdout).split())
    assert f"the server said: {NOT_ACCEPTED}" in shown


def test_secrets_in_the_servers_text_are_redacted(rejected: Outcome) -> None:
    assert failure(rejected, "ingest")[:3] == ("HTTP 403", CODES, "bad key ***")
    files = [each.read_text("utf-8") for each in rejected.folder.iterdir()]
    assert not any("s3cret-key" in text for text in (*files, rejected.stdout, rejected.stderr))


def test_a_removed_ingest_route_suggests_another_profile(connected: Outcome) -> None:
    cause, count, said, hint = failure(connected, "ingest")
    assert (cause, count) == ("HTTP 410", CODES)
    assert DISABLED in said
    assert "--target code-server-socket" in hint
    reasons = connected.report["verdict"]["reasons"]
    (reason,) = (each for each in reasons if each["rule"] == "codes_accepted")
    assert reason["hint"] == hint


def test_a_removed_verify_route_is_a_warning_and_no_origin_is_sent(
    connected: Outcome,
) -> None:
    connections = connected.report["connections"]
    assert (connections["succeeded"], connections["causes"]) == (CONNECTIONS, [])
    (note,) = connected.report["run"]["notes"]
    assert note.startswith("Could not verify the user 'loadtest' at the server")
    assert "/verify: HTTP 404: Not Found The requested URL" in note
    assert "--target code-server-socket" in note
    assert connected.report["run"]["complete"]
    assert note in " ".join(connected.stderr.split())
    assert "Could not verify the user" in connected.stdout


@pytest.mark.parametrize("origin", [True, False], ids=["origin", "no origin"])
def test_check_reports_refusals_and_hints(server: str, *, origin: bool) -> None:
    done = subprocess.run(
        [*SSELOAD, "check", "--host", server, "--target", "code-server", *FOREIGN * origin],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    output = done.stdout
    assert (done.returncode, done.stderr) == (1, "")
    assert "verify    warning: GET" in output
    assert output.count("--target code-server-socket") == (1 if origin else 2)
    if origin:
        assert f"FAILED: handshake: HTTP 400 ({NOT_ACCEPTED})" in output
        assert "--header 'Origin: …'" in output
        assert "protocol's version" not in output
    else:
        assert "connect   5 connections subscribed at" in output
        assert DISABLED in output
