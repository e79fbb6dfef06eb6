"""All combinations of transport, encryption, workers and faults: the report states the truth.

`make test-matrix` runs all of them, `make test` a sample. The expected figures are worked out
from the target's record alone, and so is the grade, by a second implementation of the rules.
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
from tests.support.parallel import selected_params
from tests.support.runs import QUICK, Outcome, run_against_target
from tests.support.socket_servers import CERTIFICATES

pytestmark = pytest.mark.e2e

#: Whether to run the whole matrix, the size of the sample otherwise, and the seed of both.
ALL = os.environ.get("MATRIX") == "all"
SAMPLE = 3
SEED = int(os.environ.get("MATRIX_SEED", "20261124"))
#: Seconds that all phases of a run may take beside its broadcast.
MAX_S = 8.0

#: The generator lag from which a run is repeated: a third of the interval between codes.
MAX_LAG_MS = 80.0

GRADES = ("good", "warning", "issues")


def _chosen() -> list[Cell]:
    every = list(cells(SEED))
    return every if ALL else random.Random(SEED).sample(every, SAMPLE)


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Cell, Future[tuple[Outcome, Record]]]]:
    """Start the runs of all selected tests, a few at a time: they mostly wait."""
    folder = tmp_path_factory.mktemp("matrix")

    def one(number: int, cell: Cell) -> tuple[Outcome, Record]:
        options = ["--seed", str(cell.seed)]
        arguments = [str(CONNECTIONS), str(CODES), *QUICK, "--target", TRANSPORTS[cell.transport]]
        arguments += ["--duration", str(max((each.duration for each in cell.faults), default=1))]
        arguments += WORKERS[cell.workers]
        if cell.tls:
            options += ["--tls-cert", str(CERTIFICATES / "server.pem")]
            arguments += ["--ca-file", str(CERTIFICATES / "ca.pem")]
        for each in cell.faults:
            options += each.options
            arguments += each.arguments
        for attempt in range(3):
            played = run_against_target(
                folder / f"{number}-{attempt}", *arguments, faults=tuple(options)
            )
            if can_be_compared(*played):
                break
        return played

    selected = [each["cell"] for each in selected_params(request)]
    with ThreadPoolExecutor(4) as pool:
        played = {cell: pool.submit(one, number, cell) for number, cell in enumerate(selected)}
        yield played
        for each in played.values():
            each.cancel()


def can_be_compared(outcome: Outcome, truth: Record) -> bool:
    """Whether the server and the generator saw all events in the same order.

    On a busy machine codes may overtake each other, or the end of a session may be read after
    the next code was sent. Then the two sides differ about which deliveries were owed. And Locust
    takes a worker for lost that is silent for three seconds.
    """
    codes = sorted(truth.codes.values(), key=lambda each: each.index)
    sequences = [sequence_of(code.code) for code in codes]
    lag_ms = outcome.report["generator"]["lag_ms"]["max"] or 0.0
    lost = any(" was lost " in each for each in outcome.report["run"]["notes"])
    return sequences == sorted(sequences) and lag_ms < MAX_LAG_MS and not lost


def grade_of(expected: Mapping[str, Any], timeouts: int) -> str:
    """Return the grade of a run by the default thresholds.

    Args:
        expected: from `expected_figures`.
        timeouts: the number of connects that timed out.
    """
    connections, codes = expected["connections"], expected["codes"]
    deliveries = expected["deliveries"]
    attempted, owed, scheduled = connections["attempted"], deliveries["owed"], codes["scheduled"]
    lost_codes = codes["rejected"] + codes["unanswered"] + codes["unsent"]
    failed = connections["failed"] + connections["dropped"] + deliveries["malformed"] + lost_codes
    dropped = connections["dropped"] / max(connections["succeeded"], 1)
    # Each kind of failure counts against its own kind of operation, and all against all.
    errors = max(
        failed / (attempted + scheduled),
        connections["failed"] / attempted,
        lost_codes / scheduled,
        dropped,
    )
    succeeded = connections["succeeded"] / attempted
    accepted = codes["accepted"] / scheduled
    delivered = deliveries["delivered"] / owed if owed else 0.0
    irregular = ("duplicate", "out_of_order", "unexpected", "malformed")
    issues = (
        succeeded < 0.8 or accepted < 0.95 or delivered < 0.95
        or errors > 0.05 or dropped > 0.05 or timeouts / attempted > 0.01
    )  # fmt: skip
    warning = (
        succeeded < 1 or accepted < 1 or delivered < 1 or errors >= 0.01 or dropped > 0
        or any(deliveries[name] for name in irregular)
    )  # fmt: skip
    return GRADES[2 if issues else 1 if warning else 0]


@pytest.mark.parametrize("cell", _chosen(), ids=str)
def test_the_report_equals_the_record(
    runs: dict[Cell, Future[tuple[Outcome, Record]]], cell: Cell
) -> None:
    outcome, truth = runs[cell].result()
    report = outcome.report
    expected = expected_figures(report, truth, scheduled=CODES, **cell.truth)
    if cell.transport == "socketio":
        # The code server sends each client an event that is no code.
        expected["deliveries"]["foreign"] += expected["connections"]["succeeded"]
    figures = reported_figures(report, expected)
    late = cell.truth.get("delayed_are_late", False)
    if late:
        # A code that arrives after the end of the run is missing instead of late.
        rows = (*figures["per_code"].values(), *expected["per_code"].values())
        for account in (figures["deliveries"], expected["deliveries"], *rows):
            account["late"] += account.pop("missing")
    assert figures == expected
    received = {int(many): each for many, each in report["received_per_connection"].items()}
    assert Counter(received) == +received_by_connection(truth, delayed_are_late=late)
    assert report["run"]["complete"]
    assert report["run"]["notes"] == []
    assert outcome.error_messages == []

    hanging = any(each.name == "refused by silence" for each in cell.faults)
    grade = grade_of(expected, expected["connections"]["failed"] if hanging else 0)
    assert max(outcome.reasons.values(), key=GRADES.index, default="good") == grade
    assert outcome.status == int(grade == "issues")
    took = sum(phase["seconds"] for phase in report["phases"])
    assert took < MAX_S + max((each.duration for each in cell.faults), default=1)
