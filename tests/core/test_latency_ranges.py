"""Each latency of an interval is counted in the range that contains it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.histogram import CoarseHistogram
from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.report.timeline import timeline

_S = 1_000_000_000


def end(low: int) -> int:
    """Where a range ends, by the description in the report's schema."""
    if low < 2:
        return low + 1
    power = 1 << low.bit_length() - 1
    return 2 * power if low > power else power + power // 2


@given(st.lists(st.integers(0, 10**8), max_size=60))
def test_ranges_have_every_value(values: list[int]) -> None:
    histogram = CoarseHistogram()
    histogram.add_all(values)
    found = histogram.ranges()
    lows, counts = found[::2], found[1::2]
    assert list(lows) == sorted(set(lows))
    assert [sum(low <= each < end(low) for each in values) for low in lows] == list(counts)
    assert sum(counts) == len(values)


@given(st.lists(st.lists(st.integers(1, 10**7), max_size=20), min_size=1, max_size=4))
def test_the_timeline_has_the_latencies_of_all_workers_also_of_old_seconds(
    workers: list[list[int]],
) -> None:
    totals = Totals()
    for number, values in enumerate(workers):
        tally = Tally()
        second = tally.second(10 * _S)
        second.delivery.add_all(values)
        second.received = len(values)
        totals.add_report(str(number), WorkerReport(tally, {}, Gauges()))
    (before,) = timeline(10 * _S, totals)
    totals.fold(1000 * _S)
    (point,) = timeline(10 * _S, totals)
    assert point == before
    every = [each for values in workers for each in values]
    assert sum(point.latencies[1::2]) == len(every) == point.received
    if every:
        assert point.max_ms == max(every) / 1000
        assert 0 < (point.p50_ms or 0) <= (point.p90_ms or 0) <= (point.p95_ms or 0)
        assert (point.p95_ms or 0) <= (point.p99_ms or 0) <= point.max_ms
    else:
        assert (point.max_ms, point.latencies) == (None, [])
    assert totals.tally.seconds[10].delivery.total == 0
