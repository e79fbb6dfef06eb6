"""The summary figures of a page, each with its grade."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sseload_users.core.figures import PollingFigures
from sseload_users.core.formatting import count, ms, number
from sseload_users.report.model import Report
from sseload_users.report.pages import portion
from sseload_users.verdict.reasons import Reason, worst
from sseload_users.verdict.thresholds import Grade


class SummaryFigure(NamedTuple):
    """A summary figure of a page.

    Attributes:
        name: its name.
        value: its value, in words.
        details: further lines.
        grade: its grade; None where no rule judges it, or has judged it yet.
    """

    name: str
    value: str
    details: Sequence[str]
    grade: Grade | None


class CardGrade(NamedTuple):
    """The grade of a summary figure.

    Attributes:
        grade: by the rules on it; None where none has judged it.
        because: what a rule measured that gives this grade and does not judge the figure itself,
            in words; empty where the figure speaks for itself.
    """

    grade: Grade | None
    because: Sequence[str]


class SummaryGrades(NamedTuple):
    """The grade of each summary figure."""

    connections: CardGrade
    drops: CardGrade
    codes: CardGrade
    deliveries: CardGrade
    latency: CardGrade
    errors: CardGrade


def _polling(polling: PollingFigures | None) -> list[str]:
    if polling is None:
        return []
    began = f"{count(polling.sessions, 'session')} began by long polling"
    return [f"{began}, {number(polling.upgraded)} went over to WebSocket"]


def figures(report: Report) -> list[SummaryFigure]:
    """Return the summary figures."""
    connections = report.connections
    deliveries, errors, delivery = report.deliveries, report.errors, report.delivery_ms
    graded = summary_grades(report.verdict.reasons)
    return [
        SummaryFigure(
            "Delivered",
            portion(deliveries.received, deliveries.owed),
            [
                f"{number(deliveries.received)} of {number(deliveries.owed)} owed",
                in_time(deliveries.recovered),
                *graded.deliveries.because,
            ]
            if deliveries.recovered
            else [
                f"{number(deliveries.received)} of {number(deliveries.owed)} owed, in time",
                *graded.deliveries.because,
            ],
            graded.deliveries.grade,
        ),
        SummaryFigure(
            "Delivery latency",
            f"{ms(delivery.p95)} ms" if delivery.count else "-",
            [
                "p95",
                f"p99 {ms(delivery.p99)} ms, max {ms(delivery.max)} ms",
                f"median {ms(delivery.p50)} ms",
                *graded.latency.because,
            ]
            if delivery.count
            else ["nothing was delivered", *graded.latency.because],
            graded.latency.grade,
        ),
        SummaryFigure(
            "Connected",
            portion(connections.succeeded, connections.attempted),
            [
                f"{number(connections.succeeded)} of {count(connections.attempted, 'attempt')}",
                f"{number(connections.peak_open)} open at most",
                *_polling(connections.polling),
                *graded.connections.because,
            ],
            graded.connections.grade,
        ),
        SummaryFigure(
            "Sessions dropped",
            portion(connections.dropped, connections.succeeded),
            [f"{number(connections.dropped)} of {count(connections.succeeded, 'session')}"],
            graded.drops.grade,
        ),
        _codes_figure(report, graded),
        SummaryFigure(
            "Errors",
            portion(errors.failed, errors.operations),
            [f"{count(errors.failed, 'failure')} in {count(errors.operations, 'operation')}"],
            graded.errors.grade,
        ),
    ]


def _codes_figure(report: Report, graded: SummaryGrades) -> SummaryFigure:
    """Return what became of the codes, or which messages of others were seen."""
    codes, observed = report.codes, report.observed
    if observed is None:
        return SummaryFigure(
            "Codes accepted",
            portion(codes.accepted, codes.scheduled),
            [f"{number(codes.accepted)} of {number(codes.scheduled)} that were due"],
            graded.codes.grade,
        )
    holes = (
        "nothing is known about what nobody got"
        if observed.holes is None
        else f"{count(observed.holes, 'number')} that nobody got"
    )
    return SummaryFigure(
        "Messages seen", number(observed.seen), ["sent by others", holes], graded.codes.grade
    )


def summary_grades(reasons: Sequence[Reason]) -> SummaryGrades:
    """Return the grade of each summary figure."""
    given = {reason.rule: reason for reason in reasons}

    def by(own: Sequence[str], *others: str) -> CardGrade:
        found = [given[rule] for rule in (*own, *others) if rule in given]
        if not found:
            return CardGrade(None, ())
        grade = worst(each.grade for each in found)
        telling = [each for each in found if each.grade == grade != "good"]
        return CardGrade(
            grade,
            [
                f"{each.rule.replace('_', ' ')}: {each.measured}"
                for each in telling
                if each.rule not in own
            ],
        )

    return SummaryGrades(
        connections=by(("connection_success", "size_target"), "connect_timeouts"),
        drops=by(("connections_dropped",)),
        codes=by(("codes_accepted", "codes_seen", "holes")),
        deliveries=by(("codes_received",), "isolation"),
        latency=by((), "latency"),
        errors=by(("error_rate",)),
    )


def in_time(recovered: int) -> str:
    """Return how deliveries came, in words; some of them may have been recovered."""
    return f"in time or recovered ({number(recovered)})" if recovered else "in time"
