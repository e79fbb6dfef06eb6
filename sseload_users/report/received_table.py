"""The summary's bars: how many connections received how many codes?"""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from sseload_users.core.figures import went_out
from sseload_users.core.formatting import number, share
from sseload_users.report.distribution import distribution
from sseload_users.report.model import Report


class ReceivedTable:
    """A bar chart of how many connections received how many codes."""

    def __init__(self, report: Report) -> None:
        self._rows = distribution(report.received_per_connection)
        out = went_out(report.codes, report.observed)
        # With channels, a connection is not owed all codes.
        self._out = None if report.channels else out

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        of_all = "" if self._out is None else f"  of {number(self._out)} that went out"
        yield Text.assemble(("Codes received per connection", "bold"), (of_all, "dim"))
        labels = [label for label, _ in self._rows]
        left, right = max(map(len, labels)), max(len(number(many)) for _, many in self._rows)
        total = sum(many for _, many in self._rows)
        widest = max(1, *(many for _, many in self._rows))
        room = max(8, min(40, options.max_width - left - right - 24))
        for label, many in self._rows:
            full = self._out is None or label == number(self._out)
            bar = "█" * (many * room // widest) or ("▏" if many else "")
            yield Text.assemble(
                f"  {label:>{left}}  ",
                (f"{bar:<{room}}", "green" if full else "yellow"),
                f"  {number(many):>{right}}",
                (f"  {share(many, total)}", "dim"),
            )
