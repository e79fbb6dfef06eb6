"""The trend of each key figure over the runs that are kept, in words; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sseload_users.core.formatting import ms, number
from sseload_users.report.history import KeptRun, series
from sseload_users.report.intervals import Interval
from sseload_users.report.key_figures import KEY_FIGURES, Unit
from sseload_users.report.trend import TOLERANCE_PERCENT, Step, noise_between, steps

#: A change for the worse makes the trend worse if it is in this many of the last runs.
_RECENT = 2


@dataclass(frozen=True, slots=True)
class Trend:
    """The course of one figure.

    Attributes:
        figure: its key in `KEY_FIGURES`.
        values: the figure of each run with its interval; None where a run has none.
        steps: where it changed.
        noise: standard deviation between runs of an unchanged server, as a share of the figure, or
            in shares; infinite if there are too few runs to tell.
        sentences: each change in a sentence.
    """

    figure: str
    values: Sequence[Interval | None]
    steps: Sequence[Step]
    noise: float
    sentences: Sequence[str]

    @property
    def title(self) -> str:
        """What to call the figure."""
        return KEY_FIGURES[self.figure].name

    @property
    def newest(self) -> Interval:
        """The figure of the newest run that has it."""
        return next(each for each in reversed(self.values) if each is not None)

    @property
    def is_worse(self) -> bool:
        """Whether it got worse in one of the last runs."""
        return any(
            each.direction == "worse" and each.at >= len(self.values) - _RECENT
            for each in self.steps
        )


def trends(runs: Sequence[KeptRun], tolerance: float = TOLERANCE_PERCENT) -> list[Trend]:
    """Return the trend of each figure that two runs or more have.

    Args:
        runs: of one kind, by their start.
        tolerance: relative changes up to this, in per cent, count as equal.
    """
    found = []
    for name, about in KEY_FIGURES.items():
        values = series(runs, name)
        if sum(each is not None for each in values) < 2:
            continue
        is_share = about.unit == "share"
        changes = steps(
            values, more_is_better=about.more_is_better, is_share=is_share, tolerance=tolerance
        )
        found.append(
            Trend(
                name,
                values,
                changes,
                noise_between(values, is_share=is_share),
                [_sentence(about.name, about.unit, each, runs[each.at]) for each in changes],
            )
        )
    return found


def written(value: float, unit: Unit) -> str:
    """Return a figure in words."""
    if unit == "ms":
        return f"{ms(value)} ms"
    if unit == "count":
        return number(round(value))
    percent = 100 * value
    # Only what is all is 100 %, and only nothing is 0 %.
    for decimals in (0, 1, 2, 3, 4, 5, 6):
        shown = f"{percent:.{decimals}f}"
        if abs(float(shown) - percent) < 1e-9 or (decimals >= 2 and 0 < float(shown) < 100):
            return f"{shown} %"
    return "less than 0.000001 %" if percent < 50 else "more than 99.999999 %"


def _sentence(name: str, unit: Unit, step: Step, run: KeptRun) -> str:
    doubt = "" if step.confirmed else "; one run only, so it may be an accident"
    change = ""
    if unit != "share" and step.before:
        percent = 100 * (step.after / step.before - 1)
        change = f" ({percent:+.0f} %)" if math.isfinite(percent) else ""
    return (
        f"{name[:1].upper()}{name[1:]} {step.direction} since run {run.id} of "
        f"{run.started_at[:10]}: {written(step.before, unit)} → {written(step.after, unit)}"
        f"{change}{doubt}."
    )
