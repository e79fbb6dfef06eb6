"""Comparing two runs: on the console, as a page, and as an exit status for a build server."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten
from sseload_users.core.nbsp import glued
from sseload_users.report import charts
from sseload_users.report.comparison import CLEAR, TOLERANCE_PERCENT, Comparison, Outcome, compare
from sseload_users.report.console import encodable
from sseload_users.report.intervals import CONFIDENCE
from sseload_users.report.pages import SIGNS, page
from sseload_users.report.progress import columns
from sseload_users.report.reading import Report, read

_NARROWEST, _WIDEST = 60, 100

_STYLES: dict[Outcome, str] = {
    "worse": "red",
    "better": "green",
    "unclear": "dim",
    "same": "dim",
    "not judged": "dim",
}
_SAID: dict[Outcome, str] = {
    "worse": "✗ worse",
    "better": "✓ better",
    "unclear": "unclear",
    "same": "same",
    "not judged": "",
}
_GRADES = {"good": "green", "warning": "yellow", "issues": "red"}

_HOW = (
    f"Clear is what noise explains in less than {round(100 * (1 - CONFIDENCE))} % of cases, by "
    "Wilson's and Woodruff's intervals, widened by the spread from code to code."
)
# Rich breaks lines at every kind of space, so it is a private character until all is whole.
_GLUE = "\ue000"


def main(arguments: Sequence[str]) -> int:
    """Compare two reports, as the arguments say.

    Args:
        arguments: those of the command, without its name.

    Returns:
        0 if B is not clearly worse than A, 1 if it is, 2 if they cannot be compared.
    """
    asked = _parser().parse_args(arguments)
    try:
        before, after = read(asked.a), read(asked.b)
        result = compare(before, after, asked.tolerance)
        if asked.html:
            _write(asked.html, document(before, after, result, asked.tolerance))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    print_comparison(before, after, result, asked.tolerance)
    return int(result.worse)


def print_comparison(
    before: Report,
    after: Report,
    result: Comparison,
    tolerance: float = TOLERANCE_PERCENT,
    file: TextIO | None = None,
) -> None:
    """Print a comparison, in colours where the file is a terminal; what counts comes last.

    Args:
        before: report A.
        after: report B.
        result: what they were found to be.
        tolerance: with which tolerance, in per cent.
        file: standard output by default. What its encoding lacks is replaced.
    """
    stream = file or sys.stdout
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    width = min(max(columns(stream, console), _NARROWEST), _WIDEST)
    text = _rendered(console, _summary(before, after, result, tolerance), width)
    # A reader that has gone away, as `head` does, takes nothing from the outcome.
    with contextlib.suppress(BrokenPipeError):
        stream.write(encodable(text, getattr(stream, "encoding", None)))
        stream.flush()


def summary(before: Report, after: Report, result: Comparison, width: int = 80) -> str:
    """The comparison as plain text, `width` columns wide, from 60 on."""
    console = Console(file=io.StringIO(), highlight=False, markup=False, emoji=False)
    shown = _summary(before, after, result, TOLERANCE_PERCENT)
    return _rendered(console, shown, max(width, _NARROWEST))


def document(
    before: Report, after: Report, result: Comparison, tolerance: float = TOLERANCE_PERCENT
) -> str:
    """The comparison as a page of one file, with pictures.

    Args:
        before: report A.
        after: report B.
        result: what they were found to be.
        tolerance: with which tolerance, in per cent.
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
            charts.distribution(
                {"A": before.delivery_ms.model_dump(), "B": after.delivery_ms.model_dump()}
            ),
        ],
        said=_SAID,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sseload_users compare",
        description="Compare two runs by their reports: what changed, and whether noise "
        "explains it.",
        epilog="Exit status: 0 if B is not clearly worse than A, 1 if it is, 2 if they cannot "
        "be compared.",
        allow_abbrev=False,
    )
    parser.add_argument("a", metavar="A", help="a report.json, or a directory with one: before")
    parser.add_argument("b", metavar="B", help="the same: after")
    parser.add_argument("--html", metavar="FILE", help="write a page with pictures as well")
    parser.add_argument(
        "--tolerance",
        metavar="PERCENT",
        type=_tolerance,
        default=TOLERANCE_PERCENT,
        help="changes of a latency up to it are never called one (%(default)g)",
    )
    return parser


def _tolerance(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage from 0 to 1000")
    return value


def _write(place: str, text: str) -> None:
    try:
        Path(place).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{clean(place)}: the page cannot be written there "
            f"({(error.strerror or type(error).__name__).lower()}); name another file with --html."
        ) from error


def _rendered(console: Console, shown: RenderableType, width: int) -> str:
    with console.capture() as capture:
        console.print(shown, width=width)
    lines = capture.get().replace(_GLUE, " ").split("\n")
    return "\n".join(line.rstrip() for line in lines)


def _summary(before: Report, after: Report, result: Comparison, tolerance: float) -> RenderableType:
    parts = [Text(""), _title(), _side("A", before), _side("B", after), Text(""), _table(result)]
    if result.notes:
        parts += [Text(""), Text("Notes", style="bold")]
        parts += [_listed([("", "", note) for note in result.notes])]
    worse, better = (
        [(_SAID[outcome][0], _STYLES[outcome], said) for said in result.sentences(outcome)]
        for outcome in CLEAR
    )
    style = "red" if result.worse else "green"
    parts += [
        Text(""),
        _text(f"{_HOW} Latencies within {tolerance:g} % count as equal.", "dim"),
        Rule(style=style),
        Text(f"{'✗' if result.worse else '✓'} {answer(result)}", style=f"bold {style}"),
        _listed([*worse, *better]),
    ]
    return Padding(Group(*parts), (0, 1))


def _title() -> RenderableType:
    return Text.assemble(("sseload", "bold"), (" · ", "dim"), "A against B")


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
                Text(f" {_SAID[row.outcome]}", style=_STYLES[row.outcome]),
            )
    return table


def _listed(lines: Iterable[tuple[str, str, str]]) -> RenderableType:
    """Signs, their styles, and sentences, one below the other."""
    table = _grid(3)
    for sign, style, sentence in lines:
        table.add_row(Text(sign, style=f"bold {style}"), _text(sentence))
    return table


def _grid(width: int) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=width, justify="right")
    table.add_column(overflow="fold")
    return table


def _text(words: str, style: str = "") -> Text:
    return Text(glued(clean(words), _GLUE), style=style)


def answer(result: Comparison) -> str:
    """What the comparison amounts to, in a few words."""
    if result.worse:
        return "B is clearly worse."
    return "B is clearly better." if result.sentences("better") else "No clear difference."
