"""What `check` says, line by line, of servers that are well and of everything that is not."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sseload_users.core.config_path import config_path
from sseload_users.demo import process
from tests.support.check_case import Case
from tests.support.check_cases import CASES
from tests.support.runs import ROOT, clean_environment
from tests.support.socket_servers import CERTIFICATES

pytestmark = pytest.mark.e2e

#: Runs checks in one process, one after the other: Locust takes a second to import.
_CHECKS = """\
import contextlib, io, json, sys
import locust.main
from sseload_users.cli.check import main
for line in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(line)
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""

#: So that what never comes is soon given up.
HASTE = (
    "--settle",
    "0",
    "--connect-timeout",
    "2",
    "--ingest-timeout",
    "2",
    "--delivery-timeout",
    "0.7",
)


@pytest.fixture(scope="module")
def said(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[int, str, str]]:
    """The exit status, the output and the complaints of each check that was asked for."""
    folder = tmp_path_factory.mktemp("profiles")
    cases = [
        item.callspec.params["case"]
        for item in request.session.items
        if item.parent is request.node and hasattr(item, "callspec")
    ]
    with contextlib.ExitStack() as stack:
        hosts = Hosts(stack)
        lines = [hosts.line(case, folder) for case in cases]
        child = subprocess.run(
            [sys.executable, "-c", _CHECKS],
            cwd=ROOT,
            env=clean_environment(),
            input=json.dumps(lines),
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
    results = [json.loads(each) for each in child.stdout.splitlines()]
    return {
        case.name: (status, masked(out, line), masked(err, line))
        for case, line, (status, out, err) in zip(cases, lines, results, strict=True)
    }


class Hosts:
    """Servers for checks, each started once."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._urls: dict[tuple[str, ...], str] = {}

    def line(self, case: Case, folder: Path) -> list[str]:
        """The arguments of a case's check."""
        profile = case.profile
        if case.changed:
            text = config_path(f"targets/{profile}.toml").read_text("utf-8")
            for old, new in case.changed:
                assert text.count(old) == 1, (old, text)
                text = text.replace(old, new)
            path = folder / f"{len(list(folder.iterdir()))}.toml"
            path.write_text(text, "utf-8")
            profile = str(path)
        return [
            "--host",
            self._host(case),
            "--target",
            profile,
            "--username",
            case.username,
            *HASTE,
            *case.words,
        ]

    def _host(self, case: Case) -> str:
        match case.host:
            case "nowhere":
                return "http://no-such-host.invalid"
            case "closed":
                # Bound, but not listened to: it stays closed as long as this is open.
                closed = self._stack.enter_context(socket.socket())
                closed.bind(("127.0.0.1", 0))
                return f"http://127.0.0.1:{closed.getsockname()[1]}"
            case "tls":
                return self._embedded(("--tls-cert", str(CERTIFICATES / "server.pem")))
            case "https":
                return self._embedded(case.server).replace("http", "https")
        return self._embedded(case.server)

    def _embedded(self, options: tuple[str, ...]) -> str:
        if options not in self._urls:
            self._urls[options] = self._stack.enter_context(process.start(*options)).url
        return self._urls[options]


def masked(text: str, line: list[str]) -> str:
    """What a check said, without what differs from run to run."""
    host, profile = line[1], line[3]
    text = text.replace(host.replace("http", "ws", 1), "WS").replace(host, "HOST")
    text = text.replace(profile, "PROFILE") if profile.endswith(".toml") else text
    text = re.sub(r"^ *[\d,]+ ms  ", "", text, flags=re.MULTILINE)
    text = re.sub(r"(\d[\d.,]* to )?\d[\d.,]* ms", "N ms", text)
    text = re.sub(r'("timestamp":)"[^"\n…]*["…]', r"\1…", text)
    text = re.sub(r'("offset":)\d+', r"\1…", text)
    text = re.sub(r'("connection":)\d+', r"\1N", text)
    text = re.sub(r"\(no-such-host.*?\)", "(…)", text)
    return re.sub(r"LT-[0-9a-z]+-[1-3]-[0-9a-z]+", "CODE", text)


@pytest.mark.parametrize("case", CASES, ids=[each.name for each in CASES])
def test_every_step_is_told(said: dict[str, tuple[int, str, str]], case: Case) -> None:
    status, out, err = said[case.name]
    assert out.splitlines() == case.lines
    assert (status, err) == (case.status, "")


def test_mistakes_are_told_in_one_sentence() -> None:
    for words, says in (
        ((), "host ''"),
        (("--host", "http://u:hunter2@127.0.0.1:1"), "URL contains a user name or password"),
        (("--host", "http://127.0.0.1:1", "--target", "nosuch"), "Unknown target"),
        (("--host", "http://127.0.0.1:1", "--codes", "x"), "--codes"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "sseload_users", "check", *words],
            cwd=ROOT,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 2
        assert done.stdout == ""
        assert re.fullmatch(r"sseload: [^\n]+\.\n", done.stderr), done.stderr
        assert says in done.stderr
        assert "hunter2" not in done.stderr
