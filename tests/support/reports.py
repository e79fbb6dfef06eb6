"""Sample reports: realistic, consistent, and as bad as a test needs."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal, TypeVar, cast

from hypothesis import strategies as st

from sseload_users.core.audience_figures import ChannelFigures, LeakExample, ResumeFigures
from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.figures import (
    CodeFigures,
    ConnectionFigures,
    ConnectParts,
    DeliveryFigures,
    ErrorFigures,
    FailureCause,
    GeneratorFigures,
    RampFigures,
)
from sseload_users.core.histogram import Histogram
from sseload_users.core.objective import Objective
from sseload_users.report.model import (
    SCHEMA,
    CodeReach,
    CodeRow,
    CodeStatus,
    CompressionFigures,
    Phase,
    RegionShare,
    Report,
    RunInfo,
    TimelinePoint,
    WorkerShare,
)
from sseload_users.report.serialization import to_json
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.verdict import hints
from sseload_users.verdict.reasons import StepReport, Verdict
from sseload_users.verdict.rules import judge
from sseload_users.verdict.thresholds import Thresholds

_START = datetime(2026, 11, 24, 9, 30, 0, 250_000, tzinfo=UTC)


#: What makes a sample of a run in which everything goes wrong.
WORST: Mapping[str, Any] = {
    "connections": 500,
    "codes": 20,
    "unavailable": 120,
    "timed_out": 20,
    "dropped": 30,
    "missing": 900,
    "interrupted": 300,
    "late": 70,
    "rejected": 2,
    "unanswered": 1,
    "unknown": 1,
    "duplicate": 3,
    "out_of_order": 1,
    "unexpected": 3,
    "malformed": 5,
    "saturated": True,
    "complete": False,
    "notes": ("Worker b was lost with 20 connections.",),
}


def sample(
    connections: int = 50,
    codes: int = 10,
    *,
    refused: int = 0,
    timed_out: int = 0,
    unavailable: int = 0,
    dropped: int = 0,
    missing: int = 0,
    late: int = 0,
    recovered: int = 0,
    interrupted: int = 0,
    rejected: int = 0,
    unanswered: int = 0,
    unknown: int = 0,
    unsent: int = 0,
    duplicate: int = 0,
    replayed: int = 0,
    leaked: int = 0,
    out_of_order: int = 0,
    unexpected: int = 0,
    malformed: int = 0,
    complete: bool = True,
    notes: tuple[str, ...] = (),
    saturated: bool = False,
    timestamps: Literal["kernel", "userspace"] = "kernel",
    median_ms: float = 4.0,
    channels: int = 0,
    resume: bool = False,
    workers: int = 1,
    regions: tuple[str, ...] = (),
    seed: int = 1,
) -> Report:
    """A report of one run, judged by the default thresholds.

    Args:
        connections: how many were attempted; `refused`, `timed_out` and `unavailable`
            (HTTP 503) of them failed, `dropped` of the others ended too early.
        codes: how many were due; the last of them `rejected`, `unanswered`,
            `unknown`, `unsent`.
        missing: of the owed pairs; `late`, `recovered` and `interrupted` likewise.
        leaked: copies of the first code that reached other channels.
        channels: how many there are, c1 and so on; codes go to them in turn.
        resume: the server promises that reconnects lose nothing.
        median_ms: of the delivery latency.
        workers: how many held the connections.
        regions: where they were, one in each.
        seed: of the latencies.
        (the others): as in the report.
    """
    random_ = random.Random(seed)
    succeeded = connections - refused - timed_out - unavailable
    sent = codes - unsent
    owed_codes = sent - rejected - unknown
    owed = sum(
        not channels or session % channels == code % channels
        for code in range(owed_codes)
        for session in range(succeeded)
    )
    delivered = owed - late - recovered - interrupted - missing
    assert min(succeeded, owed_codes, delivered, succeeded - dropped) >= 0
    delivery = Histogram()
    per_code, reach, totals, received = _per_code(
        random_, codes, succeeded, delivery, median_ms=median_ms,
        fates={
            "rejected": rejected, "unanswered": unanswered, "unknown": unknown, "unsent": unsent,
        },
        losses={
            "missing": missing, "interrupted": interrupted, "late": late, "recovered": recovered,
        },
        duplicate=duplicate, leaked=leaked, channels=channels,
    )  # fmt: skip
    assert totals["delivered"] == delivered
    connect_causes = [
        ("connect", "connection refused", refused),
        ("connect", "timed out", timed_out),
        ("handshake", "HTTP 503", unavailable),
        ("session", "closed by server: 1011", dropped),
    ]
    all_causes = [
        *connect_causes,
        ("ingest", "HTTP 410", rejected),
        ("ingest", "no answer in time", unanswered),
        ("ingest", "connection refused", unsent),
        ("message", "invalid UTF-8", malformed),
    ]
    operations = connections + codes - unknown
    failed = sum(count for _, _, count in all_causes)
    seconds = codes * 6.0
    report = Report(
        schema=SCHEMA,
        run=RunInfo(
            id="k3x9q2",
            started_at=_at(0),
            finished_at=_at(seconds + 2.9),
            target="http://127.0.0.1:8000",
            transport="websocket",
            ingest="POST /api/ingest",
            workers=workers,
            options={"connections": connections, "codes": codes, "duration": seconds},
            versions={"sseload": "0.1.0", "locust": "2.47.0", "python": "3.11.2"},
            complete=complete,
            notes=list(notes),
            reasons=0 if complete else len(notes),
        ),
        phases=[
            Phase(name=name, started_at=_at(start), seconds=length)
            for name, start, length in (
                ("connect", 0.0, 1.2),
                ("settle", 1.2, 1.0),
                ("broadcast", 2.2, seconds),
                ("drain", 2.2 + seconds, 0.5),
                ("disconnect", 2.7 + seconds, 0.2),
            )
        ],
        connections=ConnectionFigures(
            attempted=connections,
            succeeded=succeeded,
            success_rate=_rate(succeeded, connections),
            ever_connected=succeeded,
            never_connected=connections - succeeded,
            failed=connections - succeeded,
            dropped=dropped,
            reconnected=0,
            replaced=0,
            planned_ends=0,
            ended=0,
            resumed=0,
            over_http2=0,
            polling=None,
            peak_open=succeeded,
            connect_ms=_spread(random_, succeeded, 7.0),
            connect_parts=ConnectParts(
                tcp_ms=_spread(random_, succeeded, 1.0),
                tls_ms=_spread(random_, 0, 1.0),
                handshake_ms=_spread(random_, succeeded, 4.0),
                subscription_ms=_spread(random_, succeeded, 2.0),
                own_ms=_spread(random_, succeeded, 0.1),
                queue_ms=_spread(random_, succeeded, 0.1),
            ),
            ramp=RampFigures(offered_per_s=100.0, achieved_per_s=99.0, limited_by=None),
            recovery_ms=_spread(random_, 0, 1.0),
            causes=causes_of(connect_causes),
        ),
        codes=CodeFigures(
            scheduled=codes,
            sent=sent,
            accepted=codes - rejected - unanswered - unknown - unsent,
            rejected=rejected,
            unanswered=unanswered,
            unknown=unknown,
            unsent=unsent,
            unowed=0 if succeeded else owed_codes,
            overlapping=0,
            schedule_slip_ms=_spread(random_, sent, 0.3),
            ingest_ms=_spread(random_, sent - unanswered - unknown, 2.6),
        ),
        deliveries=DeliveryFigures(
            owed=owed,
            delivered=delivered,
            late=late,
            recovered=recovered,
            interrupted=interrupted,
            missing=missing,
            overlooked=0,
            released=0,
            duplicate=duplicate,
            replayed=replayed,
            leaked=leaked,
            out_of_order=out_of_order,
            unexpected=unexpected,
            history=0,
            foreign=0,
            malformed=malformed,
            delivery_rate=_rate(delivered + recovered, owed),
        ),
        delivery_ms=delivery.summary(),
        channels=_channels(per_code, channels, succeeded),
        leaks=[
            LeakExample(
                code=1,
                channel="c1",
                worker="local",
                connection=2 + 2 * index,
                username="loadtest",
                own_channels=["c2"],
                had_left=False,
            )
            for index in range(min(leaked, 10))
        ],
        observed=None,
        resume=ResumeFigures(
            guarantee="resume",
            recovered=recovered,
            replayed=replayed,
            recovery_ms=_spread(random_, min(recovered, 5), 12.0),
        )
        if resume
        else None,
        spread_ms=_spread(random_, owed_codes if delivered else 0, 2 * median_ms),
        received_per_connection=received,
        errors=ErrorFigures(
            operations=operations,
            failed=failed,
            upkeep=0,
            upkeep_failed=0,
            channel_changes=0,
            channel_changes_failed=0,
            error_rate=_rate(failed, operations),
            causes=causes_of(all_causes),
        ),
        generator=GeneratorFigures(
            timestamps=timestamps,
            lag_ms=_spread(random_, delivered, 40.0 if saturated else 0.2),
            stamp_error_ms=_spread(random_, 12, 1.5),
            in_doubt=0,
            imprecise=0,
            stalled_ms=60.0 if saturated else 0.5,
            stall_ms=_spread(random_, 40, 60.0 if saturated else 0.5),
            cpu_percent_max=99.3 if saturated else 31.5,
            waited_percent_max=1.5,
            rss_mib=96.4,
            clock_error_ms=0.0,
            saturated=saturated,
        ),
        per_code=per_code,
        reach=reach[-5:],
        compression=CompressionFigures(
            negotiated={"permessage-deflate": succeeded} if succeeded else {},
            wire_bytes=40 * delivered,
            inflated_bytes=60 * delivered,
        ),
        storm=None,
        flap=None,
        vitals=[],
        paces=[],
        health=None,
        steps=[],
        search=None,
        timeline=[
            TimelinePoint(
                t=float(t),
                open=succeeded,
                connecting=0,
                connected=succeeded if t == 1 else 0,
                failed=connections - succeeded if t == 1 else 0,
                dropped=dropped if t == 3 else 0,
                ended=dropped if t == 3 else 0,
                sent=int(t % 6 == 2 and t < seconds),
                received=succeeded if t % 6 == 2 and t < seconds else 0,
                p90_ms=1.5 * median_ms if t % 6 == 2 and succeeded else None,
                p95_ms=1.8 * median_ms if t % 6 == 2 and succeeded else None,
                max_ms=3 * median_ms if t % 6 == 2 and succeeded else None,
                latencies=[4096, succeeded] if t % 6 == 2 and succeeded and t < seconds else [],
                p50_ms=median_ms if t % 6 == 2 and succeeded else None,
                p99_ms=2 * median_ms if t % 6 == 2 and succeeded else None,
                errors=0,
                lag_p99_ms=0.3,
                stall_ms=0.4,
                cpu_percent=12.0,
                waited_percent=0.5,
                rss_mib=96.4,
            )
            for t in range(int(seconds) + 3)
        ],
        addresses=[],
        nodes=[],
        node_pairs=[],
        workers=[],
        regions=[],
        losses=None,
        diagnosis=[],
        verdict=Verdict(grade="good", reasons=[]),
    )
    for part, name in enumerate(_names(workers)):
        region = regions[part] if part < len(regions) else ""
        make = partial(WorkerShare, name=name, region=region, lost=False)
        report.workers.append(_share(random_, report, part, workers, make))
    for part, name in enumerate(regions):
        make_region = partial(RegionShare, name=name, workers=1, lost=0)
        report.regions.append(_share(random_, report, part, len(regions), make_region))
    report.verdict = judged(report)
    return report


def judged(report: Report, thresholds: Thresholds | None = None) -> Verdict:
    """The verdict on a report, by the default thresholds unless others are given."""
    if thresholds is None:
        thresholds = load_thresholds()
        if (objective := report.run.options.get("objective")) and not report.search:
            thresholds = thresholds.with_objective(Objective.parse(objective))
    return judge(
        report,
        thresholds,
        complete=report.run.complete,
        notes=report.run.notes[: report.run.reasons],
        steps=report.steps,
        search=report.search,
        health=report.health,
    )


def step_of(report: Report, name: str, *, target: str = "") -> StepReport:
    """A step with the figures and the verdict of a whole run."""
    return StepReport(
        name=name,
        connections=report.connections,
        codes=report.codes,
        deliveries=report.deliveries,
        delivery_ms=report.delivery_ms,
        spread_ms=report.spread_ms,
        channels=report.channels,
        leaks=report.leaks,
        resume=report.resume,
        observed=report.observed,
        errors=report.errors,
        generator=report.generator,
        verdict=report.verdict,
        target=target,
    )


def as_data(report: Report) -> Any:
    """A report as `json.loads` returns it."""
    return json.loads(to_json(report))


def connection_rows(report: Report) -> list[ConnectionRow]:
    """A row for each connection of a sample; losses are not assigned to connections."""
    connections = report.connections
    owed = report.deliveries.owed // max(1, connections.succeeded)
    return [
        ConnectionRow(
            connection=index,
            worker="local",
            username="loadtest",
            connected=index <= connections.succeeded,
            connect_ms=7.25 if index <= connections.succeeded else None,
            sessions=int(index <= connections.succeeded),
            drops=0,
            channels=f"c{index % len(report.channels) + 1}" if report.channels else "",
            node=None,
            owed=owed if index <= connections.succeeded else 0,
            delivered=owed if index <= connections.succeeded else 0,
            late=0,
            recovered=0,
            missing=0,
            interrupted=0,
            duplicate=0,
            last_cause="" if index <= connections.succeeded else "connection refused",
        )
        for index in range(1, connections.attempted + 1)
    ]


@st.composite
def samples(draw: st.DrawFn) -> Report:
    """Samples of small runs with arbitrary faults."""
    connections = draw(st.integers(0, 60))
    codes = draw(st.integers(0, 6))
    left, bad_codes = connections, codes
    changes: dict[str, Any] = {}
    for name in ("refused", "timed_out", "unavailable"):
        changes[name] = draw(st.integers(0, left))
        left -= changes[name]
    changes["dropped"] = draw(st.integers(0, left))
    for name in ("unsent", "rejected", "unknown"):
        changes[name] = draw(st.integers(0, bad_codes))
        bad_codes -= changes[name]
    changes["unanswered"] = draw(st.integers(0, bad_codes))
    pairs = left * bad_codes
    for name in ("missing", "interrupted", "late"):
        changes[name] = draw(st.integers(0, pairs))
        pairs -= changes[name]
    for name in ("duplicate", "out_of_order", "unexpected", "malformed"):
        changes[name] = draw(st.sampled_from([0, 0, 1, 7, 1000]))
    return sample(
        connections,
        codes,
        complete=draw(st.booleans()),
        saturated=draw(st.booleans()),
        timestamps=draw(st.sampled_from(["kernel", "userspace"])),
        workers=draw(st.sampled_from([1, 1, 2, 20])),
        regions=draw(st.sampled_from([(), (), ("eu", ""), ("\x1b[31m" * 20, "us")])),
        notes=tuple(draw(st.lists(st.text(max_size=20), max_size=5))),
        **changes,
    )


def _names(workers: int) -> list[str]:
    if workers == 1:
        return ["local"]
    return [f"worker {number} (host)" for number in range(1, workers + 1)]


_T = TypeVar("_T", WorkerShare, RegionShare)


def _share(
    random_: random.Random, report: Report, part: int, parts: int, make: Callable[..., _T]
) -> _T:
    """One of several equal shares of a report's figures; the first get the remainder."""

    def own(whole: int) -> int:
        return whole // parts + (part < whole % parts)

    connections, deliveries = report.connections, report.deliveries
    succeeded, failed = own(connections.succeeded), own(connections.failed)
    delivered, late = own(deliveries.delivered), own(deliveries.late)
    interrupted, missing = own(deliveries.interrupted), own(deliveries.missing)
    recovered = own(deliveries.recovered)
    return make(
        succeeded=succeeded,
        failed=failed,
        dropped=own(connections.dropped),
        attempted=succeeded + failed,
        delivered=delivered,
        late=late,
        recovered=recovered,
        interrupted=interrupted,
        missing=missing,
        leaked=own(deliveries.leaked),
        owed=delivered + late + recovered + interrupted + missing,
        connect_ms=_spread(random_, succeeded, 7.0),
        delivery_ms=_spread(random_, delivered, 4.0),
        clock_error_ms=0.0,
        cpu_percent=31.5,
        waited_percent=1.5,
        rss_mib=96.4 / parts,
    )


def _per_code(
    random_: random.Random,
    codes: int,
    sessions: int,
    delivery: Histogram,
    *,
    median_ms: float,
    fates: dict[str, int],
    losses: dict[str, int],
    duplicate: int,
    leaked: int,
    channels: int,
) -> tuple[list[CodeRow], list[CodeReach], Counter[str], dict[str, int]]:
    statuses = [how for how, many in fates.items() for _ in range(many)]
    statuses = ["accepted"] * (codes - len(statuses)) + statuses
    pairs = [
        (code, session)
        for code, status in enumerate(statuses)
        if status in ("accepted", "unanswered")
        for session in range(sessions)
    ]
    if channels:
        pairs = [each for each in pairs if each[0] % channels == each[1] % channels]
    # The losses begin with the last code, as a server's that breaks down do.
    fate = ["delivered"] * (len(pairs) - sum(losses.values())) + [
        how for how, many in losses.items() for _ in range(many)
    ]
    owners = dict(zip(pairs, fate, strict=True))
    received: Counter[int] = Counter(dict.fromkeys(range(sessions), 0))
    received.update(
        session for (_, session), how in owners.items() if how in {"delivered", "recovered"}
    )
    rows, reach, totals = [], [], Counter(fate)
    for code, status in enumerate(statuses):
        counts = Counter(owners[pair] for pair in pairs if pair[0] == code)
        latencies = Histogram()
        for _ in range(counts["delivered"]):
            latencies.add(int(random_.lognormvariate(0, 0.5) * median_ms * 1000))
        delivery.merge(latencies)
        latency = latencies.summary()
        if counts:
            reach.append(CodeReach(seq=code + 1, owed=counts.total(), delivery_ms=latency))
        rows.append(
            CodeRow(
                seq=code + 1,
                id="",
                sent_at=None if status == "unsent" else _at(2.2 + code * 6),
                status=cast("CodeStatus", status),
                channel=f"c{code % channels + 1}" if channels else "",
                payload_bytes=None,
                owed=counts.total(),
                delivered=counts["delivered"],
                late=counts["late"],
                recovered=counts["recovered"],
                interrupted=counts["interrupted"],
                missing=counts["missing"],
                duplicate=duplicate if code == 0 else 0,
                leaked=leaked if code == 0 else 0,
                first_ms=latency.min,
                p50_ms=latency.p50,
                p95_ms=latency.p95,
                p99_ms=latency.p99,
                last_ms=latency.max,
            )
        )
    spread = Counter(received.values())
    return rows, reach, totals, {str(many): spread[many] for many in sorted(spread, reverse=True)}


def _channels(per_code: Sequence[CodeRow], channels: int, sessions: int) -> list[ChannelFigures]:
    """The channels of some codes, the worst first."""
    made = []
    for channel in range(channels):
        own = [code for code in per_code if code.channel == f"c{channel + 1}"]
        arrived = [code for code in own if code.delivered]
        made.append(
            ChannelFigures(
                name=f"c{channel + 1}",
                connections=sessions // channels + (channel < sessions % channels),
                codes=sum(code.sent_at is not None for code in own),
                owed=sum(code.owed for code in own),
                delivered=sum(code.delivered for code in own),
                late=sum(code.late for code in own),
                recovered=sum(code.recovered for code in own),
                interrupted=sum(code.interrupted for code in own),
                missing=sum(code.missing for code in own),
                leaked=sum(code.leaked for code in own),
                p50=max((code.p50_ms or 0 for code in arrived), default=None),
                p95=max((code.p95_ms or 0 for code in arrived), default=None),
                p99=max((code.p99_ms or 0 for code in arrived), default=None),
                max=max((code.last_ms or 0 for code in arrived), default=None),
            )
        )
    return sorted(made, key=lambda each: (-each.leaked, each.received - each.owed))


def causes_of(causes: Iterable[tuple[str, str, int]]) -> list[FailureCause]:
    """Causes by operation, cause and count, the most common first."""
    causes = list(causes)
    total = sum(count for _, _, count in causes)
    return [
        FailureCause(
            operation=operation,
            cause=cause,
            count=count,
            share=count / total,
            said="",
            hint=hints.hint(operation, cause),
        )
        for operation, cause, count in sorted(causes, key=lambda each: -each[2])
        if count
    ]


def _spread(random_: random.Random, count: int, median_ms: float) -> LatencySummary:
    histogram = Histogram()
    for _ in range(count):
        histogram.add(int(random_.lognormvariate(0, 0.4) * median_ms * 1000))
    return histogram.summary()


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _at(seconds: float) -> str:
    moment = _START + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
