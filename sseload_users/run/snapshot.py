"""How a run stands, from its account so far; pure."""

from __future__ import annotations

from sseload_users.core.tally import highest
from sseload_users.core.totals import Totals
from sseload_users.report.progress import Snapshot


def snapshot(
    totals: Totals,
    *,
    phase: str,
    now_ns: int,
    started_ns: int,
    expected: int,
    codes: int,
) -> Snapshot:
    """The figures of the moment.

    Args:
        totals: the account.
        phase: the run's.
        now_ns: the time (wall clock, ns).
        started_ns: when the run began.
        expected: connections that there are to be.
        codes: those that are to be sent in all.
    """
    outcomes, counts, causes = totals.outcomes, totals.tally.counts, totals.tally.causes
    delivery, lag = totals.recent(now_ns)
    gauges = [each.gauges for each in totals.workers.values()]
    return Snapshot(
        phase=phase,
        elapsed_s=(now_ns - started_ns) / 1e9,
        expected=expected,
        attempted=counts["attempted"],
        open=totals.gauge("open"),
        connecting=totals.gauge("connecting"),
        failed=counts["failed"],
        dropped=counts["dropped"],
        codes_scheduled=codes,
        codes_sent=totals.sent,
        accepted=totals.statuses["accepted"],
        delivered=outcomes["delivered"] + totals.gauge("delivered"),
        owed=outcomes["owed"] + totals.gauge("owed"),
        late=outcomes["late"],
        missing=outcomes["missing"] + outcomes["interrupted"],
        errors=sum(causes.values()),
        p50_ms=delivery.p50,
        p99_ms=delivery.p99,
        lag_p99_ms=lag.p99,
        cpu_percent=max((each.get("cpu_percent", 0.0) for each in gauges), default=None),
        waited_percent=highest(each.get("waited_percent") for each in gauges),
    )
