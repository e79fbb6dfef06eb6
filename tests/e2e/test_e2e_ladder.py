"""Ladders against a server with a known limit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sseload_users.demo import record
from tests.support.runs import QUICK, Outcome, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CODES = 3
#: Options of each run, and of its target.
LADDERS = {
    "short": (
        ("--ladder", "20,60,100,500", "--target", "websocket"),
        ("--max-connections", "90"),
    ),
    "good": (("--ladder", "10, 30"), ()),
    "workers": (("--ladder", "10,25", "--processes", "2"), ("--max-connections", "20")),
}

Ladders = dict[str, Future[tuple[Outcome, record.Record]]]


@pytest.fixture(scope="module")
def ladders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ladders]:
    """Start all ladders at once."""
    folder = tmp_path_factory.mktemp("ladders")

    def one(name: str) -> tuple[Outcome, record.Record]:
        arguments, faults = LADDERS[name]
        brief = ("--codes", str(CODES), "--duration", "0.6", *QUICK)
        return run_against_target(folder / name, *arguments, *brief, faults=faults)

    with ThreadPoolExecutor(len(LADDERS)) as pool:
        yield {name: pool.submit(one, name) for name in LADDERS}


def steps_of(truth: record.Record) -> list[int]:
    """Return the number of subscribers in each step, from the target's record."""
    codes = [truth.codes[index].subscribers for index in sorted(truth.codes)]
    steps = [codes[at : at + CODES] for at in range(0, len(codes), CODES)]
    assert all(len(set(step)) == 1 for step in steps), steps
    return [step[0] for step in steps]


def test_steps_state_their_figures_and_where_the_ladder_falls_short(
    ladders: Ladders,
) -> None:
    outcome, truth = ladders["short"].result()
    assert steps_of(truth) == [20, 60, 90, 90]
    report = outcome.report
    steps = [
        (
            step["name"],
            step["target"],
            step["connections"]["succeeded"],
            step["connections"]["attempted"],
            step["deliveries"]["delivered"],
            step["verdict"]["grade"],
        )
        for step in report["steps"]
    ]
    assert steps == [
        ("20 connections", "all", 20, 20, 60, "good"),
        ("60 connections", "> 95 %", 60, 60, 180, "good"),
        ("100 connections", "> 95 %", 90, 100, 270, "issues"),
        ("500 connections", "", 90, 500, 270, "warning"),
    ]
    # The figures of the run are the sums of its steps.
    for part, names in (
        ("deliveries", ("owed", "delivered", "missing", "interrupted", "late")),
        ("codes", ("scheduled", "accepted")),
    ):
        for name in names:
            assert report[part][name] == sum(step[part][name] for step in report["steps"]), name
    assert report["connections"]["attempted"] == 20 + 60 + 100 + 500
    assert report["connections"]["dropped"] == 0
    said = " ".join(outcome.stdout.split())
    assert (
        "It first falls short with 100 connections: 90 of 100 connections were open (90 %), most "
        "often: HTTP 503; the target is more than 95 %."
    ) in said
    assert "100 90 (90 %) > 95 % 100 %" in said
    assert "500 90 (18 %) none 100 %" in said
    assert outcome.grade == "issues"
    assert outcome.status == 1
    assert "spawn rate" not in outcome.stderr


def test_a_ladder_that_meets_every_target_is_good(ladders: Ladders) -> None:
    outcome, truth = ladders["good"].result()
    assert steps_of(truth) == [10, 30]
    assert outcome.reasons == {}
    assert outcome.status == 0
    assert "Every step meets its target, up to 30 connections." in outcome.stdout
    # No session of a step outlives it.
    lives = sorted(
        (each.opened_ns or 0, each.closed_ns or 0) for each in truth.connections.values()
    )
    assert len(lives) == 40
    assert max(closed for _, closed in lives[:10]) < lives[10][0]


def test_a_ladder_with_workers_has_the_same_steps(ladders: Ladders) -> None:
    outcome, truth = ladders["workers"].result()
    assert steps_of(truth) == [10, 20]
    assert [
        (step["connections"]["succeeded"], step["connections"]["attempted"])
        for step in outcome.report["steps"]
    ] == [(10, 10), (20, 25)]
    assert outcome.report["run"]["complete"] is True
    assert outcome.status == 1
