"""Draw a figure of many runs over time, with what noise explains and where it changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from sseload_users.report.charts import scale
from sseload_users.report.charts.drawing import ChartTable, Hit, Key, figure
from sseload_users.report.charts.panel import Panel
from sseload_users.report.intervals import Interval


def course(
    name: str,
    title: str,
    about: str,
    runs: Sequence[str],
    values: Sequence[Interval | None],
    changes: Sequence[int],
    written: Callable[[float], str],
    *,
    unit: str,
) -> Markup:
    """Draw one figure.

    Args:
        name: the figure's id in the page.
        title: in a few words.
        about: what it shows, in a sentence.
        runs: a label for each run, by their start.
        values: the figure of each run with its interval; None where a run has none.
        changes: indices of runs with which the figure changed.
        written: returns a value in words.
        unit: of the vertical axis: "%" for shares, which are drawn in per cent.
    """
    factor = 100.0 if unit == "%" else 1.0
    drawn = [
        (index, Interval(*(factor * each for each in value)))
        for index, value in enumerate(values)
        if value is not None
    ]
    panel = _panel(runs, drawn, changes, unit)
    shown = {index: written(value.value / factor) for index, value in drawn}
    return figure(
        name,
        title,
        about,
        [panel],
        ChartTable(
            ("run", title, "from", "to"),
            [
                (
                    runs[index],
                    shown[index],
                    written(value.low / factor) if math.isfinite(value.low) else "-",
                    written(value.high / factor) if math.isfinite(value.high) else "-",
                )
                for index, value in drawn
            ],
        ),
        x_name="runs, by their start",
        keys=[Key("s1", "run"), Key("s5", "what noise within the run explains", "bar")],
        hits=(
            Hit(index - 0.5, index + 0.5, f"{runs[index]}: {words}")
            for index, words in shown.items()
        ),
    )


def _panel(
    runs: Sequence[str], drawn: Sequence[tuple[int, Interval]], changes: Sequence[int], unit: str
) -> Panel:
    """Return the plot of some figures, each with its run's index."""
    x = scale.Scale(-0.5, len(runs) - 0.5, _ticks(runs))
    panel = Panel(unit, _scale([each for _, each in drawn], unit), x)
    for index, value in drawn:
        if math.isfinite(value.high) and value.high > value.low > 0:
            panel.bar((index - 0.08, index + 0.08), (value.low, value.high), "s5")
    panel.line([(index, value.value) for index, value in drawn], "s1")
    for index, value in drawn:
        panel.dot((index, value.value), "issues" if index in changes else "s1", 4)
    for index in changes:
        panel.across(index - 0.5, "phase")
    return panel


def _scale(values: Sequence[Interval], unit: str) -> scale.Scale:
    found = [each.value for each in values]
    found += [each.high for each in values if math.isfinite(each.high)]
    if unit == "%":
        return _percentages(min(each.low for each in values), max(found))
    return scale.latencies(found)


def _percentages(low: float, high: float) -> scale.Scale:
    """Return a scale of percentages, which begins above 0 where all of them are near 100."""
    if low < 50:
        return scale.linear([high], least=0.01)
    below = scale.linear([100 - low], least=0.01)
    ticks = [(100 - value, f"{100 - value:.6g}") for value, _ in below.ticks]
    return scale.Scale(100 - below.high, 100.0, tuple(reversed(ticks)))


def _ticks(runs: Sequence[str], most: int = 5) -> scale.Ticks:
    every = math.ceil(len(runs) / most)
    return tuple((float(index), runs[index]) for index in range(0, len(runs), every))
