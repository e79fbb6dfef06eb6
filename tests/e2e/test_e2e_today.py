"""The embedded target as the code server runs today: all of it delivered, and each no told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from sseload_users.core.config_path import config_path
from sseload_users.demo import record
from tests.support.ground_truth import expected_figures, received_by_connection, reported_figures
from tests.support.runs import PATIENCE, QUICK, Outcome, run, run_against_target, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

TOKEN, ORIGIN = "s3cret-ingest-token", "https://codes.example"
TODAY = ("--as", "today", "--ingest-token", TOKEN)
VALUE = ("--value", f"ingest_token={TOKEN}")
FROM_PAGE = ("--header", f"Origin: {ORIGIN}")
SOCKET, SSE = "code-server-socket", "code-server-sse"
#: By the profile, what the line needs beside it.
LINES = {SOCKET: VALUE, SSE: (*VALUE, *FROM_PAGE)}


def hold_to(outcome: Outcome, truth: record.Record, codes: int) -> None:
    """Hold that the report states the record, connection by connection."""
    expected = expected_figures(outcome.report, truth, scheduled=codes)
    said = reported_figures(outcome.report, expected)
    # Greetings and pings are foreign, too, and the record does not count them.
    said["deliveries"]["foreign"] = expected["deliveries"]["foreign"]
    assert said == expected
    received = outcome.report["received_per_connection"]
    assert Counter({int(many): each for many, each in received.items()}) == (
        received_by_connection(truth)
    )


@pytest.mark.parametrize(
    ("profile", "processes"),
    [(SOCKET, ()), (SSE, ("--processes", "2"))],
    ids=["socket, one process", "stream, several"],
)
def test_200_connections_get_everything(
    tmp_path: Path, profile: str, processes: tuple[str, ...]
) -> None:
    words = ("200", "5", "1", "-r", "400", *QUICK, "--target", profile, *LINES[profile])
    outcome, truth = run_against_target(tmp_path, *words, *processes, faults=TODAY)
    assert (outcome.status, outcome.reasons) == (0, {}), outcome.stderr
    assert outcome.report["deliveries"]["delivered"] == truth.sent == 200 * 5
    assert outcome.report["run"]["notes"] == []
    hold_to(outcome, truth, 5)
    publishers = [each for each in truth.connections.values() if each.publishing_ns is not None]
    assert len(publishers) == 1
    # Of the 25 a minute: one for each process that has listeners.
    workers = len(outcome.report["workers"])
    assert len(truth.pages) == (workers if profile == SSE else 0)


@pytest.mark.parametrize("profile", LINES)
def test_what_is_lost_is_reported_as_in_the_record(tmp_path: Path, profile: str) -> None:
    words = ("30", "6", "1", *QUICK, "--target", profile, *LINES[profile], "--processes", "2")
    faults = (*TODAY, "--lose", "0.15", "--duplicate", "0.1")
    outcome, truth = run_against_target(tmp_path, *words, faults=faults)
    assert outcome.status == 1
    assert outcome.reasons == {"codes_received": "issues", "duplicates": "warning"}
    assert outcome.report["deliveries"]["missing"] == truth.lost > 0
    hold_to(outcome, truth, 6)


@dataclass(frozen=True)
class No:
    """Something that the server says no to.

    Attributes:
        name: of the test.
        profile: which one.
        operation: the step that fails, of the report.
        cause: the failure's, there.
        said: what the server said.
        hint: a part of what there is to do.
        step: the step that fails, of a check.
        words: beside the profile, if not those of `LINES`.
        check: instead of a users file in them, for a check.
        server: the target's further options.
        edit: what is replaced in the profile.
        pages: how often somebody else asks for the page before.
        processes: how many, as options of the run.
        failed: how many connections fail; none where codes do.
    """

    name: str
    profile: str
    operation: str
    cause: str
    said: str
    hint: str = ""
    step: str = "connect"
    words: tuple[str, ...] | None = None
    check: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    edit: dict[str, str] = field(default_factory=dict)
    pages: int = 0
    processes: tuple[str, ...] = ()
    failed: int = 8

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)


#: Who hands in codes is the first of them; every other listener is not known.
MIXED = ("--users-file", "{folder}/users.csv")
NOES = [
    No(
        "a wrong token", SOCKET, "ingest", "Invalid ingest token", "Invalid ingest token",
        "--value ingest_token", "send", words=("--value", "ingest_token=wrong"),
    ),
    No(
        "no token", SOCKET, "ingest", "Ingest token is required", "Ingest token is required",
        "--value ingest_token", "send", words=(),
        edit={', token = "{ingest_token}"': ""},
    ),
    No(
        "a blank code", SOCKET, "ingest", "Invalid code data", "Invalid code data", step="send",
        edit={'code = "{code}", source = "load-test"': 'code = " ", source = "{code}"'},
    ),
    No(
        "an origin refused", SOCKET, "handshake", "HTTP 400", '"Not an accepted origin."',
        "--header 'Origin: …'",
        edit={
            'namespace = "/events"': 'namespace = "/events"\n'
            'headers = { Origin = "https://elsewhere.example" }'
        },
    ),
    No(
        "an unknown user", SOCKET, "subscribe", "refused: Unauthorized or unknown username",
        "Unauthorized or unknown username", "check the user names",
        words=(*VALUE, *MIXED), check=("--username", "mallory"), failed=4,
        processes=("--processes", "2"),
    ),
    No(
        "the page's origin refused", SSE, "before", "HTTP 403",
        "Unauthorized origin - iframe access only", "--header 'Origin: …'", words=VALUE,
    ),
    No(
        "the page's limit reached", SSE, "before", "HTTP 429",
        "Too Many Requests 2 per 1 minute", server=("--page-limit", "2"), pages=2,
        processes=("--processes", "2"),
    ),
    No(
        # Whoever asks for a wrong name once more is told only that this is too much: all start at
        # once, and wait for one request.
        "an unknown user of the page", SSE, "before", "HTTP 403", "Unknown username",
        words=(*LINES[SSE], *MIXED), check=("--username", "mallory"), failed=4,
        processes=("-r", "100000"),
    ),
    No(
        "a wrong token of a stream", SSE, "handshake", "HTTP 401", "Invalid or expired token",
        edit={'"token" = "{token}" }\n\n[confirm]': '"token" = "{token}0" }\n\n[confirm]'},
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What a run and a check told of a no."""

    load: Outcome
    check: Outcome


@pytest.fixture(scope="module")
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[No, Future[Told]]]:
    """The runs and checks that were asked for, a few at a time: mostly they wait."""
    folder = tmp_path_factory.mktemp("told")

    def one(no: No) -> Told:
        mine = folder / no.name.replace(" ", "-")
        mine.mkdir()
        text = config_path(f"targets/{no.profile}.toml").read_text("utf-8")
        for old, new in no.edit.items():
            assert old in text
            text = text.replace(old, new)
        profile = mine / "mine.toml"
        profile.write_text(text, "utf-8")
        (mine / "users.csv").write_text("username\nloadtest\nmallory\n", "utf-8")

        def at_a_server(name: str, *line: str, **how: Any) -> Outcome:
            with target(mine / name, *TODAY, *no.server) as (server, _):
                for _ in range(no.pages):
                    page = f"{server.url}/embed-stream?user=loadtest&nonce=12345678"
                    requests.get(page, headers={"Origin": ORIGIN}, timeout=PATIENCE)
                where = ("--target", str(profile), "--host", server.url)
                return run(mine / name, *line, *where, **how)

        words = LINES[no.profile] if no.words is None else no.words
        words = tuple(word.format(folder=mine) for word in words)
        one_user = tuple(no.check) and (*words[: -len(MIXED)], *no.check)
        load = at_a_server("run", "8", "4", "1", *QUICK, *no.processes, *words)
        check = at_a_server("check", "check", *(one_user or words), report=False)
        return Told(load, check)

    asked = {
        item.callspec.params["no"]: None
        for item in request.session.items
        if item.parent is request.node and hasattr(item, "callspec")
        and "no" in item.callspec.params
    }  # fmt: skip
    with ThreadPoolExecutor(3) as pool:
        yield {no: pool.submit(one, no) for no in asked}


@pytest.mark.parametrize("no", NOES, ids=str)
def test_a_no_is_told_in_the_servers_words(told: dict[No, Future[Told]], no: No) -> None:
    outcome = told[no].result().load
    assert outcome.status in (1, 2), outcome.stderr
    report = outcome.report
    (cause,) = report["errors"]["causes"]
    failed = 4 if no.operation == "ingest" else no.failed
    assert (cause["operation"], cause["cause"], cause["count"]) == (no.operation, no.cause, failed)
    assert no.said in f"{no.cause} {cause['said']}"
    assert no.hint in cause["hint"]
    assert report["verdict"]["grade"] == "issues"
    shown = " ".join(outcome.stdout.split())
    assert no.said in shown
    assert TOKEN not in outcome.stdout + outcome.stderr + json.dumps(report)


@pytest.mark.parametrize("no", NOES, ids=str)
def test_a_check_tells_it_too(told: dict[No, Future[Told]], no: No) -> None:
    outcome = told[no].result().check
    assert (outcome.status, outcome.stderr) == (1, "")
    (line,) = (each for each in outcome.stdout.splitlines() if "FAILED" in each)
    assert line.split()[2] == no.step
    assert no.said in line
    assert no.hint in " ".join(outcome.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--username", "mallory"), "Unauthorized or unknown username"),
        (("--header", "Origin: https://elsewhere.example"), '"Not an accepted origin."'),
    ],
    ids=["unknown user", "origin refused"],
)
def test_who_cannot_hand_in_codes_is_told_why_and_the_run_ends(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    line = ("8", "4", "30", *QUICK, "--target", SOCKET, *VALUE, *words)
    outcome, truth = run_against_target(tmp_path, *line, faults=TODAY)
    assert outcome.status in (1, 2)
    (complaint,) = outcome.error_messages
    assert complaint.startswith("sseload: Codes cannot be handed in: ")
    assert said in complaint
    assert outcome.seconds < 20
    assert truth.ingests == []


def test_a_token_that_nobody_gives_is_missed_before_anything_starts(tmp_path: Path) -> None:
    for command in (("check",), ("5", "2", "1", "--processes", "2")):
        folder = tmp_path / command[0]
        words = (*command, *QUICK * (len(command) > 1), "--target", SOCKET)
        with target(folder, *TODAY) as (server, path):
            outcome = run(folder, *words, "--host", server.url, report=False)
            truth = record.read(path)
        assert (outcome.status, truth.connections) == (2, {})
        (sentence,) = outcome.stderr.splitlines()
        assert "ingest_token" in sentence
        assert "--value" in sentence


def test_tokens_that_expire_are_had_again(tmp_path: Path) -> None:
    """Connections come over more time than a token is good for, and pages are few."""
    words = ("40", "3", "1", "-r", "10", *QUICK, "--target", SSE, *LINES[SSE])
    faults = (*TODAY, "--token-lifetime", "1", "--page-limit", "5")
    outcome, truth = run_against_target(tmp_path, *words, faults=faults)
    assert (outcome.status, outcome.reasons) == (0, {}), outcome.stderr
    assert [each.status for each in truth.pages] == [200] * len(truth.pages)
    assert 1 < len(truth.pages) <= 5
    assert outcome.report["deliveries"]["delivered"] == 40 * 3
