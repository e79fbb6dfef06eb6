"""The commands `history` and `trend`: runs that were kept, and how they change over time."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sseload_users.cli.page_file import write_page
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, count, number, shorten
from sseload_users.report.history import DEFAULT_FOLDER, KeptRun, load
from sseload_users.report.key_figures import KEY_FIGURES
from sseload_users.report.trend import FEWEST_RUNS, TOLERANCE_PERCENT
from sseload_users.report.trend_page import document
from sseload_users.report.trends import Trend, trends, written

_GRADES = {"good": "green", "warning": "yellow", "issues": "red"}
_SIGNS = {"good": "✓", "warning": "!", "issues": "✗"}
_SHOWN = ("delivered", "p50_ms", "p95_ms", "p99_ms")
#: Columns that a list may take.
_WIDEST = 200
#: Runs in a list, unless another number is given.
_LATEST = 20


def history(arguments: Sequence[str]) -> int:
    """List the runs that are kept, the newest last; return 0, or 2 if they cannot be read."""
    parsed = history_parser().parse_args(arguments)
    try:
        runs = load(parsed.history, parsed.name)
    except ConfigError as error:
        print(f"sseload: {clean(error)}", file=sys.stderr)
        return 2
    if not runs:
        print(f"No runs{_named(parsed.name)} are kept in {parsed.history}.")
        return 0
    _print_runs(runs[-parsed.latest :])
    if len(runs) > parsed.latest:
        print(f"The latest {parsed.latest} of {number(len(runs))}; --latest N shows more.")
    return 0


def trend(arguments: Sequence[str]) -> int:
    """Say where the figures of runs of one name changed.

    Returns:
        0; 1 if a figure got clearly worse in one of the last two runs; 2 if there is nothing to
        compare.
    """
    parsed = trend_parser().parse_args(arguments)
    try:
        runs = _enough(load(parsed.history, parsed.name), parsed.history, parsed.name)
        found = trends(runs, parsed.tolerance)
        if parsed.html:
            write_page(parsed.html, document(runs, found))
    except ConfigError as error:
        print(f"sseload: {clean(error)}", file=sys.stderr)
        return 2
    _print_trends(runs, found)
    return int(any(each.is_worse for each in found))


def _enough(runs: list[KeptRun], history: str, name: str) -> list[KeptRun]:
    if len(runs) < 2:
        raise ConfigError(
            f"{count(len(runs), 'run')}{_named(name)} in {clean(history)}: a trend needs two; give "
            "runs of one kind the same --name."
        )
    return runs


def history_parser() -> argparse.ArgumentParser:
    """Return the parser of `history`."""
    made = argparse.ArgumentParser(
        prog="sseload history", description="List the runs that were kept.", allow_abbrev=False
    )
    _add_place(made)
    made.add_argument("--name", help="only runs with this --name")
    made.add_argument(
        "--latest", type=_number, default=_LATEST, metavar="N",
        help="how many to list (default: %(default)s)",
    )  # fmt: skip
    return made


def trend_parser() -> argparse.ArgumentParser:
    """Return the parser of `trend`."""
    made = argparse.ArgumentParser(
        prog="sseload trend",
        description="Show how the figures of runs of one name change over time.",
        epilog="Exit status: 1 if a figure got clearly worse in one of the last two runs, 2 if "
        "there is nothing to compare.",
        allow_abbrev=False,
    )
    _add_place(made)
    made.add_argument("--name", default="", help="the runs' --name (default: those without one)")
    made.add_argument("--html", metavar="FILE", help="also write a page with charts")
    made.add_argument(
        "--tolerance", metavar="PERCENT", type=float, default=TOLERANCE_PERCENT,
        help="relative changes up to PERCENT count as equal (default: %(default)g)",
    )  # fmt: skip
    return made


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "history", metavar="DIR", nargs="?", default=DEFAULT_FOLDER,
        help="where runs are kept (default: %(default)s)",
    )  # fmt: skip


def _number(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _named(name: str | None) -> str:
    return "" if name is None else f" named {clean(name)!r}" if name else " without a name"


def _print_runs(runs: Sequence[KeptRun]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("run", "started, UTC", "name", "grade", "target"):
        table.add_column(title, no_wrap=True)
    for title in ("connections", "codes", *(KEY_FIGURES[each].name for each in _SHOWN)):
        table.add_column(title.removeprefix("delivery "), justify="right", no_wrap=True)
    for run in runs:
        table.add_row(
            Text(clean(run.id)),
            Text(run.started_at[:19].replace("T", " ")),
            Text(shorten(clean(run.name), 16)),
            Text(f"{_SIGNS[run.grade]} {run.grade}", style=_GRADES[run.grade]),
            Text(shorten(clean(run.target), 28)),
            number(run.connections),
            number(run.codes),
            *(
                written(run.figures[each].value, KEY_FIGURES[each].unit)
                if each in run.figures
                else "-"
                for each in _SHOWN
            ),
        )
    # A list is as wide as it is, also where it is not read on a terminal.
    console = Console(width=_WIDEST, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().rstrip().split("\n")))


def _print_trends(runs: Sequence[KeptRun], found: Sequence[Trend]) -> None:
    grades: list[str] = [run.grade for run in runs]
    print(
        f"{count(len(runs), 'run')} from {runs[0].started_at[:10]} to {runs[-1].started_at[:10]}: "
        + ", ".join(f"{grades.count(each)} {each}" for each in _GRADES)
    )
    for each in found:
        unit = KEY_FIGURES[each.figure].unit
        newest = each.newest.value
        noise = "" if math.isinf(each.noise) else f", ± {_rounded(each.noise)} % between runs"
        print(f"  {each.title:<14} {written(newest, unit):>10}{noise}")
        for sentence in each.sentences:
            print(f"    → {sentence}")
    if len(runs) < FEWEST_RUNS:
        print(f"The noise between runs is not known yet: a trend needs {FEWEST_RUNS} runs.")
    elif not any(each.steps for each in found):
        print("No figure changed by more than noise explains.")


def _rounded(noise: float) -> str:
    percent = 100 * noise
    return f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"
