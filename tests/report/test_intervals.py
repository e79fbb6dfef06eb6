from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.histogram import Histogram
from sseload_users.report.intervals import (
    Interval,
    design_effect,
    difference,
    percentile_interval,
    ratio,
    share_interval,
)


def test_a_share_has_the_wilson_interval() -> None:
    value, low, high = share_interval(81 / 263, 263)
    assert low < value < high
    # Its ends are the shares from which what was measured is just z standard errors away.
    for end in (low, high):
        assert abs(value - end) == pytest.approx(2.5758293 * (end * (1 - end) / 263) ** 0.5)
    assert share_interval(1.0, 100) == pytest.approx((1, 100 / (100 + 2.5758293**2), 1))
    assert share_interval(0.0, 100).low == 0


def test_a_difference_of_shares_has_the_newcombe_interval() -> None:
    # 48 of 80 and 56 of 70 with Wilson's intervals for 95 %: Newcombe (1998), table II (a).
    changed = difference(Interval(0.6, 0.4905, 0.7004), Interval(0.8, 0.6918, 0.8773))
    assert changed == pytest.approx((0.2, 0.0524, 0.3339), abs=2e-3)


def test_fewer_codes_widen_the_interval() -> None:
    widths = [
        (interval := share_interval(0.5, 100, codes)).high - interval.low
        for codes in (2, 5, 10, 30, 1000, None)
    ]
    assert widths == sorted(widths, reverse=True)
    # Student's t for 9 degrees of freedom is 3.250, by any table.
    z2 = 3.2498**2
    assert share_interval(1.0, 50, 10).low == pytest.approx(50 / (50 + z2), rel=1e-3)


def test_a_code_lost_to_everybody_counts_as_one_event() -> None:
    assert design_effect([(50, 100)] * 10) == 1.0
    assert design_effect([(100, 100)] * 9 + [(0, 100)]) == pytest.approx(111, rel=0.01)
    assert design_effect([(100, 100)] * 10) == 1.0
    assert design_effect([(70, 100)]) == 100.0
    assert design_effect([]) == 1.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30))
def test_a_design_effect_is_never_below_one(pairs: list[tuple[int, int]]) -> None:
    clusters = [(min(pair), max(pair)) for pair in pairs]
    assert 1 <= design_effect(clusters) <= max(1, sum(whole for _, whole in clusters)) * 2


@given(
    st.dictionaries(st.integers(1, 10**7), st.integers(1, 50), min_size=1, max_size=50),
    st.floats(1, 99.9),
    st.floats(1, 1e5),
    st.integers(1, 1000),
)
@settings(max_examples=60)
def test_a_percentile_is_within_its_interval(
    counts: dict[int, int], percent: float, observations: float, codes: int
) -> None:
    histogram = Histogram()
    for value_us, many in counts.items():
        histogram.add(value_us, many)
    value, low, high = percentile_interval(histogram, percent, observations, codes)
    assert low <= value <= high
    assert value == histogram.percentile_ms(percent)


def test_a_high_percentile_of_few_values_has_no_upper_bound() -> None:
    histogram = Histogram()
    histogram.add_all(range(1, 10_001))
    assert percentile_interval(histogram, 99.9, 100, 50).high == math.inf
    assert percentile_interval(histogram, 99, 10_000, 50).high < math.inf
    assert percentile_interval(histogram, 50, 2, 50)[1:] == (0.0, math.inf)


def test_a_ratio_of_values_is_independent_of_their_bounds() -> None:
    doubled = ratio(Interval(2.0, 1.8, 2.2), Interval(4.0, 3.6, 4.4))
    assert doubled.value == pytest.approx(1.0)
    assert doubled.low == pytest.approx(0.73, abs=0.01)
    assert ratio(Interval(2.0, 0.0, 3.0), Interval(4.0, 1.0, math.inf)).high == math.inf
    assert ratio(Interval(2.0, 0.0, math.inf), Interval(4.0, 1.0, 5.0)).low == -1
    nothing = ratio(Interval(0.0, 0.0, 0.0), Interval(0.0, 0.0, 0.0))
    assert nothing.value == 0


def test_intervals_have_their_nominal_coverage() -> None:
    random_ = random.Random(5)
    held = 0
    for _ in range(400):
        histogram = Histogram()
        histogram.add_all(int(random_.expovariate(1) * 10_000) for _ in range(300))
        interval = percentile_interval(histogram, 90, 300, 10_000)
        held += interval.low <= 10 * math.log(10) <= interval.high
    # 99 % of 400; less than 388 happens once in thousands of times.
    assert held >= 388
