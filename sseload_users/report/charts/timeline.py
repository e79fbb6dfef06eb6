"""Draw the run over time: connections, codes, latencies, and the generator's condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import TypeAlias

from markupsafe import Markup

from sseload_users.core.formatting import count, ms, number
from sseload_users.report.charts import scale
from sseload_users.report.charts.bins import Bin, bins
from sseload_users.report.charts.drawing import ChartTable, Hit, Key, Panel, Point, figure
from sseload_users.report.model import Phase, TimelinePoint

Timeline: TypeAlias = Sequence[TimelinePoint]

#: A figure, or None, for each interval of the timeline.
Column: TypeAlias = Sequence[float | None]

#: The name of the horizontal axis.
X_NAME = "time since the run began"
_DOTS_UP_TO = 80  # beyond that, dots would be a second line
_PHASES_UP_TO = 12  # beyond that, as in a run of many steps, only when codes were sent


def connections(timeline: Timeline, phases: Sequence[Phase] = ()) -> Markup:
    """Draw how many connections were open, connecting and dropped, and the failed operations.

    Args:
        timeline: as in the report.
        phases: as in the report; their bounds are marked.
    """
    parts = bins_of(timeline)
    x = x_axis(timeline)
    opens, connecting = [row.open for row in timeline], [row.connecting for row in timeline]
    dropped, errors = [row.dropped for row in timeline], [row.errors for row in timeline]
    opened = Panel("connections", scale.linear([*opens, *connecting], whole=True), x)
    opened.line(_points(parts, connecting), "s2")
    opened.line(_points(parts, opens), "s1")
    opened.area(_points(parts, opens), "s1")
    panels, keys = [opened], [Key("s1", "open"), Key("s2", "connecting")]
    drops, failures = sum(dropped), sum(errors)
    if drops:
        panels.append(_bars(parts, dropped, "dropped sessions", "interrupted", x=x, height=60))
        keys.append(Key("interrupted", "dropped", "bar"))
    if failures:
        panels.append(_bars(parts, errors, "failed operations", "missing", x=x, height=60))
        keys.append(Key("missing", "failed, drops included" if drops else "failed", "bar"))
    about = (
        f"{count(max(opens, default=0), 'connection')} open at most, "
        f"{number(drops) if drops else 'none'} dropped; "
        f"{count(failures, 'operation') if failures else 'no operation'} failed."
    )
    return figure(
        "chart-connections",
        "Connections",
        about,
        marked(panels, phases, "No time has passed yet." if not parts else ""),
        ChartTable(
            ("time", "open", "connecting", "dropped", "failed operations"),
            [
                (
                    when(part),
                    span(part, opens, _integer),
                    span(part, connecting, _integer),
                    number(part.total(dropped)),
                    number(part.total(errors)),
                )
                for part in parts
            ],
        ),
        x_name=X_NAME,
        keys=keys,
        hits=(
            Hit(
                part.start,
                part.end,
                f"{when(part)}: {span(part, opens, _integer)} open, "
                f"{span(part, connecting, _integer)} connecting, "
                f"{number(part.total(dropped))} dropped, {number(part.total(errors))} failed",
            )
            for part in parts
        ),
    )


def traffic(timeline: Timeline, phases: Sequence[Phase] = ()) -> Markup:
    """Draw how many codes were sent, and how many deliveries arrived.

    Args:
        timeline: as in the report.
        phases: as in the report; their bounds are marked.
    """
    parts = bins_of(timeline)
    x = x_axis(timeline)
    each = f" each {_length(parts)}" if parts else ""
    sent, received = [row.sent for row in timeline], [row.received for row in timeline]
    panels = [
        _bars(parts, received, f"deliveries{each}", "s1", x=x, height=130),
        _bars(parts, sent, f"codes sent{each}", "s2", x=x, height=60),
    ]
    return figure(
        "chart-traffic",
        "Codes and deliveries",
        f"{count(sum(sent), 'code')} sent, "
        f"{count(sum(received), 'delivery', 'deliveries')} received.",
        marked(panels, phases, "" if any(received) or any(sent) else "Nothing was sent yet."),
        ChartTable(
            ("time", "codes sent", "deliveries"),
            [
                (when(part), number(part.total(sent)), number(part.total(received)))
                for part in parts
            ],
        ),
        x_name=X_NAME,
        hits=(
            Hit(
                part.start,
                part.end,
                f"{when(part)}: {count(part.total(sent), 'code')} sent, "
                f"{count(part.total(received), 'delivery', 'deliveries')} received",
            )
            for part in parts
        ),
    )


def latency(timeline: Timeline, phases: Sequence[Phase] = ()) -> Markup:
    """Draw the delivery latency: the median and the 99th percentile of each interval.

    Args:
        timeline: as in the report.
        phases: as in the report; their bounds are marked.
    """
    parts = bins_of(timeline)
    p50, p99 = [row.p50_ms for row in timeline], [row.p99_ms for row in timeline]
    received = [row.received for row in timeline]
    slowest = max(((row.p99_ms, row.t) for row in timeline if row.p99_ms is not None), default=None)
    panel = Panel("ms", scale.latencies(filter(None, (*p50, *p99))), x_axis(timeline))
    for column, style in ((p99, "s2"), (p50, "s1")):
        broken_line(panel, _points(parts, column), style)
    about = (
        "Median and 99th percentile of what arrived in each interval; "
        f"p99 was {ms(slowest[0])} ms at most, at {_clock(slowest[1])}."
        if slowest
        else "Nothing arrived."
    )
    return figure(
        "chart-latency",
        "Delivery latency over time",
        about,
        marked([panel], phases, "" if slowest else "No delivery yet."),
        ChartTable(
            ("time", "p50, ms", "p99, ms", "deliveries"),
            [
                (
                    when(part),
                    span(part, p50, ms),
                    span(part, p99, ms),
                    number(part.total(received)),
                )
                for part in parts
                if part.span(p99)
            ],
        ),
        x_name=X_NAME,
        keys=(Key("s1", "p50"), Key("s2", "p99")),
        hits=(
            Hit(
                part.start,
                part.end,
                f"{when(part)}: p50 {span(part, p50, ms)} ms, p99 {span(part, p99, ms)} ms",
            )
            for part in parts
            if part.span(p99)
        ),
    )


def generator(timeline: Timeline, phases: Sequence[Phase] = ()) -> Markup:
    """Draw the load generator's own condition: its lag, its CPU, and its waits for a core.

    Args:
        timeline: as in the report.
        phases: as in the report; their bounds are marked.
    """
    parts = bins_of(timeline)
    x = x_axis(timeline)
    lag, cpu = [row.lag_p99_ms for row in timeline], [row.cpu_percent for row in timeline]
    waited = [row.waited_percent for row in timeline]
    lags, loads, waits = (_known(column) for column in (lag, cpu, waited))
    lag_panel = Panel("lag p99, ms", scale.latencies(lags), x, height=95)
    cpu_panel = Panel("CPU, %", scale.linear(loads, least=100.0), x, height=95)
    wait_panel = Panel("waited for a core, %", scale.linear(waits, least=100.0), x, height=95)
    broken_line(lag_panel, _points(parts, lag), "s4")
    for panel, column, style in ((cpu_panel, cpu, "s3"), (wait_panel, waited, "s2")):
        points = _points(parts, column)
        panel.line(points, style)
        panel.area(points, style)
    about = (
        f"Lag p99 {ms(max(lags))} ms at most" if lags else "Lag unknown",
        f"CPU {max(loads):.0f} % at most" if loads else "CPU unknown",
        f"waited for a core {max(waits):.0f} % of a second at most."
        if waits
        else "waits for a core unknown.",
    )
    return figure(
        "chart-generator",
        "Generator",
        "; ".join(about),
        marked(
            [lag_panel, cpu_panel, wait_panel] if waits else [lag_panel, cpu_panel],
            phases,
            "" if lags or loads else "Nothing was measured yet.",
        ),
        ChartTable(
            ("time", "lag p99, ms", "CPU, %", "waited for a core, %"),
            [
                (
                    when(part),
                    span(part, lag, ms),
                    span(part, cpu, _whole),
                    span(part, waited, _whole),
                )
                for part in parts
            ],
        ),
        x_name=X_NAME,
        hits=(
            Hit(
                part.start,
                part.end,
                f"{when(part)}: lag p99 {span(part, lag, ms)} ms, "
                f"CPU {span(part, cpu, _whole)} %, waited {span(part, waited, _whole)} %",
            )
            for part in parts
        ),
    )


def bins_of(timeline: Timeline) -> list[Bin]:
    """Return the timeline in parts, few enough to be drawn."""
    return bins([row.t for row in timeline])


def x_axis(timeline: Timeline) -> scale.Scale:
    """Return the axis of the run's time."""
    return scale.time(timeline[-1].t if timeline else 0.0)


def _known(column: Column) -> list[float]:
    return [value for value in column if value is not None]


def _points(parts: Iterable[Bin], column: Column) -> list[Point]:
    return [point for part in parts for point in part.points(column)]


def _bars(
    parts: Sequence[Bin],
    column: Sequence[int],
    unit: str,
    style: str,
    *,
    x: scale.Scale,
    height: int,
) -> Panel:
    """Return a panel of sums, one bar for each bin."""
    totals = [part.total(column) for part in parts]
    panel = Panel(unit, scale.linear(totals, whole=True), x, height)
    gap = 0.15 if len(parts) <= _DOTS_UP_TO else 0.0
    for part, total in zip(parts, totals, strict=True):
        if total:
            panel.bar((part.start, part.end), (0, total), style, gap)
    return panel


def broken_line(panel: Panel, points: Sequence[Point], style: str) -> None:
    """Draw a line that is interrupted where nothing arrived for far longer than usual."""
    if not points:
        return
    steps = [after[0] - before[0] for before, after in pairwise(points)]
    longest = 4 * median(steps) if steps else 0.0
    stretch = [points[0]]
    for point, step in zip(points[1:], steps, strict=True):
        if step > longest > 0:
            panel.line(stretch, style)
            stretch = []
        stretch.append(point)
    panel.line(stretch, style)
    if len(points) <= _DOTS_UP_TO:
        for point in points:
            panel.dot(point, style)


def marked(panels: list[Panel], phases: Sequence[Phase], nothing: str) -> list[Panel]:
    """Return the panels with the bounds of the phases, or with a text where they are empty."""
    if nothing:
        panels[0].nothing(nothing)
        return panels
    if not phases:
        return panels
    began = datetime.fromisoformat(phases[0].started_at)
    if len(phases) > _PHASES_UP_TO:
        phases = [phase for phase in phases if phase.name in ("broadcast", "observe")]
    for phase in phases:
        start = (datetime.fromisoformat(phase.started_at) - began).total_seconds()
        for panel in panels:
            panel.mark(start, start + phase.seconds, phase.name if panel is panels[0] else "")
    return panels


def when(part: Bin) -> str:
    """Return the time of a bin: "10-12 s"."""
    return f"{part.start:.3g}-{part.end:.3g} s" if part.end < 600 else _clock(part.end)


def _clock(seconds: float) -> str:
    """Return a time since the run began: "18 s", "12:05", "3:20:09"."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _length(parts: Sequence[Bin]) -> str:
    length = round(median(part.end - part.start for part in parts), 1)
    return f"{length:g} s" if length < 120 else f"{length / 60:.3g} min"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _integer(value: float) -> str:
    return number(int(value))


def span(part: Bin, column: Column, in_words: Callable[[float], str]) -> str:
    """Return a figure, or its lowest and highest where it changed; "-" for none."""
    values = part.span(column)
    if values is None:
        return "-"
    low, high = map(in_words, values)
    return low if low == high else f"{low}-{high}"
