"""What a verdict consists of: a grade, and each rule's reason for it in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from pydantic import with_config

from sseload_users.core.figure_types import FIGURES, Name
from sseload_users.core.figures import Account
from sseload_users.verdict.thresholds import Bound, Grade
from sseload_users.verdict.time_bounds import TimeBound

#: From best to worst.
GRADES: tuple[Grade, ...] = get_args(Grade)

#: Rules on the run and the generator, which say nothing about the server.
_BESIDE_THE_SERVER = ("run_complete", "generator")


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class Reason:
    """One rule's part of the verdict."""

    rule: Name
    """The rule's name, as in thresholds.toml where it has a threshold."""
    grade: Grade
    """The grade by this rule alone."""
    measured: str
    """The figure, in words: "4,999 of 5,000 (99.98 %)"."""
    threshold: str
    """The bound that decided, as written in thresholds.toml; empty for a rule without one."""
    sentence: Name
    """The reason in one sentence."""
    hint: str
    """Where to look first; empty for what is good."""
    tolerated: bool = False
    """Whether something was found that the threshold allows: the grade is good nevertheless."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class Verdict:
    """The worst of the rules' grades, and every rule's reason."""

    grade: Grade
    """The worst of the reasons' grades."""
    reasons: list[Reason]
    """Every rule's reason."""

    @classmethod
    def of(cls, reasons: Iterable[Reason]) -> Verdict:
        """Return the verdict of some reasons."""
        reasons = list(reasons)
        return cls(grade=worst(each.grade for each in reasons), reasons=reasons)

    @property
    def is_judged(self) -> bool:
        """Whether anything has been judged; false at the beginning of a run."""
        return self.grade != "good" or any(
            each.rule not in _BESIDE_THE_SERVER for each in self.reasons
        )


@with_config(FIGURES)
@dataclass(kw_only=True)
class _Named:
    """The field that the report has first of a step."""

    name: str
    """The step's name: "200 connections"."""


# The bases are in this order so that the fields are in the order of report.json.
@with_config(FIGURES)
@dataclass(kw_only=True)
class StepReport(Account, _Named):
    """One step of a ladder or a search: the same parts as of a whole run, of this step alone."""

    verdict: Verdict
    """The verdict on the step, for its size."""
    target: str
    """The share of its connections that should be open, as in the thresholds: "> 95 %"; empty
    where a server of that size may degrade."""


def worst(grades: Iterable[Grade]) -> Grade:
    """Return the worst of some grades; good without any."""
    return max(grades, key=GRADES.index, default="good")


def make_reason(
    rule: str,
    grade: Grade,
    sentence: str,
    *,
    measured: str,
    threshold: Bound | TimeBound | None = None,
    hint: str = "",
    tolerated: bool = False,
) -> Reason:
    """Return a reason; its hint is left out if the grade is good.

    Args:
        rule: the rule's name.
        grade: the grade by this rule.
        sentence: the reason.
        measured: the figure, in words.
        threshold: the bound that decided.
        hint: where to look first.
        tolerated: whether anything was found that a good grade only tolerates.
    """
    return Reason(
        rule=rule,
        grade=grade,
        measured=measured,
        threshold=str(threshold or ""),
        sentence=sentence,
        hint="" if grade == "good" else hint,
        tolerated=tolerated and grade == "good",
    )
