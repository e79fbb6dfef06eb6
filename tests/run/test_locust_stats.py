"""Receipts entered in Locust's statistics in batches come out as single events would."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from locust.env import Environment
from locust.stats import RequestStats, StatsEntry

from sseload_users.run.locust_stats import NAME, ReceiptStats, fire
from sseload_users.run.stats_memory import drop_old

#: What happens: codes come with these latencies (µs), or so many failed for a reason, or a
#: request of another name is made; and so many seconds pass.
deeds = st.lists(
    st.one_of(
        st.tuples(
            st.just("delivered"),
            st.lists(st.integers(0, 70_000_000), max_size=8).map(sorted),
            st.integers(0, 2000),
        ),
        st.tuples(st.just("failed"), st.sampled_from(["missing", "late"]), st.integers(0, 5)),
        st.tuples(st.just("recovered"), st.integers(0, 5), st.just(0)),
        st.tuples(
            st.just("connected"), st.lists(st.integers(0, 70_000_000), max_size=8), st.just(0)
        ),
        st.tuples(st.just("other"), st.integers(0, 10_000_000), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.floats(0.01, 3), st.just(0)),
    ),
    max_size=12,
)


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.5

    def time(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    clock = Clock()
    with mock.patch.object(time, "time", clock.time):
        yield clock


def environment(clock: Clock, *, somebody_listens: bool) -> tuple[Environment, Counter[str]]:
    """Locust's, with its statistics as a run has them; and what somebody heard."""
    made = Environment(user_classes=[])
    made.create_local_runner()
    heard: Counter[str] = Counter()
    if somebody_listens:
        made.events.request.add_listener(lambda name, **_: heard.update([name]))
    return made, heard


def do(made: Environment, clock: Clock, what: list[tuple[str, Any, int]]) -> None:
    receipts = ReceiptStats(made, "WS")
    clock.now = 1_795_000_000.5
    for kind, first, second in what:
        match kind:
            case "delivered":
                receipts.delivered(first, second)
            case "failed":
                receipts.failed(first, second)
            case "recovered":
                receipts.recovered(first)
            case "connected":
                for each in first:
                    receipts.connected(each)
                receipts.enter_connects()
            case "other":
                for _ in range(second):
                    fire(made, "WS", "connect", first / 1000)
            case "wait":
                clock.now += first


def fields_of(entry: StatsEntry) -> dict[str, Any]:
    """All that an entry has counted."""
    aside = ("stats", "start_time", "total_response_time")
    found = {name: value for name, value in vars(entry).items() if name not in aside}
    if found["response_times_cache"] is not None:
        found["response_times_cache"] = {
            moment: (dict(cached.response_times), cached.num_requests)
            for moment, cached in found["response_times_cache"].items()
        }
    return found


def times_of(stats: RequestStats) -> list[float]:
    """The sums of times: of floats in another order, their last digits may differ."""
    entries = (stats.total, *(stats.entries[key] for key in sorted(stats.entries)))
    return [entry.total_response_time for entry in entries]


def everything(stats: RequestStats) -> dict[str, Any]:
    """All of Locust's table, but for sums of times."""
    return {
        "total": fields_of(stats.total),
        "entries": {key: fields_of(entry) for key, entry in stats.entries.items()},
        "errors": {
            (error.method, error.name, error.parse_error(error.error)): error.occurrences
            for error in stats.errors.values()
        },
        "percentiles": [stats.total.get_response_time_percentile(p) for p in (0.5, 0.95, 0.99)],
        "recent": stats.total.get_current_response_time_percentile(0.95),
    }


@given(deeds)
@settings(max_examples=60, deadline=None)
def test_a_batch_leaves_what_its_events_would(
    clock: Clock, what: list[tuple[str, Any, int]]
) -> None:
    alone, _ = environment(clock, somebody_listens=False)
    listened_to, heard = environment(clock, somebody_listens=True)
    do(alone, clock, what)
    do(listened_to, clock, what)
    batches, events = everything(alone.stats), everything(listened_to.stats)
    assert batches == events
    assert times_of(alone.stats) == pytest.approx(times_of(listened_to.stats), rel=1e-9)
    # And the events are indeed one for each.
    numbers: dict[str, Callable[[Any, int], int]] = {
        "delivered": lambda codes, _: len(codes),
        "failed": lambda _, many: many,
        "recovered": lambda many, _: many,
    }
    codes = [numbers[kind](*rest) for kind, *rest in what if kind in numbers]
    assert heard[NAME] == sum(codes) == alone.stats.entries[NAME, "WS"].num_requests


def test_a_batch_is_no_event(clock: Clock) -> None:
    made, _ = environment(clock, somebody_listens=False)
    with mock.patch.object(made.events.request, "fire") as fired:
        ReceiptStats(made, "WS").delivered([1000, 2000], 80)
        ReceiptStats(made, "WS").failed("missing", 3)
    fired.assert_not_called()
    entry = made.stats.entries[NAME, "WS"]
    assert (entry.num_requests, entry.num_failures, entry.num_none_requests) == (5, 3, 3)
    assert (entry.min_response_time, entry.max_response_time) == (1.0, 2.0)
    assert entry.total_content_length == 160


def test_a_batch_of_nothing_leaves_nothing(clock: Clock) -> None:
    made, _ = environment(clock, somebody_listens=False)
    ReceiptStats(made, "WS").delivered([], 80)
    ReceiptStats(made, "WS").failed("missing", 0)
    assert not made.stats.entries
    assert made.stats.total.num_requests == 0


def test_old_seconds_are_dropped_and_no_figure_changes(clock: Clock) -> None:
    made, _ = environment(clock, somebody_listens=False)
    receipts = ReceiptStats(made, "WS")
    for _ in range(1000):
        clock.now += 1
        receipts.delivered([1000, 2000], 100)
        receipts.failed("missing", 1)
        made.stats.history.append({"time": clock.now})
    before = everything(made.stats)
    rates = made.stats.total.current_rps, made.stats.total.current_fail_per_sec
    drop_old(made.stats, keep_history=True)
    assert len(made.stats.history) == 1000
    drop_old(made.stats, keep_history=False)
    assert made.stats.history[-1]["time"] == clock.now
    assert len(made.stats.history) < 1000
    for entry in (made.stats.total, *made.stats.entries.values()):
        assert 100 < len(entry.num_reqs_per_sec) < 400
        assert 100 < len(entry.num_fail_per_sec) < 400
        entry.num_reqs_per_sec[1] += 0  # as Locust counts
    assert (made.stats.total.current_rps, made.stats.total.current_fail_per_sec) == rates
    assert rates == (3.0, 1.0)
    after = everything(made.stats)
    for state in (before, after):
        for entry_state in (state["total"], *state["entries"].values()):
            del entry_state["num_reqs_per_sec"], entry_state["num_fail_per_sec"]
    assert after == before
