"""Confidence intervals of shares and percentiles, and of their changes between runs; pure.

Deliveries of one code are correlated: a pause of the server delays or loses all of them
together. So each figure's variation between codes is estimated, and deliveries count as fewer
independent samples (the design effect: Kish 1965).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from sseload_users.core.histogram import Histogram

#: The probability that an interval contains the true value.
CONFIDENCE = 0.99
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_LEAST = 0.001

#: A part and the whole, such as delivered and owed.
Part = tuple[float, float]


class Interval(NamedTuple):
    """A figure and its confidence interval, with `CONFIDENCE`."""

    value: float
    low: float
    high: float


def design_effect(clusters: Sequence[Part]) -> float:
    """Return how many of these observations equal one independent observation; 1 or more.

    Args:
        clusters: the part and the whole of each code. The spread from code to code is that
            of a ratio estimator (Cochran 1977, §6.3).
    """
    clusters = [(part, whole) for part, whole in clusters if whole > 0]
    many, total = len(clusters), sum(whole for _, whole in clusters)
    if many < 2:
        return max(1.0, total)  # the variation between codes is unknown
    share = sum(part for part, _ in clusters) / total
    if not 0 < share < 1:
        return 1.0
    squares = sum((part - share * whole) ** 2 for part, whole in clusters)
    spread = many / (many - 1) * squares / total**2
    return max(1.0, spread / (share * (1 - share) / total))


def share_interval(share: float, observations: float, clusters: int | None = None) -> Interval:
    """Return the interval of a share (Wilson 1927).

    Args:
        share: from 0 to 1.
        observations: the number of independent observations, more than 0.
        clusters: the number of codes it was estimated from; None if it is known exactly.
    """
    z2 = _quantile(clusters) ** 2
    middle = (share + z2 / (2 * observations)) / (1 + z2 / observations)
    half = math.sqrt(z2 * share * (1 - share) / observations + z2**2 / (4 * observations**2)) / (
        1 + z2 / observations
    )
    return Interval(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def percentile_interval(
    histogram: Histogram, percent: float, observations: float, clusters: int
) -> Interval:
    """Return the interval of a percentile, in milliseconds (Woodruff 1952).

    Its bounds are the values at both ends of the rank's interval; there is no bound where a
    sample of that size need not contain a value beyond the true percentile.

    Args:
        histogram: of one value or more.
        percent: from 0 to 100.
        observations: the number of independent observations that the histogram equals.
        clusters: the number of codes it was estimated from.
    """
    share = percent / 100
    value = histogram.percentile_ms(percent) or 0.0
    rank = share_interval(share, observations, clusters)
    low, high = histogram.percentiles_ms((100 * rank.low, 100 * rank.high))
    tail = (1 - CONFIDENCE) / 2
    return Interval(
        value,
        0.0 if (1 - share) ** observations > tail else min(value, low or 0.0),
        math.inf if share**observations > tail else max(value, high or 0.0),
    )


def difference(before: Interval, after: Interval) -> Interval:
    """Return the change of a figure (Zou and Donner 2008; for shares, Newcombe 1998)."""
    change = after.value - before.value
    return Interval(
        change,
        change - math.hypot(after.value - after.low, before.high - before.value),
        change + math.hypot(after.high - after.value, before.value - before.low),
    )


def ratio(before: Interval, after: Interval) -> Interval:
    """Return the relative change of a figure: 0.23 for 23 % more."""
    logarithms = difference(_logarithm(before), _logarithm(after))
    return Interval(*(math.inf if each > 700 else math.expm1(each) for each in logarithms))


def _logarithm(interval: Interval) -> Interval:
    # Values are counted in microseconds; a lower bound below one is no bound.
    value, low, high = interval
    return Interval(
        math.log(max(value, _LEAST)),
        math.log(low) if low >= _LEAST else -math.inf,
        math.log(max(high, _LEAST)),
    )


def _quantile(clusters: int | None) -> float:
    """Return Student's t at (1 + CONFIDENCE) / 2, as a series in the normal quantile.

    Abramowitz and Stegun 1964, 26.7.5. Fewer codes give a less certain variation.
    """
    if clusters is None:
        return _Z
    z, freedom = _Z, max(1, clusters - 1)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
