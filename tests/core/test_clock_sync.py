"""The difference between two clocks: whatever the network does, the truth is within the error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sseload_users.core import clock
from sseload_users.core.clock import host_id
from sseload_users.core.clock_steps import MIN_STEP_NS, ClockStepDetector
from sseload_users.core.clock_sync import NO_DIFFERENCE, ClockSync
from sseload_users.run.run_clock import RunClock

S, MS = 1_000_000_000, 1_000_000
START = 1_790_000_000 * S
#: What two clocks may drift apart by: 500 millionths.
DRIFT_PPM = 500


@dataclass(frozen=True)
class Truth:
    """The leader's clock, as a function of this one's."""

    ahead_ns: int
    drift_ppm: int

    def leader(self, here_ns: int) -> int:
        return here_ns + self.ahead_ns + (here_ns - START) * self.drift_ppm // 1_000_000


truths = st.builds(
    Truth,
    st.integers(-10 * 86_400 * S, 10 * 86_400 * S),
    st.integers(-DRIFT_PPM, DRIFT_PPM),
)
#: Questions: how long after the one before, and how long each way took.
ways = st.one_of(st.integers(0, 2 * MS), st.integers(0, 3 * S))
questions = st.lists(st.tuples(st.integers(0, 100 * S), ways, ways), min_size=1, max_size=100)


def asked(truth: Truth, asking: list[tuple[int, int, int]]) -> tuple[ClockSync, int]:
    """A synchronized clock, and the time of its last exchange."""
    clocks, now = ClockSync(), START
    for pause, there, back in asking:
        now += pause
        clocks.add_exchange(now, truth.leader(now + there), now + there + back)
        now += there + back
    return clocks, now


@given(truths, questions, st.integers(-200 * S, 200 * S))
# The answer was all the way back, and the clocks drifted on, the one way or the other.
@example(Truth(S, DRIFT_PPM), [(0, 0, 3 * S)], 0)
@example(Truth(S, -DRIFT_PPM), [(0, 3 * S, 0)], 0)
@example(Truth(-S, DRIFT_PPM), [(0, 0, 3 * S)], 100 * S)
def test_the_true_difference_is_within_the_error(
    truth: Truth, asking: list[tuple[int, int, int]], later: int
) -> None:
    clocks, now = asked(truth, asking)
    here = now + later
    difference = clocks.difference_at(here)
    # One nanosecond, since the truth itself is rounded.
    assert abs(truth.leader(here) - here - difference.ns) <= difference.error_ns + 1


@given(truths, questions, st.lists(st.integers(-20 * S, 20 * S), min_size=1, max_size=5))
def test_converted_times_are_within_the_stated_error(
    truth: Truth, asking: list[tuple[int, int, int]], moments: list[int]
) -> None:
    clocks, now = asked(truth, asking)
    for moment in moments:
        here = now + moment
        leader = truth.leader(here)
        assert abs(clocks.to_leader(here) - leader) <= clocks.error_ns + 1
        assert abs(clocks.to_here(leader) - here) <= clocks.error_ns + 2


@given(truths, questions)
def test_the_error_is_bounded_by_the_best_exchange(
    truth: Truth, asking: list[tuple[int, int, int]]
) -> None:
    clocks, now = asked(truth, asking)
    _, there, back = asking[-1]
    assert (
        clocks.difference_at(now).error_ns <= (there + back) // 2 + 2 + (there + back) * 500e-6 + 1
    )


@given(truths, questions, st.integers(-3600 * S, 3600 * S), st.integers(0, 10 * S))
def test_a_step_of_this_clock_keeps_the_exchanges(
    truth: Truth,
    before: list[tuple[int, int, int]],
    step: int,
    later: int,
) -> None:
    clocks, now = asked(truth, before)
    clocks.shift(step)
    here = now + step + later
    difference = clocks.difference_at(here)
    ahead = truth.leader(here - step) - here
    assert abs(ahead - difference.ns) <= difference.error_ns + 1


@given(truths, questions, st.integers(60 * MS, 3600 * S), st.booleans(), st.integers(0, 20 * MS))
def test_a_step_of_the_leaders_clock_is_followed_at_the_next_good_exchange(
    truth: Truth,
    asking: list[tuple[int, int, int]],
    step: int,
    back: bool,
    way: int,
) -> None:
    clocks, now = asked(truth, asking)
    # Only a step that cannot be an error of what was known is one for sure.
    assume(step > 2 * (clocks.difference_at(now + way).error_ns + way))
    stepped = Truth(truth.ahead_ns + (-step if back else step), truth.drift_ppm)
    clocks.add_exchange(now, stepped.leader(now + way), now + way)
    difference = clocks.difference_at(now + way)
    assert abs(stepped.leader(now + way) - now - way - difference.ns) <= difference.error_ns + 1


def test_a_reply_older_than_its_request_is_ignored() -> None:
    clocks = ClockSync()
    clocks.add_exchange(START + 5, START, START)
    assert not clocks.known
    with pytest.raises(LookupError):
        clocks.difference_at(START)


def test_on_one_host_there_is_no_difference_at_all() -> None:
    clocks = ClockSync()
    clocks.same = True
    assert clocks.known
    assert clocks.difference_at(START) == NO_DIFFERENCE
    assert clocks.to_leader(START) == clocks.to_here(START) == START
    assert clocks.error_ns == 0


@pytest.fixture
def right_again() -> Iterator[None]:
    yield
    clock.set_offset(0)


@pytest.mark.usefixtures("right_again")
@pytest.mark.parametrize("by_ns", [S, -3 * S, 20 * MS])
def test_a_clock_step_is_detected_once(by_ns: int) -> None:
    setting = ClockStepDetector()
    assert setting.step_ns() == 0
    clock.set_offset(by_ns)
    assert abs(setting.step_ns() - by_ns) < MIN_STEP_NS
    assert setting.step_ns() == 0


@pytest.mark.usefixtures("right_again")
def test_slewing_is_not_a_step() -> None:
    setting = ClockStepDetector()
    clock.set_offset(0, drift_ppm=500)
    time.sleep(0.3)
    assert setting.step_ns() == 0


@pytest.mark.usefixtures("right_again")
def test_exchanges_before_a_clock_step_remain_valid() -> None:
    time_ = RunClock(lambda _: None, same=False)
    now = clock.wall_ns()
    time_.clocks.add_exchange(now - 1000, now, now + 1000)
    clock.set_offset(2 * S)
    assert abs(time_.step_ns() - 2 * S) < MIN_STEP_NS
    later = clock.wall_ns()
    assert abs(time_.clocks.to_leader(later) - (later - 2 * S)) < MIN_STEP_NS


def test_a_clock_with_an_offset_has_a_host_id_of_its_own() -> None:
    try:
        assert host_id() == host_id()
        clock.set_offset(1)
        assert host_id() != host_id()
    finally:
        clock.set_offset(0)


def test_a_slow_exchange_does_not_displace_a_consistent_quick_one() -> None:
    clocks = ClockSync()
    ahead = 1_000_000_000
    clocks.add_exchange(0, ahead + 50, 100)
    # Ten milliseconds each way, and three of them off the middle.
    clocks.add_exchange(1_000_000, ahead + 14_000_000, 21_000_000)
    difference = clocks.difference_at(22_000_000)
    assert difference.error_ns < 20_000
    assert abs(difference.ns - ahead) <= difference.error_ns


def test_an_instant_exchange_still_has_a_rounding_error() -> None:
    clocks = ClockSync()
    clocks.add_exchange(5, 10, 5)
    assert clocks.difference_at(5).error_ns >= 1


def test_the_largest_conversion_error_is_kept() -> None:
    for put in (ClockSync.to_here, ClockSync.to_leader):
        clocks = ClockSync()
        clocks.add_exchange(0, 1000, 2000)
        put(clocks, 10_000_000_000)
        most = clocks.error_ns
        assert most >= 5_000_000
        put(clocks, 1000)
        assert clocks.error_ns == most
