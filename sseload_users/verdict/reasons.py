"""The reasons that a verdict consists of: each a rule, its grade, and why, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from sseload_users.verdict.thresholds import Bound, Grade

#: From best to worst.
GRADES: tuple[Grade, ...] = ("good", "warning", "issues")


class Reason(TypedDict):
    """One rule's part of the verdict.

    Attributes:
        rule: the rule's name, as in ``config/thresholds.toml`` where it has a threshold.
        grade: what this rule alone would make of the run.
        measured: the figure, in words: "4,999 of 5,000 (99.98 %)".
        threshold: the bound that decided, as written in the thresholds; empty without one.
        sentence: the reason as one sentence.
        hint: where to look; empty for what is good.
    """

    rule: str
    grade: Grade
    measured: str
    threshold: str
    sentence: str
    hint: str


def worst(grades: Iterable[Grade]) -> Grade:
    """The worst of some grades; good without any."""
    return max(grades, key=GRADES.index, default="good")


def make_reason(
    rule: str,
    grade: Grade,
    sentence: str,
    *,
    measured: str,
    threshold: Bound | None = None,
    hint: str = "",
) -> Reason:
    """A reason; its hint is left out where there is nothing to look for."""
    return Reason(
        rule=rule,
        grade=grade,
        measured=measured,
        threshold=str(threshold or ""),
        sentence=sentence,
        hint="" if grade == "good" else hint,
    )
