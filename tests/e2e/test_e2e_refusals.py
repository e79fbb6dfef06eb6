"""Runs that cannot be carried out: one sentence, status 2, and no load where that was known."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from sseload_users.demo import process
from tests.support.runs import LOCUST, QUICK, ROOT, SSELOAD, Outcome, Run

pytestmark = pytest.mark.e2e

CERTIFICATES = ROOT / "tests" / "certificates"

WEBSOCKET = ("--target", "websocket")
#: What stands for the targets' URLs.
PLAIN, TLS, MUTE, CLOSED = "{plain}", "{tls}", "{mute}", "{closed}"
TLS_ON_PLAIN = "{tls on plain}"


@dataclass(frozen=True)
class Mistake:
    """A line that asks for what cannot be.

    Attributes:
        name: of the test.
        words: of the line; a name in braces stands for a file or a URL.
        says: parts of the one sentence.
        command: what is run.
        locustfile: its text, if not the repository's.
        files: the limit of open files.
        report: ask for a report.
    """

    name: str
    words: tuple[str, ...]
    says: tuple[str, ...]
    command: tuple[str, ...] = SSELOAD
    locustfile: str = ""
    files: int = 0
    report: bool = True


TWO_BROADCASTERS = """
from sseload_users import CodeBroadcaster, CodeListener

class Listener(CodeListener):
    pass

class First(CodeBroadcaster):
    pass

class Second(CodeBroadcaster):
    pass
"""

NO_BROADCASTER = """
from sseload_users import CodeListener

class Listener(CodeListener):
    pass
"""

MISTAKES = [
    Mistake("no codes", ("--codes", "0"), ("--codes 0", "at least 1")),
    Mistake("codes that are no number", ("--codes", "abc"), ("--codes", "abc")),
    Mistake("no number of connections", ("many",), ("connections", "many")),
    Mistake("a duration that is not a number", ("--duration", "nan"), ("--duration nan",)),
    Mistake("no grade", ("--fail-on", "x"), ("--fail-on", "'x'", "issues")),
    Mistake("an option that is none", ("--no-such-option",), ("--no-such-option",)),
    Mistake("a header without a colon", ("--header", "secret"), ("--header", "Name: value")),
    Mistake("a source that is no address", ("--source-addresses", "nowhere"), ("nowhere",)),
    Mistake("a profile that is none", ("--target", "no-such"), ("no-such", "websocket")),
    Mistake(
        "a profile with a wrong key",
        ("--target", "{wrong_profile}"),
        ("wrong.toml", "connect.haeders is not a key"),
    ),
    Mistake(
        "thresholds with a wrong key",
        ("--thresholds", "{wrong_thresholds}"),
        ("wrong-thresholds.toml", "codes_recieved"),
    ),
    Mistake(
        "thresholds that are not there",
        ("--thresholds", "/nowhere/thresholds.toml"),
        ("/nowhere/thresholds.toml",),
    ),
    Mistake(
        "users that are not there",
        ("--users-file", "/nowhere/users.csv"),
        ("/nowhere/users.csv",),
    ),
    Mistake(
        "a user that the server does not know",
        ("--target", "code-server", "--username", "nobody"),
        ("nobody", "does not know"),
    ),
    Mistake("no room for a connection", ("-u", "1"), ("No user listens", "-u")),
    Mistake(
        "a report that cannot be written",
        ("--delivery-report", "{file}/report"),
        ("file", "--delivery-report"),
        report=False,
    ),
    Mistake("a host that is no URL", ("--host", "somewhere"), ("somewhere",)),
    Mistake(
        "a host that does not exist",
        ("--host", "http://no-such-host.invalid"),
        ("no-such-host.invalid", "cannot be reached"),
    ),
    Mistake(
        "a port that is closed", ("--host", CLOSED), ("connection refused", "cannot be reached")
    ),
    Mistake("TLS on a plain port", ("--host", TLS_ON_PLAIN), ("TLS", "cannot be reached")),
    Mistake(
        "a certificate that is not trusted",
        ("--host", TLS),
        ("certificate", "cannot be reached"),
    ),
    Mistake(
        "authorities that are not there",
        ("--host", TLS, "--ca-file", "/nowhere/ca.pem"),
        ("/nowhere/ca.pem",),
    ),
    Mistake(
        "a server that answers nobody",
        ("--host", MUTE, "--warm-up", "1", "--connect-timeout", "1"),
        ("/health", "no answer in time"),
    ),
    Mistake("too few files", ("500", "3", "1"), ("501", "64", "ulimit -n"), files=64),
    Mistake("no users", ("--headless",), ("-u",), command=LOCUST),
    Mistake(
        "two broadcasters",
        ("--headless", "-u", "5"),
        ("First", "Second", "one broadcaster"),
        command=LOCUST,
        locustfile=TWO_BROADCASTERS,
    ),
    Mistake(
        "nobody who broadcasts",
        ("--headless", "-u", "5"),
        ("Nobody broadcasts", "CodeBroadcaster"),
        command=LOCUST,
        locustfile=NO_BROADCASTER,
    ),
    Mistake(
        "a master without a host",
        ("--headless", "-u", "5", "--master", "--expect-workers", "1"),
        ("--host",),
        command=LOCUST,
    ),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Servers and files that mistakes are made with."""
    folder = tmp_path_factory.mktemp("places")
    profile = (ROOT / "config" / "targets" / "websocket.toml").read_text("utf-8")
    (folder / "wrong.toml").write_text(profile.replace("[connect]\n", "[connect]\nhaeders = {}\n"))
    (folder / "wrong-thresholds.toml").write_text('[codes_recieved]\ngood = "all"\n')
    (folder / "file").write_text("a file, and no directory\n")
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(process.start())
        tls = stack.enter_context(process.start("--tls-cert", str(CERTIFICATES / "server.pem")))
        mute = stack.enter_context(process.start("--accept-only"))
        # Bound, but not listened to: it stays closed as long as this is open.
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        yield {
            PLAIN: plain.url,
            TLS_ON_PLAIN: "https" + plain.url.removeprefix("http"),
            TLS: tls.url,
            MUTE: mute.url,
            CLOSED: f"http://127.0.0.1:{closed.getsockname()[1]}",
            "{wrong_profile}": str(folder / "wrong.toml"),
            "{wrong_thresholds}": str(folder / "wrong-thresholds.toml"),
            "{file}/report": str(folder / "file" / "report"),
        }


@pytest.fixture(scope="module")
def refused(
    request: pytest.FixtureRequest,
    places: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Outcome]]]:
    """What became of each line, a few at a time."""
    parent = tmp_path_factory.mktemp("runs")

    def one(mistake: Mistake) -> Outcome:
        folder = parent / mistake.name
        folder.mkdir()
        words = [places.get(word, word) for word in mistake.words]
        if "--target" not in words:
            words += WEBSOCKET
        if "--host" not in words and "--master" not in words:
            words += ["--host", places[PLAIN]]
        for option, value in zip(QUICK[::2], QUICK[1::2], strict=True):
            if option not in words:
                words += [option, value]
        cwd = ROOT
        command = mistake.command
        if mistake.locustfile:
            (folder / "locustfile.py").write_text(mistake.locustfile)
            words += ["-f", str(folder / "locustfile.py")]
        if mistake.files:
            command = ("prlimit", f"--nofile={mistake.files}:{mistake.files}", *command)
        return Run(folder, *words, command=command, cwd=cwd, report=mistake.report).finish()

    asked = [
        item.callspec.params["mistake"]
        for item in request.session.items
        if item.parent is request.node and hasattr(item, "callspec")
    ]
    with ThreadPoolExecutor(4) as pool:
        yield {mistake.name: pool.submit(one, mistake) for mistake in asked}


@pytest.mark.parametrize("mistake", MISTAKES, ids=[each.name for each in MISTAKES])
def test_is_told_in_one_sentence(refused: dict[str, Future[Outcome]], mistake: Mistake) -> None:
    outcome = refused[mistake.name].result()
    assert outcome.status == 2, outcome.stderr
    (sentence,) = outcome.error_messages
    for part in mistake.says:
        assert part in sentence
    assert sentence.endswith(".")
    assert not outcome.has_report
