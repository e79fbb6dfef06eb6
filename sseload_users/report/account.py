"""Compute the figures that a run, or a step, is judged by from its account; pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from sseload_users.core.causes import CONNECTING, UPGRADE, Cause
from sseload_users.core.code_tally import OWED_STATUSES
from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.figures import (
    Account,
    CodeFigures,
    ConnectionFigures,
    ConnectParts,
    DeliveryFigures,
    ErrorFigures,
    FailureCause,
    GeneratorFigures,
    ObservationFigures,
    PollingFigures,
    RampFigures,
)
from sseload_users.core.histogram import Histogram
from sseload_users.core.ramp import Ramp
from sseload_users.core.run_figures import HealthFigures
from sseload_users.core.second import highest
from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.vitals import HealthChecks
from sseload_users.report.audience import (
    SHOWN_WHILE_RUNNING,
    channels_of,
    leaks_of,
    resume_of,
)
from sseload_users.report.timeline import POINTS
from sseload_users.verdict import hints
from sseload_users.verdict.saturation import is_saturated

_S = 1_000_000_000

#: Seconds after its timeout within which all workers have reported a code's account.
_REPORTED_AFTER_S = 2.0


@dataclass(slots=True)
class Run:
    """Facts about a run that its account does not have.

    Attributes:
        run_id: its identity.
        started_ns: when it began (wall clock, ns).
        target: the server: scheme, host and port.
        transport: how codes reached the listeners: websocket, socketio or sse.
        ingest: how codes are handed in, in words.
        options: its options, without secrets.
        versions: of the software.
        finished_ns: when its account was closed.
        phases: name, beginning and end (wall clock, ns) of each phase.
        complete: whether it went to its end, with every worker's account.
        storms_ns: when its connections were ended all at once.
        notes: sentences; the reasons why it is incomplete come first.
        reasons: how many of them say why it is incomplete.
        clock_error_ms: how wrong a latency between two machines can be; None if unknown.
        guarantee: what the server promises across reconnects, by the target profile.
        observed: the messages that others sent; None in a run that sends its own codes.
        advise: returns the profile's advice on a failure, by operation, cause and the server's
            words; empty if it has none.
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
    reasons: int = 0
    clock_error_ms: float | None = 0.0
    guarantee: Literal["live", "resume"] = "live"
    observed: ObservationFigures | None = None
    advise: Callable[[str, str, str], str] = lambda *_: ""


#: How a histogram is summed up.
_Summarize = Callable[[Histogram], LatencySummary]


def counted(histogram: Histogram) -> LatencySummary:
    """Return the summary of a histogram while a run goes on, which takes less time."""
    return histogram.summary(encoded=False)


def account_of(run: Run, totals: Totals, *, so_far: bool = False) -> Account:
    """Return the figures that a run, or a step, is judged by.

    Args:
        run: facts beside the account.
        totals: the account.
        so_far: the run is going on. Whoever is connecting and whatever waits for an answer is
            left out, and latencies have their `counts` instead of `hdr`, which takes long.
    """
    tally, counters = totals.tally, totals.tally.counters
    causes = _failed_operations(tally.causes)
    if not so_far:
        causes["ingest", "left"] += _cut_off(totals)
    summarize = counted if so_far else Histogram.summary
    codes = _codes(run, totals, summarize, so_far=so_far)
    attempted = counters.succeeded + counters.failed if so_far else counters.attempted
    return Account(
        connections=ConnectionFigures(
            attempted=attempted,
            succeeded=counters.succeeded,
            success_rate=rate(counters.succeeded, attempted),
            ever_connected=counters.ever_connected,
            never_connected=counters.never_connected,
            ended=counters.ended,
            failed=counters.failed,
            dropped=counters.dropped,
            reconnected=counters.reconnected,
            replaced=counters.replaced,
            planned_ends=counters.planned_ends,
            resumed=counters.resumed,
            over_http2=counters.over_http2,
            polling=_polling(run, tally),
            peak_open=totals.peak_open,
            connect_ms=summarize(tally.connect),
            connect_parts=ConnectParts(
                tcp_ms=summarize(tally.connect_tcp),
                tls_ms=summarize(tally.connect_tls),
                handshake_ms=summarize(tally.connect_handshake),
                subscription_ms=summarize(tally.connect_subscription),
                own_ms=summarize(tally.connect_own),
                queue_ms=summarize(tally.connect_queue),
            ),
            ramp=_ramp(run, tally.ramp),
            recovery_ms=summarize(tally.recovery),
            causes=_causes(run, causes, tally.server_texts, {*CONNECTING, "session"}),
        ),
        codes=codes,
        observed=run.observed,
        deliveries=_deliveries(totals),
        delivery_ms=summarize(totals.delivery()),
        spread_ms=summarize(totals.spread()),
        channels=channels_of(totals, SHOWN_WHILE_RUNNING if so_far else None),
        leaks=leaks_of(totals),
        resume=resume_of(run.guarantee, totals, summarize),
        errors=_errors(run, tally, codes, attempted, causes),
        generator=_generator(run, totals, summarize, codes.schedule_slip_ms, so_far=so_far),
    )


def _ramp(run: Run, ramp: Ramp) -> RampFigures | None:
    if not ramp.count or run.options["ladder"] or run.options["search"]:
        return None
    limit: Literal["generator", "server"] = (
        "generator" if ramp.own_us > ramp.connect_us else "server"
    )
    return RampFigures(
        offered_per_s=_rounded(ramp.offered),
        achieved_per_s=_rounded(ramp.achieved),
        limited_by=None if ramp.is_reached else limit,
    )


def _rounded(rate_per_s: float | None) -> float | None:
    return None if rate_per_s is None else round(rate_per_s, 3)


def parts_of(account: Account) -> dict[str, Any]:
    """Return the fields of an account, for a report that has them as well."""
    return {each.name: getattr(account, each.name) for each in fields(Account)}


def _errors(
    run: Run, tally: Tally, codes: CodeFigures, attempted: int, causes: Mapping[Cause, int]
) -> ErrorFigures:
    counters = tally.counters
    operations = attempted + codes.judged + counters.upkeep + counters.channel_changes
    failed = (
        counters.failed
        + counters.dropped
        + counters.malformed
        + counters.upkeep_failed
        + counters.channel_changes_failed
        + codes.rejected
        + codes.unanswered
        + codes.unsent
    )
    return ErrorFigures(
        operations=operations,
        failed=failed,
        upkeep=counters.upkeep,
        upkeep_failed=counters.upkeep_failed,
        channel_changes=counters.channel_changes,
        channel_changes_failed=counters.channel_changes_failed,
        error_rate=rate(failed, operations),
        causes=_causes(run, causes, tally.server_texts, None),
    )


def _failed_operations(causes: Mapping[Cause, int]) -> Counter[Cause]:
    """Return the causes without those of sessions that could not go over, but went on."""
    return Counter({cause: many for cause, many in causes.items() if cause[0] != UPGRADE})


def _polling(run: Run, tally: Tally) -> PollingFigures | None:
    counters = tally.counters
    if not counters.polled:
        return None
    return PollingFigures(
        sessions=counters.polled,
        upgraded=counters.upgraded,
        failed=counters.upgrade_failed,
        causes=_causes(run, tally.causes, tally.server_texts, {UPGRADE}),
    )


def health_of(run: Run, checks: HealthChecks | None) -> HealthFigures | None:
    """Return the figures of the health checks during a run; None if none were made."""
    if checks is None or not checks.made:
        return None
    causes = {("health", cause): many for cause, many in checks.failures.items()}
    return HealthFigures(
        checks=checks.made,
        failed=checks.failures.total(),
        causes=_causes(run, causes, {}, None),
    )


def _deliveries(totals: Totals) -> DeliveryFigures:
    outcomes, counters = totals.outcomes, totals.tally.counters
    return DeliveryFigures(
        owed=outcomes.owed,
        delivered=outcomes.delivered,
        late=outcomes.late,
        recovered=outcomes.recovered,
        interrupted=outcomes.interrupted,
        missing=outcomes.missing,
        overlooked=sum(
            missing
            for missing, overlooked in totals.tally.codes.values_of("missing", "overlooked")
            if overlooked
        ),
        released=outcomes.released,
        duplicate=outcomes.duplicate,
        replayed=outcomes.replayed,
        leaked=outcomes.leaked,
        unexpected=outcomes.unexpected,
        history=outcomes.history,
        out_of_order=counters.out_of_order,
        foreign=counters.foreign,
        malformed=counters.malformed,
        delivery_rate=rate(outcomes.received, outcomes.owed),
    )


def _codes(run: Run, totals: Totals, summarize: _Summarize, *, so_far: bool) -> CodeFigures:
    tally, statuses = totals.tally, totals.statuses
    unanswered = statuses["unanswered"]
    if not so_far:
        unanswered += _cut_off(totals)
    unknown = statuses["unknown"]
    sent = statuses["accepted"] + statuses["rejected"] + unanswered + unknown
    return CodeFigures(
        scheduled=sent + statuses["unsent"],
        sent=sent,
        accepted=statuses["accepted"],
        rejected=statuses["rejected"],
        unanswered=unanswered,
        unknown=unknown,
        unsent=statuses["unsent"],
        unowed=_unowed(run, totals, so_far=so_far),
        overlapping=tally.counters.overlapping,
        schedule_slip_ms=summarize(tally.slip),
        ingest_ms=summarize(tally.ingest),
    )


def _unowed(run: Run, totals: Totals, *, so_far: bool) -> int:
    """Return how many codes went out and were owed to nobody.

    While a run goes on, only of those whose accounts every worker has closed and reported.
    """
    before_ns: float = math.inf
    if so_far:
        timeout_s = float(run.options.get("delivery_timeout", 0))
        before_ns = run.finished_ns - round((timeout_s + _REPORTED_AFTER_S) * 1e9)
    return sum(
        status in OWED_STATUSES and not owed and not released and 0 < sent_ns < before_ns
        for status, owed, released, sent_ns in totals.tally.codes.values_of(
            "status", "owed", "released", "sent_ns"
        )
    )


def _cut_off(totals: Totals) -> int:
    """Return how many codes were sent whose request the end of the run cut off."""
    return sum(
        status == "pending" and sent_ns > 0
        for status, sent_ns in totals.tally.codes.values_of("status", "sent_ns")
    )


def _generator(
    run: Run,
    totals: Totals,
    summarize: _Summarize,
    slip: LatencySummary,
    *,
    so_far: bool,
) -> GeneratorFigures:
    workers = [each.gauges for each in totals.workers.values() if each.gauges]
    seconds = totals.tally.seconds
    lag = summarize(totals.tally.lag)
    in_doubt = totals.tally.counters.in_doubt
    # While a run goes on, its last half-hour suffices, as this is asked for every second.
    since = run.finished_ns // _S - POINTS if so_far else 0
    recent = (
        [seconds[each] for each in range(since, run.finished_ns // _S + 1) if each in seconds]
        if so_far
        else seconds.values()
    )
    under_load = [
        seconds[each]
        for name, start, end in run.phases
        if name in ("broadcast", "observe", "drain")
        for each in range(max(start // _S, since), end // _S + 1)
        if each in seconds
    ]
    stalled_ms = max((each.stall_us for each in under_load), default=0) / 1000
    return GeneratorFigures(
        timestamps=(
            "userspace" if any(each.timestamps != "kernel" for each in workers) else "kernel"
        ),
        lag_ms=lag,
        stamp_error_ms=summarize(totals.tally.stamp_error),
        in_doubt=in_doubt,
        imprecise=totals.tally.counters.imprecise,
        stall_ms=summarize(totals.tally.stalls),
        stalled_ms=stalled_ms if under_load else None,
        cpu_percent_max=max((each.cpu_percent for each in recent), default=None),
        waited_percent_max=highest(each.waited_percent for each in recent),
        rss_mib=round(sum(each.rss_mib for each in workers), 1) if workers else None,
        clock_error_ms=run.clock_error_ms,
        saturated=is_saturated(
            [each.busy_percent for each in under_load], lag.p99, slip.p99, stalled_ms, in_doubt
        ),
    )


def _causes(
    run: Run,
    causes: Mapping[Cause, int],
    server_texts: Mapping[Cause, str],
    operations: set[str] | None,
) -> list[FailureCause]:
    own = [
        (operation, cause, count)
        for (operation, cause), count in causes.items()
        if count > 0 and (operations is None or operation in operations)
    ]
    total = sum(count for _, _, count in own)
    return [
        FailureCause(
            operation=operation,
            cause=cause,
            count=count,
            share=round(count / total, 6),
            said=text,
            hint=run.advise(operation, cause, text) or hints.hint(operation, cause, text),
        )
        for operation, cause, count in sorted(own, key=lambda each: (-each[2], each[:2]))
        for text in [server_texts.get((operation, cause), "")]
    ]


def rate(part: int, whole: int) -> float | None:
    """Return a share from 0 to 1, or more where `part` exceeds `whole`; None of nothing."""
    return part / whole if whole else None
