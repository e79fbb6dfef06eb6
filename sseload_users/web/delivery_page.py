"""/delivery: how a run stands, as a page of Locust's web UI that keeps itself up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sseload_users.core.formatting import count, ms, number, share
from sseload_users.report import charts, html, pages
from sseload_users.report.live import Live, Past, course, latest_codes, so_far
from sseload_users.report.progress import Snapshot, extent

#: Codes in the page's table, and those whose reach is drawn.
_CODES, _CURVES = 20, 5

#: The phases of a run, or of each of its steps.
_PHASES = ("warm-up", "connect", "settle", "broadcast", "drain", "disconnect")


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is to show.

    Attributes:
        live: the run that is going on.
        report: otherwise, that of the newest run that has ended.
        trouble: why what was asked for last could not be done; empty if it could.
    """

    live: Live | None = None
    report: Mapping[str, Any] | None = None
    trouble: str = ""


def document(standing: Standing, now: str) -> str:
    """The whole page around what `fragment` made."""
    return pages.page(
        "delivery.html",
        title=_title(standing),
        running=standing.live is not None,
        now=Markup(now),  # noqa: S704 - it is this package's, with every text in it escaped
    )


def fragment(standing: Standing, past: Past, pause: Callable[[], None] = lambda: None) -> str:
    """The part of the page that changes.

    Args:
        standing: what there is to show.
        past: what is remembered of the run's timeline, see `live.course`.
        pause: is called between the parts of the work, each of which takes a few
            milliseconds, so that others can do theirs.
    """
    context: dict[str, Any] = dict.fromkeys(("run", "running", "report"))
    if standing.live is not None:
        context |= _running(standing.live, past, pause)
    elif standing.report is not None:
        context |= _finished(standing.report, pause)
    pause()
    return pages.page(
        "delivery_now.html", title=_title(standing), trouble=standing.trouble, **context
    )


def _title(standing: Standing) -> str:
    if standing.live is not None:
        return f"Delivery: {standing.live.now.phase or 'a run begins'}"
    if standing.report is not None:
        return f"Delivery: {standing.report['verdict']['grade']}"
    return "Delivery"


def _running(live: Live, past: Past, pause: Callable[[], None]) -> dict[str, Any]:
    report = so_far(live)
    codes = latest_codes(live, _CODES)
    pause()
    timeline = course(live, past, pause)
    pause()
    watched = live.vitals.columns(live.run.started_ns, timeline) if live.vitals else []
    pause()
    verdict = report["verdict"]
    return {
        "running": True,
        "report": report,
        "run": report["run"],
        "elapsed": round(live.now.elapsed_s),
        "phases": list(_phases(live.now.phase)),
        "doing": live.doing,
        "extent": extent(live.now),
        "verdict": verdict,
        "headline": headline(live),
        "figures": _figures_now(live.now, report),
        "charts": _charts(
            report | {"timeline": timeline, "per_code": codes, "vitals": watched}, pause
        ),
        "codes": codes[::-1],
        "more_codes": max(0, len(live.totals.tally.codes) - _CODES),
    }


def _finished(report: Mapping[str, Any], pause: Callable[[], None]) -> dict[str, Any]:
    run = report["run"]
    return {
        "report": report,
        "run": run,
        "elapsed": pages.duration(run["started_at"], run["finished_at"]),
        "verdict": report["verdict"],
        "headline": html.headline(report),
        "figures": html.figures(report),
        "charts": _charts(report, pause),
        "codes": report["per_code"][: -_CODES - 1 : -1],
        "more_codes": max(0, len(report["per_code"]) - _CODES),
    }


def _charts(report: Mapping[str, Any], pause: Callable[[], None]) -> list[Markup]:
    timeline, phases = report["timeline"], report["phases"]
    drawn = []
    for chart in (charts.latency, charts.connections, charts.traffic, charts.generator):
        drawn.append(chart(timeline, phases))
        pause()
    drawn.insert(1, charts.reach(report["per_code"], _CURVES))
    drawn.append(charts.distribution({"delivery": report["delivery_ms"]}))
    pause()
    if report["vitals"]:
        drawn.append(charts.vitals(timeline, report["vitals"], phases))
        pause()
    return drawn


def headline(live: Live) -> str:
    """What the run amounts to so far, in one sentence."""
    now = live.now
    lost = now.late + now.missing
    waiting = max(0, now.owed - now.delivered - lost)
    on_way = f" {count(waiting, 'delivery is', 'deliveries are')} on the way." if waiting else ""
    if not now.owed:
        if not now.open:
            return "Nothing is connected yet."
        return f"So far, {count(now.open, 'connection is', 'connections are')} open."
    if not lost:
        return f"So far, every connected client got every code in time.{on_way}"
    settled = now.delivered + lost
    return (
        f"So far, {share(now.delivered, settled)} of what connected clients were owed came in "
        f"time.{on_way}"
    )


def _phases(phase: str) -> Iterator[tuple[str, str]]:
    at = _PHASES.index(phase) if phase in _PHASES else -1
    for index, name in enumerate(_PHASES):
        yield name, "past" if index < at else "now" if index == at else "later"


#: A figure: its name, its value, what more is told of it, and its grade.
_Figure = tuple[str, str, list[str], str]


def _figures_now(now: Snapshot, report: Mapping[str, Any]) -> list[_Figure]:
    codes, grades = report["codes"], html.grades(report["verdict"]["reasons"])
    lost = now.late + now.missing
    waiting = max(0, now.owed - now.delivered - lost)
    return [
        (
            "Delivered",
            pages.portion(now.delivered, now.delivered + lost),
            [
                f"{number(now.delivered)} of {number(now.owed)} owed, in time",
                _told((waiting, "on the way"), (now.missing, "missing"), (now.late, "late")),
            ]
            if now.owed
            else ["nothing was owed yet"],
            grades["deliveries"],
        ),
        (
            "Delivery latency",
            f"{ms(now.p50_ms)} ms" if now.p50_ms is not None else "-",
            ["median of the last 3 s", f"p99 {ms(now.p99_ms)} ms"]
            if now.p50_ms is not None
            else ["nothing came in the last 5 s"],
            "",
        ),
        (
            "Connections",
            number(now.open),
            [
                f"open, of {number(now.expected)} asked for",
                _told(
                    (now.connecting, "connecting"), (now.failed, "failed"), (now.dropped, "dropped")
                ),
            ],
            grades["connections"],
        ),
        (
            "Codes",
            number(now.codes_sent),
            [
                f"sent, of {number(now.codes_scheduled)}",
                f"{number(codes['accepted'])} accepted"
                + "".join(
                    f", {number(codes[how])} {how}"
                    for how in ("rejected", "unanswered", "unsent")
                    if codes[how]
                ),
            ],
            grades["codes"],
        ),
        (
            "Errors",
            number(report["errors"]["failed"]),
            [f"of {count(report['errors']['operations'], 'operation')} failed"],
            grades["errors"],
        ),
    ]


def _told(*counts: tuple[int, str]) -> str:
    said = [f"{number(many)} {what}" for many, what in counts if many]
    return ", ".join(said) or f"none {_or(what for _, what in counts)}"


def _or(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"
