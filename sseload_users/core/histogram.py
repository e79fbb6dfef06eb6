"""Latencies: microseconds to three significant digits, exact in count and mergeable.

The buckets are HdrHistogram's (1,024 to each power of two), kept sparsely: a run has
thousands of codes, each with a histogram of its own, and each of those is nearly empty.
The HdrHistogram library encodes them for the report.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import ClassVar, Self

from hdrh.histogram import HdrHistogram

from sseload_users.core.figures import LatencySummary

#: One hour: nothing that a load test waits for takes longer.
MAX_US = 3_600_000_000


class Histogram:
    """Counts by microseconds.

    Attributes:
        BITS: how many leading bits of a value are kept. With 11, a bucket has the values
            that HdrHistogram (1 µs, 3 digits) does not tell from each other.
        counts: by the lowest value of each bucket that has any.
        total: how many values were counted.
        total_us: their sum; this and the next two from the values as they were.
        min_us: the lowest.
        max_us: the highest.
    """

    BITS: ClassVar[int] = 11
    __slots__ = ("counts", "max_us", "min_us", "total", "total_us")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.total = 0
        self.total_us = 0
        self.min_us = MAX_US
        self.max_us = 0

    def add(self, value_us: int, count: int = 1) -> None:
        """Count a value `count` times; below 0 counts as 0, above an hour as an hour."""
        if not count:
            return
        value_us = min(max(value_us, 0), MAX_US)
        shift = max(value_us.bit_length() - self.BITS, 0)
        self.counts[value_us >> shift << shift] += count
        self.total += count
        self.total_us += value_us * count
        self.min_us = min(self.min_us, value_us)
        self.max_us = max(self.max_us, value_us)

    def add_all(self, values_us: Iterable[int]) -> None:
        """Count many values; many times cheaper than one by one, most so in order."""
        values = sorted(values_us)
        if not values:
            return
        if values[0] < 0 or values[-1] > MAX_US:
            values = [min(max(each, 0), MAX_US) for each in values]
        at, shift = 0, max(values[0].bit_length() - self.BITS, 0)
        while at < len(values):
            # As far as the next power of two, all lose as many bits.
            end = bisect_left(values, 1 << shift + self.BITS, at)
            self.counts.update([each >> shift << shift for each in values[at:end]])
            at, shift = end, shift + 1
        self.total += len(values)
        self.total_us += sum(values)
        self.min_us = min(self.min_us, values[0])
        self.max_us = max(self.max_us, values[-1])

    def merge(self, other: Histogram) -> None:
        """Take over all that `other` has counted."""
        self.counts.update(other.counts)
        self.total += other.total
        self.total_us += other.total_us
        self.min_us = min(self.min_us, other.min_us)
        self.max_us = max(self.max_us, other.max_us)

    def pack(self) -> list[object]:
        """As msgpack-able data, see `unpack`."""
        return [self.counts, self.total_us, self.min_us, self.max_us]

    @classmethod
    def unpack(cls, data: list[object]) -> Self:
        """The histogram that was packed."""
        counts, total_us, min_us, max_us = data
        if not isinstance(counts, Mapping):
            raise TypeError("a packed histogram begins with its counts")
        new = cls()
        new.counts = Counter(counts)
        new.total = sum(new.counts.values())
        new.total_us, new.min_us, new.max_us = int(total_us), int(min_us), int(max_us)  # type: ignore[call-overload]
        return new

    def percentile_ms(self, percent: float) -> float | None:
        """The smallest value that `percent` of the counts do not exceed, in milliseconds.

        Nearest rank, reported as the highest value of its bucket (as HdrHistogram does), and
        never above the true maximum. (HdrHistogram's library for Python rounds the rank
        where it should round it up, so it may name the value before.)
        """
        return self.percentiles_ms((percent,))[0]

    def percentiles_ms(self, percents: Iterable[float]) -> list[float | None]:
        """Several percentiles, for the price of one."""
        if not self.total:
            return [None for _ in percents]
        buckets = sorted(self.counts)
        ranks = list(accumulate(map(self.counts.__getitem__, buckets)))
        found: list[float | None] = []
        for percent in percents:
            # In thousandths of a percent, so that no rounding adds one to the rank.
            rank = max(1, -(-round(percent * 1000) * self.total // 100_000))
            lowest_us = buckets[bisect_left(ranks, rank)]
            width_us = 1 << max(lowest_us.bit_length() - self.BITS, 0)
            found.append(min(lowest_us + width_us - 1, self.max_us) / 1000)
        return found

    def latency(self, *, encoded: bool = True) -> LatencySummary:
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
        """The HdrHistogram V2 encoding, compressed, in base 64."""
        hdr = HdrHistogram(1, MAX_US, 3)
        for bucket, count in self.counts.items():
            hdr.record_value(bucket, count)
        encoded = hdr.encode()
        return encoded.decode("ascii") if isinstance(encoded, bytes) else str(encoded)


class Coarse(Histogram):
    """Counts within 1 %, in a tenth of the buckets: for what there is one of each second."""

    BITS = 8
    __slots__ = ()
