"""What a run came to: its report, the comparison with a baseline, and the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.delivery_row import DeliveryRow
from sseload_users.core.formatting import clean
from sseload_users.options import Options
from sseload_users.report import console, files, history
from sseload_users.report.comparison import AgainstBaseline, compare
from sseload_users.report.comparison_views import print_comparison
from sseload_users.report.model import Report
from sseload_users.report.serialization import read
from sseload_users.run.build_server import tell_build_server
from sseload_users.run.program import typed
from sseload_users.verdict import capacity, rules


def read_baseline(options: Options) -> Report | None:
    """Return the report to compare a run with; None if the options name none.

    Raises:
        ConfigError: it cannot be read.
    """
    return None if options.baseline is None else read(options.baseline)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of one run.

    Attributes:
        report: of the run.
        against: the run, compared with its baseline, if it has one.
        status: the exit status of a headless run.
    """

    report: Report
    against: AgainstBaseline | None
    status: int

    @classmethod
    def of(
        cls, report: Report, options: Options, baseline: Report | None, *, judged: bool
    ) -> RunResult:
        """Return the result of a run.

        Args:
            report: of the run.
            options: of the run.
            baseline: report of an earlier run, if there is one to compare with.
            judged: whether the run says anything about the server.
        """
        against = None
        if baseline is not None and judged:
            against = AgainstBaseline(baseline, compare(baseline, report))
        status = rules.exit_status(
            report.verdict if judged else None,
            options.fail_on,
            conclusive=capacity.has_answer(report.steps, report.search),
            worse=against is not None and against.result.worse,
        )
        return cls(report, against, status)

    def write(
        self,
        options: Options,
        connections: Sequence[ConnectionRow],
        deliveries: Sequence[DeliveryRow] | None,
    ) -> None:
        """Write the report's files where the options say; see `files.write`.

        Raises:
            ConfigError: some cannot be written.
        """
        if options.history:
            history.keep(self.report, options.history)
        folders = [options.delivery_report] if options.delivery_report is not None else []
        if options.history:
            folders.append(str(history.folder_of(options.history, self.report)))
        if folders:
            first, *copies = folders
            files.write(self.report, first, connections, self.against, deliveries, copies=copies)

    def show(self, *, headless: bool, embedded: bool, kept_in: str) -> None:
        """Print the summary, and tell the build server, if there is one.

        Args:
            headless: whether the run was started from a command line.
            embedded: whether the embedded target was tested.
            kept_in: the directory in which runs are kept; empty if they are not.
        """
        console.print_summary(self.report)
        if self.against is not None:
            baseline, result = self.against
            print_comparison(baseline, self.report, result)
        if not headless:
            return
        tell_build_server(self.report, self.against, os.environ)
        if kept_in:
            page = history.folder_of(kept_in, self.report) / "report.html"
            print(f"The report is kept: {clean(page)}", file=sys.stderr)
        if embedded:
            print(
                f"This was the embedded target. A server of your own: {typed()} check --host URL",
                file=sys.stderr,
            )
