"""Planted faults are named, and what has no shape is not.

`make test` has a few of them. `make test-diagnosis` runs each with several seeds, on one process
and on three, and prints the precision and the recall of each pattern.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jsonschema import ValidationError

from tests.diagnosis.planting import Named, perform
from tests.diagnosis.plants import PLANTS
from tests.diagnosis.results import Results

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: Seeds of each plant in a campaign; 0 for the sample.
SEEDS = int(os.environ.get("DIAGNOSIS_SEEDS", "0"))
#: The numbers of processes.
PROCESSES = tuple(map(int, os.environ.get("DIAGNOSIS_PROCESSES", "1,3").split(",")))
#: Only plants in whose name this regular expression is found.
ONLY = os.environ.get("DIAGNOSIS_ONLY", "")
#: How many runs at a time.
JOBS = int(os.environ.get("DIAGNOSIS_JOBS", "2"))
#: A file for the results, from which a campaign continues; empty for none.
RESULTS = os.environ.get("DIAGNOSIS_RESULTS", "")
#: The sample of `make test`: a plant, and the number of processes.
SAMPLE = (("idle timeout", 1), ("confirmed early, churn", 3))


@pytest.mark.skipif(bool(SEEDS), reason="a campaign runs")
@pytest.mark.parametrize(("name", "processes"), SAMPLE)
def test_a_plant_gets_its_name_and_no_other(name: str, processes: int, tmp_path: Path) -> None:
    (plant,) = (each for each in PLANTS if each.name == name)
    named = perform(plant, 1, processes, tmp_path)
    if not named.judged:
        pytest.skip("the machine is too busy")
    assert not named.missed, named
    assert not named.wrong, named


def score(runs: list[Named]) -> Iterator[str]:
    """Yield a line for each pattern, with its precision and recall, of runs that are judged."""
    planted = Counter(each.plant.pattern for each in runs if each.plant.pattern)
    missed = Counter(each.plant.pattern for each in runs if each.missed)
    wrong = Counter(pattern for each in runs for pattern in each.wrong)
    yield f"{'pattern':24} {'planted':>7} {'found':>7} {'wrong':>7} {'precision':>9} {'recall':>7}"
    for pattern in sorted({*planted, *wrong}):
        found = planted[pattern] - missed[pattern]
        named = found + wrong[pattern]
        precision = f"{found / named:.3f}" if named else "-"
        recall = f"{found / planted[pattern]:.3f}" if planted[pattern] else "-"
        yield (
            f"{pattern:24} {planted[pattern]:7} {found:7} {wrong[pattern]:7} "
            f"{precision:>9} {recall:>7}"
        )
    without = [each for each in runs if not each.plant.pattern]
    yield f"without a pattern: {sum(bool(each.wrong) for each in without)} of {len(without)} named"


def summary(runs: list[Named]) -> Iterator[str]:
    """Yield the lines that a campaign prints at its end: its scores by number of processes."""
    for processes in PROCESSES:
        own = [each for each in runs if each.processes == processes]
        judged = [each for each in own if each.judged]
        yield f"\n{processes} processes: {len(judged)} runs judged"
        yield from score(judged)
        yield f"{len(own) - len(judged)} of {len(own)} runs not judged: the machine was too busy"


@pytest.mark.skipif(not SEEDS, reason="make test-diagnosis runs it")
def test_campaign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [
        (plant, seed, processes)
        for seed in range(1, SEEDS + 1)
        for plant in PLANTS
        for processes in PROCESSES
        if re.search(ONLY, plant.name)
    ]
    results = Results(Path(RESULTS) if RESULTS else None)
    turn = threading.Lock()

    def tried(at: int) -> Named | str:
        plant, seed, processes = jobs[at]
        named, began_s = results.find(plant, seed, processes), time.monotonic()
        if named is None:
            try:
                named = perform(plant, seed, processes, tmp_path / str(at))
            except (AssertionError, ValidationError) as error:
                said = str(error).splitlines()[0] if str(error) else "a check of the report fails"
                return f"{plant.name}, seed {seed}, {processes} processes: broken: {said}"
            results.add(named, time.monotonic() - began_s)
            if not named.missed and not named.wrong:
                # Thousands of reports take much room.
                shutil.rmtree(tmp_path / str(at))
        if named.missed or named.wrong:
            with turn, capsys.disabled():
                print(f"\n{named}", end="", flush=True)
        return named

    with ThreadPoolExecutor(JOBS) as pool:
        outcomes = list(pool.map(tried, range(len(jobs))))
    broken = [each for each in outcomes if isinstance(each, str)]
    runs = [each for each in outcomes if isinstance(each, Named)]
    judged = [each for each in runs if each.judged]
    with capsys.disabled():
        print("\n".join(["", *summary(runs)]))
    assert judged, "no run could be judged"
    assert not broken, "\n".join(broken)
    failed = [str(each) for each in judged if each.missed or each.wrong]
    assert not failed, "\n".join(failed)
