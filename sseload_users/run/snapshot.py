"""A snapshot of a run in progress, from its account so far; pure."""

from __future__ import annotations

from sseload_users.core.second import highest
from sseload_users.core.totals import Totals
from sseload_users.report.snapshot import Snapshot


def snapshot(
    totals: Totals,
    *,
    phase: str,
    now_ns: int,
    started_ns: int,
    expected: int,
    codes: int,
) -> Snapshot:
    """Return the current figures.

    Args:
        totals: the account.
        phase: the run's.
        now_ns: the time (wall clock, ns).
        started_ns: when the run began.
        expected: connections that there are to be.
        codes: those that are to be sent in all.
    """
    outcomes, counters, causes = totals.outcomes, totals.tally.counters, totals.tally.causes
    recent = totals.percentiles.recent(now_ns)
    gauges = [each.gauges for each in totals.workers.values() if each.gauges]
    return Snapshot(
        phase=phase,
        elapsed_s=(now_ns - started_ns) / 1e9,
        expected=expected,
        attempted=counters.attempted,
        open=sum(each.open for each in gauges),
        connecting=sum(each.connecting for each in gauges),
        failed=counters.failed,
        dropped=counters.dropped,
        codes_scheduled=codes,
        codes_sent=totals.sent,
        accepted=totals.statuses["accepted"],
        delivered=outcomes.delivered + sum(each.delivered for each in gauges),
        recovered=outcomes.recovered,
        owed=outcomes.owed + sum(each.owed for each in gauges),
        late=outcomes.late,
        missing=outcomes.missing + outcomes.interrupted,
        leaked=outcomes.leaked,
        errors=sum(causes.values()),
        p50_ms=recent.delivery.p50,
        p95_ms=recent.delivery.p95,
        p99_ms=recent.delivery.p99,
        lag_p99_ms=recent.lag.p99,
        cpu_percent=highest(each.cpu_percent for each in gauges),
        waited_percent=highest(each.waited_percent for each in gauges),
    )
