"""Accounts of runs that are going on, as long as a test asks for."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from sseload_users.core.channels import ChannelPlan
from sseload_users.core.leaks import Leak
from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.report.account import Run
from sseload_users.report.live import Live
from sseload_users.report.snapshot import Snapshot
from sseload_users.run.thresholds_file import load_thresholds

#: 2026-11-24 09:30:00.250 UTC.
START_NS = 1_795_512_600_250_000_000
_S = 1_000_000_000


def report(tally: Tally, **gauges: Any) -> WorkerReport:
    """A worker's report with this tally and these gauges."""
    known = Gauges(
        broadcasters=1, peak_open=gauges.get("open", 0), cpu_percent=12.0, waited_percent=0.5,
        rss_mib=96.0, clock_known=True, phase=4,
    )  # fmt: skip
    return WorkerReport(tally, {}, replace(known, **gauges))


def account(
    seconds: int,
    *,
    every_s: int = 1,
    connections: int = 50,
    missing: int = 0,
    leaked: int = 0,
    workers: int = 1,
    plan: ChannelPlan | None = None,
) -> Totals:
    """The account of a run after so many seconds, of which the first two went by connecting.

    Args:
        seconds: since it began.
        every_s: from one code to the next.
        connections: of each worker; all are open, and all get every code.
        missing: of the first code.
        leaked: copies of the first code.
        workers: how many; the first has the broadcaster.
        plan: deals codes to channels.
    """
    random_ = random.Random(1)
    totals = Totals(plan=plan)
    for worker in range(workers):
        sequence = 0
        for second in range(seconds):
            at_ns = START_NS + second * _S
            tally = Tally()
            if second == 0:
                tally.counters.attempted = tally.counters.succeeded = connections
                for _ in range(connections):
                    tally.connect.add(random_.randint(500, 9000))
            now = tally.second(at_ns)
            now.open = connections
            now.connecting = connections if second == 0 else 0
            now.cpu_percent = random_.uniform(2, 30)
            now.waited_percent = 0.5
            now.lag.add_all(random_.randint(100, 900) for _ in range(5))
            tally.lag.merge(now.lag)
            if second >= 2 and second % every_s == 0:
                sequence += 1
                code = tally.code(sequence)
                if worker == 0:
                    totals.announce(sequence, at_ns)
                    totals.set_status(sequence, "accepted")
                    tally.slip.add(300)
                    tally.ingest.add(2000)
                code.owed = connections
                code.missing = missing if sequence == 1 and worker == 0 else 0
                if leaked and sequence == 1 and worker == 0:
                    code.leaked = leaked
                    tally.keep_leak(Leak(1, "c1", 2, "ann", ("c2",)))
                code.delivered = now.received = connections - code.missing
                times = [random_.randint(800, 9000) for _ in range(code.delivered)]
                code.latencies.add_all(times)
                now.delivery.add_all(times)
                if times:
                    code.add_arrivals(at_ns + min(times) * 1000, at_ns + max(times) * 1000)
            totals.add_report(
                f"worker {worker}", report(tally, listeners=connections, open=connections)
            )
            totals.fold(at_ns)
    return totals


def live(totals: Totals, seconds: int, **changes: Any) -> Live:
    """How a run with that account stands."""
    now_ns = START_NS + seconds * _S
    run = Run(
        run_id="k3x9q2",
        started_ns=START_NS,
        target="http://127.0.0.1:8000",
        transport="websocket",
        ingest="POST /api/ingest",
        options={"codes": 10, "delivery_timeout": 10.0},
        versions={"sseload": "0.1.0"},
        finished_ns=now_ns,
        phases=[("connect", START_NS, START_NS + _S), ("broadcast", START_NS + _S, now_ns)],
        complete=True,
    )
    outcomes = totals.outcomes
    snapshot = Snapshot(
        phase="broadcast",
        elapsed_s=float(seconds),
        expected=totals.sum_gauges(lambda each: each.listeners),
        attempted=totals.tally.counters.attempted,
        open=totals.sum_gauges(lambda each: each.open),
        codes_scheduled=seconds,
        codes_sent=totals.sent,
        accepted=totals.statuses["accepted"],
        delivered=outcomes.delivered,
        owed=outcomes.owed,
        missing=outcomes.missing,
        leaked=outcomes.leaked,
        p50_ms=3.0,
        p99_ms=9.0,
    )
    values: dict[str, Any] = {
        "doing": "Broadcasting.", "run": run, "totals": totals, "now": snapshot,
        "thresholds": load_thresholds(),
    }  # fmt: skip
    return Live(**(values | changes))
