from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.schedule import Schedule

counts = st.integers(1, 100_000)
seconds = st.floats(0, 10**6, allow_nan=False)


@settings(deadline=None)
@given(counts, seconds)
def test_codes_are_spread_evenly_with_an_interval_after_the_last(
    codes: int, duration: float
) -> None:
    schedule = Schedule.spread(codes, duration)
    assert schedule.offset_s(1) == 0
    assert schedule.offset_s(codes) == schedule.length_s <= duration
    after_the_last = duration - schedule.length_s
    assert math.isclose(after_the_last, duration / codes, abs_tol=1e-9 * max(duration, 1))


@settings(deadline=None)
@given(counts, st.floats(1e-6, 1000), st.integers(1, 100_000))
def test_offsets_do_not_drift(codes: int, interval: float, sequence: int) -> None:
    offset = Schedule(codes, interval).offset_s(sequence)
    assert math.isclose(offset, (sequence - 1) * interval, rel_tol=1e-15, abs_tol=0)


@settings(deadline=None)
@given(st.integers(0, 300), st.floats(0, 1000))
def test_each_code_is_due_once_and_in_order(codes: int, interval: float) -> None:
    schedule = Schedule(codes, interval)
    for _ in range(2):  # it can be gone through again
        due = list(schedule)
        assert [sequence for sequence, _ in due] == list(range(1, codes + 1))
        assert all(schedule.offset_s(sequence) == offset for sequence, offset in due)
        assert all(earlier <= later for (_, earlier), (_, later) in pairwise(due))
        assert schedule.length_s == (due[-1][1] if due else 0)


@given(counts, seconds, st.floats(-10, 10**6))
def test_a_schedule_within_a_duration_has_the_same_codes(
    codes: int, duration: float, most: float
) -> None:
    schedule = Schedule.spread(codes, duration)
    within = schedule.within(most)
    assert within.codes == codes
    assert within.length_s <= max(0.0, most)
    if codes * schedule.interval_s <= most:
        assert within == schedule
    else:
        assert within == Schedule.spread(codes, max(0.0, most))


def test_the_figures_of_a_plain_run() -> None:
    schedule = Schedule.spread(10, 60)
    assert schedule.interval_s == 6
    assert schedule.length_s == 54
    assert [offset for _, offset in schedule] == [6.0 * k for k in range(10)]


@pytest.mark.parametrize("duration", [0, 60])
def test_a_schedule_of_no_codes_is_empty(duration: float) -> None:
    schedule = Schedule.spread(0, duration)
    assert list(schedule) == []
    assert schedule.length_s == 0


def test_without_a_duration_codes_are_sent_back_to_back() -> None:
    assert list(Schedule.spread(3, 0)) == [(1, 0), (2, 0), (3, 0)]


@pytest.mark.parametrize(
    ("interval_s", "words"),
    [
        (0.0, "back to back"),
        (0.05, "20 a second"),
        (0.2, "one every 0.2 s"),
        (6, "one every 6.0 s"),
    ],
)
def test_the_rate_is_described(interval_s: float, words: str) -> None:
    assert Schedule(5, interval_s).describe_rate() == words
