"""Draw the run over time: connections, codes, latencies, and the generator's condition."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from markupsafe import Markup

from sseload_users.core.formatting import count, ms, number
from sseload_users.report.charts import scale
from sseload_users.report.charts.bins import Bin
from sseload_users.report.charts.drawing import ChartTable, Key, figure
from sseload_users.report.charts.panel import Panel
from sseload_users.report.charts.run_time import (
    X_NAME,
    Column,
    RunTime,
    span,
    when,
)

_GAPS_UP_TO = 80  # bars; more of them touch


def connections(run: RunTime) -> Markup:
    """Draw how many connections were open, connecting and dropped, and the failed operations.

    Args:
        run: its time.
    """
    parts, x = run.parts, run.x
    opens, connecting = [row.open for row in run.timeline], [row.connecting for row in run.timeline]
    dropped, errors = [row.dropped for row in run.timeline], [row.errors for row in run.timeline]
    opened = Panel("connections", scale.linear([*opens, *connecting], whole=True), x)
    run.draw(opened, connecting, "s2", dots=False)
    run.draw(opened, opens, "s1", filled=True)
    panels, keys = [opened], [Key("s1", "open"), Key("s2", "connecting")]
    drops, failures = sum(dropped), sum(errors)
    if drops:
        panels.append(_sums(parts, dropped, "dropped sessions", "interrupted", x=x, height=60))
        keys.append(Key("interrupted", "dropped", "bar"))
    if failures:
        panels.append(_sums(parts, errors, "failed operations", "missing", x=x, height=60))
        keys.append(Key("missing", "failed, drops included" if drops else "failed", "bar"))
    about = (
        f"{count(max(opens, default=0), 'connection')} open at most, "
        f"{number(drops) if drops else 'none'} dropped; "
        f"{count(failures, 'operation') if failures else 'no operation'} failed."
    )
    return figure(
        "chart-connections",
        "Connections",
        about,
        run.marked(panels, "No time has passed yet." if not parts else ""),
        ChartTable(
            ("time", "open", "connecting", "dropped", "failed operations"),
            [
                (
                    when(part),
                    span(part, opens, _integer),
                    span(part, connecting, _integer),
                    number(part.total(dropped)),
                    number(part.total(errors)),
                )
                for part in parts
            ],
        ),
        x_name=X_NAME,
        keys=[*keys, *run.keys()],
        hits=run.hits(
            parts,
            lambda part: (
                f"{span(part, opens, _integer)} open, "
                f"{span(part, connecting, _integer)} connecting, "
                f"{number(part.total(dropped))} dropped, {number(part.total(errors))} failed"
            ),
        ),
    )


def connects(run: RunTime) -> Markup:
    """Draw how many connects succeeded a second, and how many failed.

    Args:
        run: its time.
    """
    parts, x = run.parts, run.x
    made, failed = [row.connected for row in run.timeline], [row.failed for row in run.timeline]
    rates = [_rate(part, made) for part in parts]
    panels = [_bars(parts, rates, "connects a second", "s1", x=x, height=95)]
    keys = [Key("s1", "succeeded", "bar")]
    if failures := sum(failed):
        failing = [_rate(part, failed) for part in parts]
        panels.append(_bars(parts, failing, "failed connects a second", "missing", x=x, height=60))
        keys.append(Key("missing", "failed", "bar"))
    return figure(
        "chart-connects",
        "Connects",
        f"{count(sum(made), 'connect')} succeeded, "
        f"up to {_short(max(rates, default=0.0))} a second; "
        f"{number(failures) if failures else 'none'} failed.",
        run.marked(panels, "" if any(made) or failures else "Nothing was connected."),
        ChartTable(
            ("time", "connects", "failed", "connects a second"),
            [
                (
                    when(part),
                    number(part.total(made)),
                    number(part.total(failed)),
                    _short(_rate(part, made)),
                )
                for part in parts
            ],
        ),
        x_name=X_NAME,
        keys=[*keys, *run.keys()],
        hits=run.hits(
            parts,
            lambda part: (
                f"{count(part.total(made), 'connect')}, {number(part.total(failed))} failed"
            ),
        ),
    )


def traffic(run: RunTime) -> Markup:
    """Draw how many codes were sent, and how many deliveries arrived.

    Args:
        run: its time.
    """
    parts = run.parts
    x = run.x
    each = f" each {_length(parts)}" if parts else ""
    sent, received = [row.sent for row in run.timeline], [row.received for row in run.timeline]
    panels = [
        _sums(parts, received, f"deliveries{each}", "s1", x=x, height=130),
        _sums(parts, sent, f"codes sent{each}", "s2", x=x, height=60),
    ]
    return figure(
        "chart-traffic",
        "Codes and deliveries",
        f"{count(sum(sent), 'code')} sent, "
        f"{count(sum(received), 'delivery', 'deliveries')} received.",
        run.marked(panels, "" if any(received) or any(sent) else "Nothing was sent."),
        ChartTable(
            ("time", "codes sent", "deliveries"),
            [
                (when(part), number(part.total(sent)), number(part.total(received)))
                for part in parts
            ],
        ),
        x_name=X_NAME,
        keys=run.keys(),
        hits=run.hits(
            parts,
            lambda part: (
                f"{count(part.total(sent), 'code')} sent, "
                f"{count(part.total(received), 'delivery', 'deliveries')} received"
            ),
        ),
    )


def generator(run: RunTime) -> Markup:
    """Draw the load generator's own condition: its lag, its CPU, and its waits for a core.

    Args:
        run: its time.
    """
    parts = run.parts
    x = run.x
    lag, cpu = [row.lag_p99_ms for row in run.timeline], [row.cpu_percent for row in run.timeline]
    waited = [row.waited_percent for row in run.timeline]
    stalls = [row.stall_ms for row in run.timeline]
    lags, loads, waits, stood = (_known(column) for column in (lag, cpu, waited, stalls))
    lag_panel = Panel("lag p99, ms", scale.latencies(lags), x, height=95)
    cpu_panel = Panel("CPU, %", scale.linear(loads, least=100.0), x, height=95)
    wait_panel = Panel("waited for a core, %", scale.linear(waits, least=100.0), x, height=95)
    run.draw(lag_panel, lag, "s4")
    for panel, column, style in ((cpu_panel, cpu, "s3"), (wait_panel, waited, "s2")):
        run.draw(panel, column, style, filled=True)
    return figure(
        "chart-generator",
        "Generator",
        _condition(lags, stood, loads, waits),
        run.marked(
            [lag_panel, cpu_panel, wait_panel] if waits else [lag_panel, cpu_panel],
            "" if lags or loads else "Nothing was measured.",
        ),
        ChartTable(
            ("time", "lag p99, ms", "longest stall, ms", "CPU, %", "waited for a core, %"),
            [
                (
                    when(part),
                    span(part, lag, ms),
                    span(part, stalls, ms),
                    span(part, cpu, _whole),
                    span(part, waited, _whole),
                )
                for part in parts
            ],
        ),
        x_name=X_NAME,
        keys=run.keys(),
        hits=run.hits(
            parts,
            lambda part: (
                f"lag p99 {span(part, lag, ms)} ms, longest stall {span(part, stalls, ms)} ms, "
                f"CPU {span(part, cpu, _whole)} %, waited {span(part, waited, _whole)} %"
            ),
        ),
    )


def _condition(
    lags: Sequence[float], stalls: Sequence[float], loads: Sequence[float], waits: Sequence[float]
) -> str:
    """Return the generator's condition in words: the highest of its figures."""
    known = (
        f"Lag p99 {ms(max(lags))} ms at most" if lags else "Lag unknown",
        *([f"longest stall {ms(max(stalls))} ms"] if stalls else []),
        f"CPU {max(loads):.0f} % at most" if loads else "CPU unknown",
        f"waited for a core {max(waits):.0f} % of a second at most."
        if waits
        else "waits for a core unknown.",
    )
    return "; ".join(known)


def _known(column: Column) -> list[float]:
    return [value for value in column if value is not None]


def _sums(
    parts: Sequence[Bin],
    column: Sequence[int],
    unit: str,
    style: str,
    *,
    x: scale.Scale,
    height: int,
) -> Panel:
    """Return a panel of a count's sum in each bin."""
    totals = [part.total(column) for part in parts]
    return _bars(parts, totals, unit, style, x=x, height=height)


def _bars(
    parts: Sequence[Bin],
    values: Sequence[float],
    unit: str,
    style: str,
    *,
    x: scale.Scale,
    height: int,
) -> Panel:
    """Return a panel of one bar for each bin."""
    panel = Panel(unit, scale.linear(values, whole=True), x, height)
    gap = 0.15 if len(parts) <= _GAPS_UP_TO else 0.0
    for part, value in zip(parts, values, strict=True):
        if value:
            panel.bar((part.start, part.end), (0, value), style, gap)
    return panel


def _rate(part: Bin, column: Sequence[int]) -> float:
    """Return a count per second; a bin that is shorter than a second counts as a whole one."""
    return part.total(column) / max(1.0, part.end - part.start)


def _length(parts: Sequence[Bin]) -> str:
    length = round(median(part.end - part.start for part in parts), 1)
    return f"{length:g} s" if length < 120 else f"{length / 60:.3g} min"


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 or rate % 1 == 0 else f"{rate:.2g}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _integer(value: float) -> str:
    return number(int(value))
