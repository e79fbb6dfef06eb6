"""Percentiles of latencies, as they are kept of old codes and seconds."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from sseload_users.core.histogram import CoarseHistogram, Histogram

#: Stands for a percentile without values, among those in microseconds.
_NONE_US = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles in milliseconds; None without values."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None

    @classmethod
    def of(cls, histogram: Histogram) -> Percentiles:
        """Return the percentiles of a histogram."""
        return cls(*histogram.percentiles_ms((50, 90, 95, 99, 100)))

    def pack(self) -> tuple[int, ...]:
        """Return them in whole microseconds, as which a histogram has them, for `unpack`."""
        return tuple(
            _NONE_US if each is None else round(each * 1000)
            for each in (self.p50, self.p90, self.p95, self.p99, self.max)
        )

    @classmethod
    def unpack(cls, packed: Iterable[float]) -> Percentiles:
        """Return the percentiles that were packed."""
        return cls(*(None if each == _NONE_US else each / 1000 for each in packed))


#: The type code (see `array`) of each packed percentile, by its name.
PACKED_PERCENTILES = dict.fromkeys(("p50", "p90", "p95", "p99", "max"), "I")


@dataclass(frozen=True, slots=True)
class SecondPercentiles:
    """Percentiles of one second.

    Attributes:
        delivery: of the delivery latencies.
        lag: of the generator lag.
        ranges: how many delivery latencies were in which range, see `Histogram.ranges`.
    """

    delivery: Percentiles
    lag: Percentiles
    ranges: array[int]


class _Folded(CoarseHistogram):
    """Replaces each histogram that was folded; values are no longer added."""

    __slots__ = ()

    def merge(self, other: Histogram) -> None:
        """Discard a straggler's values: the percentiles do not contain it either."""


#: Replaces the histogram of each archived code and second.
FOLDED = _Folded()
