"""Each worker's part and each region's: they add up to the whole, and are shown in few rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.code_tally import Outcomes
from sseload_users.core.counters import Counters
from sseload_users.core.totals import WorkerTotals
from sseload_users.core.worker_report import Gauges
from sseload_users.report import console
from sseload_users.report.workers import region_shares, worker_shares
from sseload_users.report.workers_table import MOST, WorkersTable
from tests.support.reports import sample

_ENDS = ("delivered", "late", "interrupted", "missing")


@st.composite
def workers(draw: st.DrawFn) -> list[WorkerTotals]:
    """Workers of a few regions, some of which never reported."""
    all_of_them = []
    for number in range(draw(st.integers(1, 6))):
        worker = WorkerTotals(f"worker {number} (host)", draw(st.sampled_from(["", "eu", "us"])))
        succeeded, failed = draw(st.integers(0, 50)), draw(st.integers(0, 50))
        worker.counters = Counters(succeeded + failed, succeeded, failed)
        ends = {name: draw(st.integers(0, 50)) for name in _ENDS}
        worker.outcomes = Outcomes(owed=sum(ends.values()), **ends)
        for latency in draw(st.lists(st.integers(0, 10_000_000), max_size=5)):
            worker.delivery.add(latency)
        worker.lost = draw(st.booleans())
        if draw(st.booleans()):
            worker.gauges = Gauges(clock_error_ns=draw(st.integers(0, 10**9)), rss_mib=50.0)
            worker.cpu_percent = draw(st.floats(0, 200))
            worker.waited_percent = draw(st.none() | st.floats(0, 100))
        all_of_them.append(worker)
    return all_of_them


@given(workers())
def test_regions_are_the_sums_of_their_workers(all_of_them: list[WorkerTotals]) -> None:
    rows, regions = worker_shares(all_of_them), region_shares(all_of_them)
    if not any(each.region for each in all_of_them):
        assert regions == []
        return
    assert [row.name for row in regions] == sorted({each.region for each in all_of_them})
    for region in regions:
        own = [row for row in rows if row.region == region.name]
        assert region.workers == len(own)
        assert region.lost == sum(row.lost for row in own)
        for name in ("attempted", "succeeded", "failed", "dropped", "owed", *_ENDS):
            assert getattr(region, name) == sum(getattr(row, name) for row in own)
        latencies = [row.delivery_ms for row in own]
        assert region.delivery_ms.count == sum(each.count for each in latencies)
        longest = [each.max for each in latencies if each.max is not None]
        assert region.delivery_ms.max == max(longest, default=None)
        for name in ("clock_error_ms", "cpu_percent", "waited_percent"):
            known = [getattr(row, name) for row in own if getattr(row, name) is not None]
            assert getattr(region, name) == max(known, default=None)


def test_a_single_worker_has_no_table() -> None:
    assert WorkersTable(sample()).rows == []
    assert WorkersTable(sample(regions=("eu",))).rows == []


def test_several_workers_are_shown_by_region_if_regions_are_named() -> None:
    assert [row.name for row in WorkersTable(sample(workers=2)).rows] == [
        "worker 1 (host)",
        "worker 2 (host)",
    ]
    named = WorkersTable(sample(workers=2, regions=("eu", "us")))
    assert [row.name for row in named.rows] == ["eu", "us"]


def test_of_many_workers_the_worst_are_shown() -> None:
    report = sample(200, workers=20)
    report.workers[17].delivered -= 3
    report.workers[17].missing = 3
    report.workers[19].lost = True
    shown = WorkersTable(report).rows
    assert len(shown) == MOST
    names = [row.name for row in shown]
    assert {"worker 18 (host)", "worker 20 (host)"} < set(names)
    assert names == sorted(names, key=lambda name: int(name.split()[1]))
    text = console.summary(report, 60)
    assert "12 further workers" in text
    assert "worker 20 (host) lost" in text


def test_unnamed_regions_are_labelled_and_long_names_shortened() -> None:
    report = sample(workers=2, regions=("", "a-region-with-a-name-that-no-table-has-room-for"))
    for width in (60, 80, 100):
        text = console.summary(report, width)
        assert "no region" in text
        assert "a-region-with-" in text
        assert max(map(len, text.splitlines())) <= width
