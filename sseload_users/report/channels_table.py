"""The summary's table of channels: which of them is worse off than the others?"""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from sseload_users.core.audience_figures import ChannelFigures
from sseload_users.core.formatting import clean, count, ms, number, share, shorten
from sseload_users.report.model import Report

#: Most rows: more would scroll the answer away.
MOST = 5

#: The columns, by the width from which on there is room for them; at least so wide.
_COLUMNS = (
    (88, ("connections", "codes", "received", "not received", "leaked", "p50 ms", "p99 ms")),
    (74, ("connections", "codes", "received", "not received", "leaked", "p99 ms")),
    (0, ("received", "not received", "leaked", "p99 ms")),
)
_NARROWEST, _GAP = 6, 2


class ChannelsTable:
    """The table, with as many columns as fit.

    Args:
        report: of the run.

    Attributes:
        rows: the channels to show, the worst first; none for a run with one channel or none.
    """

    def __init__(self, report: Report) -> None:
        channels = report.channels
        self.rows = channels[:MOST] if len(channels) > 1 else []
        self._left_out = len(channels) - len(self.rows)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        names = next(names for width, names in _COLUMNS if options.max_width >= width)
        widths = [max(_NARROWEST, len(name)) for name in names]
        room = options.max_width - sum(widths) - _GAP * len(names)
        table = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
        table.add_column(no_wrap=True)
        for width in widths:
            table.add_column(justify="right", min_width=width, no_wrap=True)
        table.add_row(Text("Channel", style="bold"), *(Text(each, style="dim") for each in names))
        for row in self.rows:
            cells = _cells(row)
            name = Text(f"  {shorten(clean(row.name), room - 2)}")
            table.add_row(name, *(cells[each] for each in names))
        yield table
        if self._left_out:
            further = count(self._left_out, "further channel")
            yield Text(f"  {further}, no worse: see channels.csv", style="dim")


def _cells(row: ChannelFigures) -> dict[str, Text]:
    return {
        "connections": Text(number(row.connections)),
        "codes": Text(number(row.codes)),
        "received": Text(share(row.received, row.owed) if row.owed else "-"),
        "not received": _bad(row.owed - row.received),
        "leaked": _bad(row.leaked),
        "p50 ms": Text(ms(row.p50)),
        "p99 ms": Text(ms(row.p99)),
    }


def _bad(many: int) -> Text:
    return Text(number(many), style="red" if many else "dim")
