"""Accounts of runs that are going on, as long as a test asks for."""

from __future__ import annotations

import random
from typing import Any

from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.report.build import Run
from sseload_users.report.live import Live
from sseload_users.report.progress import Snapshot
from sseload_users.verdict.thresholds import load

#: 2026-11-24 09:30:00.250 UTC.
START_NS = 1_795_512_600_250_000_000
_S = 1_000_000_000


def report(tally: Tally, **gauges: Any) -> dict[str, Any]:
    """What a worker sends: its news, and its gauges."""
    known = {
        "listeners": 0, "broadcasters": 1, "pending": 0, "connecting": 0, "open": 0,
        "peak_open": gauges.get("open", 0), "settled": 0, "in_flight": 0, "owed": 0,
        "delivered": 0, "cpu_percent": 12.0, "waited_percent": 0.5, "rss_mib": 96.0,
        "clock_known": True, "clock_error_ns": 0, "timestamps": "kernel", "phase": 4,
    }  # fmt: skip
    return {
        "run": "k3x9q2", "final": False, "tally": tally.pack(), "received": {},
        "gauges": known | gauges,
    }  # fmt: skip


def account(
    seconds: int, *, every_s: int = 1, connections: int = 50, missing: int = 0, workers: int = 1
) -> Totals:
    """The account of a run after so many seconds, of which the first two went by connecting.

    Args:
        seconds: since it began.
        every_s: from one code to the next.
        connections: of each worker; all are open, and all get every code.
        missing: of the first code.
        workers: how many; the first has the broadcaster.
    """
    random_ = random.Random(1)
    totals = Totals()
    for worker in range(workers):
        sequence = 0
        for second in range(seconds):
            at_ns = START_NS + second * _S
            tally = Tally()
            if second == 0:
                tally.counts.update(attempted=connections, succeeded=connections)
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
                    totals.announced(sequence, at_ns)
                    totals.answered(sequence, "accepted")
                    tally.slip.add(300)
                    tally.ingest.add(2000)
                code.owed = connections
                code.missing = missing if sequence == 1 and worker == 0 else 0
                code.delivered = now.received = connections - code.missing
                times = [random_.randint(800, 9000) for _ in range(code.delivered)]
                code.latencies.add_all(times)
                now.delivery.add_all(times)
                if times:
                    code.arrived(at_ns + min(times) * 1000, at_ns + max(times) * 1000)
            totals.report(
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
        expected=totals.gauge("listeners"),
        attempted=totals.tally.counts["attempted"],
        open=totals.gauge("open"),
        codes_scheduled=seconds,
        codes_sent=totals.sent,
        accepted=totals.statuses["accepted"],
        delivered=outcomes["delivered"],
        owed=outcomes["owed"],
        missing=outcomes["missing"],
        p50_ms=3.0,
        p99_ms=9.0,
    )
    values: dict[str, Any] = {
        "doing": "Broadcasting.", "run": run, "totals": totals, "now": snapshot,
        "thresholds": load(),
    }  # fmt: skip
    return Live(**(values | changes))
