"""Percentiles of a run's codes and seconds, in bounded memory."""

from __future__ import annotations

from itertools import islice

from sseload_users.core.code_tally import CodeTally
from sseload_users.core.histogram import Histogram
from sseload_users.core.percentiles import FOLDED, Percentiles, SecondPercentiles
from sseload_users.core.run_tally import RunTally
from sseload_users.core.second import Second

_S = 1_000_000_000

#: Seconds after which a code or a second is archived. Only stragglers come after that.
_FOLD_AFTER_S = 30

#: Number of the latest codes whose histograms are kept as long as there are no later ones.
KEPT_CODES = 5

#: Length of the recent past, in seconds.
_RECENT_S = 3


class PercentileHistory:
    """Percentiles of each code and each second of a run.

    Args:
        tally: tally of the run; what is old in it is archived.
    """

    def __init__(self, tally: RunTally) -> None:
        self._tally = tally
        # Those that are not archived, or have changed since; mostly the oldest first.
        self._recent_codes: dict[int, CodeTally] = {}
        self._recent_seconds: dict[int, Second] = {}
        self._recent_s, self._recent = 0, _of_second(Second())

    def touch_code(self, sequence: int) -> None:
        """Note that a code's account has changed."""
        self._recent_codes[sequence] = self._tally.code(sequence)

    def touch_second(self, second: int) -> None:
        """Note that the figures of a second (since the Unix epoch) have changed."""
        self._recent_seconds[second] = self._tally.second(second * _S)

    def fold(self, now_ns: int) -> None:
        """Archive old codes and seconds, except the latest owed codes.

        Args:
            now_ns: the time (wall clock, ns).
        """
        before = now_ns // _S - _FOLD_AFTER_S
        owed = (sequence for sequence, code in reversed(self._recent_codes.items()) if code.owed)
        latest = set(islice(owed, KEPT_CODES))
        old: list[int] = []
        for sequence, code in self._recent_codes.items():
            if code.sent_ns // _S >= before:
                break  # the later ones are younger
            if sequence not in latest:
                old.append(sequence)
        for sequence in old:
            self._tally.codes.archive(sequence)
            del self._recent_codes[sequence]
        for key in list(self._recent_seconds):
            if key >= before:
                break
            self._tally.seconds.archive(key)
            del self._recent_seconds[key]

    def code(self, sequence: int) -> Percentiles:
        """Return the percentiles of a code's delivery latencies."""
        found = self._tally.codes.percentiles(sequence)
        return found or Percentiles.of(self._tally.codes[sequence].latencies)

    def histogram(self, sequence: int) -> Histogram | None:
        """Return a code's delivery latencies, in microseconds; None if they were folded."""
        latencies = self._tally.codes[sequence].latencies
        return None if latencies is FOLDED else latencies

    def second(self, second: int) -> SecondPercentiles:
        """Return the percentiles of a second (since the Unix epoch)."""
        found = self._tally.seconds.percentiles(second)
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
