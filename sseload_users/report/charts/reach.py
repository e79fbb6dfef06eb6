"""Draw the reach of codes: which share of the sessions had them after how long."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sseload_users.core.formatting import ms, number, of, share
from sseload_users.report import hdr
from sseload_users.report.charts import scale
from sseload_users.report.charts.drawing import ChartTable, Hit, Key, figure
from sseload_users.report.charts.palette import SERIES
from sseload_users.report.charts.panel import Panel, Point
from sseload_users.report.model import CodeReach, CodeRow

#: Steps of a curve that can be told apart at any width of the picture.
_STEPS = 250
_HITS = 40


@dataclass(frozen=True, slots=True)
class _Curve:
    """What is known of one code's reach.

    Attributes:
        code: the code.
        after_us: times after its sending, in microseconds, in order.
        reached: how many sessions had it by each of them.
        is_measured: whether these are all arrivals; otherwise nothing is known between them.
    """

    code: CodeRow
    after_us: Sequence[float]
    reached: Sequence[int]
    is_measured: bool

    def by(self, after_ms: float) -> int:
        """Return how many sessions are known to have had the code by a time."""
        index = bisect_right(self.after_us, after_ms * 1000)
        return self.reached[index - 1] if index else 0

    def points(self, x: scale.Scale) -> Iterator[Point]:
        """Yield the known points that can be told apart, as (milliseconds, share of the owed).

        Of those that cannot, the last one, so that no reach is early.
        """
        before = 0
        for step in range(1, _STEPS + 1):
            # The last step has all that is left, whatever rounding makes of the axis' end.
            end_us = x.value(step / _STEPS) * 1000 if step < _STEPS else math.inf
            index = bisect_right(self.after_us, end_us, before)
            if index > before:
                yield self.after_us[index - 1] / 1000, self.reached[index - 1] / self.code.owed
                before = index

    def words(self, after_ms: float) -> str:
        """Return how far the code had come by a time."""
        least = "" if self.is_measured else "at least "
        return f"code {number(self.code.seq)} {least}{share(self.by(after_ms), self.code.owed)}"


def reach(per_code: Sequence[CodeRow], measured: Sequence[CodeReach]) -> Markup:
    """Draw which share of the sessions had the latest codes after how long.

    A code's arrivals are drawn as they were measured, in steps. Of a code without them, as in a
    report that does not have them, the known points are drawn and not joined.

    Args:
        per_code: as in the report.
        measured: as in the report.

    Raises:
        ValueError: a histogram cannot be read.
    """
    found = {each.seq: each for each in measured}
    owed = [code for code in per_code if code.owed][-len(SERIES) :]
    curves = [_curve(code, found) for code in owed]
    x = scale.latencies(value for code in owed for value in _arrivals(code) if value)
    panel = Panel("of the sessions owed", scale.shares(), x)
    # The latest has the first colour, and is drawn last, above the others.
    styles = SERIES[: len(curves)][::-1]
    for curve, style in zip(curves, styles, strict=True):
        _draw(panel, curve, style, is_latest=curve is curves[-1])
    if not curves:
        panel.nothing("No code was owed to anybody.")
    return figure(
        "chart-reach",
        "Reach of the latest codes",
        _about(curves),
        [panel],
        ChartTable(
            ("code", "reached", "first, ms", "p50, ms", "p95, ms", "p99, ms", "last, ms"),
            [
                (number(code.seq), share(code.delivered, code.owed), *map(ms, _arrivals(code)))
                for code in reversed(owed)
            ],
        ),
        x_name="ms since the code was sent",
        keys=[
            Key(style, f"code {number(code.seq)}{', the latest' if code is owed[-1] else ''}")
            for code, style in zip(reversed(owed), SERIES, strict=False)
        ],
        hits=_hits(curves, x),
    )


def _about(curves: Sequence[_Curve]) -> str:
    if not curves:
        return "No code was owed to anybody."
    last = curves[-1].code
    about = f"Code {number(last.seq)} reached {of(last.delivered, last.owed)} sessions"
    if curves[-1].after_us:
        about += f": half of them within {ms(last.p50_ms)} ms, the last after {ms(last.last_ms)} ms"
    if not all(curve.is_measured for curve in curves):
        about += ". Only the points were kept, not what is between them"
    return f"{about}."


def _arrivals(code: CodeRow) -> tuple[float | None, ...]:
    return code.first_ms, code.p50_ms, code.p95_ms, code.p99_ms, code.last_ms


def _curve(code: CodeRow, measured: Mapping[int, CodeReach]) -> _Curve:
    found = measured.get(code.seq)
    histogram = hdr.histogram(found.delivery_ms) if found is not None else None
    if histogram is not None and histogram.total == code.delivered:
        return _Curve(code, *histogram.cumulative(), True)
    known = [
        (value * 1000, rank)
        for value, rank in zip(_arrivals(code), _ranks(code.delivered), strict=True)
        if code.delivered and value is not None
    ]
    return _Curve(code, [at for at, _ in known], [many for _, many in known], not code.delivered)


def _ranks(delivered: int) -> Iterator[int]:
    """Yield the ranks of the first, p50, p95, p99 and last arrival; percentiles by nearest rank."""
    yield 1
    for percent in (50, 95, 99, 100):
        yield max(1, -(-percent * delivered // 100))


def _draw(panel: Panel, curve: _Curve, style: str, *, is_latest: bool) -> None:
    points = list(curve.points(panel.x))
    # Nothing came later: that was measured as well.
    end = points[-1] if points else (panel.x.low, 0.0)
    panel.line([end, (panel.x.high, end[1])], style, "faint")
    if not curve.is_measured:
        for point in points:
            panel.dot(point, style, 3.5 if is_latest else 2.5)
    elif points:
        panel.line(_stairs(points), style, "" if is_latest else "thin")


def _stairs(points: Sequence[Point]) -> Iterator[Point]:
    """Yield the corners of a line that rises at each point, from 0."""
    before = 0.0
    for at, value in points:
        yield at, before
        yield at, value
        before = value


def _hits(curves: Sequence[_Curve], x: scale.Scale) -> Iterator[Hit]:
    """Yield texts along the horizontal axis: how far each code had come."""
    for index in range(_HITS if curves else 0):
        start, end = (x.value(at / _HITS) for at in (index, index + 1))
        reached = ", ".join(curve.words(end) for curve in reversed(curves))
        yield Hit(start, end, f"after {ms(end)} ms: {reached}")
