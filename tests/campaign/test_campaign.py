"""A campaign of random runs: each report says what the target's record says, grade included.

`make test` has a few of them. `make test-campaign` goes on for ten minutes, with new seeds each
time, and ends with a line for each that failed.
"""

from __future__ import annotations

import copy
import itertools
import os
import random
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import pytest

from sseload_users.demo import record
from sseload_users.demo.record import Record
from tests.campaign import oracle
from tests.campaign.client_truth import ClientTruth
from tests.campaign.clients import ClientPlay, client_play
from tests.campaign.plays import Play, play
from tests.campaign.truth import Truth
from tests.support.runs import SSELOAD, Outcome, run_against_target, running, target

pytestmark = pytest.mark.e2e

#: Seconds of a campaign; 0 for the sample.
SECONDS = float(os.environ.get("CAMPAIGN_SECONDS", "0"))
#: The seeds to run, separated by commas, instead of random ones.
SEEDS = os.environ.get("CAMPAIGN_SEEDS", "")
#: The sample of `make test`: churn with a Ctrl-C, churn with a time limit, a storm with a time
#: limit, and few losses to the end.
SAMPLE = (19, 21, 54, 257)
#: Seeds of runs whose clients return or move, the sample of `make test ALL=1`: they move on a
#: server that replays too much, and they return to one that has kept too little.
CLIENT_SAMPLE = (3, 64)
#: The one of them in which nobody moves, so that the record has the exact figures.
CLIENT_EXACT = 64
#: The share of such runs in a campaign.
CLIENT_SHARE = 0.4
#: The one of SAMPLE in which no session ends early, so that the record has the exact figures.
EXACT = 257
AT_ONCE = 3

_Play = TypeVar("_Play", Play, ClientPlay)

#: How far the two sides' times can be apart on an idle machine, in seconds.
_SLACK_S = 0.08


def perform_clients(one: ClientPlay, folder: Path) -> tuple[Outcome, Record]:
    """Carry out a run whose clients return or move; return its outcome, and the target's record."""
    return run_against_target(folder, *one.arguments(folder), faults=one.target_options)


def client_differences(
    one: ClientPlay, report: Mapping[str, Any], status: int, truth_record: Record
) -> list[str]:
    """Return where a report and the record contradict each other, each in one line."""
    truth = ClientTruth(one, truth_record, slack_s=_slack_s(report))
    found = [*truth.differences(report)]
    if not report["run"]["complete"] or report["codes"]["accepted"] != one.all_codes:
        found.append(f"not all codes were sent: {report['codes']}, {report['run']['notes']}")
    right = int(report["verdict"]["grade"] == "issues")
    if status != right:
        found.append(f"status: {status}, by the grade {right}")
    return found


def _slack_s(report: Mapping[str, Any]) -> float:
    # On a busy machine, both sides see what the other does later.
    generator = report["generator"]
    delay_ms = sum(generator[name]["max"] or 0.0 for name in ("lag_ms", "stall_ms"))
    return _SLACK_S + delay_ms / 1000


def perform(one: Play, folder: Path) -> tuple[Outcome, Record]:
    """Carry out a run; return its outcome, and the target's record."""
    with (
        target(folder, *one.target_options) as (server, path),
        running(folder, *one.arguments, "--host", server.url) as run,
    ):
        if one.interrupt_after:
            # Where nothing connects, the run ends by itself.
            while run.child.poll() is None:
                if path.read_text().count('"event":"ingest"') >= one.interrupt_after:
                    run.interrupt()
                    break
                time.sleep(0.01)
        outcome = run.finish()
    return outcome, record.read(path)


def differences(
    one: Play, report: Mapping[str, Any], status: int, truth_record: Record
) -> list[str]:
    """Return where a report and the record contradict each other, each in one line."""
    complete = report["run"]["complete"]
    over_ns = round(datetime.fromisoformat(report["phases"][-1]["started_at"]).timestamp() * 1e9)
    truth = Truth(one, truth_record, complete=complete, over_ns=over_ns, slack_s=_slack_s(report))
    found = []

    def expect(what: str, said: object, right: object, *, fits: bool) -> None:
        if not fits:
            found.append(f"{what}: the report says {said}, the record {right}")

    cut = bool(one.run_time_s or one.interrupt_after)
    expect("complete", complete, "it is", fits=complete or cut)
    if truth.sessions and len(truth_record.ingests) < one.all_codes:
        expect("complete", complete, "codes are missing", fits=not complete)
    for name, bounds in oracle.figures(truth).items():
        part, _, figure = name.partition(".")
        expect(name, report[part][figure], bounds, fits=report[part][figure] in bounds)
    per_code = {row["seq"]: row for row in report["per_code"]}
    for sequence, figures in oracle.rows(truth):
        for figure, bounds in figures.items():
            said = per_code.get(sequence, {}).get(figure, 0)
            expect(f"code {sequence}, {figure}", said, bounds, fits=said in bounds)
    reasons = {row["rule"]: row["grade"] for row in report["verdict"]["reasons"]}
    bounds_of = oracle.grades(truth, report)
    for rule, (best, worst) in bounds_of.items():
        given = reasons.get(rule, "good")
        fits = best <= oracle.GRADES.index(given) <= worst
        expect(f"rule {rule}", given, oracle.GRADES[best : worst + 1], fits=fits)
    # Whether the generator kept up depends on this machine.
    own = oracle.GRADES.index(reasons.get("generator", "good"))
    best = max(own, *(each for each, _ in bounds_of.values()))
    worst = max(own, *(each for _, each in bounds_of.values()))
    said = report["verdict"]["grade"]
    grade = oracle.GRADES.index(said)
    expect("grade", said, oracle.GRADES[best : worst + 1], fits=best <= grade <= worst)
    right = 2 if not complete and not report["codes"]["scheduled"] else int(grade == 2)
    expect("status", status, right, fits=status == right)
    return found


def failure(one: Play | ClientPlay, arguments: Sequence[str], found: list[str]) -> str:
    """Return what is wrong with a run, and the commands to run it again."""
    seed = f"{one.seed}c" if isinstance(one, ClientPlay) else f"{one.seed}"
    return "\n".join(
        [
            f"seed {seed}: {one}",
            *(f"  {each}" for each in found),
            f"  again: CAMPAIGN_SEEDS={seed} make test-campaign",
            "  target: python -m sseload_users.demo " + shlex.join(one.target_options),
            f"  run: {shlex.join(SSELOAD[1:])} {shlex.join(arguments)} --host URL",
        ]
    )


def overlooked(one: Play, outcome: Outcome, truth_record: Record) -> list[str]:
    """Return which wrong figures in a report of an exact run would not be found."""
    found = []
    for part, figure in (
        ("connections", "succeeded"), ("connections", "dropped"), ("codes", "accepted"),
        ("deliveries", "delivered"), ("deliveries", "missing"), ("deliveries", "interrupted"),
        ("deliveries", "leaked"),
    ):  # fmt: skip
        for by in (-1, 1):
            wrong = copy.deepcopy(outcome.report)
            wrong[part][figure] += by
            if not differences(one, wrong, outcome.status, truth_record):
                found.append(f"{part}.{figure} could be wrong by {by}")
    good = copy.deepcopy(outcome.report)
    good["verdict"]["grade"] = "good"
    if not differences(one, good, 0, truth_record):
        found.append("the grade could be good")
    return found


def overlooked_of_clients(one: ClientPlay, outcome: Outcome, truth_record: Record) -> list[str]:
    """Return which wrong figures in a report of an exact run would not be found."""
    found = []
    for name, by in itertools.product(
        ("owed", "delivered", "recovered", "missing", "replayed", "leaked"), (-1, 1)
    ):
        wrong = copy.deepcopy(outcome.report)
        wrong["deliveries"][name] += by
        if not client_differences(one, wrong, outcome.status, truth_record):
            found.append(f"deliveries.{name} could be wrong by {by}")
    return found


def _awake(
    perform: Callable[[_Play, Path], tuple[Outcome, Record]], one: _Play, folder: Path
) -> tuple[Outcome, Record]:
    """Carry out a run; repeat it if the machine was too busy for its workers.

    Locust takes a worker for lost that is silent for three seconds.
    """
    for attempt in range(3):
        outcome, truth_record = perform(one, folder / str(attempt))
        if not any(" was lost " in each for each in outcome.report["run"]["notes"]):
            break
    return outcome, truth_record


def tried_clients(seed: int, folder: Path) -> str:
    """Return what is wrong with the run of a seed whose clients return or move."""
    one, folder = client_play(seed), folder / f"{seed}c"
    try:
        outcome, truth_record = _awake(perform_clients, one, folder)
        found = client_differences(one, outcome.report, outcome.status, truth_record)
        if not found and seed == CLIENT_EXACT:
            found = overlooked_of_clients(one, outcome, truth_record)
    except AssertionError as error:
        found = [f"the run or its report is broken: {error}"]
    return failure(one, one.arguments(folder), found) if found else ""


def tried(seed: int, folder: Path) -> str:
    """Return what is wrong with the run of a seed; empty if nothing is."""
    one = play(seed)
    try:
        outcome, truth_record = _awake(perform, one, folder / str(seed))
        found = differences(one, outcome.report, outcome.status, truth_record)
        if not found and seed == EXACT:
            found = overlooked(one, outcome, truth_record)
    except AssertionError as error:
        found = [f"the run or its report is broken: {error}"]
    return failure(one, one.arguments, found) if found else ""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Future[str]]]:
    """Start the runs of the sample."""
    folder = tmp_path_factory.mktemp("campaign")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {seed: pool.submit(tried, seed, folder) for seed in SAMPLE}


@pytest.mark.skipif(bool(SECONDS or SEEDS), reason="a campaign runs")
@pytest.mark.parametrize("seed", SAMPLE)
def test_a_report_says_what_the_record_says(sample: dict[int, Future[str]], seed: int) -> None:
    wrong = sample[seed].result()
    assert not wrong, wrong


@pytest.mark.dear
@pytest.mark.skipif(bool(SECONDS or SEEDS), reason="a campaign runs")
@pytest.mark.parametrize("seed", CLIENT_SAMPLE)
def test_clients_that_return_or_move_get_what_the_record_says(tmp_path: Path, seed: int) -> None:
    wrong = tried_clients(seed, tmp_path)
    assert not wrong, wrong


def _runs() -> Iterator[tuple[Callable[[int, Path], str], int]]:
    """Yield what carries each run out, and its seed; those of clients end with a c."""
    if SEEDS:
        for each in SEEDS.split(","):
            yield (tried_clients if each.endswith("c") else tried), int(each.rstrip("c"))
        return
    end = time.monotonic() + SECONDS
    draw = random.SystemRandom()
    while time.monotonic() < end:
        carry_out = tried_clients if draw.random() < CLIENT_SHARE else tried
        yield carry_out, draw.randrange(1, 1 << 30)


@pytest.mark.skipif(not (SECONDS or SEEDS), reason="make test-campaign runs it")
def test_campaign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    due, turn = _runs(), Lock()
    wrong: list[str] = []
    runs = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Each worker takes a new seed when its run is over, so that the time is kept.
        def work() -> None:
            nonlocal runs
            while True:
                with turn:
                    each = next(due, None)
                    runs += each is not None
                if each is None:
                    return
                carry_out, seed = each
                if found := carry_out(seed, tmp_path):
                    wrong.append(found)

        for each in [pool.submit(work) for _ in range(AT_ONCE)]:
            each.result()
    with capsys.disabled():
        print(f"\n{runs} runs, {len(wrong)} of them wrong")
    assert not wrong, "\n\n".join(wrong)
