"""How far one master goes: workers' reports, as a ledger makes them, replayed at full speed.

A worker's second is made by a real ledger: so many sessions, each of which receives each
code once. What it would send is packed as Locust packs it, and the master's side takes it:
unpacked, merged, folded, and looked at as often as the console looks.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgpack

from bench.tables import Table, spread
from sseload_users.core.connection_row import received_per_connection
from sseload_users.core.ledger import Ledger
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, PackedWorkerReport, WorkerReport
from sseload_users.run.snapshot import snapshot

_S = 1_000_000_000
#: Reports that a worker sends in a second, and looks that the master takes.
_REPORTS, _LOOKS = 2, 4


class _Worker:
    """One worker, whose ledger is fed instead of connected."""

    def __init__(self, name: str, connections: int, seed: int) -> None:
        self.name = name
        self._random = random.Random(seed)
        self.ledger = Ledger(10.0, self._arrived)
        began = 1_700_000_000 * _S
        self._sessions = [
            self.ledger.open_session(self.ledger.add_connection(), began, began)
            for _ in range(connections)
        ]

    def _arrived(self, latencies_us: list[int], arrived_ns: list[int]) -> None:
        second = self.ledger.tally.second(arrived_ns[0])
        second.received += len(latencies_us)
        second.delivery.add_all(latencies_us)

    def receive(self, sequence: int, sent_ns: int) -> None:
        """Let every session get a code, and its account be closed."""
        self.ledger.announce(sequence, sent_ns)
        self.ledger.set_status(sequence, "accepted")
        code = self.ledger.code(sequence)
        for session in self._sessions:
            late_ns = round(self._random.lognormvariate(1.5, 0.5) * 1e6)
            session.receive(code, sent_ns + late_ns)
        self.ledger.settle(sent_ns + _S // 2)

    def report(self) -> PackedWorkerReport:
        """What it would report now."""
        second = self.ledger.tally
        second.lag.add_all(self._random.choices(range(200, 4000), k=len(self._sessions)))
        gauges = Gauges(open=len(self._sessions), peak_open=len(self._sessions), clock_known=True)
        return WorkerReport(
            self.ledger.take(), received_per_connection(self.ledger.connections), gauges
        ).pack()


def _replay(workers: int, connections: int, codes: int) -> tuple[float, float]:
    """Bytes that the workers report for a code, and the master's CPU seconds for a second."""
    own = [_Worker(f"w{number}", connections, number) for number in range(workers)]
    totals = Totals()
    size, spent = 0, 0.0
    for sequence in range(1, codes + 1):
        sent_ns = (1_700_000_010 + sequence) * _S
        for worker in own:
            worker.receive(sequence, sent_ns)
        packed = list(_packed(own))
        size += sum(len(each) for _, each in packed)
        began = time.process_time()
        totals.announce(sequence, sent_ns)
        totals.set_status(sequence, "accepted", 900)
        for name, each in packed:
            packed_report = msgpack.unpackb(each, strict_map_key=False)[1]
            totals.add_report(name, WorkerReport.unpack(packed_report))
        for _ in range(_LOOKS):
            totals.fold(sent_ns)
            snapshot(
                totals, phase="broadcast", now_ns=sent_ns, started_ns=sent_ns, expected=0, codes=0
            )
        spent += time.process_time() - began
    assert totals.outcomes.delivered == workers * connections * codes
    return size / codes, spent / codes


def _packed(workers: list[_Worker]) -> Iterator[tuple[str, bytes]]:
    for worker in workers:
        for _ in range(_REPORTS):
            yield worker.name, msgpack.packb(("sseload", worker.report(), worker.name))


def run(*, quick: bool, rounds: int) -> Table:
    """Measure with a code a second; see the module."""
    sizes = [(1, 1000), (10, 1000), (10, 10_000), (50, 1000), (100, 1000)]
    rows: list[Sequence[str]] = []
    raw: list[dict[str, Any]] = []
    for workers, connections in sizes[:2] if quick else sizes:
        taken = [_replay(workers, connections, 5 if quick else 20) for _ in range(rounds)]
        size = taken[0][0]
        shares = [each * 100 for _, each in taken]
        raw.append({"workers": workers, "connections": connections, "bytes": size, "cpu": shares})
        rows.append(
            [
                f"{workers:,}",
                f"{workers * connections:,}",
                f"{2 + _REPORTS:,}",
                f"{size / workers / 1024:,.1f}",
                f"{spread(shares, 1)} %",
            ]
        )
    return Table(
        name="scaling",
        columns=[
            "workers",
            "connections",
            "messages a worker and second",
            "KiB a worker and second",
            "CPU of the master",
        ],
        rows=rows,
        notes=["A code a second; the CPU is the share of one core."],
        raw=raw,
    )
