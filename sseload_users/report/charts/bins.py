"""Shorten a long list: neighbours are put together, and their extremes are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")

#: Each bin is drawn as two points at most, the highest and the lowest.
MOST_BINS = 150

_SIZES = [factor * 10**power for power in range(12) for factor in (1, 2, 5)]


@dataclass(frozen=True, slots=True)
class Bin:
    """Consecutive intervals of a timeline.

    The methods take a column: a figure, or None, for each interval of the whole timeline.

    Attributes:
        start: where the first of them begins, in seconds since the run began.
        end: where the last of them ends.
        first: the index of the first interval.
        ends: where each of them ends, one or more.
    """

    start: float
    end: float
    first: int
    ends: Sequence[float]

    def total(self, column: Sequence[int]) -> int:
        """Return the sum of a count."""
        return sum(self._own(column))

    def span(self, column: Sequence[float | None]) -> tuple[float, float] | None:
        """Return the lowest and the highest figure; None without any."""
        values = [value for value in self._own(column) if value is not None]
        return (min(values), max(values)) if values else None

    def points(self, column: Sequence[float | None]) -> list[tuple[float, float]]:
        """Return the lowest and the highest figure, each with its time, in order of time."""
        found = [
            (end, value)
            for end, value in zip(self.ends, self._own(column), strict=True)
            if value is not None
        ]
        if not found:
            return []
        lowest, highest = (each(found, key=lambda point: point[1]) for each in (min, max))
        return sorted({lowest, highest} if lowest[1] != highest[1] else {found[-1]})

    def _own(self, column: Sequence[_T]) -> Sequence[_T]:
        return column[self.first : self.first + len(self.ends)]


def bins(ends: Sequence[float], most: int = MOST_BINS) -> list[Bin]:
    """Return a timeline in at most `most` parts, see `chunks`.

    Args:
        ends: where each interval ends, in seconds since the run began.
        most: how many parts.
    """
    parts = chunks(ends, most)
    if not parts:
        return []
    # The first interval's beginning is unknown; it is taken to be as long as the second.
    length = ends[1] - ends[0] if len(ends) > 1 else 1.0
    start, made = max(0.0, ends[0] - length), []
    for index, part in enumerate(parts):
        made.append(Bin(start, max(start, part[-1]), index * len(parts[0]), part))
        start = part[-1]
    return made


def chunks(rows: Sequence[_T], most: int = MOST_BINS) -> list[Sequence[_T]]:
    """Return the rows in at most `most` parts, of one size but for the last (1, 2, 5, 10 …)."""
    size = next(size for size in _SIZES if size * most >= len(rows))
    return [rows[start : start + size] for start in range(0, len(rows), size)]
