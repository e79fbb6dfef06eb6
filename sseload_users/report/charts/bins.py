"""A long list as a short one: neighbours are put together, and their extremes are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

#: Two points at most come of each, the highest and the lowest.
MOST_BINS = 150

_SIZES = [factor * 10**power for power in range(12) for factor in (1, 2, 5)]


@dataclass(frozen=True, slots=True)
class Bin:
    """Some intervals of the timeline that follow each other.

    Attributes:
        start: where the first of them begins, in seconds since the run began.
        end: where the last of them ends.
        rows: the intervals, as in the report; one or more.
    """

    start: float
    end: float
    rows: Sequence[Row]

    def total(self, name: str) -> int:
        """The sum of a count."""
        return sum(row[name] for row in self.rows)

    def span(self, name: str) -> tuple[float, float] | None:
        """The lowest and the highest of what was measured; None for nothing."""
        values = [row[name] for row in self.rows if row[name] is not None]
        return (min(values), max(values)) if values else None

    def points(self, name: str) -> list[tuple[float, float]]:
        """The lowest and the highest of what was measured, with when, in order of time."""
        found = [(row["t"], row[name]) for row in self.rows if row[name] is not None]
        if not found:
            return []
        lowest, highest = (each(found, key=lambda point: point[1]) for each in (min, max))
        return sorted({lowest, highest} if lowest[1] != highest[1] else {found[-1]})


def bins(timeline: Sequence[Row], most: int = MOST_BINS) -> list[Bin]:
    """The timeline in at most `most` parts, of so many intervals each as `chunks` says."""
    parts = chunks(timeline, most)
    ends = [part[-1]["t"] for part in parts]
    # Of the first interval only the end is known; it is taken to be as long as the next.
    length = timeline[1]["t"] - timeline[0]["t"] if len(timeline) > 1 else 1.0
    starts = [max(0.0, timeline[0]["t"] - length), *ends] if parts else []
    return [
        Bin(start, max(start, end), part)
        for start, end, part in zip(starts, ends, parts, strict=False)
    ]


def chunks(rows: Sequence[Row], most: int = MOST_BINS) -> list[Sequence[Row]]:
    """The rows in at most `most` parts, of one size but for the last (1, 2, 5, 10 …)."""
    size = next(size for size in _SIZES if size * most >= len(rows))
    return [rows[start : start + size] for start in range(0, len(rows), size)]
