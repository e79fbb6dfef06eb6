"""The summary's table of latencies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.formatting import ms
from sseload_users.report.model import Report

_PERCENTILES: Mapping[str, Callable[[LatencySummary], float | None]] = {
    "p50": lambda latency: latency.p50,
    "p90": lambda latency: latency.p90,
    "p95": lambda latency: latency.p95,
    "p99": lambda latency: latency.p99,
    "p99.9": lambda latency: latency.p99_9,
    "max": lambda latency: latency.max,
}
_FEW_PERCENTILES = {name: _PERCENTILES[name] for name in ("p50", "p95", "p99", "max")}


class LatencyTable:
    """The table of percentiles, with as many columns as fit."""

    def __init__(self, report: Report) -> None:
        self._rows = [
            ("delivery", report.delivery_ms),
            ("spread of a code", report.spread_ms),
            ("connect", report.connections.connect_ms),
            ("recovery", report.connections.recovery_ms),
            *([("catching up", report.resume.recovery_ms)] if report.resume else []),
            ("ingest answer", report.codes.ingest_ms),
        ]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        shown = _FEW_PERCENTILES if options.max_width < 74 else _PERCENTILES
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=18, no_wrap=True)
        for _name in shown:
            table.add_column(justify="right", min_width=7, no_wrap=True)
        table.add_row(
            Text("Latency, ms", style="bold"),
            *(Text(name, style="dim") for name in shown),
        )
        for label, latency in self._rows:
            if latency.count:
                figures = (Text(ms(figure(latency))) for figure in shown.values())
                table.add_row(Text(f"  {label}"), *figures)
        if not any(latency.count for _, latency in self._rows):
            table.add_row(Text("  nothing measured", style="dim"))
        yield table
