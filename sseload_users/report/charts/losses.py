"""The chart of which connections lacked which codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby

from markupsafe import Markup

from sseload_users.core.formatting import count, number, of, share
from sseload_users.report.charts import scale
from sseload_users.report.charts.drawing import ChartTable, Hit, Key, figure
from sseload_users.report.charts.panel import Panel
from sseload_users.report.model import LossMap

#: Height of the picture, in pixels.
_HEIGHT = 220
#: Upper ends of the shares that have one shade, and how opaque it is.
_SHADES = ((0.1, 0.25), (0.4, 0.45), (0.8, 0.7), (1.0, 1.0))
#: Most ranges of codes that a row of the table names.
MOST_RANGES = 8


def losses(found: LossMap) -> Markup:
    """Draw which connections of the sample lacked which codes.

    Args:
        found: at least one pair of it was lost.
    """
    rows, columns = _edges(found.connections), _edges(found.codes)
    x = _axis(found, columns[-1])
    panel = Panel("connections", scale.linear([rows[-1]], whole=True), x, height=_HEIGHT)
    for shade, (most, opacity) in enumerate(_SHADES):
        least = _SHADES[shade - 1][0] if shade else 0.0
        boxes = [
            ((columns[at], rows[-1] - rows[row + 1]), (columns[at + 1], rows[-1] - rows[row]))
            for row, shares in enumerate(_shares(found))
            for at, each in enumerate(shares)
            if least < each <= most
        ]
        panel.cells(boxes, "missing", opacity)
    lost, owed = (sum(map(sum, each)) for each in (found.lost, found.owed))
    affected = sum(
        many for many, row in zip(found.connections, found.lost, strict=True) if any(row)
    )
    return figure(
        "chart-losses",
        "Who lacked what",
        f"Of {count(rows[-1], 'connection')} in the sample and {count(columns[-1], 'code')}, "
        f"{of(lost, owed)} deliveries did not come in time. Connections that lacked the same codes "
        "are side by side; the darker, the larger the share.",
        [panel],
        ChartTable(
            ("connections", "lacked", "of", "codes that they lacked"),
            [
                (number(many), number(sum(lacked)), number(sum(due)), _ranges(found, lacked, due))
                for many, lacked, due in zip(found.connections, found.lost, found.owed, strict=True)
            ],
        ),
        x_name="code, in order of sending",
        keys=[Key("missing", f"late or lost ({count(affected, 'connection')})", "bar")],
        hits=(
            Hit(columns[at], columns[at + 1], _words(found, at)) for at in range(len(found.codes))
        ),
    )


def _edges(sizes: Sequence[int]) -> list[int]:
    """Return where parts of these sizes begin, and where the last one ends."""
    return [0, *accumulate(sizes)]


def _shares(found: LossMap) -> Iterator[list[float]]:
    """Yield the share that was lost in each cell, row by row."""
    for lost, owed in zip(found.lost, found.owed, strict=True):
        yield [many / due if due else 0.0 for many, due in zip(lost, owed, strict=True)]


def _axis(found: LossMap, end: int) -> scale.Scale:
    """Return the axis of codes; a few columns have their first code's number as a label."""
    every = -(-len(found.codes) // 8)
    starts = _edges(found.codes)
    middle = 0.5 if max(found.codes) == 1 else 0.0
    ticks = tuple(
        (starts[at] + middle, number(found.first_codes[at]))
        for at in range(0, len(found.codes), every)
    )
    return scale.Scale(0.0, float(end), ticks)


def _codes(found: LossMap, first: int, last: int) -> str:
    """Return the codes from one column to another."""
    begin, end = found.first_codes[first], found.first_codes[last] + found.codes[last] - 1
    return number(begin) if begin == end else f"{number(begin)}-{number(end)}"


def _words(found: LossMap, at: int) -> str:
    lost, owed = (sum(row[at] for row in each) for each in (found.lost, found.owed))
    codes = "code" if found.codes[at] == 1 else "codes"
    return f"{codes} {_codes(found, at, at)}: {of(lost, owed)} lost or late"


def _ranges(found: LossMap, lost: Sequence[int], owed: Sequence[int]) -> str:
    """Return the codes that a row lacked, with the share of each range that it lacked."""
    ranges = []
    for is_lossy, columns in groupby(range(len(lost)), lambda at: bool(lost[at])):
        if is_lossy:
            inside = list(columns)
            many, due = (sum(each[at] for at in inside) for each in (lost, owed))
            ranges.append(f"{_codes(found, inside[0], inside[-1])} ({share(many, due)})")
    further = len(ranges) - MOST_RANGES
    named = ", ".join(ranges[:MOST_RANGES])
    return f"{named} and {count(further, 'further range')}" if further > 0 else named or "none"
