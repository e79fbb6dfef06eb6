"""Render report.md: the run on one screen, in GitHub-flavoured Markdown.

It is what a build server shows of a run, so it begins with the verdict and lists only what is not
good. Text from the server is shown as text, whatever it contains.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.formatting import clean, ms, number, of, shorten
from sseload_users.report.comparison import CLEAR, AgainstBaseline, Comparison
from sseload_users.report.model import Report
from sseload_users.verdict.reasons import Reason
from sseload_users.verdict.thresholds import Grade

_SIGNS: dict[Grade, str] = {"good": "✅", "warning": "⚠️", "issues": "❌"}
#: Most causes of failed operations, and most notes.
_MOST_CAUSES, _MOST_NOTES = 5, 5
#: Most characters of a server's text.
_MAX_SERVER_TEXT = 160
#: What Markdown and the HTML in it take for markup.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~$@-])")


def document(report: Report, against: AgainstBaseline | None = None) -> str:
    """Return the run in Markdown.

    Args:
        report: of the run.
        against: it, compared with its baseline, if it has one.
    """
    run, verdict = report.run, report.verdict
    parts = [
        f"## {_SIGNS[verdict.grade]} sseload: {verdict.grade}",
        _text(
            f"Run {run.id} against {run.target} over {run.transport}, {run.started_at[:19]} UTC."
        ),
        "\n".join(_table(("", "", ""), _figures(report), "lrl")),
        "\n".join(
            _table(
                ("latency, ms", "p50", "p95", "p99", "max"),
                [
                    _latency("delivery", report.delivery_ms),
                    _latency("connect", report.connections.connect_ms),
                ],
                "lrrrr",
            )
        ),
        *_section("What is not good", map(_reason, _not_good(verdict.reasons))),
        *_section("Patterns", (f"- {_text(each.sentence)}" for each in report.diagnosis)),
        *_section("Failed operations", _causes(report)),
        *(_baseline(against.result) if against is not None else ()),
        *_section("Notes", (f"- {_text(each)}" for each in run.notes[:_MOST_NOTES])),
    ]
    return "\n\n".join(parts) + "\n"


def _figures(report: Report) -> Iterator[tuple[str, str, str]]:
    connections, codes, deliveries = report.connections, report.codes, report.deliveries
    yield (
        "connections",
        of(connections.succeeded, connections.attempted),
        f"{number(connections.failed)} failed, {number(connections.dropped)} dropped",
    )
    if report.observed is not None:
        yield "messages", number(report.observed.seen), "sent by others"
    else:
        yield (
            "codes accepted",
            of(codes.accepted, codes.judged),
            ", ".join(
                f"{number(part)} {name}"
                for part, name in (
                    (codes.rejected, "rejected"),
                    (codes.unanswered, "unanswered"),
                    (codes.unsent, "unsent"),
                )
            ),
        )
    yield (
        "delivered",
        of(deliveries.received, deliveries.owed),
        ", ".join(
            f"{number(part)} {name}"
            for part, name in (
                (deliveries.late, "late"),
                (deliveries.interrupted, "interrupted"),
                (deliveries.missing, "missing"),
            )
        ),
    )
    if deliveries.leaked:
        yield "leaked", number(deliveries.leaked), "copies outside their channel"
    yield "errors", of(report.errors.failed, report.errors.operations), "failed operations"


def _latency(name: str, latency: LatencySummary) -> tuple[str, ...]:
    return (name, *map(ms, (latency.p50, latency.p95, latency.p99, latency.max)))


def _not_good(reasons: Iterable[Reason]) -> list[Reason]:
    """Return the reasons that are not good, the worst first."""
    return [each for grade in ("issues", "warning") for each in reasons if each.grade == grade]


def _reason(reason: Reason) -> str:
    hint = f" {_text(reason.hint)}" if reason.hint else ""
    return f"- {_SIGNS[reason.grade]} **{_text(reason.sentence)}**{hint}"


def _causes(report: Report) -> Iterator[str]:
    for each in report.errors.causes[:_MOST_CAUSES]:
        said = (
            f" The server said: {_text(shorten(each.said, _MAX_SERVER_TEXT))}" if each.said else ""
        )
        yield f"- {number(each.count)} × {_text(each.operation)}: {_text(each.cause)}.{said}"


def _baseline(result: Comparison) -> Iterator[str]:
    answer = "❌ clearly worse" if result.worse else "✅ not clearly worse"
    yield f"### Compared with the baseline: {answer}"
    sentences = [each for outcome in CLEAR for each in result.sentences(outcome)]
    if sentences:
        yield "\n".join(f"- {_text(each)}" for each in sentences)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    listed = "\n".join(lines)
    return [f"### {title}", listed] if listed else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], alignment: str) -> Iterator[str]:
    yield _row(head)
    yield "|" + "|".join("---:" if each == "r" else "---" for each in alignment) + "|"
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_text, cells))} |"


def _text(value: str) -> str:
    """Return a text in which nothing is markup."""
    return _MARKUP.sub(r"\\\1", clean(value))
