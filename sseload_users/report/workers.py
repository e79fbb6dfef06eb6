"""Each worker's part of a run, and each region's; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sseload_users.core.code_tally import Outcomes
from sseload_users.core.counters import Counters
from sseload_users.core.histogram import Histogram
from sseload_users.core.second import highest
from sseload_users.core.totals import WorkerTotals


def worker_rows(workers: Iterable[WorkerTotals]) -> list[dict[str, Any]]:
    """A row for each worker."""
    return [
        {"name": each.name, "region": each.region, "lost": each.lost, **_figures([each])}
        for each in workers
    ]


def region_rows(workers: Iterable[WorkerTotals]) -> list[dict[str, Any]]:
    """A row for each region, in the order of their names; none where no worker names one."""
    regions: dict[str, list[WorkerTotals]] = {}
    for each in workers:
        regions.setdefault(each.region, []).append(each)
    if not any(regions):
        return []
    return [
        {
            "name": name,
            "workers": len(own),
            "lost": sum(each.lost for each in own),
            **_figures(own),
        }
        for name, own in sorted(regions.items())
    ]


def _figures(workers: Sequence[WorkerTotals]) -> dict[str, Any]:
    counters, outcomes = Counters(), Outcomes()
    connect, delivery = Histogram(), Histogram()
    for each in workers:
        counters.merge(each.counters)
        outcomes.add(each.outcomes)
        connect.merge(each.connect)
        delivery.merge(each.delivery)
    gauges = [each.gauges for each in workers if each.gauges]
    return {
        "attempted": counters.attempted,
        "succeeded": counters.succeeded,
        "failed": counters.failed,
        "dropped": counters.dropped,
        "owed": outcomes.owed,
        "delivered": outcomes.delivered,
        "late": outcomes.late,
        "interrupted": outcomes.interrupted,
        "missing": outcomes.missing,
        "connect_ms": connect.latency(),
        "delivery_ms": delivery.latency(),
        "clock_error_ms": (max(each.clock_error_ns for each in gauges) / 1e6 if gauges else None),
        "cpu_percent": highest(each.cpu_percent for each in workers),
        "waited_percent": highest(each.waited_percent for each in workers),
        "rss_mib": round(sum(each.rss_mib for each in gauges), 1) if gauges else None,
    }
