"""Map values to positions on an axis, and choose its ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

#: Values and their labels.
Ticks = tuple[tuple[float, str], ...]

_DAY = 86_400
_TIME_STEPS = (
    *((step, 1, "s") for step in (1, 2, 5, 10, 20, 30)),
    *((step * 60, 60, "min") for step in (1, 2, 5, 10, 20, 30)),
    *((step * 3600, 3600, "h") for step in (1, 2, 3, 6, 12)),
    *((step * _DAY, _DAY, "d") for step in (1, 2, 5, 10, 20, 50, 100)),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of values.

    Attributes:
        low: the value at 0.
        high: the value at 1; more than `low`, and both above 0 where it is logarithmic.
        ticks: the values that have a label.
        logarithmic: whether equal factors are equally far apart, rather than equal sums.
        kind: what the values are: seconds since the run began, places of names, or numbers.
    """

    low: float
    high: float
    ticks: Ticks
    logarithmic: bool = False
    kind: Literal["numbers", "names", "time"] = "numbers"

    def at(self, value: float) -> float:
        """Return a value's position, from 0 to 1; values outside are at the nearer end."""
        if self.logarithmic:
            value = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            value = (value - self.low) / (self.high - self.low)
        return min(max(value, 0.0), 1.0)

    def value(self, at: float) -> float:
        """Return the value at a position, from 0 to 1."""
        if self.logarithmic:
            return float(self.low * (self.high / self.low) ** at)
        return self.low + (self.high - self.low) * at

    @property
    def note(self) -> str:
        """A note for the reader, to append to the unit."""
        return ", logarithmic" if self.logarithmic else ""


def linear(values: Iterable[float], *, least: float = 1.0, whole: bool = False) -> Scale:
    """Return a scale from 0 to a round number that no value exceeds, with three to six ticks.

    Where a value is negative, it begins below 0, at a round number that no value falls below.

    Args:
        values: what is going to be drawn.
        least: the end for lower values, or for none.
        whole: whether there are only whole numbers to be written.
    """
    values = [*values]
    top, bottom = max(least, *values, least), min(0.0, *values, 0.0)
    step = _round_step((top - bottom) / 4)
    if whole:
        step = max(1.0, step if step % 1 == 0 else _round_step((top - bottom) / 3))
    steps, below = math.ceil(round(top / step, 9)), math.ceil(round(-bottom / step, 9))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9) + (_is_quarter(step)))
    return Scale(
        -below * step,
        steps * step,
        tuple((index * step, short(index * step, decimals)) for index in range(-below, steps + 1)),
    )


def latencies(values: Iterable[float]) -> Scale:
    """Return a scale for milliseconds: logarithmic if a few of them dwarf the others."""
    # Latencies are counted in whole microseconds; smaller values are not drawn.
    found = sorted(max(value, 0.001) for value in values if value > 0)
    if not found or found[-1] < 25 * found[len(found) // 2]:
        return linear(found, least=0.001 if found else 1.0)
    # A few very small values do not justify another decade, so the median decides.
    return logarithmic(max(found[0], found[len(found) // 2] / 100), found[-1])


def logarithmic(low: float, high: float) -> Scale:
    """Return a logarithmic scale with two values above 0, from one of 1, 2, 5, 10 … to another."""
    low, high = _decade_step(low, up=False), _decade_step(high, up=True)
    marks = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
    ]
    marks = [mark for mark in marks if low * 0.999 <= mark <= high * 1.001]
    if len(marks) > 6:
        decades = [mark for mark in marks if f"{mark:e}".startswith("1")]
        marks = decades[:: -(-len(decades) // 6)]
    return Scale(low, high, tuple((mark, f"{mark:,.10g}") for mark in marks), logarithmic=True)


def sizes(values: Iterable[float]) -> Scale:
    """Return a scale of sizes that were tried: logarithmic if the largest dwarfs the smallest."""
    found = [value for value in values if value > 0]
    if not found or max(found) < 10 * min(found):
        return linear(found, whole=True)
    return logarithmic(min(found), max(found))


def percentages(values: Iterable[float]) -> Scale:
    """Return a scale to 100 %, which begins above 0 where all values are near 100."""
    least = min([100.0, *values])
    if least < 50 or least == 100:
        return linear([100.0])
    below = linear([100 - least], least=0.02)
    ticks = [(100 - value, f"{100 - value:.6g}") for value, _ in below.ticks]
    return Scale(100 - below.high, 100.0, tuple(reversed(ticks)))


def shares() -> Scale:
    """Return a scale from 0 to 100 %."""
    return Scale(0.0, 1.0, tuple((share / 4, f"{share * 25} %") for share in range(5)))


def names(each: Sequence[str]) -> Scale:
    """Return a scale with an equal place for each of some names: the first from 0 to 1."""
    ticks = tuple((at + 0.5, name) for at, name in enumerate(each))
    return Scale(0.0, float(max(len(each), 1)), ticks, kind="names")


def time(end: float, most_ticks: int = 6) -> Scale:
    """Return a scale of seconds from 0 to `end`."""
    end = max(end, 1.0)
    step, unit, name = next(
        (each for each in _TIME_STEPS if end / each[0] <= most_ticks - 0.5), _TIME_STEPS[-1]
    )
    every = math.ceil(end / step / most_ticks)
    ticks = [index * step for index in range(0, int(end / step) + 1, every)]
    return Scale(
        0.0,
        end,
        tuple((tick, f"{tick // unit:,} {name}" if tick else "0") for tick in ticks),
        kind="time",
    )


def short(value: float, decimals: int = 0) -> str:
    """Return a number's label, of six characters at most, and a minus sign."""
    if value < 0:
        return f"-{short(-value, decimals)}"
    if value >= 1e9:
        return f"{value / 1e9:,.4g}G"
    if value >= 1e6:
        return f"{value / 1e6:.4g}M"
    if value >= 1e5:
        return f"{value / 1e3:.4g}k"
    return f"{value:,.{decimals}f}"


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(
        factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9)
    )


def _is_quarter(step: float) -> bool:
    return f"{step:.3e}".startswith("2.5")


def _decade_step(value: float, *, up: bool) -> float:
    """Return the next of 1, 2, 5, 10, 20 … above or below a value."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = [factor * power for factor in (1, 2, 5, 10)]
    if up:
        return next(step for step in steps if step >= value * (1 - 1e-9))
    return next(step for step in reversed(steps) if step <= value * (1 + 1e-9))
