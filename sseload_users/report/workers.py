"""Each worker's share of a run, and each region's; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from sseload_users.core.code_tally import Outcomes
from sseload_users.core.counters import Counters
from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.histogram import Histogram
from sseload_users.core.second import highest
from sseload_users.core.totals import WorkerTotals
from sseload_users.report.model import RegionShare, WorkerShare

_T = TypeVar("_T", WorkerShare, RegionShare)


def worker_shares(
    workers: Iterable[WorkerTotals],
    summarize: Callable[[Histogram], LatencySummary] = Histogram.summary,
) -> list[WorkerShare]:
    """Return each worker's share.

    Args:
        workers: their accounts.
        summarize: how a histogram is summed up.
    """
    return [
        _share(
            [each],
            partial(WorkerShare, name=each.name, region=each.region, lost=each.lost),
            summarize,
        )
        for each in workers
    ]


def region_shares(workers: Iterable[WorkerTotals]) -> list[RegionShare]:
    """Return each region's share, in the order of their names; none without named regions."""
    regions: dict[str, list[WorkerTotals]] = {}
    for each in workers:
        regions.setdefault(each.region, []).append(each)
    if not any(regions):
        return []
    return [
        _share(
            own,
            partial(RegionShare, name=name, workers=len(own), lost=sum(each.lost for each in own)),
            Histogram.summary,
        )
        for name, own in sorted(regions.items())
    ]


def _share(
    workers: Sequence[WorkerTotals],
    make: Callable[..., _T],
    summarize: Callable[[Histogram], LatencySummary],
) -> _T:
    counters, outcomes = Counters(), Outcomes()
    connect, delivery = Histogram(), Histogram()
    for each in workers:
        counters += each.counters
        outcomes.add(each.outcomes)
        connect.merge(each.connect)
        delivery.merge(each.delivery)
    gauges = [each.gauges for each in workers if each.gauges]
    return make(
        attempted=counters.attempted,
        succeeded=counters.succeeded,
        failed=counters.failed,
        dropped=counters.dropped,
        owed=outcomes.owed,
        delivered=outcomes.delivered,
        late=outcomes.late,
        recovered=outcomes.recovered,
        interrupted=outcomes.interrupted,
        missing=outcomes.missing,
        leaked=outcomes.leaked,
        connect_ms=summarize(connect),
        delivery_ms=summarize(delivery),
        clock_error_ms=(max(each.clock_error_ns for each in gauges) / 1e6 if gauges else None),
        cpu_percent=highest(each.cpu_percent for each in workers),
        waited_percent=highest(each.waited_percent for each in workers),
        rss_mib=round(sum(each.rss_mib for each in gauges), 1) if gauges else None,
    )
