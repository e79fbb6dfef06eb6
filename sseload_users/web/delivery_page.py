"""Render /delivery: the state of a run, as a page in Locust's web UI that updates itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sseload_users.core.figures import CodeFigures
from sseload_users.core.formatting import count, ms, number, share
from sseload_users.report import charts, html, pages
from sseload_users.report.account import counted
from sseload_users.report.live import (
    LatestCode,
    Live,
    TimelineCache,
    course,
    latest_codes,
    report_so_far,
)
from sseload_users.report.model import Report
from sseload_users.report.moments import Moment, moments
from sseload_users.report.reach import latest_reach
from sseload_users.report.reason_links import links
from sseload_users.report.snapshot import Snapshot, extent
from sseload_users.report.summary_figures import SummaryFigure, figures, in_time, summary_grades
from sseload_users.verdict.reasons import worst

#: Codes in the page's table.
_CODES = 20

#: The phases of a run, or of each of its steps.
_PHASES = ("warm-up", "connect", "settle", "broadcast", "drain", "disconnect")


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to show.

    Attributes:
        live: the run that is going on.
        report: otherwise, that of the latest run that has ended.
        trouble: why the last request could not be carried out; empty if it could.
    """

    live: Live | None = None
    report: Report | None = None
    trouble: str = ""


def document(shown: Shown, now: str, *, keeps: bool = False) -> str:
    """Return the whole page.

    Args:
        shown: what there is to show.
        now: the part that changes, see `fragment`.
        keeps: whether runs are kept.
    """
    return pages.page(
        "delivery.html",
        title=_title(shown),
        running=shown.live is not None,
        keeps=keeps,
        now=Markup(now),  # noqa: S704 - it is this package's, with every text in it escaped
    )


def fragment(shown: Shown, cache: TimelineCache, pause: Callable[[], None] = lambda: None) -> str:
    """Return the part of the page that changes.

    Args:
        shown: what there is to show.
        cache: of the run's timeline, see `live.course`.
        pause: called between the parts of the work, each of which takes a few milliseconds, so
            that others can do theirs.
    """
    context: dict[str, object] = dict.fromkeys(("run", "running", "report"))
    if shown.live is not None:
        context |= _running(shown.live, cache, pause)
    elif shown.report is not None:
        context |= _finished(shown.report, pause)
    pause()
    return pages.page("delivery_now.html", title=_title(shown), trouble=shown.trouble, **context)


def _title(shown: Shown) -> str:
    if shown.live is not None:
        return f"Delivery: {shown.live.now.phase or 'a run begins'}"
    if shown.report is not None:
        return f"Delivery: {shown.report.verdict.grade}"
    return "Delivery"


def _running(live: Live, cache: TimelineCache, pause: Callable[[], None]) -> dict[str, object]:
    report = report_so_far(live)
    codes = latest_codes(live, _CODES)
    pause()
    report.timeline = course(live, cache, pause)
    report.per_code = [code.row for code in codes]
    report.reach = latest_reach(report.per_code, live.totals, counted)
    pause()
    if live.vitals is not None:
        ends_s = [point.t for point in report.timeline]
        report.vitals = live.vitals.columns(live.run.started_ns, ends_s)
    pause()
    return {
        "running": True,
        "report": report,
        "run": report.run,
        "elapsed": round(live.now.elapsed_s),
        "phases": list(_phases(live.now.phase, observes=report.observed is not None)),
        "doing": live.doing,
        "extent": extent(live.now),
        "verdict": report.verdict,
        "judged": report.verdict.is_judged,
        "headline": headline(live.now, report.codes, has_channels=bool(report.channels)),
        "figures": _figures_now(live.now, report),
        **_drawn(report, _moments(live, report), pause),
        "codes": codes[::-1],
        "more_codes": max(0, len(live.totals.tally.codes) - _CODES),
        "channels": report.channels[: html.MOST_CHANNELS],
        "all_channels": 0 if live.totals.channels is None else live.totals.channels.count,
    }


def _finished(report: Report, pause: Callable[[], None]) -> dict[str, object]:
    run = report.run
    return {
        "report": report,
        "run": run,
        "elapsed": pages.duration(run.started_at, run.finished_at),
        "verdict": report.verdict,
        "judged": True,
        "headline": html.headline(report),
        "figures": figures(report),
        **_drawn(report, moments(report), pause),
        "codes": [LatestCode(row) for row in report.per_code[: -_CODES - 1 : -1]],
        "more_codes": max(0, len(report.per_code) - _CODES),
        "channels": report.channels[: html.MOST_CHANNELS],
        "all_channels": len(report.channels),
    }


def _moments(live: Live, report: Report) -> list[Moment]:
    storms_s = ((each - live.run.started_ns) / 1e9 for each in live.run.storms_ns)
    return moments(report, storms_s)


def _drawn(report: Report, marks: Sequence[Moment], pause: Callable[[], None]) -> dict[str, object]:
    """Return the charts, and where the page shows what each reason is about."""
    drawn = _charts(report, marks, pause)
    parts = {"leaks": report.leaks, "notes": report.run.notes, "steps": report.steps}
    sections = [name for name, there in parts.items() if there]
    return {"charts": drawn, "links": links(report.verdict.reasons, drawn, sections)}


def _charts(report: Report, marks: Sequence[Moment], pause: Callable[[], None]) -> list[Markup]:
    run = charts.RunTime(report.timeline, report.phases, marks)
    drawn = []
    over_time = (
        charts.latency, charts.connections, charts.connects, charts.traffic, charts.generator,
    )  # fmt: skip
    for chart in over_time:
        drawn.append(chart(run))
        pause()
    drawn.insert(1, charts.reach(report.per_code, report.reach))
    drawn.append(charts.distribution({"delivery": report.delivery_ms}))
    pause()
    if report.vitals:
        drawn.append(charts.vitals(run, report.vitals))
        pause()
    return drawn


def headline(now: Snapshot, codes: CodeFigures, *, has_channels: bool = False) -> str:
    """Return the result so far, in one sentence."""
    partly = has_channels or codes.unowed + codes.rejected + codes.unsent
    lost = now.lost
    waiting = max(0, now.owed - now.received - lost)
    on_way = f" {count(waiting, 'delivery is', 'deliveries are')} on the way." if waiting else ""
    if not now.owed:
        if not now.open:
            return "Nothing is connected yet."
        return f"So far, {count(now.open, 'connection is', 'connections are')} open."
    if now.leaked:
        copies = count(now.leaked, "copy", "copies")
        return f"So far, {copies} of codes reached sessions outside the codes' channels.{on_way}"
    if not lost and (partly or now.recovered):
        how = "reconnects included" if now.recovered else "in time"
        return f"So far, connected clients received all that they were owed, {how}.{on_way}"
    if not lost:
        return f"So far, every connected client received every code in time.{on_way}"
    settled = now.received + lost
    return (
        f"So far, {share(now.received, settled)} of what connected clients were owed arrived "
        f"{in_time(now.recovered)}.{on_way}"
    )


def _phases(phase: str, *, observes: bool) -> Iterator[tuple[str, str]]:
    names = ["observe" if observes and each == "broadcast" else each for each in _PHASES]
    at = names.index(phase) if phase in names else -1
    for index, name in enumerate(names):
        yield name, "past" if index < at else "now" if index == at else "later"


def _codes_now(now: Snapshot, report: Report) -> list[str]:
    """Return what became of the codes so far, or who sent the messages."""
    codes = report.codes
    if report.observed is not None:
        return ["seen, sent by others"]
    failed_codes = (
        (codes.rejected, "rejected"),
        (codes.unanswered, "unanswered"),
        (codes.unknown, "unknown"),
        (codes.unsent, "unsent"),
    )
    return [
        f"sent, of {number(now.codes_scheduled)}",
        f"{number(codes.accepted)} accepted"
        + "".join(f", {number(many)} {how}" for many, how in failed_codes if many),
    ]


def _figures_now(now: Snapshot, report: Report) -> list[SummaryFigure]:
    errors = report.errors
    graded = summary_grades(report.verdict.reasons)
    connecting = [each for each in (graded.connections.grade, graded.drops.grade) if each]
    lost = now.lost
    waiting = max(0, now.owed - now.received - lost)
    return [
        SummaryFigure(
            "Delivered",
            pages.portion(now.received, now.received + lost),
            [
                f"{number(now.received)} of {number(now.owed)} owed, {in_time(now.recovered)}",
                _listed((waiting, "on the way"), (now.missing, "missing"), (now.late, "late")),
                *graded.deliveries.because,
            ]
            if now.owed
            else ["nothing was owed yet"],
            graded.deliveries.grade,
        ),
        SummaryFigure(
            "Delivery latency",
            f"{ms(now.p95_ms)} ms" if now.p95_ms is not None else "-",
            [
                "p95 of the last 3 s",
                f"p99 {ms(now.p99_ms)} ms, median {ms(now.p50_ms)} ms",
                *graded.latency.because,
            ]
            if now.p95_ms is not None
            else ["nothing arrived in the last 3 s", *graded.latency.because],
            graded.latency.grade,
        ),
        SummaryFigure(
            "Connections",
            number(now.open),
            [
                f"open, of {number(now.expected)} asked for",
                _listed(
                    (now.connecting, "connecting"), (now.failed, "failed"), (now.dropped, "dropped")
                ),
                *graded.connections.because,
            ],
            worst(connecting) if connecting else None,
        ),
        SummaryFigure(
            "Codes",
            number(now.codes_sent),
            _codes_now(now, report),
            graded.codes.grade,
        ),
        SummaryFigure(
            "Errors",
            pages.portion(errors.failed, errors.operations),
            [f"{count(errors.failed, 'failure')} in {count(errors.operations, 'operation')}"],
            graded.errors.grade,
        ),
    ]


def _listed(*counts: tuple[int, str]) -> str:
    some = [f"{number(many)} {what}" for many, what in counts if many]
    return ", ".join(some) or f"none {_or(what for _, what in counts)}"


def _or(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"
