"""The run's time, as charts over time have it: intervals, phases and moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import TypeAlias

from sseload_users.report.charts import scale
from sseload_users.report.charts.bins import MOST_BINS, Bin, bins
from sseload_users.report.charts.drawing import Hit, Key
from sseload_users.report.charts.panel import Panel, Point
from sseload_users.report.model import Phase, TimelinePoint
from sseload_users.report.moments import Moment

#: A figure, or None, for each interval of the timeline.
Column: TypeAlias = Sequence[float | None]

#: The name of the horizontal axis.
X_NAME = "time since the run began"
_DOTS_UP_TO = 80  # beyond that, dots would be a second line
_MOST_MOMENTS = 6  # in a legend
_PHASES_UP_TO = 12  # beyond that, as in a run of many steps, only when codes were sent


@dataclass(frozen=True)
class RunTime:
    """The time of a run, which all its charts over time share.

    Attributes:
        timeline: as in the report.
        phases: as in the report; their bounds are marked.
        moments: of the run; they are marked as well.
        most_bins: how many parts to draw the timeline in, at most.
    """

    timeline: Sequence[TimelinePoint]
    phases: Sequence[Phase] = ()
    moments: Sequence[Moment] = ()
    most_bins: int = MOST_BINS

    @cached_property
    def parts(self) -> list[Bin]:
        """The timeline in parts, few enough to be drawn."""
        return bins([row.t for row in self.timeline], self.most_bins)

    @cached_property
    def x(self) -> scale.Scale:
        """The axis of the run's time."""
        return scale.time(self.timeline[-1].t if self.timeline else 0.0)

    @cached_property
    def _whole(self) -> list[Bin]:
        """The parts in which lines are drawn while the whole run is shown: no more than fit."""
        if len(self.parts) <= MOST_BINS:
            return self.parts
        return bins([row.t for row in self.timeline])

    def draw(
        self, panel: Panel, column: Column, style: str, *, filled: bool = False, dots: bool = True
    ) -> None:
        """Draw a line through the lowest and the highest figure of each part.

        It is interrupted where nothing arrived for far longer than usual. With more parts than
        fit, there is a second line, which the page's script shows instead if it shows a part of
        the run.

        Args:
            panel: where to draw it.
            column: the figures.
            style: the name of its colour.
            filled: whether to fill the area below it instead of drawing dots.
            dots: whether to draw dots, if there are few.
        """
        whole = [point for part in self._whole for point in part.points(column)]
        for stretch in _stretches(whole):
            panel.line(stretch, style, "" if self._whole is self.parts else "whole")
        if filled:
            panel.area(whole, style)
        elif dots and len(whole) <= _DOTS_UP_TO:
            for point in whole:
                panel.dot(point, style)
        if self._whole is not self.parts:
            close = [point for part in self.parts for point in part.points(column)]
            for stretch in _stretches(close):
                panel.line(stretch, style, "close")

    def marked(self, panels: list[Panel], nothing: str) -> list[Panel]:
        """Return the panels with the phases and moments, or with a text where they are empty."""
        if nothing:
            panels[0].nothing(nothing)
            return panels
        for moment in self.moments:
            for panel in panels:
                panel.moment(moment.start_s, moment.end_s)
        phases = self.phases
        if not phases:
            return panels
        began = datetime.fromisoformat(phases[0].started_at)
        if len(phases) > _PHASES_UP_TO:
            phases = [phase for phase in phases if phase.name in ("broadcast", "observe")]
        for phase in phases:
            start = (datetime.fromisoformat(phase.started_at) - began).total_seconds()
            for panel in panels:
                panel.mark(start, start + phase.seconds, phase.name if panel is panels[0] else "")
        return panels

    def keys(self) -> list[Key]:
        """Return the legend's entries of the moments."""
        keys = []
        for each in self.moments[:_MOST_MOMENTS]:
            start, end = clock(each.start_s), clock(each.end_s)
            when = start if start == end else f"{start} - {end}"
            keys.append(Key("moment", f"{each.name}, {when}"))
        further = len(self.moments) - _MOST_MOMENTS
        return [*keys, Key("moment", f"{further} more")] if further > 0 else keys

    def names_of_moments(self, part: Bin) -> list[str]:
        """Return the names of the moments that lie in a part."""
        return [
            each.name
            for each in self.moments
            if each.start_s < part.end and each.end_s >= part.start
        ]

    def hits(self, parts: Iterable[Bin], in_words: Callable[[Bin], str]) -> Iterator[Hit]:
        """Yield the tooltip of each part: its time, its figures, and the moments that lie in it.

        Args:
            parts: those that have figures, or in which a moment lies.
            in_words: returns the figures of a part.
        """
        for part in parts:
            words = "; ".join([in_words(part), *self.names_of_moments(part)])
            yield Hit(part.start, part.end, f"{when(part)}: {words}")


def _stretches(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield successive points, in parts where nothing arrived for far longer than usual."""
    if not points:
        return
    steps = [after[0] - before[0] for before, after in pairwise(points)]
    longest = 4 * median(steps) if steps else 0.0
    stretch = [points[0]]
    for point, step in zip(points[1:], steps, strict=True):
        if step > longest > 0:
            yield stretch
            stretch = []
        stretch.append(point)
    yield stretch


def when(part: Bin) -> str:
    """Return the time of a bin: "10-12 s"."""
    return f"{part.start:.3g}-{part.end:.3g} s" if part.end < 600 else clock(part.end)


def clock(seconds: float) -> str:
    """Return a time since the run began: "18 s", "12:05", "3:20:09"."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(part: Bin, column: Column, in_words: Callable[[float], str]) -> str:
    """Return a figure, or its lowest and highest where it changed; "-" for none."""
    values = part.span(column)
    if values is None:
        return "-"
    low, high = map(in_words, values)
    return low if low == high else f"{low}-{high}"
