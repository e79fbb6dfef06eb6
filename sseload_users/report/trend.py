"""Runs of one name over time: where a figure changed, and whether for the worse; pure.

Two runs of the same server differ by more than the noise within each of them: machines, networks
and neighbours vary. So a run is compared with several before it: it differs if it is further from
their median than the noise between runs and the runs' own intervals explain. The noise between
runs is estimated from the differences of successive runs, to which a few changes contribute
little. One such run may be an accident; a second one in the same direction makes it a change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal, TypeAlias

from sseload_users.report.intervals import Interval

#: Relative changes up to this, in per cent, count as equal; those of shares in points.
TOLERANCE_PERCENT = 10.0
_TOLERANCE_POINTS = 0.01
#: A normal distribution's standard deviation, in median differences of two of its values.
_PER_DIFFERENCE = 1 / (0.6745 * math.sqrt(2))
#: Standard deviations that runs of an unchanged server hardly ever differ by.
_DEVIATIONS = 3.0
#: Fewest runs whose noise can be told.
FEWEST_RUNS = 5
#: Most earlier runs that a run is compared with.
_MOST_REFERENCE = 20

Direction: TypeAlias = Literal["better", "worse"]


@dataclass(frozen=True, slots=True)
class Step:
    """A change of a figure.

    Attributes:
        at: index of the first run after it.
        before: the median of the runs before it.
        after: the median of the runs since.
        direction: whether it is for the better.
        confirmed: whether a second run agrees; the newest run has none yet.
    """

    at: int
    before: float
    after: float
    direction: Direction
    confirmed: bool


def steps(
    runs: Sequence[Interval | None],
    *,
    more_is_better: bool,
    is_share: bool = False,
    tolerance: float = TOLERANCE_PERCENT,
) -> list[Step]:
    """Return where a figure changed, in order; nowhere while there are too few runs.

    Args:
        runs: the figure of each run with its interval, in order of time; None where a run has
            none.
        more_is_better: whether a higher value is a better one.
        is_share: whether changes are differences, as of shares; else they are relative.
        tolerance: relative changes up to this, in per cent, count as equal.
    """
    series = [(at, _scaled(each, is_share=is_share)) for at, each in enumerate(runs) if each]
    least = _TOLERANCE_POINTS / 100 if is_share else math.log1p(tolerance / 100)
    noise = _noise([run.value for _, run in series])
    found: list[Step] = []
    segment: list[Interval] = []
    index = 0
    while index < len(series):
        at, run = series[index]
        direction = _differs(segment, run, least, noise)
        following = series[index + 1][1] if index + 1 < len(series) else None
        if not direction:
            segment.append(run)
        elif following is None or _differs(segment, following, least, noise) == direction:
            rest = [run] if following is None else [run, following]
            found.append(
                Step(
                    at,
                    _value(median(each.value for each in segment), is_share=is_share),
                    _value(median(each.value for each in rest), is_share=is_share),
                    "better" if (direction > 0) == more_is_better else "worse",
                    confirmed=following is not None,
                )
            )
            segment = [run]
        # Otherwise it is an outlier, which is compared with nothing.
        index += 1
    return found


def noise_between(runs: Sequence[Interval | None], *, is_share: bool = False) -> float:
    """Return the standard deviation between runs of an unchanged server.

    Args:
        runs: the figure of each run; None where a run has none.
        is_share: whether changes are differences; else they are relative.

    Returns:
        A share of the figure, or a difference of shares; infinite while there are too few runs.
    """
    return _noise([_scaled(each, is_share=is_share).value for each in runs if each])


def _noise(values: Sequence[float]) -> float:
    """Return the standard deviation between runs of an unchanged server."""
    differences = [abs(later - sooner) for sooner, later in pairwise(values)]
    if len(differences) < FEWEST_RUNS - 1:
        return math.inf
    return median(differences) * _PER_DIFFERENCE


def _differs(segment: Sequence[Interval], run: Interval, least: float, noise: float) -> int:
    """Return 1 if a run is above the ones before it, -1 if it is below, 0 if noise explains it."""
    reference = segment[-_MOST_REFERENCE:]
    if not reference:
        return 0
    change = run.value - median(each.value for each in reference)
    own = run.value - run.low if change > 0 else run.high - run.value
    theirs = median(
        each.high - each.value if change > 0 else each.value - each.low for each in reference
    )
    within = math.hypot(*(each for each in (own, theirs) if math.isfinite(each)))
    # A median of few runs is uncertain itself.
    between = _DEVIATIONS * noise * math.sqrt(1 + 1.5 / len(reference))
    return 0 if abs(change) <= max(least, between, within) else (1 if change > 0 else -1)


def _scaled(figure: Interval, *, is_share: bool) -> Interval:
    """Return a figure on the scale on which changes are differences."""
    if is_share:
        return figure
    value, low, high = figure
    return Interval(
        math.log(max(value, 0.001)),
        math.log(low) if low > 0 else -math.inf,
        math.log(high) if 0 < high < math.inf else math.inf,
    )


def _value(scaled: float, *, is_share: bool) -> float:
    return scaled if is_share else math.exp(scaled)
