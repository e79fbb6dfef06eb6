"""report.html: the run as a page to be looked at, sent on and printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sseload_users.core.formatting import count, ms, number, share
from sseload_users.report import charts
from sseload_users.report.accuracy import accuracy
from sseload_users.report.console import distribution
from sseload_users.report.pages import page, portion, setting
from sseload_users.verdict.capacity import ladder_in_words, storm_in_words
from sseload_users.verdict.rules import worst

Row = Mapping[str, Any]

#: So many codes are shown one by one; of more, the first, the last and the worst.
MOST_CODES = 60
_FIRST, _LAST, _WORST = 10, 10, 30
_MOST_CAUSES = 200

#: Which rules a summary figure's colour is taken from.
_RULES = {
    "connections": (
        "connection_success",
        "size_target",
        "connect_timeouts",
        "connections_dropped",
    ),
    "codes": ("codes_accepted",),
    "deliveries": ("codes_received",),
    "errors": ("error_rate",),
}


def document(report: Mapping[str, Any]) -> str:
    """The page of a report of schema 1, verdict included: one file, complete in itself."""
    deliveries = report["deliveries"]
    owed = deliveries["owed"]
    timeline, phases = report["timeline"], report["phases"]
    codes = selected(report["per_code"])
    return page(
        "report.html",
        report=report,
        run=report["run"],
        verdict=report["verdict"],
        headline=headline(report),
        figures=figures(report),
        charts=[
            charts.latency(timeline, phases),
            charts.reach(report["per_code"]),
            charts.distribution({"delivery": report["delivery_ms"]}),
            charts.deliveries(report["per_code"]),
            charts.connections(timeline, phases),
            charts.traffic(timeline, phases),
            charts.generator(timeline, phases),
            *([charts.vitals(timeline, report["vitals"], phases)] if report["vitals"] else []),
        ],
        latencies=[
            (name, latency)
            for name, latency in (
                ("Delivery", report["delivery_ms"]),
                ("Spread of a code", report["spread_ms"]),
                ("Connect", report["connections"]["connect_ms"]),
                ("Recovery from a drop", report["connections"]["recovery_ms"]),
                ("Ingest answer", report["codes"]["ingest_ms"]),
                ("Slip of the schedule", report["codes"]["schedule_slip_ms"]),
                ("Generator lag", report["generator"]["lag_ms"]),
                ("Generator stalls", report["generator"]["stall_ms"]),
            )
            if latency["count"]
        ],
        fates=[
            (fate, deliveries[fate], portion(deliveries[fate], owed), meaning)
            for fate, meaning in _FATES.items()
        ],
        beside=[
            (name.replace("_", " "), deliveries[name], meaning) for name, meaning in _BESIDE.items()
        ],
        received=_received(report["received_per_connection"]),
        causes=report["errors"]["causes"][:_MOST_CAUSES],
        further_causes=max(0, len(report["errors"]["causes"]) - _MOST_CAUSES),
        codes=codes,
        all_codes=len(report["per_code"]),
        shown_codes=sum(code is not None for code in codes),
        first=_FIRST,
        last=_LAST,
        storm=storm_in_words(report["storm"]) if report["storm"] else "",
        shares=[
            ("workers", "Worker by worker", report["workers"]),
            ("regions", "Region by region", report["regions"]),
        ],
        accuracy=list(accuracy(report)),
        options={name: setting(value) for name, value in report["run"]["options"].items()},
    )


def figures(report: Mapping[str, Any]) -> list[tuple[str, str, list[str], str]]:
    """The summary figures: name, value, what more is told of it, and the grade."""
    connections, codes = report["connections"], report["codes"]
    deliveries, errors, delivery = report["deliveries"], report["errors"], report["delivery_ms"]
    graded = grades(report["verdict"]["reasons"])
    attempts = count(connections["attempted"], "attempt")
    most, dropped = number(connections["peak_open"]), number(connections["dropped"])
    return [
        (
            "Delivered",
            portion(deliveries["delivered"], deliveries["owed"]),
            [f"{number(deliveries['delivered'])} of {number(deliveries['owed'])} owed, in time"],
            graded["deliveries"],
        ),
        (
            "Delivery latency",
            f"{ms(delivery['p50'])} ms" if delivery["count"] else "-",
            ["median", f"p99 {ms(delivery['p99'])} ms, max {ms(delivery['max'])} ms"]
            if delivery["count"]
            else ["nothing was delivered"],
            "",
        ),
        (
            "Connected",
            portion(connections["succeeded"], connections["attempted"]),
            [
                f"{number(connections['succeeded'])} of {attempts}",
                f"{most} open at most, {dropped} dropped",
            ],
            graded["connections"],
        ),
        (
            "Codes accepted",
            portion(codes["accepted"], codes["scheduled"]),
            [f"{number(codes['accepted'])} of {number(codes['scheduled'])} that were due"],
            graded["codes"],
        ),
        (
            "Errors",
            portion(errors["failed"], errors["operations"]),
            [f"{number(errors['failed'])} of {count(errors['operations'], 'operation')} failed"],
            graded["errors"],
        ),
    ]


def grades(reasons: Sequence[Row]) -> dict[str, str]:
    """What grade each summary figure has, by the rules that it is about; "" without any."""
    given = {reason["rule"]: reason["grade"] for reason in reasons}
    found = {
        figure: [given[rule] for rule in rules if rule in given] for figure, rules in _RULES.items()
    }
    return {figure: worst(all_given) if all_given else "" for figure, all_given in found.items()}


_FATES = {
    "delivered": "came within the delivery timeout",
    "late": "came after the delivery timeout",
    "interrupted": "the session closed before the code came",
    "missing": "the session stayed up, and the code never came",
}
_BESIDE = {
    "duplicate": "further copies of a code in the same session",
    "out_of_order": "codes that came after a later one",
    "unexpected": "codes that came to a session they were not owed to",
    "malformed": "messages that could not be decoded",
    "foreign": "messages that are no codes of this run; never judged",
    "released": "not owed any more, as sseload itself had closed the session",
}


def headline(report: Mapping[str, Any]) -> str:
    """What the run amounts to, in one sentence."""
    if report["search"]:
        return str(
            next(
                each["sentence"]
                for each in report["verdict"]["reasons"]
                if each["rule"] == "search"
            )
        )
    if report["steps"]:
        return ladder_in_words(report["steps"])
    deliveries, sent = report["deliveries"], report["codes"]["sent"]
    owed, delivered = deliveries["owed"], deliveries["delivered"]
    if not report["connections"]["succeeded"]:
        return "Nothing was connected."
    if not sent:
        return "Nothing was sent."
    if not owed:
        return "No code went out while a connection was subscribed."
    if delivered == owed:
        return "Every connected client got every code in time."
    return f"{share(delivered, owed)} of what connected clients were owed came in time."


def selected(per_code: Sequence[Row], most: int = MOST_CODES) -> list[Row | None]:
    """The codes that are shown, in order; None where some are left out.

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
    shown: list[Row | None] = []
    before = -1
    for index in chosen:
        if index > before + 1:
            shown.append(None)
        shown.append(per_code[index])
        before = index
    return shown


def _badness(code: Row) -> tuple[int, int, float]:
    lost = code["owed"] - code["delivered"]
    return code["status"] != "accepted", lost, code["last_ms"] or 0.0


def _received(received: Mapping[str, int]) -> list[tuple[str, int, str, float]]:
    """How many codes, how many connections got so many, their share, and their bar's width."""
    rows = distribution(received, 10)
    total = sum(many for _, many in rows)
    widest = max((many for _, many in rows), default=1)
    return [(codes, many, share(many, total), 100 * many / widest) for codes, many in rows]
