"""Numbers of which only bounds are known, as a server cannot know all that a client knew."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """The lowest and the highest number that the truth allows."""

    low: int
    high: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.low <= number <= self.high

    def __add__(self, other: Bounds) -> Bounds:
        return Bounds(self.low + other.low, self.high + other.high)

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


def tally(possible: Iterable[Collection[str]], *outcomes: str) -> Bounds:
    """Count the pairs that have one of some outcomes.

    Args:
        possible: for each pair, the outcomes that it can have.
        outcomes: those that count.
    """
    low = high = 0
    for each in possible:
        counted = sum(outcome in outcomes for outcome in each)
        low += counted == len(each) > 0
        high += counted > 0
    return Bounds(low, high)


def share(part: Bounds, rest: Bounds) -> tuple[float, float]:
    """Return the lowest and the highest share of a part in the sum of it and the rest.

    A share of nothing is 0 and 1: anything may be said of it.
    """
    lowest, highest = part.low + rest.high, part.high + rest.low
    return (part.low / lowest if lowest else 0.0, part.high / highest if highest else 1.0)
