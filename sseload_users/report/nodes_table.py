"""The summary's tables of nodes, and of what each node received of each node's codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nsmallest

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from sseload_users.core.formatting import clean, count, ms, number, share, shorten
from sseload_users.core.node_figures import NodePairFigures
from sseload_users.report.model import Report

#: Most nodes, and most pairs of nodes, to show.
MOST = 8
#: Width of a matrix's first column, of a column of numbers, and of the gap before it.
_TITLE, _NUMBER, _GAP = 10, 7, 2


class NodesTable:
    """The nodes, and a matrix of what they received; if it has no room, only the losses.

    Args:
        report: of the run.
    """

    def __init__(self, report: Report) -> None:
        self._nodes = report.nodes
        self._pairs = report.node_pairs
        self._numbers = {node.url: at for at, node in enumerate(report.nodes, 1)}

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._connections(options.max_width)
        if any(each.has_gaps for each in self._nodes):
            yield Text("")
            yield self._gaps()
        yield Text("")
        columns = _TITLE + len(self._nodes) * (_NUMBER + _GAP)
        if len(self._nodes) <= MOST and columns <= options.max_width:
            yield self._matrix()
        else:
            yield from self._losses()

    def _connections(self, width: int) -> Iterator[RenderableType]:
        names = ("connected", "failed", "dropped", "codes")
        table = _grid("Node", names)
        room = width - sum(max(_NUMBER, len(name)) + _GAP for name in names)
        worst = nsmallest(MOST, self._nodes, key=lambda each: -each.failed - each.dropped)
        for node in self._nodes:
            if node in worst:
                table.add_row(
                    Text(f"  {self._numbers[node.url]}  {shorten(clean(node.url), room - 6)}"),
                    Text(number(node.succeeded)),
                    _bad(node.failed),
                    _bad(node.dropped),
                    Text(number(node.codes)),
                )
        yield table
        if left_out := len(self._nodes) - len(worst):
            yield Text(f"  {count(left_out, 'further node')}, no worse: see nodes.csv", "dim")

    def _gaps(self) -> RenderableType:
        """Return how long connections were away from each node."""
        names = ("planned ends", "returned", "median s", "longest s", "codes diverted")
        table = _grid("Gaps", names)
        worst = nsmallest(MOST, self._nodes, key=lambda each: -(each.gap_max_ms or 0))
        for node in self._nodes:
            if node in worst:
                table.add_row(
                    Text(f"  {self._numbers[node.url]}"),
                    Text(number(node.planned_ends)),
                    Text(number(node.returned)),
                    _seconds(node.gap_p50_ms),
                    _seconds(node.gap_max_ms),
                    Text(number(node.diverted)),
                )
        return table

    def _matrix(self) -> RenderableType:
        """Return two rows for each publishing node, with a column for each receiving one."""
        table = _grid("Delivered", [f"to {at}" for at in self._numbers.values()])
        for url, at in self._numbers.items():
            row = [each for each in self._pairs if each.sent_to == url]
            table.add_row(Text(f"  from {at}"), *map(_share, row))
            if any(each.delivery_ms.count for each in row):
                p99 = (Text(ms(each.delivery_ms.p99), "dim") for each in row)
                table.add_row(Text("    p99 ms", "dim"), *p99)
        return table

    def _losses(self) -> Iterator[RenderableType]:
        lossy = [each for each in self._pairs if each.received < each.owed]
        if not lossy:
            yield Text("  Each node received all codes of each node.", "dim")
            return
        table = _grid("From node to node", ("delivered", "not in time", "p99 ms"))
        for each in nsmallest(MOST, lossy, key=lambda pair: pair.received - pair.owed):
            source, to = self._numbers[each.sent_to], self._numbers[each.received_at]
            table.add_row(
                Text(f"  {source} to {to}"),
                _share(each),
                _bad(each.owed - each.received),
                Text(ms(each.delivery_ms.p99)),
            )
        yield table
        left_out = len(lossy) - MOST
        if left_out > 0:
            yield Text(
                f"  {count(left_out, 'further pair')} with losses: see node_pairs.csv", "dim"
            )


def _grid(title: str, names: Sequence[str]) -> Table:
    table = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    for name in names:
        table.add_column(justify="right", min_width=max(_NUMBER, len(name)), no_wrap=True)
    table.add_row(Text(title, style="bold"), *(Text(name, "dim") for name in names))
    return table


def _share(pair: NodePairFigures) -> Text:
    if not pair.owed:
        return Text("-", "dim")
    return Text(share(pair.received, pair.owed), "red" if pair.received < pair.owed else "")


def _seconds(gap_ms: float | None) -> Text:
    return Text("-", "dim") if gap_ms is None else Text(f"{gap_ms / 1000:.1f}")


def _bad(many: int) -> Text:
    return Text(number(many), "red" if many else "dim")
