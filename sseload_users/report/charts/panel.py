"""Draw a plot with its vertical axis: lines, areas, dots, bars, and marks of time.

Horizontal lengths are shares of the width, so that a picture fills its container; vertical
lengths are pixels. Lines and areas are drawn in an inner SVG that is stretched by its viewBox,
except for stroke widths (``vector-effect``); texts, dots and bars are outside of it.

Where the horizontal axis is the run's time, all that depends on it is in an SVG of its own, class
``run``, inside one that cuts off what is beside the plot, class ``window``. The page's script
widens and moves the inner one to show a part of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sseload_users.report.charts.scale import Scale
from sseload_users.report.charts.texts import LETTER, LINE, NARROW, text

_WIDE = 1000  # the width of the inner SVG's viewBox
_MARGIN = 14  # pixels that are free beside a plot
_NAMES, _EDGE = 24, 4  # pixels, above a plot for names of phases, and below it for half a dot

Point = tuple[float, float]


class _Box(NamedTuple):
    """Where a label is, in pixels of a narrow plot."""

    left: float
    right: float
    top: float
    foot: float

    def overlaps(self, other: _Box) -> bool:
        """Whether two labels collide."""
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.foot <= other.top or other.foot <= self.top)


@dataclass
class Panel:
    """A plot with its own vertical axis.

    Attributes:
        unit: of the vertical axis, written above it.
        y: the vertical axis.
        x: the horizontal axis, the same in all panels of a figure.
        height: of the plot, in pixels.
    """

    unit: str
    y: Scale
    x: Scale
    height: int = 170
    _stretched: list[str] = field(default_factory=list)
    _fixed: list[str] = field(default_factory=list)
    _labels: list[_Box] = field(default_factory=list)

    def line(self, points: Iterable[Point], style: str, extra: str = "") -> None:
        """Add a line through points, from left to right."""
        points = [*points]
        if points:
            path = self._path(points)
            self._stretched.append(f'<path class="line stroke-{style} {extra}" d="M{path}"/>')

    def area(self, points: Sequence[Point], style: str) -> None:
        """Add the area between a line and the bottom of the plot."""
        if points:
            left, right = (self.x.at(point[0]) * _WIDE for point in (points[0], points[-1]))
            foot = f"L{right:.1f} {self.height}L{left:.1f} {self.height}Z"
            path = f"M{self._path(points)}{foot}"
            self._stretched.append(f'<path class="area fill-{style}" d="{path}"/>')

    def dot(self, point: Point, style: str, radius: float = 3, label: str = "") -> None:
        """Add a dot with a label beside it."""
        across, down = self.x.at(point[0]), self._down(point[1])
        self._fixed.append(
            f'<circle class="dot fill-{style}" cx="{across:.2%}" cy="{down:.1f}" r="{radius:g}"/>'
        )
        if label:
            self._label(across, down, label)

    def _label(self, across: float, down: float, label: str) -> None:
        """Add a label beside a dot where there is room, even in a narrow plot; else nowhere."""
        # Latencies rise from left to right, so there is room above to the left of a dot and
        # below to its right.
        left = [("end", -7, -7), ("end", -7, 15)]
        right = [("start", 7, 15), ("start", 7, -16)]
        long = len(label) * LETTER
        for anchor, dx, dy in left + right if across > 0.3 else right + left:
            foot = max(10.0, down + dy)
            begin = across * NARROW + dx - (long if anchor == "end" else 0)
            box = _Box(begin, begin + long, foot - LINE, foot)
            if begin < 0 or box.right > NARROW + _MARGIN or foot > self.height:
                continue
            if not any(box.overlaps(other) for other in self._labels):
                self._labels.append(box)
                self._fixed.append(
                    f'<text class="value" x="{across:.2%}" dx="{dx}" y="{foot:.1f}" '
                    f'text-anchor="{anchor}">{text(label)}</text>'
                )
                return

    def bar(
        self, across: tuple[float, float], values: tuple[float, float], style: str, gap: float = 0.0
    ) -> None:
        """Add a bar from one value to another.

        Args:
            across: where it begins and ends on the horizontal axis.
            values: at its bottom and at its top. It is at least a pixel and a half high, so that
                it is visible.
            style: the name of its colour.
            gap: the share of its width to leave free.
        """
        left, right = (self.x.at(each) for each in across)
        width = max((right - left) * (1 - gap), 0.0015)
        foot, top = (self._down(each) for each in values)
        top = min(top, foot - 1.5)
        self._fixed.append(
            f'<rect class="fill-{style}" x="{left + (right - left) * gap / 2:.2%}" '
            f'width="{width:.2%}" y="{top:.1f}" height="{foot - top:.1f}"/>'
        )

    def cells(self, boxes: Iterable[tuple[Point, Point]], style: str, opacity: float) -> None:
        """Add boxes from one corner to the opposite one, all of one colour."""
        path = ""
        for (left, low), (right, high) in boxes:
            x, y = (round(self.x.at(each) * _WIDE, 1) for each in (left, right))
            foot, top = (round(self._down(each), 1) for each in (low, high))
            path += f"M{x:g} {top:g}H{y:g}V{foot:g}H{x:g}Z"
        if path:
            self._stretched.append(
                f'<path class="fill-{style}" fill-opacity="{opacity:g}" d="{path}"/>'
            )

    def across(self, at: float, style: str) -> None:
        """Add a vertical line, such as the zero of a difference."""
        x = f"{self.x.at(at):.2%}"
        self._fixed.insert(
            0, f'<line class="{style}" x1="{x}" x2="{x}" y1="0" y2="{self.height}"/>'
        )

    def moment(self, start: float, end: float) -> None:
        """Add a moment, or a stretch of time, behind the marks."""
        if end > start:
            left, right = self.x.at(start), self.x.at(end)
            self._fixed.insert(
                0,
                f'<rect class="fill-moment" x="{left:.2%}" width="{right - left:.2%}" y="0" '
                f'height="{self.height}"/>',
            )
        self.across(start, "moment stroke-moment")

    def mark(self, start: float, end: float, name: str) -> None:
        """Add the bounds of a phase, and its name, which is visible if the phase is wide enough."""
        left, right = self.x.at(start), self.x.at(end)
        for at in (start, end):
            if 0 < self.x.at(at) < 1:
                self.across(at, "phase")
        # The name must fit between the bounds of its phase, and beside the unit.
        room = min(right - left, right - len(self.unit + self.y.note) * LETTER / NARROW)
        if name:
            off = "" if room > (len(name) + 2) * LETTER / NARROW else ' data-off=""'
            self._fixed.append(
                f'<text class="phase-name" data-left="{left:.4f}" data-right="{right:.4f}"{off} '
                f'x="{right:.2%}" dx="-4" y="-11" text-anchor="end">{text(name)}</text>'
            )

    def nothing(self, words: str) -> None:
        """Add a text in place of a plot without data."""
        self._fixed.append(
            f'<text class="nothing" x="50%" y="{self.height / 2:.0f}" text-anchor="middle">'
            f"{text(words)}</text>"
        )

    def svg(self, top: float) -> str:
        """Return the panel, its plot `top` pixels below the figure's upper edge."""
        grid = "".join(
            f'<line class="{"grid" if index else "base"}" x1="0" x2="100%" y1="{down:.1f}" '
            f'y2="{down:.1f}"/><text x="-8" y="{down:.1f}" dy="4" text-anchor="end">'
            f"{text(label)}</text>"
            for index, (value, label) in enumerate(self.y.ticks)
            for down in (self._down(value),)
        )
        unit = f'<text x="0" y="-11">{text(self.unit + self.y.note)}</text>'
        marks = (
            f'<svg viewBox="0 0 {_WIDE} {self.height}" preserveAspectRatio="none" width="100%" '
            f'height="{self.height}">{"".join(self._stretched)}</svg>'
            if self._stretched
            else ""
        )
        marks += "".join(self._fixed)
        if self.x.kind == "time":
            marks = window(marks, self.height)
        return f'<g transform="translate(0 {top:g})">{unit}{grid}{marks}</g>'

    def _down(self, value: float) -> float:
        return (1 - self.y.at(value)) * self.height

    def _path(self, points: Iterable[Point]) -> str:
        return "L".join(
            f"{self.x.at(across) * _WIDE:.1f} {self._down(value):.1f}" for across, value in points
        )


def window(marks: str, height: float) -> str:
    """Return marks over time so that the page's script can show those of a part of the run."""
    return (
        f'<svg class="window" y="-{_NAMES}" width="100%" height="{_NAMES + height + _EDGE:g}">'
        f'<svg class="run" y="{_NAMES}" width="100%" height="{height:g}">{marks}</svg></svg>'
    )
