"""Sessions that sseload ends and codes in flight together, against the target's record.

A server's losses and reordering are not excused by what sseload itself does; and a healthy
server is not blamed for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sseload_users.demo import record
from sseload_users.demo.record import CodeRecord, Record
from tests.support.ground_truth import sequence_of
from tests.support.runs import Outcome, running, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS = 30
#: Age of a pair, in seconds, beyond which a cut does not excuse it if deliveries take no time.
UNDECIDED_S = 1.0


@dataclass(frozen=True)
class Case:
    """One run.

    Attributes:
        faults: options of the target.
        codes: number of codes.
        duration: seconds over which they are spread.
        arguments: further options of the run.
        cut_after: number of codes after which it is interrupted; 0 for never.
    """

    faults: tuple[str, ...]
    codes: int
    duration: float
    arguments: tuple[str, ...] = ()
    cut_after: int = 0


SLOW = ("--delay", "1:2")
CASES = {
    "churn": Case(
        ("--lose", "0.2"), 20, 5, ("--session-length", "0.6", "--delivery-timeout", "1.2")
    ),
    "cut": Case(("--lose", "0.9"), 60, 15, cut_after=12),
    "storm": Case(
        ("--drop", "1", "--drop-how", "silent", "--drop-after", "1"),
        20, 6, ("--storm-after", "4", "--delivery-timeout", "4"),
    ),
    "slow and churn": Case(SLOW, 10, 4, ("--session-length", "2")),
    "slow and cut": Case(SLOW, 60, 15, cut_after=12),
    "slow and storm": Case(SLOW, 16, 4, ("--storm-after", "1.7", "--processes", "2")),
    "one process": Case(
        ("--ingest-hang", "0.1", "--reorder", "0.5:5"), 12, 4, ("--ingest-timeout", "9")
    ),
    "two processes": Case(
        ("--ingest-hang", "0.1", "--reorder", "0.5:5"),
        12, 4, ("--ingest-timeout", "9", "--processes", "2"),
    ),
}  # fmt: skip

Played = tuple[Outcome, Record]
Runs = dict[str, Future[Played]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Start all runs, a few at a time: they mostly wait."""
    folder = tmp_path_factory.mktemp("runs")

    def one(name: str, case: Case) -> Played:
        own: Path = folder / name.replace(" ", "-")
        size = (str(CONNECTIONS), str(case.codes), str(case.duration))
        arguments = ("--settle", "0.1", "--warm-up", "3", "--target", "websocket", *case.arguments)
        with (
            target(own, *case.faults) as (server, path),
            running(own, *size, *arguments, "--host", server.url) as run,
        ):
            if case.cut_after:
                run.wait_until(
                    lambda: path.read_text().count('"event":"ingest"') >= case.cut_after,
                    "codes",
                )
                run.interrupt()
            outcome = run.finish()
        return outcome, record.read(path)

    with ThreadPoolExecutor(4) as pool:
        yield {name: pool.submit(one, name, case) for name, case in CASES.items()}


def never_written(code: CodeRecord) -> list[int]:
    return code.lost + code.silenced


def older_than(truth: Record, age_s: float) -> int:
    """Count the pairs that were never written and that old when the client closed."""
    return sum(
        (truth.connections[each].closed_ns or 0) - code.start_ns > age_s * 1e9
        for code in truth.codes.values()
        for each in never_written(code)
    )


def test_churn_hides_no_loss(runs: Runs) -> None:
    outcome, truth = runs["churn"].result()
    deliveries = outcome.report["deliveries"]
    assert outcome.grade == "issues"
    assert outcome.report["connections"]["replaced"] > CONNECTIONS
    assert deliveries["missing"] <= truth.lost
    assert deliveries["delivered"] + deliveries["released"] <= truth.subscribers
    # Losses are drawn by chance. What is owed is a sample of it that does not depend on them.
    assert deliveries["owed"] > 200
    assert 0.1 < deliveries["missing"] / deliveries["owed"] < 0.3


@pytest.mark.parametrize("name", ["cut", "storm"])
def test_a_cut_excuses_only_what_is_young(runs: Runs, name: str) -> None:
    outcome, truth = runs[name].result()
    deliveries = outcome.report["deliveries"]
    assert outcome.reasons["codes_received"] == "issues"
    # The bound itself is exact to what closing takes, and what a delivery took.
    most, least = older_than(truth, UNDECIDED_S - 0.2), older_than(truth, UNDECIDED_S + 0.6)
    assert 0 < least <= deliveries["missing"] <= most
    unwritten = sum(len(never_written(code)) for code in truth.codes.values())
    assert deliveries["missing"] + deliveries["released"] >= unwritten


@pytest.mark.parametrize("name", ["slow and churn", "slow and cut", "slow and storm"])
def test_a_slow_server_is_not_blamed_for_a_cut(runs: Runs, name: str) -> None:
    outcome, truth = runs[name].result()
    deliveries = outcome.report["deliveries"]
    assert truth.lost == deliveries["missing"] == deliveries["interrupted"] == 0
    assert 0 < deliveries["owed"] == deliveries["delivered"] <= truth.sent
    assert deliveries["out_of_order"] == deliveries["unexpected"] == 0
    # It is slow, and that is all.
    assert set(outcome.reasons) <= {"run_complete", "latency"}
    assert outcome.report["run"]["complete"] is (name != "slow and cut")


@pytest.mark.parametrize("name", ["one process", "two processes"])
def test_a_code_without_a_response_excuses_no_order_but_its_own(runs: Runs, name: str) -> None:
    outcome, truth = runs[name].result()
    status = {row["seq"]: row["status"] for row in outcome.report["per_code"]}
    out_of_order = {sequence_of(code.code): len(code.out_of_order) for code in truth.codes.values()}
    answered = sum(many for each, many in out_of_order.items() if status[each] == "accepted")
    assert outcome.report["codes"]["overlapping"] > 5
    assert outcome.report["deliveries"]["out_of_order"] == answered > 50
    assert outcome.reasons["out_of_order"] == "warning"
