"""Draw latencies as a whole: their distribution, and their change between two runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.formatting import ms, number
from sseload_users.report import hdr
from sseload_users.report.charts import scale
from sseload_users.report.charts.drawing import ChartTable, Hit, Key, figure
from sseload_users.report.charts.palette import SERIES
from sseload_users.report.charts.panel import Panel

_POINTS = 200
_HITS = 50
_MOST_NINES = 6.0
_TICKS = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
_LABELS = {50.0: "p50", 99.0: "p99", 99.9: "p99.9"}
_TABLE = (0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0)


def distribution(latencies: Mapping[str, LatencySummary]) -> Markup:
    """Draw which share was how fast, the slowest ones spread out.

    Args:
        latencies: summaries as in the report, by name.

    Raises:
        ValueError: a histogram cannot be read.
    """
    counts = {name: latency.count for name, latency in latencies.items() if latency.count}
    # The axis ends where there are too few values to distinguish percentiles.
    nines = max((math.log10(many) for many in counts.values()), default=0.0)
    end = min(max(1.0, nines + 1e-9), _MOST_NINES)
    x = scale.Scale(
        0.0, end, tuple((_nines(each), f"{each:g} %") for each in _TICKS if _nines(each) <= end)
    )
    measured = {name: _measured(latencies[name], end) for name in counts}
    styles = dict(zip(measured, SERIES, strict=False))
    panel = _curves(measured, styles, x)
    about = [
        f"half within {ms(values[50.0])} ms, 99 % within {ms(values[99.0])} ms, "
        f"all within {ms(values[100.0])} ms"
        for values in measured.values()
    ]
    if len(measured) > 1:
        about = [f"{name}: {each}" for name, each in zip(measured, about, strict=True)]
    return figure(
        "chart-distribution",
        "Distribution of the delivery latency",
        f"{_capital('; '.join(about))}." if about else "Nothing was measured.",
        [panel],
        ChartTable(
            ("share", *(f"{name}, ms" for name in measured)),
            [
                (f"{each:g} %", *(ms(values[each]) for values in measured.values()))
                for each in _TABLE
            ]
            + [("values", *(number(many) for many in counts.values()))],
        ),
        x_name="share that was at least so fast",
        keys=[Key(style, name) for name, style in styles.items()] if len(measured) > 1 else (),
        hits=(
            Hit(
                end * (index - 1) / _HITS,
                end * index / _HITS,
                f"{(percent := _percent(end, index, _HITS)):.6g} % within "
                + ", ".join(
                    f"{ms(values[percent])} ms ({name})" for name, values in measured.items()
                ),
            )
            for index in range(1, _HITS + 1)
            if measured
        ),
    )


def _curves(
    measured: Mapping[str, Mapping[float, float]], styles: Mapping[str, str], x: scale.Scale
) -> Panel:
    """Return the panel of some distributions, each the values by percentile."""
    y = scale.latencies(value for each in measured.values() for value in each.values())
    panel, end = Panel("ms", y, x), x.high
    for name, values in measured.items():
        panel.line(
            [
                (end * index / _POINTS, values[_percent(end, index, _POINTS)])
                for index in range(_POINTS + 1)
            ],
            styles[name],
        )
        for percent in _TICKS:
            if _nines(percent) <= end:
                label = _LABELS.get(percent, "") if len(measured) == 1 else ""
                label = f"{label} {ms(values[percent])} ms" if label else ""
                panel.dot((_nines(percent), values[percent]), styles[name], label=label)
    if not measured:
        panel.nothing("Nothing was measured.")
    return panel


def _measured(latency: LatencySummary, nines: float) -> dict[float, float]:
    """Return the values at all percentiles that are drawn or written, in milliseconds."""
    histogram = hdr.histogram(latency)
    percents = sorted(
        {
            *_TICKS,
            *_TABLE,
            *(_percent(nines, index, _POINTS) for index in range(_POINTS + 1)),
            *(_percent(nines, index, _HITS) for index in range(_HITS + 1)),
        }
    )
    found = histogram.percentiles_ms(percents) if histogram else [None] * len(percents)
    return {percent: value or 0.0 for percent, value in zip(percents, found, strict=True)}


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _nines(percent: float) -> float:
    """Return the position of a percentile: 90 at 1, 99 at 2, 99.9 at 3."""
    return -math.log10(1 - percent / 100)


def _percent(nines: float, index: int, steps: int) -> float:
    """Return the percentile at a step of the axis; the last one is the highest value."""
    return 100.0 if index == steps else 100 * (1 - 10 ** -(nines * index / steps))


class Change(NamedTuple):
    """The change of a latency from one run to another, in per cent.

    Attributes:
        name: of the latency.
        change: the change itself.
        low: the lower end of the interval that it lies in.
        high: the upper end; infinite where nothing bounds it.
        style: the name of its colour.
    """

    name: str
    change: float
    low: float
    high: float
    style: str


def changes(rows: Sequence[Change]) -> Markup:
    """Draw the changes of latencies, each with its confidence interval.

    Args:
        rows: from top to bottom.
    """
    many = max(1, len(rows))
    furthest = scale.linear(
        (abs(each) for row in rows for each in row[1:4] if math.isfinite(each)), least=10.0
    )
    # No latency falls by more than itself.
    lowest = max(-furthest.high, -100.0)
    sides = [value for value, _ in furthest.ticks[1:]]
    x = scale.Scale(
        lowest,
        furthest.high,
        tuple(
            (value, f"{value:+g} %" if value else "0")
            for value in (*(-side for side in reversed(sides)), 0.0, *sides)
            if value >= lowest
        ),
    )
    places = [(many - index - 0.5, row) for index, row in enumerate(rows)]
    y = scale.Scale(0.0, float(many), tuple((at, row.name) for at, row in places))
    panel = Panel("B against A", y, x, height=34 * many)
    panel.across(0.0, "base")
    for at, row in places:
        panel.line([(row.low, at), (row.high, at)], row.style)
        panel.dot((row.change, at), row.style, 4.5)
    if not rows:
        panel.nothing("One of the runs measured no delivery.")
    return figure(
        "chart-changes",
        "Change of the delivery latency",
        "Dots are what was measured, lines are where the truth lies; "
        "one that crosses 0 may be noise.",
        [panel],
        ChartTable(
            ("latency", "change", "from", "to"),
            [(row.name, *(_signed(each) for each in row[1:4])) for row in rows],
        ),
        x_name="slower to the right",
    )


def _signed(percent: float) -> str:
    return f"{percent:+.1f} %" if math.isfinite(percent) else "no bound"
