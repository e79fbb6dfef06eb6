"""Draw the steps of a ladder or a search: latency and delivery against their size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup

from sseload_users.core.formatting import count, ms, number, share
from sseload_users.report.charts import scale
from sseload_users.report.charts.drawing import ChartTable, Hit, Key, figure
from sseload_users.report.charts.panel import Panel
from sseload_users.verdict.reasons import StepReport

_PERCENTILES = (("max", "s5"), ("p99", "s2"), ("p95", "s3"), ("p50", "s1"))


class _Step(NamedTuple):
    """A step, and how large it was."""

    size: int
    report: StepReport


def sizes(steps: Sequence[StepReport], each: Sequence[int], what: str) -> Markup:
    """Draw latency and delivery against the sizes of the steps.

    Args:
        steps: as in the report, one or more; a size that was tried twice has two dots.
        each: their sizes.
        what: what they are: connections, or codes a second.
    """
    sized = sorted(map(_Step, each, steps), key=lambda step: step.size)
    x = scale.sizes(step.size for step in sized)
    return figure(
        "chart-sizes",
        f"Against the number of {what}",
        _about(sized, what),
        [_latencies(sized, x), _delivered(sized, x)],
        ChartTable(
            (what, "p50, ms", "p95, ms", "p99, ms", "max, ms", "delivered"),
            [
                (
                    number(size),
                    *(ms(getattr(step.delivery_ms, name)) for name in ("p50", "p95", "p99", "max")),
                    _share(step),
                )
                for size, step in sized
            ],
        ),
        x_name=what,
        keys=[Key(style, name) for name, style in reversed(_PERCENTILES)]
        + [Key("s4", "delivered in time or recovered")],
        hits=_hits(sized, x, what),
    )


def _about(steps: Sequence[_Step], what: str) -> str:
    tried = count(len(steps), "step")
    short = [size for size, step in steps if step.deliveries.received < step.deliveries.owed]
    if not short:
        return f"{tried}; everything that was owed arrived in each of them."
    return f"{tried}; from {number(short[0])} {what} on, not everything that was owed arrived."


def _latencies(steps: Sequence[_Step], x: scale.Scale) -> Panel:
    series = {
        style: [
            (float(size), value)
            for size, step in steps
            if (value := getattr(step.delivery_ms, name)) is not None
        ]
        for name, style in _PERCENTILES
    }
    y = scale.latencies(value for points in series.values() for _, value in points)
    panel = Panel("delivery latency, ms", y, x)
    for style, points in series.items():
        panel.line(points, style, "thin")
        for point in points:
            panel.dot(point, style)
    if not any(series.values()):
        panel.nothing("Nothing was delivered.")
    return panel


def _delivered(steps: Sequence[_Step], x: scale.Scale) -> Panel:
    points = [
        (float(size), 100 * step.deliveries.received / step.deliveries.owed)
        for size, step in steps
        if step.deliveries.owed
    ]
    panel = Panel("delivered, %", scale.percentages(value for _, value in points), x, height=95)
    panel.line(points, "s4", "thin")
    for point in points:
        panel.dot(point, "s4")
    return panel


def _share(step: StepReport) -> str:
    owed = step.deliveries.owed
    return share(step.deliveries.received, owed) if owed else "-"


def _hits(steps: Sequence[_Step], x: scale.Scale, what: str) -> Iterator[Hit]:
    """Yield a tooltip at each size, halfway to its neighbours, with what was measured there."""
    places = sorted({x.at(step.size) for step in steps})
    for at, place in enumerate(places):
        left = (places[at - 1] + place) / 2 if at else 0.0
        right = (places[at + 1] + place) / 2 if at + 1 < len(places) else 1.0
        here = [step for step in steps if x.at(step.size) == place]
        yield Hit(x.value(left), x.value(right), "; ".join(_words(here, what)))


def _words(steps: Iterable[_Step], what: str) -> Iterator[str]:
    for size, step in steps:
        latency = step.delivery_ms
        figures = ", ".join(
            f"{name} {ms(getattr(latency, name))} ms" for name, _ in reversed(_PERCENTILES)
        )
        yield (
            f"{number(size)} {what}: {_share(step)} delivered"
            + (f", {figures}" if latency.count else "")
        )
