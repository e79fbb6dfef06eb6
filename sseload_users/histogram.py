"""Latencies: microseconds to three significant digits, exact in count and mergeable.

The buckets are HdrHistogram's (2,048 to each power of two), kept sparsely: a run has
thousands of codes, each with a histogram of its own, and each of those is nearly empty.
The HdrHistogram library encodes them for the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypedDict

from hdrh.histogram import HdrHistogram

#: One hour: nothing that a load test waits for takes longer.
MAX_US = 3_600_000_000

_SUB_BUCKET_BITS = 11  # 2,048 sub-buckets: three significant digits


class Latency(TypedDict):
    """A summary in milliseconds; all but `count` are None where `count` is 0.

    `hdr` is None, too, where the values were not encoded.
    """

    count: int
    min: float | None
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p99_9: float | None
    max: float | None
    hdr: str | None


def quantise(value_us: int) -> int:
    """The lowest value that HdrHistogram (1 µs, 3 digits) does not tell from this one."""
    shift = value_us.bit_length() - _SUB_BUCKET_BITS
    return value_us if shift <= 0 else value_us >> shift << shift


def _highest_equivalent(lowest_us: int) -> int:
    shift = lowest_us.bit_length() - _SUB_BUCKET_BITS
    return lowest_us if shift <= 0 else lowest_us + (1 << shift) - 1


class Histogram:
    """Counts by microseconds."""

    __slots__ = ("counts", "max_us", "min_us", "total", "total_us")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.total = 0
        self.total_us = 0
        self.min_us = MAX_US
        self.max_us = 0

    def add(self, value_us: int, count: int = 1) -> None:
        """Count a value `count` times; below 0 counts as 0, above an hour as an hour."""
        if not count:
            return
        value_us = min(max(value_us, 0), MAX_US)
        bucket = quantise(value_us)
        self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.total += count
        self.total_us += value_us * count
        self.min_us = min(self.min_us, value_us)
        self.max_us = max(self.max_us, value_us)

    def add_all(self, values_us: Iterable[int]) -> None:
        """Count many values; several times cheaper than one by one."""
        values = list(values_us)
        if not values:
            return
        lowest, highest = min(values), max(values)
        if lowest < 0 or highest > MAX_US:
            values = [min(max(each, 0), MAX_US) for each in values]
            lowest, highest = min(values), max(values)
        counts = self.counts
        for bucket, count in Counter(map(quantise, values)).items():
            counts[bucket] = counts.get(bucket, 0) + count
        self.total += len(values)
        self.total_us += sum(values)
        self.min_us = min(self.min_us, lowest)
        self.max_us = max(self.max_us, highest)

    def merge(self, other: Histogram) -> None:
        """Take over all that `other` has counted."""
        counts = self.counts
        if counts:
            for bucket, count in other.counts.items():
                counts[bucket] = counts.get(bucket, 0) + count
        else:
            # As most codes and seconds do: begin with a whole worker's share.
            counts.update(other.counts)
        self.total += other.total
        self.total_us += other.total_us
        self.min_us = min(self.min_us, other.min_us)
        self.max_us = max(self.max_us, other.max_us)

    def pack(self) -> list[object]:
        """As msgpack-able data, see `unpack`."""
        return [self.counts, self.total_us, self.min_us, self.max_us]

    @classmethod
    def unpack(cls, data: list[object]) -> Histogram:
        """The histogram that was packed."""
        counts, total_us, min_us, max_us = data
        if not isinstance(counts, Mapping):
            raise TypeError("a packed histogram begins with its counts")
        new = cls()
        new.counts = dict(counts)
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
        """Several percentiles, in ascending order, in one pass."""
        wanted = list(percents)
        found: list[float | None] = []
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            while len(found) < len(wanted):
                # In thousandths of a percent, so that no rounding adds one to the rank.
                rank = max(1, -(-round(wanted[len(found)] * 1000) * self.total // 100_000))
                if seen < rank:
                    break
                found.append(min(_highest_equivalent(bucket), self.max_us) / 1000)
            if len(found) == len(wanted):
                break
        return found + [None] * (len(wanted) - len(found))

    def latency(self, *, encoded: bool = True) -> Latency:
        """The summary that goes into the report.

        Args:
            encoded: with all values as `hdr`, which takes most of the time.
        """
        if not self.total:
            return Latency(
                count=0, min=None, mean=None, p50=None, p90=None, p95=None, p99=None,
                p99_9=None, max=None, hdr=None,
            )  # fmt: skip
        p50, p90, p95, p99, p99_9 = self.percentiles_ms((50, 90, 95, 99, 99.9))
        return Latency(
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
        )

    def encode(self) -> str:
        """The HdrHistogram V2 encoding, compressed, in base 64."""
        hdr = HdrHistogram(1, MAX_US, 3)
        for bucket, count in self.counts.items():
            hdr.record_value(bucket, count)
        encoded = hdr.encode()
        return encoded.decode("ascii") if isinstance(encoded, bytes) else str(encoded)
