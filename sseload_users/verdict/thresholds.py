"""Parsing of the thresholds that a run is judged by, and shares judged by them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, number, of, percent, share
from sseload_users.core.objective import Objective
from sseload_users.verdict.time_bounds import LatencyRules

Grade = Literal["good", "warning", "issues"]

_BOUND = re.compile(r"(?P<comparison>>=|<=|>|<)\s*(?P<percent>\d{1,9}(?:\.\d{1,9})?)\s*%")
_HOW = "write a comparison and a percentage, such as '>= 95 %', or 'all' or 'none'"
_IN_WORDS = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}
_OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


#: The rules on shares that should be large.
_WANT_MORE = ("connection_success", "codes_accepted", "codes_owed", "codes_received", "health")


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit for a share: "> 95 %".

    Attributes:
        comparison: how the measured share must compare with the limit.
        share: the limit, from 0 to 1; beyond 1 for counts that can exceed their base.
    """

    comparison: Literal[">", ">=", "<", "<="]
    share: Fraction

    @classmethod
    def parse(cls, text: object) -> Bound:
        """Return the bound that a text states: "> 95 %", "all", "none".

        Raises:
            ValueError: the text is not a bound.
        """
        if isinstance(text, Bound):
            return text
        if text == "all":
            return cls(">=", Fraction(1))
        if text == "none":
            return cls("<=", Fraction(0))
        match = _BOUND.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"{text!r} is not a bound; {_HOW}")
        return cls(match["comparison"], Fraction(match["percent"]) / 100)  # type: ignore[arg-type]

    @property
    def wants_more(self) -> bool:
        """Whether a higher share is better."""
        return self.comparison.startswith(">")

    def holds(self, part: int, whole: int) -> bool:
        """Whether `part` of `whole` satisfies the bound; exact, without division."""
        limit = self.share * whole
        match self.comparison:
            case ">":
                return part > limit
            case ">=":
                return part >= limit
            case "<":
                return part < limit
            case _:
                return part <= limit

    def stricter_than(self, other: Bound) -> bool:
        """Whether a share can satisfy `other` but not this bound; both have the same direction."""
        if self.share == other.share:
            return len(self.comparison) < len(other.comparison)
        return (self.share > other.share) == self.wants_more

    def words(self) -> str:
        """Return the bound for a sentence: "more than 95 %", "all of them", "none"."""
        if self == Bound(">=", Fraction(1)):
            return "all of them"
        if self == Bound("<=", Fraction(0)):
            return "none"
        return f"{_IN_WORDS[self.comparison]} {percent(self.share)}"

    def violation(self) -> str:
        """Return what violates it, for a sentence: "95 % or less", "more than 5 %"."""
        opposite = _OPPOSITE[self.comparison]
        if len(opposite) == 1:
            return f"{_IN_WORDS[opposite]} {percent(self.share)}"
        return f"{percent(self.share)} or {'more' if opposite == '>=' else 'less'}"

    def __str__(self) -> str:
        """Return the bound as it is written in the file."""
        if self == Bound(">=", Fraction(1)):
            return "all"
        if self == Bound("<=", Fraction(0)):
            return "none"
        return f"{self.comparison} {percent(self.share)}"


_Bound = Annotated[Bound, PlainValidator(Bound.parse)]


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True
    )


class Rule(_Model):
    """What is good, and what is a warning; without `warning`, everything else is."""

    good: _Bound
    warning: _Bound | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Rule:
        if self.warning is None:
            return self
        if self.good.wants_more != self.warning.wants_more:
            raise ValueError(
                f"good ({self.good}) and warning ({self.warning}) must have the same direction"
            )
        if self.warning.stricter_than(self.good):
            raise ValueError(
                f"warning ({self.warning}) must not be stricter than good ({self.good})"
            )
        return self


@dataclass(frozen=True, slots=True)
class JudgedShare:
    """A share, its grade by a rule, and both in words.

    Attributes:
        part: numerator.
        whole: denominator; if both are 0, the grade is good.
        rule: the rule.
    """

    part: int
    whole: int
    rule: Rule

    @property
    def grade(self) -> Grade:
        """The grade by the rule."""
        if self.rule.good.holds(self.part, self.whole) or not (self.part or self.whole):
            return "good"
        warning = self.rule.warning
        return "warning" if warning is None or warning.holds(self.part, self.whole) else "issues"

    @property
    def bound(self) -> Bound:
        """The bound that decided the grade."""
        return (self.rule.warning if self.grade == "issues" else None) or self.rule.good

    @property
    def measured(self) -> str:
        """The share alone: "46 of 50 (92 %)"."""
        return of(self.part, self.whole, self._marks)

    def counted(self, what: str) -> str:
        """Return the share with what it counts: "46 of 50 `what` (92 %)"."""
        counted = f"{number(self.part)} of {number(self.whole)} {what}"
        if self.whole:
            counted += f" ({share(self.part, self.whole, self._marks)})"
        return counted

    def sentence(self, what: str, further: str = "") -> str:
        """Return a sentence: "46 of 50 `what` (92 %)`further`; good is more than 95 %."."""
        return f"{self.counted(what)}{further}{self.bound_clause}."

    @property
    def bound_clause(self) -> str:
        """The end of a sentence: "; good is more than 95 %"; empty if the grade is good."""
        match self.grade:
            case "good":
                return ""
            case "warning":
                return f"; good is {self.bound.words()}"
            case _:
                return f"; {self.bound.violation()} is an issue"

    @property
    def _marks(self) -> tuple[Any, ...]:
        return tuple(bound.share for bound in (self.rule.good, self.rule.warning) if bound)


@dataclass(frozen=True, slots=True)
class ThresholdsText:
    """Thresholds as text.

    Attributes:
        name: file name for error messages.
        toml: the text.
    """

    name: str
    toml: str


class SizeTarget(_Model):
    """The share of connect attempts that should succeed, up to a number of open connections."""

    up_to: int = Field(gt=0, strict=True)
    success: _Bound


class Thresholds(_Model):
    """One rule for each figure that is judged; `docs/verdict.md` explains the figures."""

    connection_success: Rule
    connect_timeouts: Rule
    connections_dropped: Rule
    codes_accepted: Rule
    codes_owed: Rule
    codes_received: Rule
    error_rate: Rule
    latency: LatencyRules
    health: Rule
    duplicates: Rule
    replayed: Rule
    out_of_order: Rule
    unexpected: Rule
    malformed: Rule
    size_targets: tuple[SizeTarget, ...]
    _objective: Objective | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Thresholds:
        for name in type(self).model_fields:
            rule = getattr(self, name)
            if not isinstance(rule, Rule):
                continue
            wants_more = name in _WANT_MORE
            if rule.good.wants_more != wants_more:
                raise ValueError(
                    f"{name}.good must begin with {'>' if wants_more else '<'}, not '{rule.good}'"
                )
        for index, target in enumerate(self.size_targets):
            if not target.success.wants_more:
                raise ValueError(
                    f"size_targets[{index}].success must begin with >, not '{target.success}'"
                )
            if index == 0:
                continue
            before = self.size_targets[index - 1]
            if target.up_to <= before.up_to:
                raise ValueError(
                    f"size_targets[{index}].up_to ({target.up_to}) must be above the one "
                    f"before it ({before.up_to})"
                )
            if target.success.stricter_than(before.success):
                raise ValueError(
                    f"size_targets[{index}].success ({target.success}) must not be stricter than "
                    f"the one before it ({before.success}), which is for fewer connections"
                )
        return self

    @property
    def objective(self) -> Objective | None:
        """The objective that the run was given; None without one."""
        return self._objective

    def with_objective(self, objective: Objective) -> Thresholds:
        """Return these thresholds with an objective that a run has to meet as well."""
        judged_by = self.model_copy()
        judged_by._objective = objective  # noqa: SLF001 - of the same class
        return judged_by

    def size_target(self, connections: int) -> SizeTarget | None:
        """Return the target for a number of open connections; None beyond the last target."""
        return next((each for each in self.size_targets if connections <= each.up_to), None)


def parse(defaults: ThresholdsText, override: ThresholdsText | None = None) -> Thresholds:
    """Return the thresholds of a complete TOML text, changed by a partial one.

    Args:
        defaults: text with every key.
        override: text with the keys that differ.

    Raises:
        ConfigError: one of the texts is not valid TOML or has an invalid or unknown key.
    """
    values = _toml(defaults)
    # The defaults are validated alone first: their mistakes must not be attributed to the
    # override.
    thresholds = _validate(values, defaults.name)
    if override is None:
        return thresholds
    return _validate(_merged(values, _toml(override)), override.name)


def _merged(values: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with those that another table has, table by table."""
    merged = dict(values)
    for key, value in override.items():
        known = merged.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        merged[key] = _merged(known, value) if both else value  # type: ignore[arg-type]
    return merged


def _toml(text: ThresholdsText) -> dict[str, Any]:
    try:
        return tomllib.loads(text.toml)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{text.name}: invalid TOML: {error}.") from error


def _validate(values: Mapping[str, Any], name: str) -> Thresholds:
    try:
        return Thresholds.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{name}: {_sentence(error)}") from error


def _sentence(error: ValidationError) -> str:
    """Return the first validation error as one sentence that begins with its key."""
    first = error.errors(include_url=False)[0]
    where = ""
    for step in first["loc"]:
        where += f"[{step}]" if isinstance(step, int) else f".{step}" if where else step
    where = clean(where)
    match first["type"]:
        case "extra_forbidden":
            siblings = ", ".join(_fields(first["loc"][:-1]))
            return f"{where}: unknown key; valid keys: {siblings}."
        case "missing":
            return f"{where} is missing."
        case "value_error":
            mistake = clean(first["ctx"]["error"])
            return f"{where}: {mistake}." if where else f"{mistake}."
        case "model_type" | "model_attributes_type":
            return f"{where} must be a table of {_listed(_fields(first['loc']))}."
        case "tuple_type":
            return f"{where} must be a list of tables: [[{where}]]."
        case _:
            return f"{where}: {clean(first['msg'])}, not {clean(repr(first['input']))}."


def _fields(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the table at a place in the file."""
    model: type[BaseModel] = Thresholds
    for step in location:
        if isinstance(step, int):
            continue
        annotation = model.model_fields[step].annotation
        inner = [annotation, *get_args(annotation)]
        model = next(
            each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)
        )
    return list(model.model_fields)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
