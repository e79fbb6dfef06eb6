"""Thresholds for times: a bound for each percentile of each latency."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainValidator, model_validator

from sseload_users.core.formatting import ms, number

_BOUND = re.compile(r"(?P<comparison><=|<)\s*(?P<value>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>ms|s)")
_HOW = "write a comparison and a time, such as '<= 1 s' or '< 250 ms'"

#: The figures of a latency that can have a bound.
FIGURES = ("p50", "p95", "p99", "max")


@dataclass(frozen=True, slots=True)
class TimeBound:
    """An upper limit for a time: "<= 1 s".

    Attributes:
        comparison: how the measured time must compare with the limit.
        limit_ms: the limit, in milliseconds.
    """

    comparison: Literal["<", "<="]
    limit_ms: float

    @classmethod
    def parse(cls, text: object) -> TimeBound:
        """Return the bound that a text states: "<= 1 s".

        Raises:
            ValueError: the text is not a bound.
        """
        if isinstance(text, TimeBound):
            return text
        match = _BOUND.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"{text!r} is not a bound; {_HOW}")
        scale = 1000 if match["unit"] == "s" else 1
        return cls(match["comparison"], float(Fraction(match["value"]) * scale))  # type: ignore[arg-type]

    def holds(self, value_ms: float) -> bool:
        """Whether a time is within the bound."""
        return value_ms <= self.limit_ms if self.comparison == "<=" else value_ms < self.limit_ms

    def stricter_than(self, other: TimeBound) -> bool:
        """Whether a time can be within `other` but not within this bound."""
        if self.limit_ms == other.limit_ms:
            return len(self.comparison) < len(other.comparison)
        return self.limit_ms < other.limit_ms

    def words(self) -> str:
        """Return the bound for a sentence: "at most 1,000 ms"."""
        return f"{'at most' if self.comparison == '<=' else 'less than'} {_limit(self.limit_ms)}"

    def shown(self, value_ms: float) -> str:
        """Return a time with enough digits to be on the right side of the bound."""
        short = ms(value_ms)
        is_clear = value_ms == self.limit_ms or short != ms(self.limit_ms)
        return f"{short if is_clear else f'{value_ms:,.3f}'} ms"

    def __str__(self) -> str:
        """Return the bound as it is written in the file."""
        return f"{self.comparison} {_limit(self.limit_ms)}"


def _limit(limit_ms: float) -> str:
    return f"{number(int(limit_ms)) if limit_ms == int(limit_ms) else f'{limit_ms:g}'} ms"


_Bound = Annotated[TimeBound, PlainValidator(TimeBound.parse)]


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True
    )


class TimeRule(_Model):
    """Which times are good, and which are a warning; without `warning`, all others are."""

    good: _Bound
    warning: _Bound | None = None

    @model_validator(mode="after")
    def _ordered(self) -> TimeRule:
        if self.warning is not None and self.warning.stricter_than(self.good):
            raise ValueError(
                f"warning ({self.warning}) must not be stricter than good ({self.good})"
            )
        return self


class TimeRules(_Model):
    """The rules for the percentiles of one latency; None for those without a bound."""

    p50: TimeRule | None = None
    p95: TimeRule | None = None
    p99: TimeRule | None = None
    max: TimeRule | None = None

    def rules(self) -> Iterator[tuple[str, TimeRule]]:
        """Yield the name of each figure that has a bound, and its rule."""
        for name in FIGURES:
            rule: TimeRule | None = getattr(self, name)
            if rule is not None:
                yield name, rule


class LatencyRules(_Model):
    """The rules for each latency that is judged."""

    delivery: TimeRules = TimeRules()
    connect: TimeRules = TimeRules()
    recovery: TimeRules = TimeRules()
