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
from tests.harness import QUICK, Outcome, running, target

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


CUTS = [
    Cut("warm-up", ("--asleep", "60"), ("--warm-up", "60"), "issues"),
    Cut("connect", ("--refuse", "0.25", "--refuse-how", "hang"), (), "issues"),
    Cut("settle", (), ("--settle", "60"), "issues"),
    Cut("broadcast", (), ("--duration", "100"), "warning"),
    Cut("drain", ("--lose", "0.5"), ("--delivery-timeout", "60"), "warning"),
]

#: How the cut is made. A limit of time is one of Locust's own.
HOWS = ("SIGINT", "SIGTERM", "-t")

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
            words += ("-t", "5")
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
        yield {(cut.phase, how): pool.submit(one, cut, how) for cut in CUTS for how in HOWS}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("cut", CUTS, ids=[cut.phase for cut in CUTS])
def test_a_run_that_is_cut_off_says_what_it_covers(
    runs: dict[tuple[str, str], Future[Ended]], cut: Cut, how: str
) -> None:
    outcome, truth = runs[cut.phase, how].result()
    report = outcome.report
    assert report["run"]["complete"] is False
    assert report["run"]["notes"][0] == f"It was ended in the {cut.phase} phase."
    names = [phase["name"] for phase in report["phases"]]
    assert names[-2:] == [cut.phase, "disconnect"]
    assert report["connections"]["succeeded"] == truth.opened
    assert report["connections"]["dropped"] == 0
    assert report["codes"]["scheduled"] == len(truth.ingests)
    assert report["deliveries"]["delivered"] == truth.sent
    # What had not come when it was cut off is no fault of the server's.
    assert report["deliveries"]["missing"] == report["deliveries"]["interrupted"] == 0
    assert report["deliveries"]["released"] == truth.lost
    assert outcome.grade == cut.grade
    assert outcome.status == (1 if cut.grade == "issues" else 0)
    assert "The run is incomplete" in outcome.stdout
    assert outcome.complaints == []


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
    assert not outcome.reported


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
    assert outcome.status == int(outcome.grade == "issues")
