"""The chart of reach shows what was measured, and nothing between it."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.histogram import Histogram
from sseload_users.core.percentile_history import KEPT_CODES
from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.report import charts
from sseload_users.report.build import per_code
from sseload_users.report.model import CodeReach, CodeRow
from sseload_users.report.reach import latest_reach
from tests.report.test_charts import code, path, plot, say
from tests.support.pages import classes, parse, words

_S = 1_000_000_000


def measured(seq: int, owed: int, arrivals_us: list[int]) -> tuple[CodeRow, CodeReach]:
    histogram = Histogram()
    histogram.add_all(arrivals_us)
    latency = histogram.summary()
    row = code(seq, owed, len(arrivals_us))
    row = replace(
        row, first_ms=latency.min, p50_ms=latency.p50, p95_ms=latency.p95, p99_ms=latency.p99,
        last_ms=latency.max,
    )  # fmt: skip
    return row, CodeReach(seq=seq, owed=owed, delivery_ms=latency)


def test_reach_rises_in_steps_where_codes_arrived() -> None:
    row, reach = measured(7, 4, [1000, 1000, 9000])
    figure = parse(charts.reach([row], [reach]))
    # From 0 to half of the owed at 1 ms, to three quarters at 9 ms; the axis ends at 10 ms.
    end, *stairs = path(figure, "s1")[1:]
    assert stairs == [(100.0, 170.0), (100.0, 85.0), (900.0, 85.0), (900.0, 42.5)]
    assert end == (1000.0, 42.5)
    assert not classes(plot(figure), "dot")
    assert "after 8.75 ms: code 7 50 %" in say(figure)
    assert say(figure)[-1] == "after 10.0 ms: code 7 75 %"


@given(st.lists(st.integers(100, 50_000), min_size=1, max_size=200), st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_hover_says_what_was_measured(arrivals_us: list[int], lost: int) -> None:
    owed = len(arrivals_us) + lost
    row, reach = measured(1, owed, arrivals_us)
    figure = parse(charts.reach([row], [reach]))
    for title in say(figure):
        found = re.fullmatch(r"after ([\d.,]+) ms: code 1 ([\d.]+) %", title)
        assert found is not None, title
        after_ms, said = (float(each.replace(",", "")) for each in found.groups())
        # The time is written to three digits, and latencies are kept to three.
        low, high = (
            sum(each <= after_ms * 1000 * near for each in arrivals_us) / owed * 100
            for near in (0.993, 1.007)
        )
        assert low - 0.1 <= said <= high + 0.1
    drawn = path(figure, "s1")
    assert drawn[-1][1] == round(170 * (1 - len(arrivals_us) / owed), 1)


def test_of_an_older_report_only_the_known_points_are_drawn() -> None:
    figure = parse(charts.reach([code(2, 100, 50, 1.0, 5.0, 8.0, 9.0, 10.0)], []))
    assert len(classes(plot(figure), "dot")) == 5
    # No line but the one after the last arrival.
    assert path(figure, "s1") == [(1000.0, 85.0), (1000.0, 85.0)]
    assert "Only the points were kept" in words(figure)
    assert say(figure)[-1] == "after 10.0 ms: code 2 at least 50 %"
    assert "after 4.75 ms: code 2 at least 1 %" in say(figure)


def test_nothing_delivered_is_a_line_at_0() -> None:
    figure = parse(charts.reach([code(1, 9, 0)], []))
    assert path(figure, "s1") == [(0.0, 170.0), (1000.0, 170.0)]
    assert "Code 1 reached 0 of 9 (0 %) sessions." in words(figure)
    assert say(figure)[-1].endswith("code 1 0 %")


def test_the_latest_owed_codes_keep_their_latencies_and_others_are_folded() -> None:
    totals = Totals()
    for sequence in range(1, 11):
        totals.announce(sequence, sequence * _S)
        totals.set_status(sequence, "accepted")
        tally = Tally()
        # Nobody is owed the last two.
        if sequence <= 8:
            counted = tally.code(sequence)
            counted.owed = counted.delivered = 3
            counted.latencies.add_all([1000 * sequence] * 3)
        totals.add_report("w", WorkerReport(tally, {}, Gauges()))
    totals.fold(1000 * _S)
    rows = list(per_code(totals))
    kept = latest_reach(rows, totals)
    assert [each.seq for each in kept] == [4, 5, 6, 7, 8]
    assert [(each.owed, each.delivery_ms.count) for each in kept] == [(3, 3)] * KEPT_CODES
    assert [row.p50_ms for row in rows[:8]] == [float(seq) for seq in range(1, 9)]
    assert totals.percentiles.histogram(3) is None
    # A later code takes the place of the oldest one.
    totals.announce(11, 2000 * _S)
    tally = Tally()
    tally.code(11).owed = 3
    totals.add_report("w", WorkerReport(tally, {}, Gauges()))
    totals.fold(3000 * _S)
    assert totals.percentiles.histogram(4) is None
    assert totals.percentiles.histogram(5) is not None
