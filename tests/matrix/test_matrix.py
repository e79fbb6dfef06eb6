"""Transports, encryption, workers and faults, all with all: the report states the truth.

`make test-matrix` runs all of it, `make test` a sample. What a run is held to is worked out
from the target's record alone; so is its grade, by rules that are written down here once more.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from sseload_users.demo.record import Record
from tests.matrix.faults import CODES, CONNECTIONS, TRANSPORTS, WORKERS, Cell, cells
from tests.support.ground_truth import (
    expected_figures,
    received_by_connection,
    reported_figures,
    sequence_of,
)
from tests.support.runs import QUICK, Outcome, run_against_target
from tests.support.socket_servers import CERTIFICATES

pytestmark = pytest.mark.e2e

#: Whether all of the matrix is run, and how many runs else; what chooses, and seeds the target.
ALL = os.environ.get("MATRIX") == "all"
SAMPLE = 5
SEED = int(os.environ.get("MATRIX_SEED", "20261124"))
#: Seconds that a run may take by its own account, beside its broadcast: it ends in time.
MOST_S = 8.0

#: The lag from which a run is made once more: a third of the time from one code to the next.
BUSY_MS = 80.0

GRADES = ("good", "warning", "issues")


def _chosen() -> list[Cell]:
    every = list(cells(SEED))
    return every if ALL else random.Random(SEED).sample(every, SAMPLE)


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Cell, Future[tuple[Outcome, Record]]]]:
    """The runs of all tests that were asked for, a few at a time: mostly they wait."""
    folder = tmp_path_factory.mktemp("matrix")

    def one(number: int, cell: Cell) -> tuple[Outcome, Record]:
        options = ["--seed", str(cell.seed)]
        words = [str(CONNECTIONS), str(CODES), *QUICK, "--target", TRANSPORTS[cell.transport]]
        words += ["--duration", str(max((each.duration for each in cell.faults), default=1))]
        words += WORKERS[cell.workers]
        if cell.tls:
            options += ["--tls-cert", str(CERTIFICATES / "server.pem")]
            words += ["--ca-file", str(CERTIFICATES / "ca.pem")]
        for each in cell.faults:
            options += each.options
            words += each.words
        for attempt in range(3):
            played = run_against_target(
                folder / f"{number}-{attempt}", *words, faults=tuple(options)
            )
            if _can_be_compared(*played):
                break
        return played

    asked: list[Cell] = []
    for item in request.session.items:
        spec = getattr(item, "callspec", None)
        if item.parent is request.node and spec is not None:
            asked.append(spec.params["cell"])
    with ThreadPoolExecutor(4) as pool:
        played = {cell: pool.submit(one, number, cell) for number, cell in enumerate(asked)}
        yield played
        for each in played.values():
            each.cancel()


def _can_be_compared(outcome: Outcome, truth: Record) -> bool:
    """Whether the machine kept up so well that both sides saw things in the same order.

    If it did not, codes overtook each other on their way in, or the end of a session was read
    later than the next code was sent: who was owed what is not the same for both then.
    """
    codes = sorted(truth.codes.values(), key=lambda each: each.index)
    sequences = [sequence_of(code.code) for code in codes]
    lag_ms = outcome.report["generator"]["lag_ms"]["max"] or 0.0
    return sequences == sorted(sequences) and lag_ms < BUSY_MS


def grade_of(right: Mapping[str, Any], timeouts: int) -> str:
    """The grade that a run deserves, from what the record says and the thresholds of the guide.

    Args:
        right: from `expected_figures`.
        timeouts: connections that were not answered in time.
    """
    connections, codes, deliveries = right["connections"], right["codes"], right["deliveries"]
    attempted, owed, scheduled = connections["attempted"], deliveries["owed"], codes["scheduled"]
    failed = connections["failed"] + connections["dropped"] + deliveries["malformed"]
    failed += codes["rejected"] + codes["unanswered"] + codes["unsent"]
    errors = failed / (attempted + scheduled)
    dropped = connections["dropped"] / max(connections["succeeded"], 1)
    succeeded = connections["succeeded"] / attempted
    accepted = codes["accepted"] / scheduled
    delivered = deliveries["delivered"] / owed if owed else 0.0
    anything = ("duplicate", "out_of_order", "unexpected", "malformed")
    issues = (
        succeeded < 0.8 or accepted < 0.95 or delivered < 0.95
        or errors > 0.05 or dropped > 0.05 or timeouts / attempted > 0.01
    )  # fmt: skip
    warning = (
        succeeded < 1 or accepted < 1 or delivered < 1 or errors >= 0.01 or dropped > 0
        or any(deliveries[name] for name in anything)
    )  # fmt: skip
    return GRADES[2 if issues else 1 if warning else 0]


@pytest.mark.parametrize("cell", _chosen(), ids=str)
def test_the_report_equals_the_record(
    runs: dict[Cell, Future[tuple[Outcome, Record]]], cell: Cell
) -> None:
    outcome, truth = runs[cell].result()
    report = outcome.report
    right = expected_figures(report, truth, scheduled=CODES, **cell.truth)
    if cell.transport == "socketio":
        # The code server greets everybody by an event, which is no code.
        right["deliveries"]["foreign"] += right["connections"]["succeeded"]
    said = reported_figures(report, right)
    late = cell.truth.get("delayed_are_late", False)
    if late:
        # What comes too late is late while the run goes on, and missing where that ends before.
        for account in (said["deliveries"], right["deliveries"], *said["per_code"].values(),
                        *right["per_code"].values()):  # fmt: skip
            account["late"] += account.pop("missing")
    assert said == right
    received = {int(many): each for many, each in report["received_per_connection"].items()}
    assert Counter(received) == +received_by_connection(truth, delayed_are_late=late)
    assert report["run"]["complete"]
    assert report["run"]["notes"] == []
    assert outcome.error_messages == []

    hanging = any(each.name == "refused by silence" for each in cell.faults)
    grade = grade_of(right, right["connections"]["failed"] if hanging else 0)
    assert max(outcome.reasons.values(), key=GRADES.index, default="good") == grade
    assert outcome.status == int(grade == "issues")
    took = sum(phase["seconds"] for phase in report["phases"])
    assert took < MOST_S + max((each.duration for each in cell.faults), default=1)
