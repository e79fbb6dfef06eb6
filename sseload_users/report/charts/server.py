"""How the server fared over time: one panel for each series of figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from sseload_users.core.formatting import number
from sseload_users.core.vitals import sentences
from sseload_users.report.charts import scale
from sseload_users.report.charts.bins import bins
from sseload_users.report.charts.drawing import Hit, Panel, Table, figure
from sseload_users.report.charts.palette import SERIES
from sseload_users.report.charts.timeline import X_NAME, broken_line, marked, span, when, x_axis

Rows = Sequence[Mapping[str, Any]]

#: So many series are drawn; the report has them all.
_MOST = 8


def vitals(timeline: Rows, series: Rows, phases: Rows = ()) -> Markup:
    """The server's CPU, memory and whatever else was watched.

    Args:
        timeline: as in the report.
        series: the report's vitals, one or more: a figure, or None, for each interval of the
            timeline.
        phases: as in the report; their bounds are marked.
    """
    shown = series[:_MOST]
    columns = {str(index): each["values"] for index, each in enumerate(shown)}
    rows = [
        {"t": row["t"]} | {name: values[at] for name, values in columns.items()}
        for at, row in enumerate(timeline)
    ]
    parts, x = bins(rows), x_axis(timeline)
    names = [f"{each['name']}{', ' if each['unit'] else ''}{each['unit']}" for each in shown]
    panels = []
    for index, (name, column, each) in enumerate(zip(names, columns, shown, strict=True)):
        known = [value for value in each["values"] if value is not None]
        least = 100.0 if each["name"] == "cpu" else 1.0
        panel = Panel(name, scale.linear(known, least=least), x, height=70)
        points = [point for part in parts for point in part.points(column)]
        broken_line(panel, points, SERIES[index % len(SERIES)])
        panels.append(panel)
    told = "; ".join(sentences({"timeline": timeline, "vitals": shown}))
    return figure(
        "chart-server",
        "Server",
        f"{told[:1].upper()}{told[1:]}." if told else "Nothing is known of the server.",
        marked(panels, phases, "" if told else "Nothing was read."),
        Table(
            ("time", *names),
            [(when(part), *(span(part, column, _rough) for column in columns)) for part in parts],
        ),
        x_name=X_NAME,
        hits=(
            Hit(
                part.start,
                part.end,
                f"{when(part)}: "
                + "; ".join(
                    f"{name} {span(part, column, _rough)}"
                    for name, column in zip(names, columns, strict=True)
                ),
            )
            for part in parts
        ),
    )


def _rough(value: float) -> str:
    return number(round(value)) if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
