"""Percentiles of a run's codes and seconds, in bounded memory."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import islice

from sseload_users.core.code_tally import CodeTally
from sseload_users.core.histogram import CoarseHistogram, Histogram
from sseload_users.core.second import Second
from sseload_users.core.tally import Tally

_S = 1_000_000_000

#: Seconds after which the histogram of a code or a second is reduced to its percentiles. Only
#: stragglers come after that.
_FOLD_AFTER_S = 30

#: Number of the latest codes whose histograms are kept as long as there are no later ones.
KEPT_CODES = 5

#: Length of the recent past, in seconds.
_RECENT_S = 3


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


_FOLDED = _Folded()


class PercentileHistory:
    """Percentiles of each code and each second of a run.

    Args:
        tally: tally of the run; old histograms in it are replaced by an empty one.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        # Those that have been folded.
        self._codes: dict[int, Percentiles] = {}
        self._seconds: dict[int, SecondPercentiles] = {}
        # Those that have not, oldest first.
        self._recent_codes: dict[int, CodeTally] = {}
        self._recent_seconds: dict[int, Second] = {}
        self._recent_s, self._recent = 0, _of_second(Second())

    def touch_code(self, sequence: int) -> None:
        """Note that a code's account has changed."""
        if sequence not in self._codes:
            self._recent_codes[sequence] = self._tally.codes[sequence]

    def touch_second(self, second: int) -> None:
        """Note that the figures of a second (since the Unix epoch) have changed."""
        if second not in self._seconds:
            self._recent_seconds[second] = self._tally.seconds[second]

    def fold(self, now_ns: int) -> None:
        """Reduce old histograms to their percentiles, except those of the latest owed codes.

        Args:
            now_ns: the time (wall clock, ns).
        """
        before = now_ns // _S - _FOLD_AFTER_S
        owed = (sequence for sequence, code in reversed(self._recent_codes.items()) if code.owed)
        latest = set(islice(owed, KEPT_CODES))
        for sequence, code in list(self._recent_codes.items()):
            if code.sent_ns // _S >= before:
                break  # the later ones are younger
            if sequence in latest:
                continue
            self._codes[sequence] = Percentiles.of(code.latencies)
            code.latencies = _FOLDED
            del self._recent_codes[sequence]
        for key, second in list(self._recent_seconds.items()):
            if key >= before:
                break
            self._seconds[key] = _of_second(second)
            second.delivery = second.lag = _FOLDED
            del self._recent_seconds[key]

    def code(self, sequence: int) -> Percentiles:
        """Return the percentiles of a code's delivery latencies."""
        found = self._codes.get(sequence)
        return found or Percentiles.of(self._tally.codes[sequence].latencies)

    def histogram(self, sequence: int) -> Histogram | None:
        """Return a code's delivery latencies, in microseconds; None if they were folded."""
        return None if sequence in self._codes else self._tally.codes[sequence].latencies

    def second(self, second: int) -> SecondPercentiles:
        """Return the percentiles of a second (since the Unix epoch)."""
        found = self._seconds.get(second)
        return found or _of_second(self._tally.seconds[second])

    def recent(self, now_ns: int) -> SecondPercentiles:
        """Return the percentiles of the last few seconds.

        Args:
            now_ns: the time (wall clock, ns).
        """
        now_s = now_ns // _S
        # Asked for several times a second, computed once: with a thousand connections it costs
        # more than reading their messages.
        if self._recent_s != now_s:
            self._recent_s, self._recent = now_s, self._compute_recent(now_s)
        return self._recent

    def _compute_recent(self, now_s: int) -> SecondPercentiles:
        total = Second()
        for key in range(now_s - _RECENT_S, now_s + 1):
            second = self._tally.seconds.get(key)
            if second is not None:
                total.delivery.merge(second.delivery)
                total.lag.merge(second.lag)
        return _of_second(total)


def _of_second(second: Second) -> SecondPercentiles:
    return SecondPercentiles(
        Percentiles.of(second.delivery), Percentiles.of(second.lag), second.delivery.ranges()
    )
