"""The summary's table of regions or workers: is one of them worse off than the others?"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from sseload_users.core.formatting import clean, count, ms, number, share, shorten
from sseload_users.report.model import RegionShare, Report, WorkerShare

#: Most rows: more would scroll the answer away.
MOST = 8

#: The columns, by the width from which on there is room for them; at least so wide.
_COLUMNS = (
    (88, ("connected", "failed", "delivered", "not in time", "p50 ms", "p99 ms")),
    (74, ("connected", "failed", "delivered", "not in time", "p99 ms")),
    (0, ("delivered", "not in time", "p99 ms")),
)
_NARROWEST, _GAP = 7, 2

Row = WorkerShare | RegionShare


class WorkersTable:
    """The table, with as many columns as fit.

    Args:
        report: of the run.

    Attributes:
        rows: the rows to show: regions if there are several, else workers; none for one
            worker.
    """

    def __init__(self, report: Report) -> None:
        by_region = len(report.regions) > 1
        self._what = "Region" if by_region else "Worker"
        rows: Sequence[Row] = report.regions if by_region else report.workers
        worst = sorted(rows, key=_badness, reverse=True)[:MOST]
        self.rows = [row for row in rows if row in worst] if len(rows) > 1 else []
        self._left_out = len(rows) - len(self.rows)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        names = next(names for width, names in _COLUMNS if options.max_width >= width)
        widths = [max(_NARROWEST, len(name)) for name in names]
        room = options.max_width - sum(widths) - _GAP * len(names)
        table = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
        table.add_column(no_wrap=True)
        for width in widths:
            table.add_column(justify="right", min_width=width, no_wrap=True)
        table.add_row(Text(self._what, style="bold"), *(Text(each, style="dim") for each in names))
        for row in self.rows:
            cells = _cells(row)
            table.add_row(_name(row, room), *(cells[name] for name in names))
        yield table
        if self._left_out:
            further = count(self._left_out, f"further {self._what.lower()}")
            yield Text(f"  {further}, no worse: see report.json", style="dim")


def _badness(row: Row) -> tuple[int, int, float]:
    return int(row.lost), _undelivered(row) + row.failed, row.delivery_ms.p99 or 0.0


def _undelivered(row: Row) -> int:
    return row.owed - row.delivered - row.recovered


def _name(row: Row, room: int) -> Text:
    name = clean(row.name) or "no region"
    if row.lost:
        return Text(f"  {shorten(name, room - 7)} lost", style="red")
    return Text(f"  {shorten(name, room - 2)}")


def _cells(row: Row) -> dict[str, Text]:
    undelivered, latency = _undelivered(row), row.delivery_ms
    return {
        "connected": Text(number(row.succeeded)),
        "failed": _bad(row.failed),
        "delivered": Text(share(row.owed - undelivered, row.owed) if row.owed else "-"),
        "not in time": _bad(undelivered),
        "p50 ms": Text(ms(latency.p50)),
        "p99 ms": Text(ms(latency.p99)),
    }


def _bad(many: int) -> Text:
    return Text(number(many), style="red" if many else "dim")
