"""The run over time: connections, codes, latencies, and how the generator fared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from markupsafe import Markup

from sseload_users.core.formatting import count, ms, number
from sseload_users.report.charts import scale
from sseload_users.report.charts.bins import Bin, bins
from sseload_users.report.charts.drawing import Hit, Key, Panel, Point, Table, figure

Rows = Sequence[Mapping[str, Any]]

#: The name of the horizontal axis.
X_NAME = "time since the run began"
_DOTS_UP_TO = 80  # beyond that, dots would be a second line
_PHASES_UP_TO = 12  # beyond that, as in a run of many steps, only when codes were sent


def connections(timeline: Rows, phases: Rows = ()) -> Markup:
    """How many connections were open, connecting and dropped, and the operations that failed.

    Args:
        timeline: as in the report.
        phases: as in the report; their bounds are marked.
    """
    parts = bins(timeline)
    x = x_axis(timeline)
    opened = Panel("connections", _y_of_gauges(timeline, "open", "connecting"), x)
    for name, style in (("connecting", "s2"), ("open", "s1")):
        points = _points(parts, name)
        opened.line(points, style)
        if name == "open":
            opened.area(points, style)
    panels, keys = [opened], [Key("s1", "open"), Key("s2", "connecting")]
    drops, failures = (sum(row[name] for row in timeline) for name in ("dropped", "errors"))
    if drops:
        panels.append(_bars(parts, "dropped", "dropped sessions", "interrupted", x=x, height=60))
        keys.append(Key("interrupted", "dropped", "bar"))
    if failures:
        panels.append(_bars(parts, "errors", "failed operations", "missing", x=x, height=60))
        keys.append(Key("missing", "failed, drops included" if drops else "failed", "bar"))
    most = max((row["open"] for row in timeline), default=0)
    about = (
        f"{count(most, 'connection')} open at most, {number(drops) if drops else 'none'} dropped; "
        f"{count(failures, 'operation') if failures else 'no operation'} failed."
    )
    return figure(
        "chart-connections",
        "Connections",
        about,
        marked(panels, phases, "No time has passed yet." if not parts else ""),
        Table(
            ("time", "open", "connecting", "dropped", "failed operations"),
            [
                (
                    when(part),
                    span(part, "open", number),
                    span(part, "connecting", number),
                    number(part.total("dropped")),
                    number(part.total("errors")),
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
                f"{when(part)}: {span(part, 'open', number)} open, "
                f"{span(part, 'connecting', number)} connecting, "
                f"{number(part.total('dropped'))} dropped, {number(part.total('errors'))} failed",
            )
            for part in parts
        ),
    )


def traffic(timeline: Rows, phases: Rows = ()) -> Markup:
    """How many codes were sent, and how many deliveries came.

    Args:
        timeline: as in the report.
        phases: as in the report; their bounds are marked.
    """
    parts = bins(timeline)
    x = x_axis(timeline)
    each = f" each {_length(parts)}" if parts else ""
    sent, received = (sum(row[name] for row in timeline) for name in ("sent", "received"))
    panels = [
        _bars(parts, "received", f"deliveries{each}", "s1", x=x, height=130),
        _bars(parts, "sent", f"codes sent{each}", "s2", x=x, height=60),
    ]
    return figure(
        "chart-traffic",
        "Codes and deliveries",
        f"{count(sent, 'code')} sent, {count(received, 'delivery', 'deliveries')} received.",
        marked(panels, phases, "" if received or sent else "Nothing was sent yet."),
        Table(
            ("time", "codes sent", "deliveries"),
            [
                (when(part), number(part.total("sent")), number(part.total("received")))
                for part in parts
            ],
        ),
        x_name=X_NAME,
        hits=(
            Hit(
                part.start,
                part.end,
                f"{when(part)}: {count(part.total('sent'), 'code')} sent, "
                f"{count(part.total('received'), 'delivery', 'deliveries')} received",
            )
            for part in parts
        ),
    )


def latency(timeline: Rows, phases: Rows = ()) -> Markup:
    """Delivery latency: the median and the 99th percentile of each interval.

    Args:
        timeline: as in the report.
        phases: as in the report; their bounds are marked.
    """
    parts = bins(timeline)
    slowest = max(
        ((row["p99_ms"], row["t"]) for row in timeline if row["p99_ms"] is not None), default=None
    )
    values = [row[name] for row in timeline for name in ("p50_ms", "p99_ms") if row[name]]
    panel = Panel("ms", scale.latencies(values), x_axis(timeline))
    for name, style in (("p99_ms", "s2"), ("p50_ms", "s1")):
        broken_line(panel, _points(parts, name), style)
    about = (
        "Median and 99th percentile of what came in each interval; "
        f"p99 was {ms(slowest[0])} ms at most, at {_moment(slowest[1])}."
        if slowest
        else "Nothing came."
    )
    return figure(
        "chart-latency",
        "Delivery latency over time",
        about,
        marked([panel], phases, "" if slowest else "No delivery yet."),
        Table(
            ("time", "p50, ms", "p99, ms", "deliveries"),
            [
                (
                    when(part),
                    span(part, "p50_ms", ms),
                    span(part, "p99_ms", ms),
                    number(part.total("received")),
                )
                for part in parts
                if part.span("p99_ms")
            ],
        ),
        x_name=X_NAME,
        keys=(Key("s1", "p50"), Key("s2", "p99")),
        hits=(
            Hit(
                part.start,
                part.end,
                f"{when(part)}: p50 {span(part, 'p50_ms', ms)} ms, "
                f"p99 {span(part, 'p99_ms', ms)} ms",
            )
            for part in parts
            if part.span("p99_ms")
        ),
    )


def generator(timeline: Rows, phases: Rows = ()) -> Markup:
    """How busy the machine that tested was: its lag and its CPU.

    Args:
        timeline: as in the report.
        phases: as in the report; their bounds are marked.
    """
    parts = bins(timeline)
    x = x_axis(timeline)
    lags = [row["lag_p99_ms"] for row in timeline if row["lag_p99_ms"] is not None]
    loads = [row["cpu_percent"] for row in timeline if row["cpu_percent"] is not None]
    waits = [row["waited_percent"] for row in timeline if row["waited_percent"] is not None]
    lag = Panel("lag p99, ms", scale.latencies(lags), x, height=95)
    cpu = Panel("CPU, %", scale.linear(loads, least=100.0), x, height=95)
    wait = Panel("waited for a core, %", scale.linear(waits, least=100.0), x, height=95)
    broken_line(lag, _points(parts, "lag_p99_ms"), "s4")
    for panel, name, style in ((cpu, "cpu_percent", "s3"), (wait, "waited_percent", "s2")):
        points = _points(parts, name)
        panel.line(points, style)
        panel.area(points, style)
    about = (
        f"Lag p99 {ms(max(lags))} ms at most" if lags else "Lag not known",
        f"CPU {max(loads):.0f} % at most" if loads else "CPU not known",
        f"waited for a core {max(waits):.0f} % of a second at most."
        if waits
        else "waits for a core not known.",
    )
    return figure(
        "chart-generator",
        "Generator",
        "; ".join(about),
        marked(
            [lag, cpu, wait] if waits else [lag, cpu],
            phases,
            "" if lags or loads else "Nothing was measured yet.",
        ),
        Table(
            ("time", "lag p99, ms", "CPU, %", "waited for a core, %"),
            [
                (
                    when(part),
                    span(part, "lag_p99_ms", ms),
                    span(part, "cpu_percent", _whole),
                    span(part, "waited_percent", _whole),
                )
                for part in parts
            ],
        ),
        x_name=X_NAME,
        hits=(
            Hit(
                part.start,
                part.end,
                f"{when(part)}: lag p99 {span(part, 'lag_p99_ms', ms)} ms, "
                f"CPU {span(part, 'cpu_percent', _whole)} %, "
                f"waited {span(part, 'waited_percent', _whole)} %",
            )
            for part in parts
        ),
    )


def x_axis(timeline: Rows) -> scale.Scale:
    """The time of the run."""
    return scale.time(timeline[-1]["t"] if timeline else 0.0)


def _y_of_gauges(timeline: Rows, *names: str) -> scale.Scale:
    return scale.linear((row[name] for row in timeline for name in names), whole=True)


def _points(parts: Iterable[Bin], name: str) -> list[Point]:
    return [point for part in parts for point in part.points(name)]


def _bars(
    parts: Sequence[Bin], name: str, unit: str, style: str, *, x: scale.Scale, height: int
) -> Panel:
    """A panel of sums, one bar for each bin."""
    totals = [part.total(name) for part in parts]
    panel = Panel(unit, scale.linear(totals, whole=True), x, height)
    gap = 0.15 if len(parts) <= _DOTS_UP_TO else 0.0
    for part, total in zip(parts, totals, strict=True):
        if total:
            panel.bar((part.start, part.end), (0, total), style, gap)
    return panel


def broken_line(panel: Panel, points: Sequence[Point], style: str) -> None:
    """A line that is interrupted where nothing came for far longer than usual."""
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


def marked(panels: list[Panel], phases: Rows, nothing: str) -> list[Panel]:
    """The panels with the bounds of the phases, or with words where they are empty."""
    if nothing:
        panels[0].nothing(nothing)
        return panels
    if not phases:
        return panels
    began = datetime.fromisoformat(phases[0]["started_at"])
    if len(phases) > _PHASES_UP_TO:
        phases = [phase for phase in phases if phase["name"] == "broadcast"]
    for phase in phases:
        start = (datetime.fromisoformat(phase["started_at"]) - began).total_seconds()
        for panel in panels:
            panel.mark(start, start + phase["seconds"], phase["name"] if panel is panels[0] else "")
    return panels


def when(part: Bin) -> str:
    """Of which stretch of time something is said."""
    return f"{part.start:.3g}-{part.end:.3g} s" if part.end < 600 else _moment(part.end)


def _moment(seconds: float) -> str:
    """A moment of the run: "18 s", "12:05", "3:20:09"."""
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


def span(part: Bin, name: str, words: Any) -> str:
    """A figure, or its lowest and highest where it changed; "-" for none."""
    values = part.span(name)
    if values is None:
        return "-"
    low, high = words(values[0]), words(values[1])
    return low if low == high else f"{low}-{high}"
