"""Runs that are interrupted: the report states what they cover, and no process is left over."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from sseload_users.demo import record
from tests.support.phases import LONG_PHASES, LongPhase
from tests.support.runs import LOCUST, QUICK, Outcome, running, target

pytestmark = pytest.mark.e2e

CONNECTIONS, CODES = 12, 4


#: The phases in which runs are interrupted, by how; `-t` is Locust's time limit.
INTERRUPTIONS = {
    "SIGINT": ("warm-up", "connect", "settle", "broadcast", "drain"),
    "SIGTERM": ("warm-up", "broadcast", "drain"),
    "SIGHUP": ("broadcast",),
    "-t": ("connect", "broadcast"),
}
CASES = [(phase, how) for how, phases in INTERRUPTIONS.items() for phase in phases]

Ended = tuple[Outcome, record.Record]


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[tuple[str, str], Future[Ended]]]:
    """Interrupt a run in each phase in each way."""
    parent = tmp_path_factory.mktemp("runs")

    def one(long: LongPhase, how: str) -> Ended:
        folder = parent / f"{long.name}{how}"
        size = (str(CONNECTIONS), str(CODES), "1")
        arguments = (*size, *QUICK, "--target", "websocket", *long.arguments)
        if how == "-t":
            arguments += ("-t", "8")
        with target(folder, *long.faults) as (server, path):
            arguments += ("--host", server.url)
            with running(folder, *arguments) as run:
                run.wait_for(f"\n{long.name} ")
                if long.name == "broadcast":
                    run.wait_until(lambda: '"event":"code"' in path.read_text(), "a code")
                    time.sleep(0.5)  # nothing shows that the listeners have read it
                elif long.name == "connect":
                    opened = CONNECTIONS * 3 // 4
                    run.wait_until(
                        lambda: path.read_text().count('"event":"opened"') == opened, "connections"
                    )
                if how == "SIGINT":
                    run.interrupt()
                elif how != "-t":
                    run.child.send_signal(signal.Signals[how])
                outcome = run.finish()
        return outcome, record.read(path)

    with ThreadPoolExecutor(4) as pool:
        yield {(phase, how): pool.submit(one, LONG_PHASES[phase], how) for phase, how in CASES}


@pytest.mark.parametrize(("phase", "how"), CASES)
def test_an_interrupted_run_states_what_it_covers(
    runs: dict[tuple[str, str], Future[Ended]], phase: str, how: str
) -> None:
    outcome, truth = runs[phase, how].result()
    report, long = outcome.report, LONG_PHASES[phase]
    assert report["run"]["complete"] is False
    assert report["run"]["notes"][0] == f"The run was ended in the {phase} phase."
    names = [phase["name"] for phase in report["phases"]]
    assert names[-2:] == [phase, "disconnect"]
    assert report["connections"]["succeeded"] == truth.opened
    assert report["connections"]["dropped"] == 0
    assert report["codes"]["scheduled"] == len(truth.ingests)
    assert report["deliveries"]["delivered"] == truth.sent
    # What had not arrived by then counts against the server only if it was overdue.
    missing, released = report["deliveries"]["missing"], report["deliveries"]["released"]
    assert missing + released == truth.lost
    assert report["deliveries"]["interrupted"] == 0
    assert outcome.grade == ("issues" if missing else long.grade)
    assert outcome.status == _expected_status(outcome)
    assert "The run is incomplete" in outcome.stdout
    assert outcome.error_messages == []


def test_an_interrupted_ingest_request_is_unanswered_and_has_a_cause(tmp_path: Path) -> None:
    arguments = (str(CONNECTIONS), str(CODES), "60", *QUICK, "--target", "websocket")
    with (
        target(tmp_path, "--ingest-hang", "1") as (server, path),
        running(tmp_path, *arguments, "--host", server.url, "--ingest-timeout", "60") as run,
    ):
        run.wait_until(lambda: '"event":"code"' in path.read_text(), "a code")
        time.sleep(0.5)  # nothing shows that the listeners have read it
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
    arguments = (str(CONNECTIONS), str(CODES), "60", *QUICK, "--target", "websocket")
    with running(tmp_path, *arguments) as run:
        run.wait_for("\nbroadcast ")
        assert any("sseload_users.demo" in " ".join(each.cmdline()) for each in run.processes())
        run.interrupt()
        outcome = run.finish()
    assert outcome.report["connections"]["dropped"] == 0
    assert outcome.report["run"]["complete"] is False


def test_the_embedded_target_ends_with_a_killed_run(tmp_path: Path) -> None:
    arguments = (str(CONNECTIONS), str(CODES), "60", *QUICK, "--target", "websocket")
    with running(tmp_path, *arguments) as run:
        run.wait_for("\nbroadcast ")
        os.kill(run.child.pid, signal.SIGKILL)
        outcome = run.finish()
    assert outcome.status == -signal.SIGKILL
    assert not outcome.has_report


@pytest.mark.parametrize(
    ("first", "further"), [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)]
)
def test_repeated_signals_lose_nothing(
    tmp_path: Path, first: signal.Signals, further: signal.Signals
) -> None:
    arguments = (str(CONNECTIONS), str(CODES), "60", *QUICK, "--target", "websocket")
    with running(tmp_path, *arguments) as run:
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
    assert outcome.status == _expected_status(outcome)


def _expected_status(outcome: Outcome) -> int:
    """Return the exit status; a run without any code cannot be judged."""
    if not outcome.report["codes"]["scheduled"]:
        return 2
    return int(outcome.grade == "issues")


BROKEN = """
from sseload_users import CodeBroadcaster, CodeListener
from sseload_users.core.ledger import Ledger

def settle(self, now_ns, *, final=False):
    if self.codes.in_flight{when}:
        raise ValueError("a bug")

Ledger.settle = settle
"""


@pytest.mark.parametrize("when", ["", " and not final"], ids=["always", "during the run"])
def test_a_run_whose_account_fails_is_not_judged(tmp_path: Path, when: str) -> None:
    (tmp_path / "broken.py").write_text(BROKEN.replace("{when}", when))
    arguments = ("-f", str(tmp_path / "broken.py"), "--headless", "-u", "6", "--codes", "3")
    with running(tmp_path, *arguments, *QUICK, "--target", "websocket", command=LOCUST) as run:
        outcome = run.finish(quiet=False)
    assert outcome.status == 2
    assert "a bug" in outcome.stderr
    (sentence,) = outcome.error_messages
    assert "the account" in sentence.lower()
    assert outcome.has_report is bool(when)
