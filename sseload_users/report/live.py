"""A run that is going on, in the parts of a report, with the verdict so far; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sseload_users.core.code_tally import OWED_STATUSES
from sseload_users.core.totals import Totals
from sseload_users.core.vitals import ServerVitals
from sseload_users.report.build import Run, parts, per_code
from sseload_users.report.progress import Snapshot
from sseload_users.report.timeline import Points, timeline
from sseload_users.verdict.rules import judge, worst
from sseload_users.verdict.thresholds import Thresholds

#: Seconds after which all workers have told what they saw in a second: it has to end, to be
#: sampled and to be reported, each twice a second or more often.
_TOLD_AFTER_NS = 2_000_000_000

#: Rules that have nothing to say before something is known: the part of the report, and the
#: figure in it that must not be 0 (or None).
_NEEDS = {
    "connection_success": ("connections", "attempted"),
    "size_target": ("connections", "attempted"),
    "connect_timeouts": ("connections", "attempted"),
    "connections_dropped": ("connections", "succeeded"),
    "codes_accepted": ("codes", "scheduled"),
    "codes_received": ("deliveries", "owed"),
    "error_rate": ("errors", "operations"),
    "duplicates": ("deliveries", "owed"),
    "out_of_order": ("deliveries", "owed"),
    "unexpected": ("deliveries", "owed"),
    "malformed": ("deliveries", "owed"),
}


@dataclass(frozen=True, slots=True)
class Live:
    """How a run stands.

    Attributes:
        doing: in a sentence.
        run: what is known of it beside its account.
        totals: the account so far.
        now: the figures of this moment.
        thresholds: what it is judged by.
        steps: the reports of those steps that have been taken, if it has several.
        vitals: how the server fares, if that is watched.
    """

    doing: str
    run: Run
    totals: Totals
    now: Snapshot
    thresholds: Thresholds
    steps: Sequence[Mapping[str, Any]] = ()
    vitals: ServerVitals | None = None


@dataclass(slots=True)
class Past:
    """Points of a run's timeline that were worked out before and have not changed."""

    run_id: str = ""
    points: Points = field(default_factory=dict)


def so_far(live: Live) -> dict[str, Any]:
    """The report's parts that do not grow with the run, and the verdict.

    Only what has come to its end is judged: connects that succeeded or failed, codes that
    were answered, deliveries that came or are known not to. The grade is None as long as
    there is nothing to judge, and a rule has no reason as long as it has nothing to go by.
    """
    report = parts(live.run, live.totals, so_far=True)
    report |= {"steps": list(live.steps), "search": None}
    judged = judge(report, live.thresholds)
    reasons = [each for each in judged["reasons"] if _is_known(each["rule"], report)]
    grade = worst(each["grade"] for each in reasons)
    measured = any(each["rule"] not in ("run_complete", "generator") for each in reasons)
    report["verdict"] = {
        "grade": grade if measured or grade != "good" else None,
        "reasons": reasons,
    }
    return report


def _is_known(rule: str, report: Mapping[str, Any]) -> bool:
    if rule == "run_complete":
        # That it has not come to its end goes without saying; that a worker was lost does not.
        return not report["run"]["complete"]
    part, figure = _NEEDS.get(rule, ("", ""))
    return not part or bool(report[part][figure])


def course(live: Live, past: Past, pause: Callable[[], None]) -> list[dict[str, Any]]:
    """The timeline as far as all workers have told it.

    Args:
        live: how the run stands.
        past: what was known before; brought up to date, and begun anew with another run.
        pause: is called every few milliseconds.
    """
    if past.run_id != live.run.run_id:
        past.run_id, past.points = live.run.run_id, {}
    return timeline(
        live.run.started_ns,
        live.totals,
        until_ns=live.run.finished_ns - _TOLD_AFTER_NS,
        known=past.points,
        pause=pause,
    )


def latest_codes(live: Live, many: int) -> list[dict[str, Any]]:
    """The newest codes, the oldest of them first.

    Of one whose account is not closed yet the status is "on its way".
    """
    codes = live.totals.tally.codes
    flying_since = live.run.finished_ns - round(live.run.options["delivery_timeout"] * 1e9)
    return [
        row | {"status": "on its way"}
        if codes[row["seq"]].status == "pending"
        or (
            row["status"] in OWED_STATUSES
            and not row["owed"]
            and codes[row["seq"]].sent_ns > flying_since
        )
        else row
        for row in per_code(live.totals, many)
    ]


def for_scraping(live: Live) -> dict[str, Any]:
    """What `prometheus.text` is given of a run that is going on."""
    now = {
        "open": live.now.open,
        "connecting": live.now.connecting,
        "cpu_percent": live.now.cpu_percent,
        "waited_percent": live.now.waited_percent,
    }
    report = so_far(live)
    if report["verdict"]["grade"] is None:
        del report["verdict"]
    return report | {"timeline": [now]}
