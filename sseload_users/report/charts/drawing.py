"""Draw figures: stacked panels that share a horizontal axis, with titles, legend and table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sseload_users.report.charts.panel import Panel, window
from sseload_users.report.charts.scale import Scale
from sseload_users.report.charts.texts import LETTER, NARROW, text

_ABOVE, _BETWEEN, _BELOW = 24, 34, 42  # pixels, for units, ticks and the axis' name
_LONG, _SLOPE = 13, 0.9  # letters of a slanted name at most, and the sine of its angle


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend.

    Attributes:
        style: the name of its colour.
        words: its label.
        shape: a line or a bar.
    """

    style: str
    words: str
    shape: str = "line"

    def html(self) -> str:
        """Return the entry: a small picture and its label."""
        drawn = (
            f'<path class="line stroke-{self.style}" d="M0 6H16"/>'
            if self.shape == "line"
            else f'<rect class="fill-{self.style}" x="3" y="1" width="10" height="10" rx="2"/>'
        )
        return (
            f'<li><svg width="16" height="12" viewBox="0 0 16 12" aria-hidden="true">{drawn}</svg>'
            f"{text(self.words)}</li>"
        )


@dataclass(frozen=True, slots=True)
class Hit:
    """The tooltip of a range of the horizontal axis."""

    start: float
    end: float
    words: str


@dataclass(frozen=True, slots=True)
class ChartTable:
    """The figures behind a picture."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def html(self) -> str:
        """Return the table; its first column has the row headers."""
        head = "".join(f'<th scope="col">{text(column)}</th>' for column in self.columns)
        body = "".join(
            f'<tr><th scope="row">{text(row[0])}</th>'
            + "".join(f"<td>{text(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def figure(
    name: str,
    title: str,
    about: str,
    panels: Sequence[Panel],
    table: ChartTable,
    *,
    x_name: str,
    keys: Sequence[Key] = (),
    hits: Iterable[Hit] = (),
) -> Markup:
    """Return the whole figure.

    Args:
        name: its id in the page, of letters and hyphens.
        title: in a few words.
        about: what it shows, in a sentence or two.
        panels: from top to bottom, one or more.
        table: the same figures.
        x_name: the name of the horizontal axis.
        keys: the legend.
        hits: the tooltips, from left to right.
    """
    drawn, top = [], float(_ABOVE)
    for panel in panels:
        drawn.append(panel.svg(top))
        top += panel.height + _BETWEEN
    foot, x = top - _BETWEEN, panels[0].x
    ticks = _names(x, foot) if x.kind == "names" else _numbers(x, foot)
    slices = "".join(_hit(hit, x, _ABOVE, foot - _ABOVE) for hit in hits)
    seconds = ""
    if x.kind == "time":
        ticks, seconds = f'<g class="ticks">{ticks}</g>', f' data-seconds="{x.high:g}"'
        slices = window(slices, foot)
    below = _BELOW
    if x.kind == "names" and not _fit(x):
        longest = max(len(_middle_out(label)) for _, label in x.ticks)
        below += max(0, round(longest * LETTER * _SLOPE) - 12)
    ticks += (
        f'<text class="x-name" x="50%" y="{foot + below - 6:g}" text-anchor="middle">'
        f"{text(x_name + x.note)}</text>"
    )
    legend = f'<ul class="legend">{"".join(key.html() for key in keys)}</ul>' if keys else ""
    return Markup(  # noqa: S704, since each text was escaped by `text`
        f'<figure class="chart" id="{name}">'
        f'<figcaption><h2 id="{name}-title">{text(title)}</h2>'
        f'<p id="{name}-about">{text(about)}</p></figcaption>{legend}'
        f'<div class="plot"{seconds}><svg role="img" aria-labelledby="{name}-title {name}-about" '
        f'width="100%" height="{foot + below:g}">{"".join(drawn)}{ticks}{slices}</svg></div>'
        f"<details><summary>The figures as a table</summary>"
        f'<div class="rows" tabindex="0" role="group" aria-labelledby="{name}-title">'
        f"{table.html()}</div></details></figure>"
    )


def _numbers(x: Scale, foot: float) -> str:
    """Return the labels of an axis of numbers or of time, as far as they fit."""
    return "".join(
        f'<text x="{x.at(value):.2%}" y="{foot + 17:g}" text-anchor="middle">{text(label)}</text>'
        for value, label in _fitting(x)
    )


def _names(x: Scale, foot: float) -> str:
    """Return the labels of an axis of names: all of them, slanted where there are many."""
    if _fit(x):
        return _numbers(x, foot)
    return "".join(
        f'<text class="slanted" x="{x.at(value):.2%}" y="{foot + 17:g}" text-anchor="end">'
        f"{text(_middle_out(label))}</text>"
        for value, label in x.ticks
    )


def _fit(x: Scale) -> bool:
    """Whether all labels fit side by side, even in a narrow plot."""
    return len(list(_fitting(x))) == len(x.ticks)


def _middle_out(label: str) -> str:
    """Return a name without its middle if it is long: names differ at their ends."""
    half = (_LONG - 1) // 2
    return label if len(label) <= _LONG else f"{label[:half]}…{label[-half:]}"


def _fitting(x: Scale) -> Iterator[tuple[float, str]]:
    """Yield the ticks whose labels do not collide, even in a narrow plot."""
    end = -math.inf
    for value, label in x.ticks:
        middle, half = x.at(value) * NARROW, len(label) * LETTER / 2
        if middle - half >= end:
            yield value, label
            end = middle + half + LETTER


def _hit(hit: Hit, x: Scale, top: float, height: float) -> str:
    left, right = x.at(hit.start), x.at(hit.end)
    return (
        f'<rect class="hit" x="{left:.2%}" width="{max(right - left, 0.002):.2%}" y="{top:g}" '
        f'height="{height:g}"><title>{text(hit.words)}</title></rect>'
    )
