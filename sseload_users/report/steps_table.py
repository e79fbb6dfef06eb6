"""The summary's tables of a ladder's steps and a search's probes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from sseload_users.core.formatting import ms, number, share
from sseload_users.core.run_figures import Probe, SearchResult
from sseload_users.report.glue import glued
from sseload_users.report.model import Report
from sseload_users.verdict.capacity import ladder_sentence
from sseload_users.verdict.reasons import StepReport

_SIGNS = {"good": ("✓", "green"), "warning": ("!", "yellow"), "issues": ("✗", "red")}
#: The columns of a ladder, by the width from which on there is room for them.
_COLUMNS = (
    (74, ("open", "target", "delivered", "p50 ms", "p99 ms")),
    (0, ("open", "target", "delivered", "p99 ms")),
)
#: Most sizes of a search that are shown: those nearest to the answer.
_MOST_SIZES = 12


def steps_tables(report: Report) -> list[RenderableType]:
    """Return the table of a run's steps or probes; none for a run of one step."""
    if report.search:
        return [_Probes(report.search)] if report.search.probes else []
    return [_Ladder(report.steps)] if report.steps else []


class _Ladder:
    """A row for each step, and where the ladder first falls short."""

    def __init__(self, steps: Sequence[StepReport]) -> None:
        self._steps = steps

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        names = next(names for width, names in _COLUMNS if options.max_width >= width)
        table = Table.grid(padding=(0, 2, 0, 0))
        for justify in ("right", *["right"] * len(names), "left"):
            table.add_column(justify=justify, no_wrap=True)  # type: ignore[arg-type]
        table.add_row(
            Text("Connections", style="bold"), *(Text(name, style="dim") for name in names)
        )
        for step in self._steps:
            cells = _cells(step)
            grade = step.verdict.grade
            sign, style = _SIGNS[grade]
            result = f"{sign} {grade}"
            if grade != "good" and step.generator.saturated:
                result, style = "? saturated", "yellow"
            asked = Text(number(step.connections.attempted))
            last = Text(result, style=style)
            table.add_row(asked, *(cells[name] for name in names), last)
        yield table
        yield glued(ladder_sentence(self._steps))


def _cells(step: StepReport) -> dict[str, Text]:
    asked, opened = step.connections.attempted, step.connections.succeeded
    owed, received = step.deliveries.owed, step.deliveries.received
    return {
        "open": Text(f"{number(opened)} ({share(opened, asked)})"),
        "target": Text(step.target or "none", style="dim"),
        "delivered": Text(share(received, owed), style="" if received == owed else "red"),
        "p50 ms": Text(ms(step.delivery_ms.p50)),
        "p99 ms": Text(ms(step.delivery_ms.p99)),
    }


class _Probes:
    """A row for each size that was tried: its probes, and what broke."""

    def __init__(self, search: SearchResult) -> None:
        self._what = "Connections" if search.over == "connections" else "Codes a second"
        self._probes = search.probes
        self._answer = search.held

    def __rich_console__(self, _: Console, __: ConsoleOptions) -> RenderResult:
        sizes = sorted({each.size for each in self._probes})
        by_distance = sorted(sizes, key=lambda size: abs(size - self._answer))
        shown = sorted(by_distance[:_MOST_SIZES])
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row(Text(self._what, style="bold"), Text("probes", style="dim"))
        for size in shown:
            own = [each for each in self._probes if each.size == size]
            broken = next((each for each in reversed(own) if not each.held), None)
            why = "; ".join(broken.broken) if broken else ""
            if broken and broken.cause:
                why += f"; {broken.cause}"
            if any(each.saturated for each in own):
                why += f"{'; ' if why else ''}the generator was saturated"
            signs = Text()
            for each in own:
                signs.append(*_sign(each))
            table.add_row(Text(number(size)), signs, glued(why, "dim"))
        yield table
        if len(shown) < len(sizes):
            yield Text(f"  {len(sizes) - len(shown)} further sizes, see report.json", style="dim")


def _sign(probe: Probe) -> tuple[str, str]:
    if probe.saturated:
        return "?", "yellow"
    return ("✓", "green") if probe.held else ("✗", "red")
