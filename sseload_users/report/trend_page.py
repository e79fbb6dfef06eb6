"""Render the pages of kept runs: a list, and the trend of runs of one name."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from sseload_users.report.charts.trend import course
from sseload_users.report.history import KeptRun
from sseload_users.report.key_figures import KEY_FIGURES
from sseload_users.report.pages import page
from sseload_users.report.trend import FEWEST_RUNS
from sseload_users.report.trends import Trend, written

_UNITS = {"share": "%", "ms": "ms", "count": "connections or codes a second"}


def document(runs: Sequence[KeptRun], found: Sequence[Trend], home: str = "") -> str:
    """Return the page with the trend of runs of one name.

    Args:
        runs: by their start.
        found: the trend of each figure.
        home: the address of the list of runs; empty without one.
    """
    days = [run.started_at[:10] for run in runs]
    labels = days
    if len(set(days)) < len(days):
        labels = [f"{run.started_at[5:10]} {run.started_at[11:16]}" for run in runs]
    worse = [each for each in found if each.is_worse]
    few = len(runs) < FEWEST_RUNS
    return page(
        "trend.html",
        name=runs[-1].name,
        runs=runs,
        home=home,
        grade="issues" if worse else "good",
        answer=f"A trend needs {FEWEST_RUNS} runs." if few else _answer(worse),
        sentences=[
            (step.direction, sentence)
            for each in found
            for step, sentence in zip(each.steps, each.sentences, strict=True)
        ],
        charts=[_chart(each, labels) for each in found],
    )


def _chart(trend: Trend, labels: Sequence[str]) -> Markup:
    unit = KEY_FIGURES[trend.figure].unit
    return course(
        f"trend-{trend.figure.replace('_', '-')}",
        trend.title[:1].upper() + trend.title[1:],
        " ".join(trend.sentences) or "It did not change by more than noise explains.",
        labels,
        trend.values,
        [step.at for step in trend.steps],
        lambda value: written(value, unit),
        unit=_UNITS[unit],
    )


def runs_document(runs: Sequence[KeptRun], place: str) -> str:
    """Return the page that lists the runs that are kept, the newest first.

    Args:
        runs: by their start.
        place: the directory in which they are kept.
    """
    return page(
        "runs.html",
        place=place,
        runs=[
            (
                run,
                [
                    written(run.figures[name].value, KEY_FIGURES[name].unit)
                    if name in run.figures
                    else "-"
                    for name in ("delivered", "p50_ms", "p95_ms", "p99_ms")
                ],
            )
            for run in reversed(runs)
        ],
        names=sorted({run.name for run in runs}),
    )


def _answer(worse: Sequence[Trend]) -> str:
    if not worse:
        return "Nothing got worse lately."
    return f"{', '.join(each.title for each in worse).capitalize()} got worse."
