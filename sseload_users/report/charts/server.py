"""Draw the server's condition over time: one panel for each series of figures."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from sseload_users.core.formatting import number
from sseload_users.core.run_figures import VitalsSeries
from sseload_users.core.vitals import sentences
from sseload_users.report.charts import scale
from sseload_users.report.charts.drawing import ChartTable, figure
from sseload_users.report.charts.palette import SERIES
from sseload_users.report.charts.panel import Panel
from sseload_users.report.charts.run_time import (
    X_NAME,
    RunTime,
    span,
    when,
)

#: Most series that are drawn; the report has them all.
_MOST = 8


def vitals(run: RunTime, series: Sequence[VitalsSeries]) -> Markup:
    """Draw the server's CPU, memory and whatever else was watched.

    Args:
        run: its time.
        series: as in the report, one or more.
    """
    shown = series[:_MOST]
    parts, x = run.parts, run.x
    named = [(f"{each.name}, {each.unit}" if each.unit else each.name, each) for each in shown]
    panels = []
    for index, (name, each) in enumerate(named):
        known = [value for value in each.values if value is not None]
        least = 100.0 if each.name == "cpu" else 1.0
        panel = Panel(name, scale.linear(known, least=least), x, height=70)
        run.draw(panel, each.values, SERIES[index % len(SERIES)])
        panels.append(panel)
    about = "; ".join(sentences(shown, [row.open for row in run.timeline]))
    return figure(
        "chart-server",
        "Server",
        f"{about[:1].upper()}{about[1:]}." if about else "Nothing is known of the server.",
        run.marked(panels, "" if about else "Nothing was read."),
        ChartTable(
            ("time", *(name for name, _ in named)),
            [
                (when(part), *(span(part, each.values, _rough) for _, each in named))
                for part in parts
            ],
        ),
        x_name=X_NAME,
        keys=run.keys(),
        hits=run.hits(
            parts,
            lambda part: "; ".join(
                f"{name} {span(part, each.values, _rough)}" for name, each in named
            ),
        ),
    )


def _rough(value: float) -> str:
    return number(round(value)) if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
