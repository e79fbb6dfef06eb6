"""Runs that are ended before their end: what they cover is reported, and nothing is left over."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sseload_users.demo import record
from tests.support.runs import LOCUST, QUICK, Outcome, running, target

pytestmark = pytest.mark.e2e

CONNECTIONS, CODES = 12, 4


@dataclass(frozen=True)
class Cut:
    """A run that stays in one phase, until it is cut off there.

    Attributes:
        phase: which.
        faults: the target's options that keep it there.
        words: the run's.
        grade: of its verdict.
    """

    phase: str
    faults: tuple[str, ...]
    words: tuple[str, ...]
    grade: str


CUTS = {
    cut.phase: cut
    for cut in (
        Cut("warm-up", ("--asleep", "60"), ("--warm-up", "60"), "issues"),
        Cut("connect", ("--refuse", "0.25", "--refuse-how", "hang"), (), "issues"),
        Cut("settle", (), ("--settle", "60"), "issues"),
        Cut("broadcast", (), ("--duration", "100"), "warning"),
        Cut("drain", ("--lose", "0.5"), ("--delivery-timeout", "60"), "warning"),
    )
}

#: How runs are cut off in which phases; a limit of time is one of Locust's own.
HOWS = {
    "SIGINT": ("warm-up", "connect", "settle", "broadcast", "drain"),
    "SIGTERM": ("warm-up", "broadcast", "drain"),
    "-t": ("connect", "broadcast"),
}
ENDS = [(phase, how) for how, phases in HOWS.items() for phase in phases]

Ended = tuple[Outcome, record.Record]


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[tuple[str, str], Future[Ended]]]:
    """A run for each phase and each way to cut it off there."""
    parent = tmp_path_factory.mktemp("runs")

    def one(cut: Cut, how: str) -> Ended:
        folder = parent / f"{cut.phase}{how}"
        words = (str(CONNECTIONS), str(CODES), "1", *QUICK, "--target", "websocket", *cut.words)
        if how == "-t":
            words += ("-t", "8")
        with target(folder, *cut.faults) as (server, path):
            words += ("--host", server.url)
            with running(folder, *words) as run:
                run.wait_for(f"\n{cut.phase} ")
                if cut.phase == "broadcast":
                    run.wait_until(lambda: '"event":"code"' in path.read_text(), "a code")
                    time.sleep(0.5)  # for it to be read
                elif cut.phase == "connect":
                    opened = CONNECTIONS * 3 // 4
                    run.wait_until(
                        lambda: path.read_text().count('"event":"opened"') == opened, "connections"
                    )
                if how == "SIGINT":
                    run.interrupt()
                elif how == "SIGTERM":
                    run.child.send_signal(signal.SIGTERM)
                outcome = run.finish()
        return outcome, record.read(path)

    with ThreadPoolExecutor(4) as pool:
        yield {(phase, how): pool.submit(one, CUTS[phase], how) for phase, how in ENDS}


@pytest.mark.parametrize(("phase", "how"), ENDS)
def test_a_run_that_is_cut_off_says_what_it_covers(
    runs: dict[tuple[str, str], Future[Ended]], phase: str, how: str
) -> None:
    outcome, truth = runs[phase, how].result()
    report, cut = outcome.report, CUTS[phase]
    assert report["run"]["complete"] is False
    assert report["run"]["notes"][0] == f"It was ended in the {phase} phase."
    names = [phase["name"] for phase in report["phases"]]
    assert names[-2:] == [phase, "disconnect"]
    assert report["connections"]["succeeded"] == truth.opened
    assert report["connections"]["dropped"] == 0
    assert report["codes"]["scheduled"] == len(truth.ingests)
    assert report["deliveries"]["delivered"] == truth.sent
    # What had not come when it was cut off is not the server's fault's.
    assert report["deliveries"]["missing"] == report["deliveries"]["interrupted"] == 0
    assert report["deliveries"]["released"] == truth.lost
    assert outcome.grade == cut.grade
    assert outcome.status == _status(outcome)
    assert "The run is incomplete" in outcome.stdout
    assert outcome.error_messages == []


def test_a_request_that_is_cut_off_is_unanswered_and_says_why(tmp_path: Path) -> None:
    words = (str(CONNECTIONS), str(CODES), "60", *QUICK, "--target", "websocket")
    with (
        target(tmp_path, "--ingest-hang", "1") as (server, path),
        running(tmp_path, *words, "--host", server.url, "--ingest-timeout", "60") as run,
    ):
        run.wait_until(lambda: '"event":"code"' in path.read_text(), "a code")
        time.sleep(0.5)  # for it to be read
        run.interrupt()
        outcome = run.finish()
    assert [each.status for each in record.read(path).ingests] == ["hang"]
    report = outcome.report
    assert report["codes"]["unanswered"] == report["codes"]["sent"] == 1
    (cause,) = report["errors"]["causes"]
    assert (cause["operation"], cause["cause"], cause["count"]) == ("ingest", "left", 1)
    assert report["deliveries"]["delivered"] == CONNECTIONS
    assert report["per_code"][0]["status"] == "unanswered"


def test_the_embedded_target_ends_with_an_interrupted_run(tmp_path: Path) -> None:
    words = (str(CONNECTIONS), str(CODES), "60", *QUICK, "--target", "websocket")
    with running(tmp_path, *words) as run:
        run.wait_for("\nbroadcast ")
        assert any("sseload_users.demo" in " ".join(each.cmdline()) for each in run.processes())
        run.interrupt()
        outcome = run.finish()
    assert outcome.report["connections"]["dropped"] == 0
    assert outcome.report["run"]["complete"] is False


def test_the_embedded_target_ends_with_a_killed_run(tmp_path: Path) -> None:
    words = (str(CONNECTIONS), str(CODES), "60", *QUICK, "--target", "websocket")
    with running(tmp_path, *words) as run:
        run.wait_for("\nbroadcast ")
        os.kill(run.child.pid, signal.SIGKILL)
        outcome = run.finish()
    assert outcome.status == -signal.SIGKILL
    assert not outcome.has_report


@pytest.mark.parametrize("further", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_who_is_impatient_loses_nothing(
    tmp_path: Path, first: signal.Signals, further: signal.Signals
) -> None:
    words = (str(CONNECTIONS), str(CODES), "60", *QUICK, "--target", "websocket")
    with running(tmp_path, *words) as run:
        run.wait_for("\nbroadcast ")
        os.kill(run.child.pid, first)
        run.wait_for("\ndisconnect ")
        for _ in range(3):
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.child.pid, further)
            time.sleep(0.01)
        outcome = run.finish()
    assert outcome.report["run"]["complete"] is False
    assert outcome.stdout.count("Verdict") == 1
    assert outcome.status == _status(outcome)


def _status(outcome: Outcome) -> int:
    """A run that was cut off before its first code has not been judged."""
    if not outcome.report["codes"]["scheduled"]:
        return 2
    return int(outcome.grade == "issues")


BROKEN = """
from sseload_users import CodeBroadcaster, CodeListener
from sseload_users.core.ledger import Ledger

def settle(self, now_ns, *, final=False):
    if self.in_flight{when}:
        raise ValueError("a mistake in the program")

Ledger.settle = settle
"""


@pytest.mark.parametrize("when", ["", " and not final"], ids=["always", "while it runs"])
def test_a_run_whose_account_cannot_be_kept_is_not_judged(tmp_path: Path, when: str) -> None:
    (tmp_path / "broken.py").write_text(BROKEN.replace("{when}", when))
    words = ("-f", str(tmp_path / "broken.py"), "--headless", "-u", "6", "--codes", "3")
    with running(tmp_path, *words, *QUICK, "--target", "websocket", command=LOCUST) as run:
        outcome = run.finish(quiet=False)
    assert outcome.status == 2
    assert "a mistake in the program" in outcome.stderr
    (sentence,) = outcome.error_messages
    assert "the account" in sentence.lower()
    assert outcome.has_report is bool(when)
