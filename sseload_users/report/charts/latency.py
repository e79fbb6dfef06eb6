"""Draw the delivery latency over time: its percentiles, and how many deliveries took how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from sseload_users.core.formatting import count, ms, number, share
from sseload_users.core.histogram import RANGE_BITS
from sseload_users.report.charts import scale
from sseload_users.report.charts.bins import Bin
from sseload_users.report.charts.drawing import ChartTable, Key, figure
from sseload_users.report.charts.panel import Panel, Point
from sseload_users.report.charts.run_time import (
    X_NAME,
    Column,
    RunTime,
    clock,
    span,
    when,
)

#: From the highest to the lowest, so that the median is drawn above the others.
_STYLES = {"max": "s5", "p99": "s2", "p95": "s3", "p90": "s4", "p50": "s1"}
_NOTHING = "nothing arrived"
#: Upper ends of the shares that have one shade, and how opaque it is.
_SHADES = ((0.01, 0.2), (0.05, 0.4), (0.2, 0.6), (0.5, 0.8), (1.0, 1.0))


def latency(run: RunTime) -> Markup:
    """Draw the percentiles of the delivery latency in each interval, and its highest value.

    Args:
        run: its time.
    """
    parts = run.parts
    columns = _columns(run)
    received, p99 = [row.received for row in run.timeline], columns["p99"]
    slowest = max(
        ((row.p99_ms, row.t) for row in run.timeline if row.p99_ms is not None), default=None
    )
    known = [value for column in columns.values() for value in column if value]
    panel = Panel("ms", scale.latencies(known), run.x)
    for name, column in columns.items():
        run.draw(panel, column, _STYLES[name])
    names = list(reversed(columns))
    shown = [part for part in parts if part.span(p99) or run.names_of_moments(part)]
    return figure(
        "chart-latency",
        "Delivery latency over time",
        "Of what arrived in each interval; "
        f"p99 was {ms(slowest[0])} ms at most, at {clock(slowest[1])}."
        if slowest
        else "Nothing arrived.",
        run.marked([panel], "" if slowest else "Nothing was delivered."),
        ChartTable(
            ("time", *(f"{name}, ms" for name in names), "deliveries"),
            [
                (
                    when(part),
                    *(span(part, columns[name], ms) for name in names),
                    number(part.total(received)),
                )
                for part in shown
            ],
        ),
        x_name=X_NAME,
        keys=[*(Key(_STYLES[name], name) for name in names), *run.keys()],
        hits=run.hits(
            shown,
            lambda part: (
                ", ".join(f"{name} {span(part, columns[name], ms)} ms" for name in names)
                if part.span(p99)
                else _NOTHING
            ),
        ),
    )


def _columns(run: RunTime) -> dict[str, Column]:
    """Return the figures that are known; an older report has only two of them."""
    columns: dict[str, Column] = {
        name: [getattr(row, f"{name}_ms") for row in run.timeline] for name in _STYLES
    }
    return {
        name: column
        for name, column in columns.items()
        if name in ("p50", "p99") or any(value is not None for value in column)
    }


def heat(run: RunTime) -> Markup:
    """Draw how many deliveries of each interval took how long.

    Args:
        run: its time, with latencies in at least one interval.
    """
    columns = [(part, _ranges(run, part)) for part in run.parts]
    columns = [(part, found) for part, found in columns if found or run.names_of_moments(part)]
    lows = sorted({low for _, found in columns for low in found})
    y = scale.logarithmic(max(1, lows[0]) / 1000, _end(lows[-1]) / 1000)
    panel = Panel("ms", y, run.x)
    for shade, (most, opacity) in enumerate(_SHADES):
        least = _SHADES[shade - 1][0] if shade else 0.0
        panel.cells(_boxes(columns, least, most), "s1", opacity)
    by_start = {part.first: found for part, found in columns}
    return figure(
        "chart-heat",
        "Deliveries by latency over time",
        "Each column is an interval; the darker, the larger the share of its deliveries that took "
        "so long.",
        run.marked([panel], ""),
        ChartTable(
            ("time", "deliveries", "most of them took, ms", "share", "the slowest took, ms"),
            [
                (when(part), *(_row(found) if found else ("0", "-", "-", "-")))
                for part, found in columns
            ],
        ),
        x_name=X_NAME,
        keys=run.keys(),
        hits=run.hits([part for part, _ in columns], lambda part: _words(by_start[part.first])),
    )


def _ranges(run: RunTime, part: Bin) -> Mapping[int, int]:
    """Return how many latencies of a bin were in which range, by its lowest value in µs."""
    total: Counter[int] = Counter()
    for row in run.timeline[part.first : part.first + len(part.ends)]:
        total.update(dict(zip(row.latencies[::2], row.latencies[1::2], strict=False)))
    return total


def _boxes(
    columns: Sequence[tuple[Bin, Mapping[int, int]]], least: float, most: float
) -> Iterator[tuple[Point, Point]]:
    """Yield the cells that have a share of their column's deliveries between two bounds."""
    for part, found in columns:
        total = sum(found.values())
        for low, many in found.items():
            if least < many / total <= most:
                yield (part.start, low / 1000), (part.end, _end(low) / 1000)


def _end(low_us: int) -> int:
    """Return where a range ends."""
    return low_us + (1 << max(low_us.bit_length() - RANGE_BITS, 0))


def _range(low_us: int) -> str:
    return f"{ms(low_us / 1000)}-{ms(_end(low_us) / 1000)}"


def _most(found: Mapping[int, int]) -> int:
    return max(found, key=lambda low: (found[low], -low))


def _row(found: Mapping[int, int]) -> tuple[str, ...]:
    total, most = sum(found.values()), _most(found)
    return number(total), _range(most), share(found[most], total), _range(max(found))


def _words(found: Mapping[int, int]) -> str:
    if not found:
        return _NOTHING
    total, most = sum(found.values()), _most(found)
    return (
        f"{count(total, 'delivery', 'deliveries')}, {share(found[most], total)} of them in "
        f"{_range(most)} ms, the slowest in {_range(max(found))} ms"
    )
