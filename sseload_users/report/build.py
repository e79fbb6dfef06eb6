"""The report of a run, schema 1, from its account; pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sseload_users.core.formatting import ms
from sseload_users.core.histogram import Histogram
from sseload_users.core.tally import OUTCOMES, Cause, CodeTally, highest
from sseload_users.core.totals import Totals
from sseload_users.core.vitals import ServerVitals
from sseload_users.report.timeline import POINTS, timeline
from sseload_users.report.workers import region_rows, worker_rows
from sseload_users.verdict import hints
from sseload_users.verdict.rules import judge, judge_step
from sseload_users.verdict.saturation import is_saturated
from sseload_users.verdict.thresholds import Thresholds

_S = 1_000_000_000


@dataclass(slots=True)
class Run:
    """What is known of a run beside its account.

    Attributes:
        run_id: its identity.
        started_ns: when it began (wall clock, ns).
        target: the server: scheme, host and port.
        transport: how codes reached the listeners: websocket, socketio or sse.
        ingest: how codes went in, in words.
        options: what may be shown of its options.
        versions: of what it was run with.
        finished_ns: when its account was closed.
        phases: name, beginning and end (wall clock, ns) of each phase.
        complete: it went to its end, with every worker's account.
        storms_ns: when its connections were ended all at once.
        notes: sentences; why it is incomplete comes first.
        clock_error_ms: how wrong a latency between two machines can be; None if unknown.
        advise: what the profile advises to do about a failure, by step, cause and the server's
            words; empty where it knows nothing.
    """

    run_id: str
    started_ns: int
    target: str
    transport: str
    ingest: str
    options: Mapping[str, Any]
    versions: Mapping[str, str]
    finished_ns: int = 0
    phases: list[tuple[str, int, int]] = field(default_factory=list)
    storms_ns: list[int] = field(default_factory=list)
    complete: bool = False
    notes: list[str] = field(default_factory=list)
    clock_error_ms: float | None = 0.0
    advise: Callable[[str, str, str], str] = lambda *_: ""


def build(
    run: Run,
    totals: Totals,
    thresholds: Thresholds,
    steps: Sequence[Mapping[str, Any]] = (),
    search: Mapping[str, Any] | None = None,
    *,
    vitals: ServerVitals | None = None,
) -> dict[str, Any]:
    """The report, verdict included.

    Args:
        run: what is known beside the account.
        totals: the account.
        thresholds: what it is judged by.
        steps: the reports of its steps, if it has several; see `step_report`.
        search: what a search found.
        vitals: what is known of the server.
    """
    points = timeline(run.started_ns, totals)
    report = {
        "schema": 1,
        **parts(run, totals),
        "received_per_connection": {
            str(received): many
            for received, many in sorted(totals.received_per_connection().items(), reverse=True)
        },
        "per_code": list(per_code(totals)),
        "timeline": points,
        "storm": _storm(run, totals) if run.storms_ns else None,
        "vitals": vitals.columns(run.started_ns, points) if vitals is not None else [],
        "workers": worker_rows(totals.workers.values()),
        "regions": region_rows(totals.workers.values()),
        "steps": list(steps),
        "search": search,
    }
    report["verdict"] = judge(report, thresholds)
    return report


def parts(run: Run, totals: Totals, *, so_far: bool = False) -> dict[str, Any]:
    """Those parts of the report that do not grow with the run.

    Args:
        run: what is known beside the account.
        totals: the account.
        so_far: the run is going on. Whoever is connecting, and whatever waits for an answer,
            is left out; a latency has its `counts` (how often each value in microseconds
            occurred) instead of `hdr`, which would take long.
    """
    tally = totals.tally
    counts, causes = tally.counts, Counter(tally.causes)
    if not so_far:
        causes["ingest", "left"] += sum(map(_was_cut_off, tally.codes.values()))
    latency = _counted if so_far else Histogram.latency
    codes = _codes(totals, latency, so_far=so_far)
    attempted = counts["succeeded"] + counts["failed"] if so_far else counts["attempted"]
    deliveries = {name: totals.outcomes[name] for name in OUTCOMES}
    undelivered = codes["rejected"] + codes["unanswered"] + codes["unsent"]
    operations = attempted + codes["scheduled"] + counts["upkeep"]
    failed = (
        counts["failed"]
        + counts["dropped"]
        + counts["malformed"]
        + counts["upkeep_failed"]
        + undelivered
    )
    return {
        "run": {
            "id": run.run_id,
            "started_at": moment(run.started_ns),
            "finished_at": moment(run.finished_ns),
            "target": run.target,
            "transport": run.transport,
            "ingest": run.ingest,
            "workers": max(1, len(totals.workers)),
            "options": dict(run.options),
            "versions": dict(run.versions),
            "complete": run.complete,
            "notes": list(run.notes),
        },
        "phases": [
            {"name": name, "started_at": moment(start), "seconds": round((end - start) / _S, 3)}
            for name, start, end in run.phases
        ],
        "connections": {
            "attempted": attempted,
            "succeeded": counts["succeeded"],
            "success_rate": _rate(counts["succeeded"], attempted),
            "failed": counts["failed"],
            "dropped": counts["dropped"],
            "reconnected": counts["reconnected"],
            "replaced": counts["replaced"],
            "peak_open": totals.peak_open,
            "connect_ms": latency(tally.connect),
            "recovery_ms": latency(tally.recovery),
            "causes": _causes(run, causes, tally.said, {*hints.CONNECTING, "session"}),
        },
        "codes": codes,
        "deliveries": {
            **deliveries,
            "out_of_order": counts["out_of_order"],
            "foreign": counts["foreign"],
            "malformed": counts["malformed"],
            "delivery_rate": _rate(deliveries["delivered"], deliveries["owed"]),
        },
        "delivery_ms": latency(totals.delivery()),
        "spread_ms": latency(totals.spread()),
        "errors": {
            "operations": operations,
            "failed": failed,
            "error_rate": _rate(failed, operations),
            "causes": _causes(run, causes, tally.said, None),
        },
        "generator": _generator(run, totals, latency, codes["schedule_slip_ms"], so_far=so_far),
    }


def step_report(
    step: str, run: Run, totals: Totals, thresholds: Thresholds, *, asked: int, opened: int
) -> dict[str, Any]:
    """The report of one step: what is judged, without what goes over time or by code.

    Args:
        step: its name.
        run: with the step's phases alone.
        totals: the step's account.
        thresholds: what it is judged by.
        asked: connections that there were to be.
        opened: those that were open when the first code went out; not all of them need have
            connected in this step.
    """
    run = replace(run, complete=True, notes=[], finished_ns=run.started_ns)
    report = build(run, totals, thresholds)
    report["connections"] |= {
        "attempted": asked,
        "succeeded": opened,
        "success_rate": _rate(opened, asked),
        "failed": max(0, asked - opened),
        "peak_open": opened,
    }
    target = thresholds.size_target(asked)
    report["target"] = "" if target is None else str(target.success)
    report["verdict"] = judge_step(report, thresholds)
    for name in ("schema", "run", "phases", "per_code", "timeline"):
        del report[name]
    for name in ("received_per_connection", "storm", "vitals", "workers", "regions"):
        del report[name]
    for name in ("steps", "search"):
        del report[name]
    return {"name": step, **report}


def step_in_words(report: Mapping[str, Any]) -> str:
    """A step in one line: connected, delivered, how fast, the grade."""
    connections, deliveries = report["connections"], report["deliveries"]
    delivery = report["delivery_ms"]
    latency = f", p99 {ms(delivery['p99'])} ms" if delivery["count"] else ""
    return (
        f"{connections['succeeded']:,} of {connections['attempted']:,} connected, "
        f"{deliveries['delivered']:,} of {deliveries['owed']:,} delivered{latency}: "
        f"{report['verdict']['grade']}."
    )


def per_code(totals: Totals, latest: int | None = None) -> Iterator[dict[str, Any]]:
    """A row for each code, or for the latest ones.

    Args:
        totals: the account.
        latest: how many; None for all.
    """
    codes = totals.tally.codes
    if latest is None:
        due = sorted(seq for seq, code in codes.items() if _was_due(code))
    else:
        # They are numbered without gaps: there is no need to look at all.
        backwards = range(max(codes, default=0), 0, -1)
        due = list(
            islice((seq for seq in backwards if seq in codes and _was_due(codes[seq])), latest)
        )
        due.reverse()
    for sequence in due:
        code = codes[sequence]
        percentiles = totals.code_percentiles(sequence)
        yield {
            "seq": sequence,
            "sent_at": moment(code.sent_ns) if code.sent_ns else None,
            "status": "unanswered" if _was_cut_off(code) else code.status,
            "owed": code.owed,
            "delivered": code.delivered,
            "late": code.late,
            "interrupted": code.interrupted,
            "missing": code.missing,
            "duplicate": code.duplicate,
            "first_ms": _since(code.sent_ns, code.first_ns),
            "p50_ms": percentiles.p50,
            "p95_ms": percentiles.p95,
            "p99_ms": percentiles.p99,
            "last_ms": _since(code.sent_ns, code.last_ns),
        }


def moment(at_ns: int) -> str:
    """A moment (wall clock, ns) in RFC 3339, UTC, to the millisecond."""
    at = datetime.fromtimestamp(at_ns // _S, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ns % _S // 1_000_000:03}Z"


#: How a histogram is summed up.
_Summary = Callable[[Histogram], Mapping[str, Any]]


def _counted(histogram: Histogram) -> dict[str, Any]:
    return {**histogram.latency(encoded=False), "counts": histogram.counts}


def _storm(run: Run, totals: Totals) -> dict[str, Any]:
    """What became of the connections that the run's storms ended."""
    back, ended = totals.tally.storm, totals.tally.counts["stormed"]
    shares = {"back_50_s": 0.5, "back_95_s": 0.95, "back_100_s": 1.0}
    times: dict[str, float | None] = dict.fromkeys(shares)
    for name, share in shares.items():
        # Of all that were ended, not of those that came back.
        rank = math.ceil(share * ended)
        if 0 < rank <= back.total:
            (ms,) = back.percentiles_ms((100 * (rank - 0.5) / back.total,))
            times[name] = None if ms is None else round(ms / 1000, 6)
    return {
        "started_at": [moment(each) for each in run.storms_ns],
        "ended": ended,
        "back": back.total,
        **times,
    }


def _codes(totals: Totals, latency: _Summary, *, so_far: bool) -> dict[str, Any]:
    tally = totals.tally
    statuses = ("accepted", "rejected", "unanswered", "unsent")
    by_status = {status: totals.statuses[status] for status in statuses}
    if not so_far:
        by_status["unanswered"] += sum(map(_was_cut_off, tally.codes.values()))
    sent = by_status["accepted"] + by_status["rejected"] + by_status["unanswered"]
    return {
        "scheduled": sent + by_status["unsent"],
        "sent": sent,
        **by_status,
        "overlapping": tally.counts["overlapping"],
        "schedule_slip_ms": latency(tally.slip),
        "ingest_ms": latency(tally.ingest),
    }


def _was_due(code: CodeTally) -> bool:
    """Whether it was this run's broadcaster that told of a code."""
    return code.status != "pending" or code.sent_ns > 0


def _was_cut_off(code: CodeTally) -> bool:
    """Whether the end of the run cut its request off: it was sent, and got no answer."""
    return code.status == "pending" and code.sent_ns > 0


def _generator(
    run: Run, totals: Totals, latency: _Summary, slip: Mapping[str, Any], *, so_far: bool
) -> dict[str, Any]:
    workers = [each.gauges for each in totals.workers.values() if each.gauges]
    seconds = totals.tally.seconds
    lag = latency(totals.tally.lag)
    in_doubt = totals.tally.counts["in_doubt"]
    # While a run goes on, its last half-hour has to do, as this is asked for all the time.
    since = run.finished_ns // _S - POINTS if so_far else 0
    recent = (
        [seconds[each] for each in range(since, run.finished_ns // _S + 1) if each in seconds]
        if so_far
        else seconds.values()
    )
    under_load = [
        seconds[each].busy_percent
        for name, start, end in run.phases
        if name in ("broadcast", "drain")
        for each in range(max(start // _S, since), end // _S + 1)
        if each in seconds
    ]
    return {
        "timestamps": (
            "userspace" if any(each["timestamps"] != "kernel" for each in workers) else "kernel"
        ),
        "lag_ms": lag,
        "stamp_error_ms": latency(totals.tally.stamp_error),
        "in_doubt": in_doubt,
        "stall_ms": latency(totals.tally.stalls),
        "cpu_percent_max": max((each.cpu_percent for each in recent), default=None),
        "waited_percent_max": highest(each.waited_percent for each in recent),
        "rss_mib": round(sum(each["rss_mib"] for each in workers), 1) if workers else None,
        "clock_error_ms": run.clock_error_ms,
        "saturated": is_saturated(under_load, lag["p99"], slip["p99"], in_doubt),
    }


def _causes(
    run: Run,
    causes: Mapping[Cause, int],
    words: Mapping[Cause, str],
    operations: set[str] | None,
) -> list[dict[str, Any]]:
    own = [
        (operation, cause, count)
        for (operation, cause), count in causes.items()
        if count > 0 and (operations is None or operation in operations)
    ]
    total = sum(count for _, _, count in own)
    return [
        {
            "operation": operation,
            "cause": cause,
            "count": count,
            "share": round(count / total, 6),
            "said": said,
            "hint": run.advise(operation, cause, said) or hints.hint(operation, cause, said),
        }
        for operation, cause, count in sorted(own, key=lambda each: (-each[2], each[:2]))
        for said in [words.get((operation, cause), "")]
    ]


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _since(sent_ns: int, at_ns: int) -> float | None:
    return round((at_ns - sent_ns) / 1e6, 3) if sent_ns and at_ns else None
