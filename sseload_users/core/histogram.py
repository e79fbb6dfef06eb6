"""Latencies: microseconds to three significant digits, exact in count and mergeable.

The buckets are those of HdrHistogram (1,024 for each power of two), stored sparsely: a run has
thousands of codes, each with a nearly empty histogram of its own. The HdrHistogram library
encodes them for the report.
"""

from __future__ import annotations

import operator
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate, repeat
from typing import ClassVar, Self

from hdrh.histogram import HdrHistogram

from sseload_users.core.figure_types import LatencySummary

#: Number of leading bits of a latency that tell its range.
RANGE_BITS = 2

#: As many values at most are counted one by one: more are cheaper in bulk.
_FEW = 8

#: The largest value: one hour, longer than anything that a load test waits for.
MAX_US = 3_600_000_000


class Histogram:
    """Counts by microseconds.

    Attributes:
        BITS: number of leading bits of a value that are kept. With 11, a bucket has the values
            that HdrHistogram (1 µs, 3 digits) does not distinguish.
        counts: number of values by the lowest value of their bucket.
        total: number of values.
        total_us: their exact sum.
        min_us: the exact minimum.
        max_us: the exact maximum.
    """

    BITS: ClassVar[int] = 11
    __slots__ = ("counts", "max_us", "min_us", "total", "total_us")

    def __init__(self) -> None:
        # A Counter, which takes several times as long to make, only once many are added at once.
        self.counts: dict[int, int] = {}
        self.total = 0
        self.total_us = 0
        self.min_us = MAX_US
        self.max_us = 0

    def add(self, value_us: int, count: int = 1) -> None:
        """Count a value `count` times; it is clamped to 0 … MAX_US."""
        if not count:
            return
        # Each connect counts five values: comparisons cost half of what min and max cost.
        if not 0 <= value_us <= MAX_US:
            value_us = 0 if value_us < 0 else MAX_US
        shift = value_us.bit_length() - self.BITS
        bucket = value_us if shift <= 0 else value_us >> shift << shift
        counts = self.counts
        counts[bucket] = counts.get(bucket, 0) + count
        self.total += count
        self.total_us += value_us * count
        self.min_us = min(self.min_us, value_us)
        self.max_us = max(self.max_us, value_us)

    def add_all(self, values_us: Iterable[int]) -> None:
        """Count many values; much cheaper than one by one, and cheapest if they are sorted."""
        values = sorted(values_us)
        if not values:
            return
        if values[0] < 0 or values[-1] > MAX_US:
            values = [min(max(each, 0), MAX_US) for each in values]
        at, shift = 0, max(values[0].bit_length() - self.BITS, 0)
        while at < len(values):
            # Up to the next power of two, all values lose the same number of bits.
            end = bisect_left(values, 1 << shift + self.BITS, at)
            lowest = -1 << shift
            self._add_buckets([each & lowest for each in values[at:end]])
            at, shift = end, shift + 1
        self.total += len(values)
        self.total_us += sum(values)
        self.min_us = min(self.min_us, values[0])
        self.max_us = max(self.max_us, values[-1])

    def add_counted(self, counted: Mapping[int, int]) -> None:
        """Count values that were counted one by one: how often each of them came.

        For many unsorted values with few different ones, this is cheaper than `add_all`.
        """
        if not counted:
            return
        counts, bits = self.counts, self.BITS
        for each, count in counted.items():
            value_us = each if 0 <= each <= MAX_US else min(max(each, 0), MAX_US)
            shift = value_us.bit_length() - bits
            bucket = value_us if shift <= 0 else value_us & -1 << shift
            counts[bucket] = counts.get(bucket, 0) + count
            self.total += count
            self.total_us += value_us * count
        self.min_us = min(self.min_us, max(min(counted), 0), MAX_US)
        self.max_us = max(self.max_us, min(max(*counted, 0), MAX_US))

    def merge(self, other: Histogram) -> None:
        """Add another histogram's values."""
        if not other.total:
            return  # as most of those in a report
        counts, added = self.counts, other.counts
        if counts:
            # What Counter.update does, without a step of Python for each bucket.
            sums = map(operator.add, map(counts.get, added, repeat(0)), added.values())
            dict.update(counts, zip(added, sums, strict=False))
        else:
            dict.update(counts, added)
        self.total += other.total
        self.total_us += other.total_us
        self.min_us = min(self.min_us, other.min_us)
        self.max_us = max(self.max_us, other.max_us)

    def _add_buckets(self, buckets: list[int]) -> None:
        """Count one value in each bucket; the same bucket may come several times."""
        counts = self.counts
        if len(buckets) <= _FEW:
            for each in buckets:
                counts[each] = counts.get(each, 0) + 1
        elif isinstance(counts, Counter):
            counts.update(buckets)
        else:
            many = Counter(counts)
            many.update(buckets)
            self.counts = many

    def pack(self) -> list[object]:
        """Return the histogram as plain data, for `unpack`."""
        return [self.counts, self.total_us, self.min_us, self.max_us]

    @classmethod
    def unpack(cls, data: list[object]) -> Self:
        """Return the histogram that was packed."""
        counts, total_us, min_us, max_us = data
        if not isinstance(counts, dict):
            raise TypeError("a packed histogram begins with its counts")
        new = cls()
        dict.update(new.counts, counts)
        new.total = sum(counts.values())
        new.total_us, new.min_us, new.max_us = int(total_us), int(min_us), int(max_us)  # type: ignore[call-overload]
        return new

    def percentile_ms(self, percent: float) -> float | None:
        """Return a percentile, in milliseconds; None without values.

        By nearest rank, as the highest value of its bucket (like HdrHistogram), but never above
        the true maximum. (HdrHistogram's Python library rounds the rank instead of rounding it
        up, so it may return the value before.)
        """
        return self.percentiles_ms((percent,))[0]

    def percentiles_ms(self, percents: Iterable[float]) -> list[float | None]:
        """Return several percentiles at the cost of one; see `percentile_ms`."""
        if not self.total:
            return [None for _ in percents]
        buckets = sorted(self.counts)
        ranks = list(accumulate(map(self.counts.__getitem__, buckets)))
        found: list[float | None] = []
        for percent in percents:
            # In thousandths of a percent, so that rounding does not add one to the rank.
            rank = max(1, -(-round(percent * 1000) * self.total // 100_000))
            found.append(self._highest_ms(buckets[bisect_left(ranks, rank)]))
        return found

    def cumulative(self) -> tuple[list[int], list[int]]:
        """Return the highest value of each bucket in microseconds, and how many values go up to it.

        Highest values are never above the true maximum, as in `percentile_ms`.
        """
        buckets = sorted(self.counts)
        ranks = list(accumulate(map(self.counts.__getitem__, buckets)))
        bits, exact = self.BITS, 1 << self.BITS
        highest = [
            low if low < exact else low + (1 << low.bit_length() - bits) - 1 for low in buckets
        ]
        if highest:
            highest[-1] = min(highest[-1], self.max_us)
        return highest, ranks

    def ranges(self) -> array[int]:
        """Return how many values are in which range: its lowest value, the number, and so on.

        Each power of two (µs) has two ranges, which are bounded by it, by one and a half times
        it, and by its double; 0 and 1 have their own. Ranges without values are left out.
        """
        found: Counter[int] = Counter()
        for value, count in self.counts.items():
            shift = max(value.bit_length() - RANGE_BITS, 0)
            found[value >> shift << shift] += count
        return array("q", (number for pair in sorted(found.items()) for number in pair))

    def _highest_ms(self, lowest_us: int) -> float:
        """Return the highest value of a bucket, but never above the true maximum."""
        width_us = 1 << max(lowest_us.bit_length() - self.BITS, 0)
        return min(lowest_us + width_us - 1, self.max_us) / 1000

    def summary(self, *, encoded: bool = True) -> LatencySummary:
        """Return the summary for the report.

        Args:
            encoded: with all values as `hdr`, which takes most of the time; otherwise the summary
                refers to this histogram's own `counts`.
        """
        if not self.total:
            return LatencySummary(
                count=0, min=None, mean=None, p50=None, p90=None, p95=None, p99=None,
                p99_9=None, max=None, hdr=None,
            )  # fmt: skip
        p50, p90, p95, p99, p99_9 = self.percentiles_ms((50, 90, 95, 99, 99.9))
        return LatencySummary(
            count=self.total,
            min=self.min_us / 1000,
            mean=round(self.total_us / self.total / 1000, 4),
            p50=p50,
            p90=p90,
            p95=p95,
            p99=p99,
            p99_9=p99_9,
            max=self.max_us / 1000,
            hdr=self.encode() if encoded else None,
            counts=None if encoded else self.counts,
        )

    def encode(self) -> str:
        """Return the HdrHistogram V2 encoding, compressed, in base 64."""
        hdr = HdrHistogram(1, MAX_US, 3)
        for bucket, count in self.counts.items():
            hdr.record_value(bucket, count)
        encoded = hdr.encode()
        return encoded.decode("ascii") if isinstance(encoded, bytes) else str(encoded)


class CoarseHistogram(Histogram):
    """A histogram within 1 %, with a tenth of the buckets, for the figures of each second."""

    BITS = 8
    __slots__ = ()
