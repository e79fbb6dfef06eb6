"""Build the report of a run from its account; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

from sseload_users.core.code_tally import CodeTally
from sseload_users.core.figures import DeliveryFigures
from sseload_users.core.formatting import ms
from sseload_users.core.histogram import Histogram
from sseload_users.core.run_figures import FlapRecovery, PaceFigures, SearchResult, StormRecovery
from sseload_users.core.totals import Totals
from sseload_users.core.vitals import ServerVitals
from sseload_users.report.account import Run, account_of, health_of, parts_of, rate
from sseload_users.report.addresses import address_figures
from sseload_users.report.compression import compression_of
from sseload_users.report.loss_map import loss_map
from sseload_users.report.model import SCHEMA, CodeRow, CodeStatus, Phase, Report, RunInfo
from sseload_users.report.reach import latest_reach
from sseload_users.report.symptoms import symptoms_of
from sseload_users.report.timeline import timeline
from sseload_users.report.workers import region_shares, worker_shares
from sseload_users.verdict.diagnosis import diagnose, without_explained_hints
from sseload_users.verdict.reasons import StepReport
from sseload_users.verdict.rules import judge, judge_step
from sseload_users.verdict.thresholds import Thresholds

_S = 1_000_000_000


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
    health = health_of(run, vitals.health) if vitals is not None else None
    symptoms = symptoms_of(account, totals, run.started_ns)
    findings = diagnose(symptoms)
    points = timeline(run.started_ns, totals)
    verdict = judge(
        account, thresholds, complete=run.complete, notes=run.notes[: run.reasons], steps=steps,
        search=search, health=health,
    )  # fmt: skip
    ends_s = [point.t for point in points]
    codes = list(per_code(totals))
    return Report(
        schema=SCHEMA,
        run=run_info(run, totals),
        phases=phases(run),
        **parts_of(account),
        received_per_connection={
            str(received): many
            for received, many in sorted(totals.received_per_connection().items(), reverse=True)
        },
        per_code=codes,
        reach=latest_reach(codes, totals),
        timeline=points,
        compression=compression_of(totals.tally),
        storm=_storm(run, totals) if run.storms_ns else None,
        flap=_flap(run, totals) if totals.tally.counters.flapped else None,
        vitals=vitals.columns(run.started_ns, ends_s) if vitals is not None else [],
        paces=list(_paces(totals)),
        health=health,
        addresses=address_figures(totals.tally.addresses),
        nodes=totals.nodes.figures(totals.tally, run.started_ns) if totals.nodes else [],
        node_pairs=totals.nodes.pairs(Histogram.summary) if totals.nodes else [],
        workers=worker_shares(totals.workers.values()),
        regions=region_shares(totals.workers.values()),
        steps=list(steps),
        search=search,
        losses=loss_map(symptoms, totals.channel_of),
        diagnosis=findings,
        verdict=without_explained_hints(verdict, findings),
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
        success_rate=rate(opened, asked),
        failed=max(0, asked - opened),
        peak_open=opened,
    )
    # Most of many channels may have no code in a step.
    account.channels = [each for each in account.channels if each.codes]
    target = thresholds.size_target(asked)
    return StepReport(
        name=step,
        **parts_of(account),
        verdict=judge_step(account, thresholds),
        target="" if target is None else str(target.success),
    )


def run_info(run: Run, totals: Totals) -> RunInfo:
    """Return what the report says about the run itself."""
    return RunInfo(
        id=run.run_id,
        started_at=rfc3339(run.started_ns),
        finished_at=rfc3339(run.finished_ns),
        target=run.target,
        transport=run.transport,
        ingest=run.ingest,
        workers=max(1, len(totals.workers)),
        options=dict(run.options),
        versions=dict(run.versions),
        complete=run.complete,
        notes=list(run.notes),
        reasons=run.reasons,
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
        f"{deliveries.received:,} of {deliveries.owed:,} {_received(deliveries)}{latency}: "
        f"{report.verdict.grade}."
    )


def _received(deliveries: DeliveryFigures) -> str:
    return "delivered or recovered" if deliveries.recovered else "delivered"


def per_code(totals: Totals, latest: int | None = None) -> Iterator[CodeRow]:
    """Yield a row for each code, in order of sequence.

    Args:
        totals: the account.
        latest: how many of the latest codes; None for all.
    """
    codes = totals.tally.codes
    if latest is None:
        due = sorted(codes)
    else:
        # Codes are numbered nearly without gaps, so there is no need to visit all; only the
        # numbers of observed messages can be large.
        newest = max(codes, default=0)
        few_gaps = newest <= 2 * len(codes) + 1000
        backwards = range(newest, 0, -1) if few_gaps else sorted(codes, reverse=True)
        due = list(
            islice((seq for seq in backwards if seq in codes and _was_due(codes[seq])), latest)
        )
        due.reverse()
    for sequence in due:
        code = codes[sequence]
        if not _was_due(code):
            continue
        percentiles = totals.percentiles.code(sequence)
        yield CodeRow(
            seq=sequence,
            id=totals.ids.get(sequence, ""),
            sent_at=rfc3339(code.sent_ns) if code.sent_ns else None,
            status=_status(code),
            channel=totals.channel_of(sequence),
            payload_bytes=totals.payload_bytes(sequence),
            owed=code.owed,
            delivered=code.delivered,
            late=code.late,
            recovered=code.recovered,
            interrupted=code.interrupted,
            missing=code.missing,
            duplicate=code.duplicate,
            leaked=code.leaked,
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
        own_ms=totals.tally.storm_own.summary(),
        limited_by=_limit_of_storm(run, totals) if back.total else None,
    )


def _limit_of_storm(run: Run, totals: Totals) -> Literal["generator", "server"]:
    tally = totals.tally
    waited_us = tally.storm.total * run.options["storm_jitter"] / 2 * 1e6
    others_us = tally.storm.total_us - tally.storm_own.total_us - waited_us
    return "generator" if tally.storm_own.total_us > others_us else "server"


def _paces(totals: Totals) -> Iterator[PaceFigures]:
    """Yield what became of the deliveries of slow readers, and of the others."""
    for slow, outcomes in sorted(totals.paces.items(), reverse=True):
        yield PaceFigures(
            slow=slow,
            owed=outcomes.owed,
            delivered=outcomes.delivered,
            late=outcomes.late,
            recovered=outcomes.recovered,
            interrupted=outcomes.interrupted,
            missing=outcomes.missing,
            delivery_ms=outcomes.latencies.summary(),
        )


def _flap(run: Run, totals: Totals) -> FlapRecovery:
    tally = totals.tally
    return FlapRecovery(
        how=run.options["flap_how"],
        ended=tally.counters.flapped,
        back=tally.flap.total,
        back_ms=tally.flap.summary(),
    )


def _status(code: CodeTally) -> CodeStatus:
    return "unanswered" if code.status == "pending" else code.status


def _was_due(code: CodeTally) -> bool:
    """Whether this run's broadcaster announced a code."""
    return code.status != "pending" or code.sent_ns > 0


def _since(sent_ns: int, at_ns: int) -> float | None:
    return round((at_ns - sent_ns) / 1e6, 3) if sent_ns and at_ns else None
