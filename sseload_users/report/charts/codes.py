"""Draw codes in order: what became of their owed deliveries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from markupsafe import Markup

from sseload_users.core.formatting import count, number, of
from sseload_users.report.charts import scale
from sseload_users.report.charts.bins import chunks
from sseload_users.report.charts.drawing import ChartTable, Hit, Key, figure
from sseload_users.report.charts.panel import Panel
from sseload_users.report.model import CodeRow

Codes: TypeAlias = Sequence[CodeRow]

_BARS_WITH_GAPS = 40


class _Sums(NamedTuple):
    """The outcomes of the deliveries of some codes together."""

    owed: int
    delivered: int
    recovered: int
    late: int
    interrupted: int
    missing: int

    @property
    def received(self) -> int:
        """How many came in time or were recovered."""
        return self.delivered + self.recovered

    @property
    def losses(self) -> tuple[tuple[int, str], ...]:
        """How many were not delivered in time, and how, in the order in which they are stacked."""
        return (
            (self.late, "late"),
            (self.interrupted, "interrupted"),
            (self.missing, "missing"),
        )


def _sums(codes: Codes) -> _Sums:
    return _Sums(
        sum(code.owed for code in codes),
        sum(code.delivered for code in codes),
        sum(code.recovered for code in codes),
        sum(code.late for code in codes),
        sum(code.interrupted for code in codes),
        sum(code.missing for code in codes),
    )


def deliveries(per_code: Codes) -> Markup:
    """Draw the outcomes of each code's owed deliveries.

    Args:
        per_code: as in the report; where there are many, neighbouring codes share a bar.
    """
    parts = chunks(per_code)
    together = len(parts[0]) if parts else 1
    x = _code_axis(len(per_code), together)
    sums = [_sums(part) for part in parts]
    total = _sums(per_code)
    bars = f" by {count(together, 'code')}" if together > 1 else " by code"
    whole = Panel(
        f"owed deliveries{bars}",
        scale.linear((each.owed for each in sums), whole=True),
        x,
        height=120,
    )
    lost = Panel(
        f"of them lost or late{bars}",
        scale.linear((sum(many for many, _ in each.losses) for each in sums), whole=True),
        x,
        height=80,
    )
    gap = 0.2 if len(parts) <= _BARS_WITH_GAPS else 0.0
    for index, each in enumerate(sums):
        place = (index * together, index * together + len(parts[index]))
        _stack(whole, place, ((each.delivered, "s1"), (each.recovered, "s3"), *each.losses), gap)
        _stack(lost, place, each.losses, gap)
    if not total.owed:
        whole.nothing("No code was owed to anybody.")
    losses = [(many, name) for many, name in total.losses if many]
    shown = [name for name in _Sums._fields if name != "recovered" or total.recovered]
    return figure(
        "chart-deliveries",
        "Deliveries by code",
        _about(total, losses),
        [whole, lost] if losses else [whole],
        ChartTable(
            ("code", *shown),
            [
                (_codes(part), *(number(getattr(each, name)) for name in shown))
                for part, each in zip(parts, sums, strict=True)
            ],
        ),
        x_name="code, in order of sending",
        keys=[
            Key("s1", "delivered", "bar"),
            *([Key("s3", "recovered", "bar")] if total.recovered else []),
            *(Key(name, name, "bar") for _, name in losses),
        ],
        hits=(
            Hit(index * together, index * together + len(part), _words(part, each))
            for index, (part, each) in enumerate(zip(parts, sums, strict=True))
        ),
    )


def _about(total: _Sums, losses: Sequence[tuple[int, str]]) -> str:
    how = "arrived in time or were recovered" if total.recovered else "arrived in time"
    lost = ", ".join(f"{number(many)} {name}" for many, name in losses)
    return f"{of(total.received, total.owed)} owed deliveries {how}{': ' if lost else ''}{lost}."


def _words(part: Codes, sums: _Sums) -> str:
    recovered = [(sums.recovered, "recovered")] if sums.recovered else []
    others = ", ".join(f"{number(many)} {name}" for many, name in (*recovered, *sums.losses))
    codes = f"{'codes' if len(part) > 1 else 'code'} {_codes(part)}"
    return f"{codes}: {of(sums.delivered, sums.owed)} delivered, {others}"


def _stack(
    panel: Panel, place: tuple[float, float], counts: Iterable[tuple[int, str]], gap: float
) -> None:
    """Draw bars of some counts and styles on top of each other."""
    foot = 0
    for many, style in counts:
        if many:
            panel.bar(place, (foot, foot + many), style, gap)
        foot += many


def _code_axis(codes: int, together: int) -> scale.Scale:
    """Return the axis of codes by number; a tick stands below the middle of its code."""
    end = max(codes, 1)
    step = max(1, round(scale.linear([end / 1.2], whole=True).ticks[1][0])) if end > 8 else 1
    numbers = [1, *range(step, end + 1, step)] if step > 1 else range(1, end + 1)
    middle = 0.5 if together == 1 else 0.0
    ticks = tuple((each - 1 + middle, number(each)) for each in numbers)
    return scale.Scale(0.0, float(end), ticks if codes else ())


def _codes(part: Codes) -> str:
    first, last = number(part[0].seq), number(part[-1].seq)
    return first if first == last else f"{first}-{last}"
