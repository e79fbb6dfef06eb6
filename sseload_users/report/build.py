"""Build the report of a run from its account; pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sseload_users.core.causes import CONNECTING, Cause
from sseload_users.core.code_tally import CodeTally
from sseload_users.core.figures import (
    Account,
    CodeFigures,
    ConnectionFigures,
    DeliveryFigures,
    ErrorFigures,
    FailureCause,
    GeneratorFigures,
    LatencySummary,
    SearchResult,
    StormRecovery,
)
from sseload_users.core.formatting import ms
from sseload_users.core.histogram import Histogram
from sseload_users.core.second import highest
from sseload_users.core.totals import Totals
from sseload_users.core.vitals import ServerVitals
from sseload_users.report.model import SCHEMA, CodeRow, CodeStatus, Phase, Report, RunInfo
from sseload_users.report.timeline import POINTS, timeline
from sseload_users.report.workers import region_shares, worker_shares
from sseload_users.verdict import hints
from sseload_users.verdict.reasons import StepReport
from sseload_users.verdict.rules import judge, judge_step
from sseload_users.verdict.saturation import is_saturated
from sseload_users.verdict.thresholds import Thresholds

_S = 1_000_000_000


@dataclass(slots=True)
class Run:
    """Facts about a run that its account does not have.

    Attributes:
        run_id: its identity.
        started_ns: when it began (wall clock, ns).
        target: the server: scheme, host and port.
        transport: how codes reached the listeners: websocket, socketio or sse.
        options: its options, without secrets.
        versions: of the software.
        finished_ns: when its account was closed.
        phases: name, beginning and end (wall clock, ns) of each phase.
        complete: whether it went to its end, with every worker's account.
        storms_ns: when its connections were ended all at once.
        notes: sentences; the reason why it is incomplete comes first.
        clock_error_ms: how wrong a latency between two machines can be; None if unknown.
        advise: returns the profile's advice on a failure, by operation, cause and the server's
            words; empty if it has none.
    """

    run_id: str
    started_ns: int
    target: str
    transport: str
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
    steps: Sequence[StepReport] = (),
    search: SearchResult | None = None,
    *,
    vitals: ServerVitals | None = None,
) -> Report:
    """Return the report of a run that has ended.

    Args:
        run: facts beside the account.
        totals: the account.
        thresholds: what it is judged by.
        steps: the reports of its steps, if it has several; see `step_report`.
        search: what a search found.
        vitals: the server's condition, if it was watched.
    """
    account = account_of(run, totals)
    points = timeline(run.started_ns, totals)
    ends_s = [point.t for point in points]
    return Report(
        schema=SCHEMA,
        run=run_info(run, totals),
        phases=phases(run),
        connections=account.connections,
        codes=account.codes,
        deliveries=account.deliveries,
        delivery_ms=account.delivery_ms,
        spread_ms=account.spread_ms,
        errors=account.errors,
        generator=account.generator,
        received_per_connection={
            str(received): many
            for received, many in sorted(totals.received_per_connection().items(), reverse=True)
        },
        per_code=list(per_code(totals)),
        timeline=points,
        storm=_storm(run, totals) if run.storms_ns else None,
        vitals=vitals.columns(run.started_ns, ends_s) if vitals is not None else [],
        workers=worker_shares(totals.workers.values()),
        regions=region_shares(totals.workers.values()),
        steps=list(steps),
        search=search,
        verdict=judge(
            account,
            thresholds,
            complete=run.complete,
            notes=run.notes,
            steps=steps,
            search=search,
        ),
    )


def step_report(
    step: str, run: Run, totals: Totals, thresholds: Thresholds, *, asked: int, opened: int
) -> StepReport:
    """Return the report of one step.

    Args:
        step: its name.
        run: with the step's phases alone.
        totals: the step's account.
        thresholds: what it is judged by.
        asked: connections that were asked for.
        opened: connections that were open when the first code was sent; not all of them need
            have connected in this step.
    """
    account = account_of(replace(run, finished_ns=run.started_ns), totals)
    account.connections = replace(
        account.connections,
        attempted=asked,
        succeeded=opened,
        success_rate=_rate(opened, asked),
        failed=max(0, asked - opened),
        peak_open=opened,
    )
    target = thresholds.size_target(asked)
    return StepReport(
        name=step,
        connections=account.connections,
        codes=account.codes,
        deliveries=account.deliveries,
        delivery_ms=account.delivery_ms,
        spread_ms=account.spread_ms,
        errors=account.errors,
        generator=account.generator,
        verdict=judge_step(account, thresholds),
        target="" if target is None else str(target.success),
    )


def account_of(run: Run, totals: Totals, *, so_far: bool = False) -> Account:
    """Return the figures that a run, or a step, is judged by.

    Args:
        run: facts beside the account.
        totals: the account.
        so_far: the run is going on. Whoever is connecting and whatever waits for an answer is
            left out, and latencies have their `counts` instead of `hdr`, which takes long.
    """
    tally = totals.tally
    counters, causes = tally.counters, Counter(tally.causes)
    if not so_far:
        causes["ingest", "left"] += sum(map(_was_cut_off, tally.codes.values()))
    summarize = _counted if so_far else Histogram.latency
    codes = _codes(totals, summarize, so_far=so_far)
    attempted = counters.succeeded + counters.failed if so_far else counters.attempted
    outcomes = totals.outcomes
    operations = attempted + codes.scheduled + counters.upkeep
    failed = (
        counters.failed
        + counters.dropped
        + counters.malformed
        + counters.upkeep_failed
        + codes.rejected
        + codes.unanswered
        + codes.unsent
    )
    return Account(
        connections=ConnectionFigures(
            attempted=attempted,
            succeeded=counters.succeeded,
            success_rate=_rate(counters.succeeded, attempted),
            failed=counters.failed,
            dropped=counters.dropped,
            reconnected=counters.reconnected,
            replaced=counters.replaced,
            peak_open=totals.peak_open,
            connect_ms=summarize(tally.connect),
            recovery_ms=summarize(tally.recovery),
            causes=_causes(run, causes, tally.server_texts, {*CONNECTING, "session"}),
        ),
        codes=codes,
        deliveries=DeliveryFigures(
            owed=outcomes.owed,
            delivered=outcomes.delivered,
            late=outcomes.late,
            interrupted=outcomes.interrupted,
            missing=outcomes.missing,
            released=outcomes.released,
            duplicate=outcomes.duplicate,
            out_of_order=counters.out_of_order,
            unexpected=outcomes.unexpected,
            foreign=counters.foreign,
            malformed=counters.malformed,
            delivery_rate=_rate(outcomes.delivered, outcomes.owed),
        ),
        delivery_ms=summarize(totals.delivery()),
        spread_ms=summarize(totals.spread()),
        errors=ErrorFigures(
            operations=operations,
            failed=failed,
            error_rate=_rate(failed, operations),
            causes=_causes(run, causes, tally.server_texts, None),
        ),
        generator=_generator(run, totals, summarize, codes.schedule_slip_ms, so_far=so_far),
    )


def run_info(run: Run, totals: Totals) -> RunInfo:
    """Return what the report says about the run itself."""
    return RunInfo(
        id=run.run_id,
        started_at=rfc3339(run.started_ns),
        finished_at=rfc3339(run.finished_ns),
        target=run.target,
        transport=run.transport,
        workers=max(1, len(totals.workers)),
        options=dict(run.options),
        versions=dict(run.versions),
        complete=run.complete,
        notes=list(run.notes),
    )


def phases(run: Run) -> list[Phase]:
    """Return the run's phases so far."""
    return [
        Phase(name=name, started_at=rfc3339(start), seconds=round((end - start) / _S, 3))
        for name, start, end in run.phases
    ]


def step_in_words(report: StepReport) -> str:
    """Return a step in one line: connected, delivered, how fast, the grade."""
    connections, deliveries, delivery = report.connections, report.deliveries, report.delivery_ms
    latency = f", p99 {ms(delivery.p99)} ms" if delivery.count else ""
    return (
        f"{connections.succeeded:,} of {connections.attempted:,} connected, "
        f"{deliveries.delivered:,} of {deliveries.owed:,} delivered{latency}: "
        f"{report.verdict.grade}."
    )


def per_code(totals: Totals, latest: int | None = None) -> Iterator[CodeRow]:
    """Yield a row for each code, in order of sequence.

    Args:
        totals: the account.
        latest: how many of the latest codes; None for all.
    """
    codes = totals.tally.codes
    if latest is None:
        due = sorted(seq for seq, code in codes.items() if _was_due(code))
    else:
        # Codes are numbered without gaps, so there is no need to visit all.
        backwards = range(max(codes, default=0), 0, -1)
        due = list(
            islice((seq for seq in backwards if seq in codes and _was_due(codes[seq])), latest)
        )
        due.reverse()
    for sequence in due:
        code = codes[sequence]
        percentiles = totals.percentiles.code(sequence)
        yield CodeRow(
            seq=sequence,
            sent_at=rfc3339(code.sent_ns) if code.sent_ns else None,
            status=_status(code),
            owed=code.owed,
            delivered=code.delivered,
            late=code.late,
            interrupted=code.interrupted,
            missing=code.missing,
            duplicate=code.duplicate,
            first_ms=_since(code.sent_ns, code.first_ns),
            p50_ms=percentiles.p50,
            p95_ms=percentiles.p95,
            p99_ms=percentiles.p99,
            last_ms=_since(code.sent_ns, code.last_ns),
        )


def rfc3339(at_ns: int) -> str:
    """Return a wall clock time (ns) in RFC 3339, UTC, to the millisecond."""
    at = datetime.fromtimestamp(at_ns // _S, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ns % _S // 1_000_000:03}Z"


#: How a histogram is summed up.
_Summarize = Callable[[Histogram], LatencySummary]


def _counted(histogram: Histogram) -> LatencySummary:
    return histogram.latency(encoded=False)


def _storm(run: Run, totals: Totals) -> StormRecovery:
    back, ended = totals.tally.storm, totals.tally.counters.stormed

    def time_until(share: float) -> float | None:
        # Of all connections that were ended, not of those that came back.
        rank = math.ceil(share * ended)
        if not 0 < rank <= back.total:
            return None
        after_ms = back.percentile_ms(100 * (rank - 0.5) / back.total)
        return None if after_ms is None else round(after_ms / 1000, 6)

    return StormRecovery(
        started_at=[rfc3339(each) for each in run.storms_ns],
        ended=ended,
        back=back.total,
        back_50_s=time_until(0.5),
        back_95_s=time_until(0.95),
        back_100_s=time_until(1.0),
    )


def _codes(totals: Totals, summarize: _Summarize, *, so_far: bool) -> CodeFigures:
    tally, statuses = totals.tally, totals.statuses
    unanswered = statuses["unanswered"]
    if not so_far:
        unanswered += sum(map(_was_cut_off, tally.codes.values()))
    sent = statuses["accepted"] + statuses["rejected"] + unanswered
    return CodeFigures(
        scheduled=sent + statuses["unsent"],
        sent=sent,
        accepted=statuses["accepted"],
        rejected=statuses["rejected"],
        unanswered=unanswered,
        unsent=statuses["unsent"],
        overlapping=tally.counters.overlapping,
        schedule_slip_ms=summarize(tally.slip),
        ingest_ms=summarize(tally.ingest),
    )


def _status(code: CodeTally) -> CodeStatus:
    return "unanswered" if code.status == "pending" else code.status


def _was_due(code: CodeTally) -> bool:
    """Whether this run's broadcaster announced a code."""
    return code.status != "pending" or code.sent_ns > 0


def _was_cut_off(code: CodeTally) -> bool:
    """Whether the end of the run cut off a code's request: it was sent, and not answered."""
    return code.status == "pending" and code.sent_ns > 0


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
        seconds[each].busy_percent
        for name, start, end in run.phases
        if name in ("broadcast", "drain")
        for each in range(max(start // _S, since), end // _S + 1)
        if each in seconds
    ]
    return GeneratorFigures(
        timestamps=(
            "userspace" if any(each.timestamps != "kernel" for each in workers) else "kernel"
        ),
        lag_ms=lag,
        stamp_error_ms=summarize(totals.tally.stamp_error),
        in_doubt=in_doubt,
        stall_ms=summarize(totals.tally.stalls),
        cpu_percent_max=max((each.cpu_percent for each in recent), default=None),
        waited_percent_max=highest(each.waited_percent for each in recent),
        rss_mib=round(sum(each.rss_mib for each in workers), 1) if workers else None,
        clock_error_ms=run.clock_error_ms,
        saturated=is_saturated(under_load, lag.p99, slip.p99, in_doubt),
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


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _since(sent_ns: int, at_ns: int) -> float | None:
    return round((at_ns - sent_ns) / 1e6, 3) if sent_ns and at_ns else None
