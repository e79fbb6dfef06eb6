"""Where runs over time changed: steps that were put in are found, and noise is not."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.report.intervals import Interval
from sseload_users.report.trend import steps


def runs(seed: int, factors: Sequence[float], noise: float, within: float = 0.02) -> list[Interval]:
    """Runs of a server that takes 5 ms times these factors, with log-normal noise between them."""
    random_ = random.Random(seed)
    values = [5 * each * math.exp(random_.gauss(0, noise)) for each in factors]
    return [Interval(each, each * (1 - within), each * (1 + within)) for each in values]


@pytest.mark.parametrize("noise", [0.03, 0.1, 0.3])
def test_noise_alone_is_hardly_ever_a_change(noise: float) -> None:
    found = [steps(runs(seed, [1] * 40, noise), more_is_better=False) for seed in range(200)]
    assert sum(any(each.confirmed for each in some) for some in found) <= 4
    # The newest run has no second one to confirm it.
    assert sum(bool(some) for some in found) <= 12


@pytest.mark.parametrize(("noise", "factor"), [(0.03, 1.3), (0.1, 2), (0.2, 4)])
def test_a_step_is_found_where_it_is(noise: float, factor: float) -> None:
    right = 0
    for seed in range(100):
        found = steps(runs(seed, [1] * 12 + [factor] * 6, noise), more_is_better=False)
        right += [(each.at, each.direction, each.confirmed) for each in found] == [
            (12, "worse", True)
        ]
    assert right >= 90


def test_a_step_back_is_a_change_for_the_better() -> None:
    found = steps(runs(1, [1] * 8 + [2] * 8 + [1] * 8, 0.03), more_is_better=False)
    assert [(each.at, each.direction) for each in found] == [(8, "worse"), (16, "better")]
    assert found[0].after == pytest.approx(10, rel=0.1)


def test_one_bad_run_is_an_accident_unless_it_is_the_newest() -> None:
    series = runs(1, [1] * 8 + [3] + [1] * 8, 0.03)
    assert steps(series, more_is_better=False) == []
    (newest,) = steps(series[:9], more_is_better=False)
    assert (newest.at, newest.confirmed, newest.direction) == (8, False, "worse")


def test_a_change_exceeds_the_noise_within_runs_and_the_tolerance() -> None:
    factors = [1, 1, 1, 1, 1.5, 1.5]
    assert steps(runs(1, factors, 0.0, within=0.5), more_is_better=False) == []
    narrow = runs(1, factors, 0.0, within=0.01)
    assert len(steps(narrow, more_is_better=False)) == 1
    assert steps(narrow, more_is_better=False, tolerance=60) == []


def test_a_few_runs_say_nothing_of_the_noise_between_them() -> None:
    assert steps(runs(1, [1, 1, 1, 3], 0.0), more_is_better=False) == []
    assert len(steps(runs(1, [1, 1, 1, 1, 3], 0.0), more_is_better=False)) == 1


def test_a_small_loss_after_many_complete_runs_is_a_change() -> None:
    whole = Interval(1.0, 0.9999, 1.0)
    lost = Interval(0.99, 0.985, 0.994)
    (found,) = steps([whole] * 6 + [lost] * 2, more_is_better=True, is_share=True)
    assert (found.at, found.direction, found.confirmed) == (6, "worse", True)


@given(st.lists(st.none() | st.floats(0.01, 1e6), max_size=30), st.booleans())
def test_any_series_has_steps_at_its_runs(values: list[float | None], better: bool) -> None:
    series = [None if each is None else Interval(each, 0.0, math.inf) for each in values]
    found = steps(series, more_is_better=better)
    assert [each.at for each in found] == sorted({each.at for each in found})
    assert all(series[each.at] is not None and each.at > 0 for each in found)
