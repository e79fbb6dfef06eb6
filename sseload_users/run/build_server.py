"""What a build server shows of a run, besides the report's files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from sseload_users.core.formatting import clean
from sseload_users.report import markdown
from sseload_users.report.comparison import AgainstBaseline
from sseload_users.report.model import Report
from sseload_users.report.workflow_commands import annotation_lines


def tell_build_server(
    report: Report,
    against: AgainstBaseline | None,
    environment: Mapping[str, str],
    output: TextIO | None = None,
) -> None:
    """Annotate the build, and append the run to its summary, on GitHub Actions.

    `GITHUB_ACTIONS` and `GITHUB_STEP_SUMMARY` tell whether and where; elsewhere this does
    nothing. A summary that cannot be written does not change the run's result.

    Args:
        report: of the run.
        against: it, compared with its baseline, if it has one.
        environment: the process's environment.
        output: where annotations go; standard output by default.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        worse = against.result.sentences("worse") if against is not None else ()
        for line in annotation_lines(report.verdict.reasons, worse):
            print(line, file=output or sys.stdout)
    place = environment.get("GITHUB_STEP_SUMMARY")
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8", errors="replace") as file:
            file.write(markdown.document(report, against))
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        print(f"sseload: {clean(place)}: no summary was written ({why}).", file=sys.stderr)
