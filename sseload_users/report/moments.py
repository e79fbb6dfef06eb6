"""Find the moments of a run to mark in its charts: storms, and diagnoses that name a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sseload_users.report.model import Report
from sseload_users.verdict.symptoms import Finding


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a run, or a stretch of time in which something happened.

    Attributes:
        start_s: when it began, in seconds since the run began.
        end_s: when it ended; the same for a moment.
        name: what happened, in a few words.
    """

    start_s: float
    end_s: float
    name: str


def moments(report: Report) -> list[Moment]:
    """Return the moments of a report, in order of time."""
    storms = report.storm.started_at if report.storm else []
    began = datetime.fromisoformat(report.run.started_at)
    return in_order(
        ((datetime.fromisoformat(each) - began).total_seconds() for each in storms),
        report.diagnosis,
    )


def in_order(storms_s: Iterable[float], findings: Sequence[Finding]) -> list[Moment]:
    """Return the moments of storms and of findings, in order of time.

    Args:
        storms_s: when storms began, in seconds since the run began.
        findings: as in the report.
    """
    found = [Moment(at, at, "storm") for at in storms_s]
    for each in findings:
        start, end = (each.evidence.get(name) for name in ("from_s", "to_s"))
        if isinstance(start, float | int) and isinstance(end, float | int):
            found.append(Moment(start, max(start, end), each.pattern.replace("_", " ")))
    return sorted(found, key=lambda moment: (moment.start_s, moment.end_s, moment.name))
