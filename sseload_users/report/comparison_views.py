"""Render a comparison of two reports: on the console, and as a page."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sseload_users.core.formatting import clean, shorten
from sseload_users.report import charts
from sseload_users.report.comparison import CLEAR, TOLERANCE_PERCENT, Comparison, Outcome
from sseload_users.report.console import encodable
from sseload_users.report.glue import GLUE, glued
from sseload_users.report.intervals import CONFIDENCE
from sseload_users.report.model import Report
from sseload_users.report.pages import SIGNS, page
from sseload_users.report.progress import columns

_NARROWEST, _WIDEST = 60, 100

_STYLES: dict[Outcome, str] = {
    "worse": "red",
    "better": "green",
    "unclear": "dim",
    "same": "dim",
    "not judged": "dim",
}
_LABELS: dict[Outcome, str] = {
    "worse": "✗ worse",
    "better": "✓ better",
    "unclear": "unclear",
    "same": "same",
    "not judged": "",
}
_GRADES = {"good": "green", "warning": "yellow", "issues": "red"}

_HOW = (
    f"A difference is clear if noise explains it in less than {round(100 * (1 - CONFIDENCE))} % of "
    "cases, by Wilson's and Woodruff's intervals, widened for the variation between codes."
)


def print_comparison(
    before: Report,
    after: Report,
    result: Comparison,
    tolerance: float = TOLERANCE_PERCENT,
    file: TextIO | None = None,
) -> None:
    """Print a comparison, in colour on a terminal; the result comes last.

    Args:
        before: report A.
        after: report B.
        result: of their comparison.
        tolerance: as in the comparison, in per cent.
        file: standard output by default. Characters that its encoding lacks are replaced.
    """
    stream = file or sys.stdout
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    width = min(max(columns(stream, console), _NARROWEST), _WIDEST)
    text = _rendered(console, _summary(before, after, result, tolerance), width)
    # A reader that has gone away, such as `head`, does not change the exit status.
    with contextlib.suppress(BrokenPipeError):
        stream.write(encodable(text, getattr(stream, "encoding", None)))
        stream.flush()


def summary(before: Report, after: Report, result: Comparison, width: int = 80) -> str:
    """Return the comparison as plain text, `width` columns wide, 60 or more."""
    console = Console(file=io.StringIO(), highlight=False, markup=False, emoji=False)
    shown = _summary(before, after, result, TOLERANCE_PERCENT)
    return _rendered(console, shown, max(width, _NARROWEST))


def document(
    before: Report, after: Report, result: Comparison, tolerance: float = TOLERANCE_PERCENT
) -> str:
    """Return the comparison as a page of one file, with charts.

    Args:
        before: report A.
        after: report B.
        result: of their comparison.
        tolerance: as in the comparison, in per cent.
    """
    colours: dict[Outcome, str] = {"worse": "issues", "better": "good"}
    latencies = [
        charts.Change(
            row.name,
            100 * row.interval.value,
            100 * row.interval.low,
            100 * row.interval.high,
            colours.get(row.outcome, "s5"),
        )
        for row in result.latencies
        if row.interval
    ]
    return page(
        "compare.html",
        sides=(("A", before.run, before.verdict.grade), ("B", after.run, after.verdict.grade)),
        result=result,
        grade="issues" if result.worse else "good",
        answer=answer(result),
        tolerance=f"{tolerance:g} %",
        charts=[
            charts.changes(latencies),
            charts.distribution({"A": before.delivery_ms, "B": after.delivery_ms}),
        ],
        labels=_LABELS,
    )


def _rendered(console: Console, shown: RenderableType, width: int) -> str:
    with console.capture() as capture:
        console.print(shown, width=width)
    lines = capture.get().replace(GLUE, " ").split("\n")
    return "\n".join(line.rstrip() for line in lines)


def _summary(before: Report, after: Report, result: Comparison, tolerance: float) -> RenderableType:
    parts = [Text(""), _title(), _side("A", before), _side("B", after), Text(""), _table(result)]
    if result.notes:
        parts += [Text(""), Text("Notes", style="bold")]
        parts += [_listed([("", "", note) for note in result.notes])]
    worse, better = (
        [(_LABELS[outcome][0], _STYLES[outcome], each) for each in result.sentences(outcome)]
        for outcome in CLEAR
    )
    style = "red" if result.worse else "green"
    parts += [
        Text(""),
        glued(f"{_HOW} Latencies within {tolerance:g} % count as equal.", "dim"),
        Rule(style=style),
        Text(f"{'✗' if result.worse else '✓'} {answer(result)}", style=f"bold {style}"),
        _listed([*worse, *better]),
    ]
    return Padding(Group(*parts), (0, 1))


def _title() -> RenderableType:
    return Text.assemble(("sseload", "bold"), (" · ", "dim"), "A compared with B")


def _side(name: str, report: Report) -> RenderableType:
    run, grade = report.run, report.verdict.grade
    line = Text.assemble((f"{SIGNS[grade]} {grade}", _GRADES[grade]))
    for each in (f"run {run.id}", run.target, run.transport, run.started_at):
        line.append(" · ", style="dim").append(shorten(clean(each)))
    table = _grid(1)
    table.add_row(Text(name, style="bold"), line)
    return table


def _table(result: Comparison) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=16, no_wrap=True)
    for _ in range(3):
        table.add_column(width=9, justify="right", no_wrap=True)
    table.add_column(width=10, no_wrap=True)
    heads = [Text(name, style="dim") for name in ("A", "B", "change")]
    for title, rows in (
        ("Shares", result.shares),
        ("", ()),
        ("Latency, ms", (*result.latencies, *result.connects)),
    ):
        table.add_row(Text(title, style="bold"), *(heads if title else ()))
        for row in rows:
            table.add_row(
                Text(f"  {row.name}"),
                Text(row.before),
                Text(row.after),
                Text(row.change),
                Text(f" {_LABELS[row.outcome]}", style=_STYLES[row.outcome]),
            )
    return table


def _listed(lines: Iterable[tuple[str, str, str]]) -> RenderableType:
    """Return signs, with their styles, and sentences, one below the other."""
    table = _grid(3)
    for sign, style, sentence in lines:
        table.add_row(Text(sign, style=f"bold {style}"), glued(sentence))
    return table


def _grid(width: int) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=width, justify="right")
    table.add_column(overflow="fold")
    return table


def answer(result: Comparison) -> str:
    """Return the result of the comparison in a few words."""
    if result.worse:
        return "B is clearly worse."
    return "B is clearly better." if result.sentences("better") else "No clear difference."
