"""The figures by which runs are compared over time, each with its noise within the run; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sseload_users.report import hdr, intervals
from sseload_users.report.comparison import percentile
from sseload_users.report.intervals import Interval
from sseload_users.report.model import Report

#: How a figure is written: a share of 1, or a number of milliseconds or connections.
Unit: TypeAlias = Literal["share", "ms", "count"]


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A figure that is followed over time.

    Attributes:
        name: as it is shown.
        unit: see `Unit`.
        more_is_better: whether a higher value is a better one.
    """

    name: str
    unit: Unit
    more_is_better: bool


#: By the names under which they are stored.
KEY_FIGURES = {
    "delivered": KeyFigure("delivered", "share", more_is_better=True),
    "connected": KeyFigure("connected", "share", more_is_better=True),
    "errors": KeyFigure("errors", "share", more_is_better=False),
    "p50_ms": KeyFigure("delivery p50", "ms", more_is_better=False),
    "p95_ms": KeyFigure("delivery p95", "ms", more_is_better=False),
    "p99_ms": KeyFigure("delivery p99", "ms", more_is_better=False),
    "connect_p95_ms": KeyFigure("connect p95", "ms", more_is_better=False),
    "capacity": KeyFigure("capacity", "count", more_is_better=True),
}


def key_figures(report: Report) -> dict[str, Interval]:
    """Return the figures of a run, those that it has, each with its confidence interval."""
    found: dict[str, Interval] = {}
    deliveries, connections, errors = report.deliveries, report.connections, report.errors
    if deliveries.owed:
        codes = [(code.received, code.owed) for code in report.per_code]
        effect = intervals.design_effect(codes)
        found["delivered"] = _share(deliveries.received, deliveries.owed, effect)
    if connections.attempted:
        found["connected"] = _share(connections.succeeded, connections.attempted)
    if errors.operations:
        found["errors"] = _share(errors.failed, errors.operations)
    histogram = hdr.histogram(report.delivery_ms)
    if histogram:
        for name, percent in (("p50_ms", 50.0), ("p95_ms", 95.0), ("p99_ms", 99.0)):
            found[name] = percentile(histogram, report.per_code, percent)
    if connections.connect_ms.p95 is not None:
        value = connections.connect_ms.p95
        # How much of its variation is noise, one run cannot tell.
        found["connect_p95_ms"] = Interval(value, 0.0, math.inf)
    if report.search is not None and report.search.largest is not None:
        value = float(report.search.largest)
        found["capacity"] = Interval(value, value, float(report.search.broke_at or value))
    return found


def _share(part: int, whole: int, effect: float = 1.0) -> Interval:
    return intervals.share_interval(min(1.0, part / whole), max(1.0, whole / effect))
