"""Made-up runs: none without a shape gets a name, and each shape gets its own, and no other."""

from __future__ import annotations

import os
import random

import pytest

from tests.diagnosis.scripts import SHAPELESS, SHAPES
from tests.diagnosis.synthetic import Play

_CAMPAIGN = int(os.environ.get("DIAGNOSIS_SEEDS", "0"))
#: Runs without a shape, and seeds of each shape.
SHAPELESS_RUNS = max(200, 50 * _CAMPAIGN)
SEEDS = max(3, 4 * _CAMPAIGN)

pytestmark = pytest.mark.dear


def named(script_of, seed: int, workers: int) -> list[str]:  # type: ignore[no-untyped-def]
    findings = Play(script_of(random.Random(seed)), workers, seed).findings()
    return [each.pattern for each in findings]


@pytest.mark.parametrize("first", range(0, SHAPELESS_RUNS, 20))
def test_what_has_no_shape_gets_no_name(first: int) -> None:
    wrong = {}
    for seed in range(first, first + 20):
        script_of = SHAPELESS[seed % len(SHAPELESS)]
        if found := named(script_of, seed, 1 + seed % 3):
            wrong[seed, script_of.__name__] = found
    assert not wrong


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("pattern", SHAPES)
def test_each_shape_gets_its_name_and_no_other(pattern: str, workers: int) -> None:
    wrong = {}
    for seed in range(SEEDS):
        found = named(SHAPES[pattern], seed, workers)
        if found != [pattern]:
            wrong[seed] = found
    assert not wrong
