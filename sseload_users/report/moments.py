"""Find the moments of a run to mark in its charts over time.

They are storms, outages, times in which the generator stalled, and diagnoses that name a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sseload_users.core.formatting import seconds
from sseload_users.core.outages import Change, Outage, outages
from sseload_users.report.model import Report, TimelinePoint
from sseload_users.verdict.saturation import LATE_MS
from sseload_users.verdict.symptoms import Finding

#: Stalls of the generator that are this near to each other are one moment: seconds, and a share
#: of the run, which bounds their number.
_NEAR_S, _NEAR_SHARE = 2.0, 0.02


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


def moments(report: Report, storms_s: Iterable[float] | None = None) -> list[Moment]:
    """Return the moments of a report, in order of time.

    Args:
        report: of a run that has ended, or is going on.
        storms_s: when storms began, in seconds since the run began; None for those of the report.
    """
    if storms_s is None:
        began = datetime.fromisoformat(report.run.started_at)
        storms = report.storm.started_at if report.storm else []
        storms_s = ((datetime.fromisoformat(each) - began).total_seconds() for each in storms)
    found = [Moment(at, at, "storm") for at in storms_s]
    found += _of_findings(report.diagnosis)
    found += _of_nodes(report) if report.nodes else _of_all(report.timeline)
    found += _of_generator(report.timeline)
    return sorted(found, key=lambda moment: (moment.start_s, moment.end_s, moment.name))


def outage_sentence(report: Report) -> str:
    """Return when most sessions were away, in a run without nodes; empty if they never were.

    Tables have the gaps of nodes.
    """
    found = [] if report.nodes else _outages_of_all(report.timeline)
    if not found:
        return ""
    first = found[0]
    if len(found) == 1 and first.to_s is None:
        return (
            f"most sessions were away from {seconds(first.from_s)} after the run began to its end"
        )
    ends = [_end(report.timeline) if each.to_s is None else each.to_s for each in found]
    when = f"from {seconds(first.from_s)} to {seconds(ends[0])} after the run began"
    if len(found) == 1:
        return f"most sessions were away {when}"
    total = sum(end - each.from_s for end, each in zip(ends, found, strict=True))
    return f"most sessions were away {len(found)} times, {seconds(total)} in all; first {when}"


def _of_findings(findings: Sequence[Finding]) -> Iterator[Moment]:
    for each in findings:
        start, end = (each.evidence.get(name) for name in ("from_s", "to_s"))
        if isinstance(start, float | int) and isinstance(end, float | int):
            yield Moment(start, max(start, end), each.pattern.replace("_", " "))


def _of_nodes(report: Report) -> Iterator[Moment]:
    for node in report.nodes:
        for each in node.outages:
            end = _end(report.timeline) if each.to_s is None else each.to_s
            yield Moment(each.from_s, max(each.from_s, end), f"node {node.node} away")


def _of_all(timeline: Sequence[TimelinePoint]) -> Iterator[Moment]:
    """Yield when most sessions were away in a run without nodes."""
    for each in _outages_of_all(timeline):
        end = _end(timeline) if each.to_s is None else each.to_s
        yield Moment(each.from_s, end, "most sessions away")


def _outages_of_all(timeline: Sequence[TimelinePoint]) -> list[Outage]:
    """Return the outages of the server of a run without nodes, as if it were one."""
    changes, before = [], 0.0
    for point in timeline:
        lost = point.dropped if point.ended is None else point.ended
        changes.append(Change(before, point.t, lost, point.open))
        before = point.t
    return outages(changes)


def _of_generator(timeline: Sequence[TimelinePoint]) -> Iterator[Moment]:
    """Yield when the generator stood still, or read so late that the verdict warns of it."""
    near = max(_NEAR_S, _NEAR_SHARE * _end(timeline))
    stretch, before = None, 0.0
    for point in timeline:
        if max(point.stall_ms or 0.0, point.lag_p99_ms or 0.0) > LATE_MS:
            if stretch is not None and before - stretch.end_s > near:
                yield stretch
                stretch = None
            start = before if stretch is None else stretch.start_s
            stretch = Moment(start, point.t, "generator stalled")
        before = point.t
    if stretch is not None:
        yield stretch


def _end(timeline: Sequence[TimelinePoint]) -> float:
    return timeline[-1].t if timeline else 0.0
