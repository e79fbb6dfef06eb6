"""Render report.html: the run as a page to look at, to send and to print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.figures import DeliveryFigures
from sseload_users.core.formatting import count, share
from sseload_users.report import charts, groups
from sseload_users.report.accuracy import accuracy
from sseload_users.report.compression import compression_sentences
from sseload_users.report.distribution import distribution
from sseload_users.report.model import CodeRow, Report, TimelinePoint
from sseload_users.report.moments import moments, outage_sentence
from sseload_users.report.pages import page, setting
from sseload_users.report.reason_links import links
from sseload_users.report.summary_figures import figures
from sseload_users.verdict.capacity import flap_sentence, ladder_sentence, storm_sentence

#: The most channels that are shown, the worst of them.
MOST_CHANNELS = 20
#: The most codes that are all shown; of more, the first, the last and the worst are.
MOST_CODES = 60
_FIRST, _LAST, _WORST = 10, 10, 30
_MOST_CAUSES = 200
#: Parts in which the timeline is drawn, at most: the page's script shows some of them closer.
_MOST_BINS = 600
#: The most groups of connections that are drawn side by side, the worst of them.
_MOST_GROUPS = 20


class _Outcome(NamedTuple):
    """A line on deliveries: how many pairs or messages had an outcome, and what it means."""

    name: str
    number: int
    meaning: str


def document(report: Report) -> str:
    """Return the page of a report: one file, complete in itself."""
    codes = selected(report.per_code)
    drawn = _charts(report)
    return page(
        "report.html",
        report=report,
        run=report.run,
        findings=report.diagnosis,
        verdict=report.verdict,
        headline=headline(report),
        figures=figures(report),
        charts=drawn,
        links=links(report.verdict.reasons, drawn, _sections(report)),
        latencies=[(name, each) for name, each in _latencies(report) if each.count],
        outcomes=_outcomes(report.deliveries),
        others=_others(report.deliveries),
        received=_received(report.received_per_connection),
        causes=report.errors.causes[:_MOST_CAUSES],
        further_causes=max(0, len(report.errors.causes) - _MOST_CAUSES),
        codes=codes,
        all_codes=len(report.per_code),
        shown_codes=sum(code is not None for code in codes),
        first=_FIRST,
        last=_LAST,
        channels=report.channels[:MOST_CHANNELS],
        compression="; ".join(compression_sentences(report.compression)),
        **_returns(report),
        addresses=report.addresses
        if len(report.addresses) > 1 or any(each.proxy for each in report.addresses)
        else [],
        shares=[
            ("workers", "Worker by worker", report.workers),
            ("regions", "Region by region", report.regions),
        ],
        accuracy=list(accuracy(report)),
        options={name: setting(value) for name, value in report.run.options.items()},
    )


def _latencies(report: Report) -> Iterator[tuple[str, LatencySummary]]:
    """Yield all latencies of a report, by their names."""
    connections, parts = report.connections, report.connections.connect_parts
    yield "Delivery", report.delivery_ms
    yield "Spread of a code", report.spread_ms
    yield "Connect", connections.connect_ms
    yield "of it TCP", parts.tcp_ms
    yield "of it TLS", parts.tls_ms
    yield "of it the handshake", parts.handshake_ms
    yield "of it the subscription", parts.subscription_ms
    yield "Generator's delays while connecting", parts.own_ms
    yield "Wait for a turn to connect", parts.queue_ms
    yield "Recovery from a drop", connections.recovery_ms
    if report.resume:
        yield "Catching up", report.resume.recovery_ms
    yield "Ingest answer", report.codes.ingest_ms
    yield "Schedule slip", report.codes.schedule_slip_ms
    yield "Generator lag", report.generator.lag_ms
    yield "Generator stalls", report.generator.stall_ms


def _sections(report: Report) -> list[str]:
    """Return the ids of the sections on the page that a reason may be about."""
    parts = {
        "causes": report.errors.causes,
        "leaks": report.leaks,
        "notes": report.run.notes,
        "outcomes": True,
        "search": report.search,
        "steps": report.steps,
    }
    return [name for name, there in parts.items() if there]


def _has_latencies(timeline: Sequence[TimelinePoint]) -> bool:
    """Whether it is known which latencies there were in an interval; not in an older report."""
    return any(each.latencies for each in timeline)


def _has_connects(timeline: Sequence[TimelinePoint]) -> bool:
    """Whether it is known when connects succeeded or failed; not in an older report."""
    return any(each.connected or each.failed for each in timeline)


def _charts(report: Report) -> list[Markup]:
    run = charts.RunTime(report.timeline, report.phases, moments(report), _MOST_BINS)
    return [
        *_sizes(report),
        charts.latency(run),
        *([charts.heat(run)] if _has_latencies(report.timeline) else []),
        charts.reach(report.per_code, report.reach),
        charts.distribution(_distributions(report)),
        charts.deliveries(report.per_code),
        *([charts.losses(report.losses)] if report.losses else []),
        *_groups(report),
        charts.connections(run),
        *([charts.connects(run)] if _has_connects(report.timeline) else []),
        charts.traffic(run),
        charts.generator(run),
        *([charts.vitals(run, report.vitals)] if report.vitals else []),
    ]


def _sizes(report: Report) -> Iterator[Markup]:
    """Yield the chart of a ladder's or a search's steps, by what differs between them."""
    search = report.search
    if search is not None and search.over == "rate":
        # A search that ended early may have a step that is no probe.
        sizes = [probe.size for probe in search.probes]
        if sizes:
            yield charts.sizes(report.steps[: len(sizes)], sizes, "codes a second")
    elif report.steps:
        sizes = [step.connections.attempted for step in report.steps]
        yield charts.sizes(report.steps, sizes, "connections")


def _distributions(report: Report) -> dict[str, LatencySummary]:
    """Return the latencies to draw as a whole: those of slow readers apart from the others."""
    if not report.paces:
        return {"delivery": report.delivery_ms}
    return {"slow readers" if each.slow else "others": each.delivery_ms for each in report.paces}


def _groups(report: Report) -> Iterator[Markup]:
    """Yield the charts that compare groups of connections, as far as there are several."""
    compared = (
        ("nodes", "Nodes compared", groups.nodes(report), "node of the connections"),
        ("channels", "Channels compared", groups.channels(report), "channel"),
        ("regions", "Regions compared", groups.regions(report), "region"),
        ("workers", "Workers compared", groups.workers(report), "worker"),
        ("paces", "Slow readers and the others", groups.paces(report), "connections"),
    )
    for name, title, rows, what in compared:
        if len(rows) > 1:
            shown = groups.worst(rows, _MOST_GROUPS)
            yield charts.groups(f"chart-{name}", title, shown, of_all=len(rows), x_name=what)
        if name == "channels" and len(rows) > _MOST_GROUPS:
            yield charts.channel_spread(rows)


def _returns(report: Report) -> dict[str, str]:
    """Return how soon connections were back, by what had ended them; empty for what did not."""
    away = outage_sentence(report)
    return {
        "away": away[:1].upper() + away[1:],
        "storm": storm_sentence(report.storm) if report.storm else "",
        "flap": flap_sentence(report.flap) if report.flap else "",
    }


def headline(report: Report) -> str:
    """Return what the run amounts to, in one sentence."""
    if report.search:
        return next(each.sentence for each in report.verdict.reasons if each.rule == "search")
    if report.steps:
        return ladder_sentence(report.steps)
    deliveries = report.deliveries
    owed, received = deliveries.owed, deliveries.received
    if not report.connections.succeeded:
        return "Nothing was connected."
    if not owed:
        sent = report.codes.sent
        return (
            "No code was sent while a connection was subscribed." if sent else "Nothing was sent."
        )
    if deliveries.leaked:
        copies = count(deliveries.leaked, "copy", "copies")
        return f"{copies} of codes reached sessions outside the codes' channels."
    if received == owed:
        return _all_delivered(report)
    how = "arrived in time or was recovered" if deliveries.recovered else "arrived in time"
    return f"{share(received, owed)} of what connected clients were owed {how}."


def _all_delivered(report: Report) -> str:
    codes = report.codes
    beside = [
        (codes.rejected + codes.unsent, "was not accepted", "were not accepted"),
        (codes.unknown, "was cut off with a lost worker", "were cut off with a lost worker"),
        (
            codes.unowed,
            "was sent while nobody was subscribed",
            "were sent while nobody was subscribed",
        ),
    ]
    clauses = [
        f"{count(many, 'code')} {one if many == 1 else several}"
        for many, one, several in beside
        if many
    ]
    if report.deliveries.recovered:
        return (
            "; ".join(["Clients received all that they were owed, reconnects included", *clauses])
            + "."
        )
    if not clauses and not report.deliveries.released and report.channels:
        return "Every connected client received every code of its channels in time."
    if not clauses and not report.deliveries.released:
        return "Every connected client received every code in time."
    return (
        "; ".join(["Connected clients received all that they were owed, in time", *clauses]) + "."
    )


def selected(per_code: Sequence[CodeRow], most: int = MOST_CODES) -> list[CodeRow | None]:
    """Return the codes to show, in order; None where some are left out.

    All of them, if there are no more than `most`; otherwise the first, the last, and the
    worst between: those with the most losses, then those whose last arrival was slowest.
    """
    if len(per_code) <= most:
        return list(per_code)
    last = len(per_code) - _LAST
    worst_first = sorted(
        range(_FIRST, last), key=lambda index: _badness(per_code[index]), reverse=True
    )
    chosen = sorted({*range(_FIRST), *range(last, len(per_code)), *worst_first[:_WORST]})
    shown: list[CodeRow | None] = []
    before = -1
    for index in chosen:
        if index > before + 1:
            shown.append(None)
        shown.append(per_code[index])
        before = index
    return shown


def _badness(code: CodeRow) -> tuple[int, int, float]:
    return code.status not in ("accepted", "seen"), code.owed - code.received, code.last_ms or 0.0


def _outcomes(deliveries: DeliveryFigures) -> list[_Outcome]:
    return [
        _Outcome("delivered", deliveries.delivered, "arrived within the delivery timeout"),
        *(
            [
                _Outcome(
                    "recovered", deliveries.recovered, "the code arrived after the client's return"
                )
            ]
            if deliveries.recovered
            else []
        ),
        _Outcome("late", deliveries.late, "arrived after the delivery timeout"),
        _Outcome(
            "interrupted", deliveries.interrupted, "the session closed before the code arrived"
        ),
        _Outcome(
            "missing", deliveries.missing, "the session stayed open, and the code never arrived"
        ),
    ]


def _others(deliveries: DeliveryFigures) -> list[_Outcome]:
    rare = [
        _Outcome("leaked", deliveries.leaked, "codes that reached sessions outside their channel"),
        _Outcome(
            "replayed", deliveries.replayed, "further copies in a later session than the first one"
        ),
        _Outcome(
            "history", deliveries.history, "codes that were sent before the client first subscribed"
        ),
    ]
    return [
        *(each for each in rare if each.number),
        _Outcome("duplicate", deliveries.duplicate, "further copies of a code in the same session"),
        _Outcome(
            "out of order",
            deliveries.out_of_order,
            "codes that arrived after one that was sent when they had been answered",
        ),
        _Outcome(
            "unexpected", deliveries.unexpected, "codes that arrived at a session not owed them"
        ),
        _Outcome("malformed", deliveries.malformed, "messages that could not be decoded"),
        _Outcome(
            "foreign", deliveries.foreign, "messages that are not codes of this run; never judged"
        ),
        _Outcome(
            "released",
            deliveries.released,
            "not owed, because sseload itself closed the session or was about to",
        ),
    ]


def _received(received: Mapping[str, int]) -> list[tuple[str, int, str, float]]:
    """Return rows of codes, connections that received so many, their share, the bar's width."""
    rows = distribution(received, 10)
    total = sum(many for _, many in rows)
    widest = max((many for _, many in rows), default=1)
    return [(codes, many, share(many, total), 100 * many / widest) for codes, many in rows]
