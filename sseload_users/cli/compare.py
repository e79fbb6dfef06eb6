"""The command `compare`: two runs on the console, as a page, and as an exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sseload_users.cli.page_file import write_page
from sseload_users.core.errors import ConfigError
from sseload_users.report.comparison import TOLERANCE_PERCENT, compare
from sseload_users.report.comparison_views import document, print_comparison
from sseload_users.report.history import DEFAULT_FOLDER, find
from sseload_users.report.model import Report
from sseload_users.report.serialization import read


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: without the command's name.

    Returns:
        0 if B is not clearly worse than A, 1 if it is, 2 if they cannot be compared.
    """
    asked = parser().parse_args(arguments)
    try:
        before, after = _read(asked.a), _read(asked.b)
        result = compare(before, after, asked.tolerance)
        if asked.html:
            write_page(asked.html, document(before, after, result, asked.tolerance))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    print_comparison(before, after, result, asked.tolerance)
    return int(result.worse)


def _read(place: str) -> Report:
    """Return the report in a file or directory, or of a run that was kept.

    Raises:
        ConfigError: there is none.
    """
    kept = None if Path(place).exists() else find(DEFAULT_FOLDER, place)
    return read(place if kept is None else kept.folder)


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = argparse.ArgumentParser(
        prog="sseload compare",
        description="Compare the reports of two runs: what changed, and whether noise explains it.",
        epilog="Exit status: 0 if B is not clearly worse than A, 1 if it is, 2 if they cannot "
        "be compared.",
        allow_abbrev=False,
    )
    made.add_argument(
        "a",
        metavar="A",
        help="the report before: a report.json, a directory with one, or the id of a run in "
        f"{DEFAULT_FOLDER}/",
    )
    made.add_argument("b", metavar="B", help="the report after, likewise")
    made.add_argument("--html", metavar="FILE", help="also write a page with charts")
    made.add_argument(
        "--tolerance",
        metavar="PERCENT",
        type=_tolerance,
        default=TOLERANCE_PERCENT,
        help="latencies within PERCENT of each other count as equal (default: %(default)g)",
    )
    return made


def _tolerance(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0 to 1000")
    return value
