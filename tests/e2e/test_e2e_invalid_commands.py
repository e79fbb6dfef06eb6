"""Runs that cannot be carried out: one sentence, exit status 2, and no load if known in advance."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from sseload_users.demo import process
from tests.support.parallel import selected_params
from tests.support.runs import LOCUST, QUICK, ROOT, SSELOAD, Outcome, Run

pytestmark = pytest.mark.e2e

CERTIFICATES = ROOT / "tests" / "certificates"

WEBSOCKET = ("--target", "websocket")
#: Placeholders for the URLs of targets.
PLAIN, TLS, MUTE, CLOSED = "{plain}", "{tls}", "{mute}", "{closed}"
TLS_ON_PLAIN = "{tls on plain}"
#: A placeholder for a port on which another program listens.
IN_USE = "{in use}"


@dataclass(frozen=True)
class Mistake:
    """An invalid command line.

    Attributes:
        name: of the test.
        arguments: of the command; a name in braces stands for a file or a URL.
        says: parts of the error sentence.
        command: the program.
        locustfile: the text of a locustfile to use instead of the repository's.
        files: the limit of open files; 0: unchanged.
        report: whether to add `--delivery-report`.
    """

    name: str
    arguments: tuple[str, ...]
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
    Mistake("no codes", ("--codes", "0"), ("--codes 0", "1 or more")),
    Mistake("codes that are not a number", ("--codes", "abc"), ("--codes", "abc")),
    Mistake("connections that are not a number", ("many",), ("connections", "many")),
    Mistake("a duration that is not a number", ("--duration", "nan"), ("--duration nan",)),
    Mistake("an unknown grade", ("--fail-on", "x"), ("--fail-on", "'x'", "issues")),
    Mistake("an unknown option", ("--no-such-option",), ("--no-such-option",)),
    Mistake("a header without a colon", ("--header", "secret"), ("--header", "Name: value")),
    Mistake("an invalid source address", ("--source-addresses", "nowhere"), ("nowhere",)),
    Mistake("an invalid address for a name", ("--resolve", "a:b"), ("'a:b'", "HOST:PORT:ADDRESS")),
    Mistake("a proxy of another type", ("--proxy", "socks5://a:1"), ("--proxy", "'socks5'")),
    Mistake(
        "a key with a passphrase",
        (*WEBSOCKET, "--host", TLS, "--client-certificate", "tests/certificates/client-locked.pem"),
        ("has a passphrase", "SSELOAD_CLIENT_KEY_PASSWORD"),
    ),
    Mistake("an unknown profile", ("--target", "no-such"), ("no-such", "websocket")),
    Mistake(
        "an unknown key in a profile",
        ("--target", "{wrong_profile}"),
        ("wrong.toml", "connect.haeders: unknown key"),
    ),
    Mistake(
        "an unknown key in thresholds",
        ("--thresholds", "{wrong_thresholds}"),
        ("wrong-thresholds.toml", "codes_recieved"),
    ),
    Mistake(
        "a missing thresholds file",
        ("--thresholds", "/nowhere/thresholds.toml"),
        ("/nowhere/thresholds.toml",),
    ),
    Mistake(
        "a missing users file",
        ("--users-file", "/nowhere/users.csv"),
        ("/nowhere/users.csv",),
    ),
    Mistake(
        "an unknown user",
        ("--target", "code-server", "--username", "nobody"),
        ("nobody", "does not know"),
    ),
    Mistake("no user left for a connection", ("-u", "1"), ("No user listens", "-u")),
    Mistake(
        "an unwritable report directory",
        ("--delivery-report", "{file}/report"),
        ("file", "--delivery-report"),
        report=False,
    ),
    Mistake("an invalid host", ("--host", "somewhere"), ("somewhere",)),
    Mistake(
        "an unknown host",
        ("--host", "http://no-such-host.invalid"),
        ("no-such-host.invalid", "cannot be reached"),
    ),
    Mistake("a closed port", ("--host", CLOSED), ("connection refused", "cannot be reached")),
    Mistake("TLS on a plain port", ("--host", TLS_ON_PLAIN), ("TLS", "cannot be reached")),
    Mistake(
        "an untrusted certificate",
        ("--host", TLS),
        ("certificate", "cannot be reached"),
    ),
    Mistake(
        "a missing CA file",
        ("--host", TLS, "--ca-file", "/nowhere/ca.pem"),
        ("/nowhere/ca.pem",),
    ),
    Mistake(
        "a server that does not answer",
        ("--host", MUTE, "--warm-up", "1", "--connect-timeout", "1"),
        ("/health", "no answer in time"),
    ),
    Mistake("a low limit of open files", ("500", "3", "1"), ("501", "64", "ulimit -n"), files=64),
    Mistake("no users", ("--headless",), ("-u",), command=LOCUST),
    Mistake(
        "two broadcasters",
        ("--headless", "-u", "5"),
        ("First", "Second", "one broadcaster"),
        command=LOCUST,
        locustfile=TWO_BROADCASTERS,
    ),
    Mistake(
        "no broadcaster",
        ("--headless", "-u", "5"),
        ("No user broadcasts", "CodeBroadcaster"),
        command=LOCUST,
        locustfile=NO_BROADCASTER,
    ),
    Mistake(
        "a master without a host",
        ("--headless", "-u", "5", "--master", "--expect-workers", "1"),
        ("--host",),
        command=LOCUST,
    ),
    Mistake(
        "a web port in use",
        ("--web-host", "127.0.0.1", "--web-port", IN_USE),
        ("--web-port", "127.0.0.1", "address already in use"),
        command=LOCUST,
    ),
    Mistake(
        "a master's port in use",
        (
            *("--headless", "-u", "5", "--master", "--expect-workers", "1"),
            *("--master-bind-host", "127.0.0.1", "--master-bind-port", IN_USE),
        ),
        ("127.0.0.1", "address already in use", "--master-bind-port"),
        command=LOCUST,
    ),
    Mistake(
        "a master's port in use, with processes",
        (
            *("5", "2", "1", "--processes", "2", "--master-bind-host", "127.0.0.1"),
            *("--master-bind-port", IN_USE, "--master-port", IN_USE),
        ),
        ("127.0.0.1", "address already in use", "--master-bind-port"),
    ),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start the servers and write the files that the command lines refer to."""
    folder = tmp_path_factory.mktemp("places")
    profile = (ROOT / "config" / "targets" / "websocket.toml").read_text("utf-8")
    (folder / "wrong.toml").write_text(profile.replace("[connect]\n", "[connect]\nhaeders = {}\n"))
    (folder / "wrong-thresholds.toml").write_text('[codes_recieved]\ngood = "all"\n')
    (folder / "file").write_text("a file, and no directory\n")
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(process.start())
        tls = stack.enter_context(process.start("--tls-cert", str(CERTIFICATES / "server.pem")))
        mute = stack.enter_context(process.start("--accept-only"))
        # Bound without listening, so that the port stays closed and nobody else takes it.
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        yield {
            PLAIN: plain.url,
            TLS_ON_PLAIN: "https" + plain.url.removeprefix("http"),
            TLS: tls.url,
            MUTE: mute.url,
            IN_USE: plain.url.rpartition(":")[2],
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
    """Run each selected command line, a few at a time."""
    parent = tmp_path_factory.mktemp("runs")

    def one(mistake: Mistake) -> Outcome:
        folder = parent / mistake.name
        folder.mkdir()
        arguments = [places.get(word, word) for word in mistake.arguments]
        if "--target" not in arguments:
            arguments += WEBSOCKET
        if "--host" not in arguments and "--master" not in arguments:
            arguments += ["--host", places[PLAIN]]
        for option, value in zip(QUICK[::2], QUICK[1::2], strict=True):
            if option not in arguments:
                arguments += [option, value]
        cwd = ROOT
        command = mistake.command
        if mistake.locustfile:
            (folder / "locustfile.py").write_text(mistake.locustfile)
            arguments += ["-f", str(folder / "locustfile.py")]
        if mistake.files:
            command = ("prlimit", f"--nofile={mistake.files}:{mistake.files}", *command)
        return Run(folder, *arguments, command=command, cwd=cwd, report=mistake.report).finish()

    selected = [each["mistake"] for each in selected_params(request)]
    with ThreadPoolExecutor(4) as pool:
        yield {mistake.name: pool.submit(one, mistake) for mistake in selected}


@pytest.mark.parametrize("mistake", MISTAKES, ids=[each.name for each in MISTAKES])
def test_invalid_command_line_is_refused_in_one_sentence(
    refused: dict[str, Future[Outcome]], mistake: Mistake
) -> None:
    outcome = refused[mistake.name].result()
    assert outcome.status == 2, outcome.stderr
    (sentence,) = outcome.error_messages
    for part in mistake.says:
        assert part in sentence
    assert sentence.endswith(".")
    assert not outcome.has_report
