"""What a run came to: its report, the comparison with a baseline, and the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.delivery_row import DeliveryRow
from sseload_users.options import Options
from sseload_users.report import console, files
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
        directory: str,
        connections: Iterable[ConnectionRow],
        deliveries: Iterable[DeliveryRow] | None,
    ) -> None:
        """Write the report's files; see `files.write`.

        Raises:
            ConfigError: some cannot be written.
        """
        files.write(self.report, directory, connections, self.against, deliveries)

    def show(self, *, headless: bool, embedded: bool) -> None:
        """Print the summary, and tell the build server, if there is one.

        Args:
            headless: whether the run was started from a command line.
            embedded: whether the embedded target was tested.
        """
        console.print_summary(self.report)
        if self.against is not None:
            baseline, result = self.against
            print_comparison(baseline, self.report, result)
        if not headless:
            return
        tell_build_server(self.report, self.against, os.environ)
        if embedded:
            print(
                f"This was the embedded target. A server of your own: {typed()} check --host URL",
                file=sys.stderr,
            )
