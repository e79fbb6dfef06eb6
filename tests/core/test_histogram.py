from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import msgpack
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.histogram import MAX_US, CoarseHistogram, Histogram

# As latencies are: mostly alike, and a few from anywhere.
values_us = st.one_of(
    st.integers(0, 3000), st.integers(0, 10**6), st.integers(0, MAX_US), st.integers(1, 31).map(
        lambda bits: min(2**bits, MAX_US)
    ), st.integers(11, 31).map(lambda bits: min(2**bits - 1, MAX_US)),
)  # fmt: skip
many_values = st.lists(values_us, max_size=200)
any_integers = st.lists(st.integers(-(10**12), 10**15), max_size=50)
percents = st.sampled_from([0, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 100]) | st.integers(
    0, 100_000
).map(lambda thousandths: thousandths / 1000)


def of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.add_all(values)
    return histogram


def one_by_one(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def nearest_rank(values: list[int], percent: float) -> int:
    rank = math.ceil(Fraction(str(percent)) * len(values) / 100)
    return sorted(values)[max(rank, 1) - 1]


@settings(deadline=None)
@given(st.lists(values_us, min_size=1, max_size=200), percents)
def test_percentiles_are_nearest_rank_within_the_resolution(
    values: list[int], percent: float
) -> None:
    histogram = of(values)
    exact_us = nearest_rank(values, percent)
    found_ms = histogram.percentile_ms(percent)
    assert found_ms is not None
    # The highest value of the bucket, or the highest of all: never below, nor off by 0.1 %.
    assert exact_us <= found_ms * 1000 + 1e-6
    assert found_ms * 1000 <= exact_us * 1.001 + 1e-6
    assert found_ms <= max(values) / 1000
    if exact_us < 2048:
        assert found_ms == exact_us / 1000


@pytest.mark.parametrize(
    ("count", "percent", "rank"),
    [(14, 95, 14), (11, 90, 10), (160, 99, 159), (1000, 99.9, 999), (1001, 99.9, 1000),
     (1, 50, 1), (2, 50, 1), (3, 50, 2), (100, 99, 99), (101, 99, 100), (10, 100, 10),
     (10, 0, 1), (700, 0.1, 1), (1000, 0.3, 3)],
)  # fmt: skip
def test_ranks_are_rounded_up(count: int, percent: float, rank: int) -> None:
    assert of(list(range(1, count + 1))).percentile_ms(percent) == rank / 1000


@settings(deadline=None)
@given(many_values, st.lists(percents, max_size=8).map(sorted))
def test_several_percentiles_equal_single_ones(values: list[int], wanted: list[float]) -> None:
    histogram = of(values)
    assert histogram.percentiles_ms(wanted) == [histogram.percentile_ms(each) for each in wanted]
    if not values:
        assert histogram.percentiles_ms(wanted) == [None] * len(wanted)


@settings(deadline=None)
@given(any_integers | many_values)
def test_add_all_equals_repeated_add(values: list[int]) -> None:
    at_once, single, counted = of(values), one_by_one(values), Histogram()
    for value, count in Counter(values).items():
        counted.add(value, count)
        counted.add(value - 1, 0)
    all_counted = Histogram()
    all_counted.add_counted(Counter(values))
    assert at_once.pack() == single.pack() == counted.pack() == all_counted.pack()
    assert at_once.total == single.total == counted.total == all_counted.total == len(values)


@settings(deadline=None)
@given(any_integers)
def test_values_are_clamped_to_zero_and_an_hour(values: list[int]) -> None:
    histogram = of(values)
    clamped = [min(max(value, 0), MAX_US) for value in values]
    assert histogram.pack() == of(clamped).pack()
    assert histogram.total_us == sum(clamped)
    if values:
        assert (histogram.min_us, histogram.max_us) == (min(clamped), max(clamped))
        summary = histogram.summary()
        assert summary.min == min(clamped) / 1000
        assert summary.max == max(clamped) / 1000
        assert summary.mean == pytest.approx(sum(clamped) / len(values) / 1000, abs=1e-4)


@settings(deadline=None)
@given(st.lists(many_values, max_size=5), st.randoms(use_true_random=False))
def test_merging_in_any_order_counts_all_values(parts: list[list[int]], shuffle: Any) -> None:
    whole = of([value for part in parts for value in part])
    shuffle.shuffle(parts)
    merged = Histogram()
    for part in parts:
        before = of(part)
        travelled = msgpack.unpackb(msgpack.packb(before.pack()), strict_map_key=False)
        merged.merge(Histogram.unpack(travelled))
    assert merged.pack() == whole.pack()
    assert merged.total == whole.total
    assert merged.summary() == whole.summary()


def test_merging_shares_nothing() -> None:
    one, other = of([5]), of([7])
    one.merge(other)
    one.add(7)
    assert other.pack() == of([7]).pack()
    assert one.total == 3


@settings(deadline=None)
@given(many_values)
def test_the_encoded_histogram_decodes_to_the_same(values: list[int]) -> None:
    histogram = of(values)
    decoded = HdrHistogram.decode(histogram.encode())
    assert decoded.total_count == len(values)
    counts = {
        decoded.get_value_from_index(index): count
        for index, count in enumerate(decoded.counts)
        if count
    }
    assert counts == histogram.counts
    assert (decoded.lowest_trackable_value, decoded.highest_trackable_value) == (1, MAX_US)
    if not values:
        return
    for percent in (1, 25, 50, 90, 95, 99, 99.9, 100):
        # Its library for Python rounds the rank to the nearest: that may be one lower.
        theirs_us = decoded.get_value_at_percentile(percent)
        rounded = int(percent * len(values) / 100 + 0.5)
        ours_us = histogram.percentile_ms(percent)
        assert ours_us is not None
        if rounded == math.ceil(Fraction(str(percent)) * len(values) / 100):
            assert min(theirs_us, histogram.max_us) / 1000 == ours_us
        else:
            assert theirs_us / 1000 <= ours_us or theirs_us > histogram.max_us


@settings(deadline=None)
@given(values_us)
def test_buckets_are_those_of_the_library(value: int) -> None:
    hdr = HdrHistogram(1, MAX_US, 3)
    (bucket,) = of([value]).counts
    assert bucket == hdr.get_lowest_equivalent_value(value)
    assert bucket <= value
    assert value - bucket <= value / 1000
    found = of([value, MAX_US]).percentile_ms(50)
    assert found is not None
    assert round(found * 1000) == min(hdr.get_highest_equivalent_value(value), MAX_US)


def test_an_empty_histogram_has_no_figures() -> None:
    empty = Histogram()
    empty.add_all([])
    empty.merge(Histogram())
    summary = empty.summary()
    figures = asdict(summary)
    assert figures.pop("count") == 0
    assert set(figures.values()) == {None}
    assert empty.percentile_ms(50) is None
    assert Histogram.unpack(empty.pack()).summary().count == 0
    empty.merge(of([MAX_US]))
    assert (empty.min_us, empty.max_us) == (MAX_US, MAX_US)


def test_counts_add_up_beyond_32_bits() -> None:
    histogram = Histogram()
    histogram.add(1000, 5_000_000_000)
    histogram.merge(Histogram.unpack(histogram.pack()))
    assert histogram.summary().count == 10**10
    decoded = HdrHistogram.decode(histogram.encode())
    assert decoded.total_count == 10**10


def test_a_packed_histogram_begins_with_its_counts() -> None:
    with pytest.raises(TypeError, match="begins with its counts"):
        Histogram.unpack([[1], 1, 1, 1])


@settings(deadline=None)
@given(many_values, percents)
def test_a_coarse_histogram_is_within_one_percent(values: list[int], percent: float) -> None:
    coarse = CoarseHistogram()
    coarse.add_all(values)
    one_at_a_time = CoarseHistogram()
    for value in values:
        one_at_a_time.add(value)
    assert coarse.pack() == one_at_a_time.pack() == CoarseHistogram.unpack(coarse.pack()).pack()
    found_ms = coarse.percentile_ms(percent)
    if not values:
        assert found_ms is None
        return
    exact_us = nearest_rank(values, percent)
    assert found_ms is not None
    assert exact_us <= found_ms * 1000 + 1e-6
    assert found_ms * 1000 <= exact_us * 1.01 + 1e-6


def test_a_summary_has_the_percentiles_that_it_names() -> None:
    histogram = of(list(range(1, 2001)))
    summary = histogram.summary()
    found = (summary.p50, summary.p90, summary.p95, summary.p99, summary.p99_9)
    assert found == tuple(percent * 20 / 1000 for percent in (50, 90, 95, 99, 99.9))


def test_the_rank_is_exact_among_a_million() -> None:
    histogram = Histogram()
    histogram.add(1, 499_999)
    histogram.add(2, 500_001)
    assert histogram.percentiles_ms((49.999, 50)) == [0.001, 0.002]
