"""How long the report of a run takes, from the last report of the last worker on.

The account of a whole run is replayed: each worker's ledger receives one code in each session,
and what it reports of it is repeated for all codes, with their numbers and times. Some
connections lack some codes, so that the diagnosis has something to look at.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from bench import machine
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from sseload_users.core.connection_row import ConnectionRow, connection_row
from sseload_users.core.ledger import Ledger
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.report import files, history
from sseload_users.report.account import Run
from sseload_users.report.build import build
from sseload_users.report.console import summary
from sseload_users.run.thresholds_file import load_thresholds

_S = 1_000_000_000
_BEGAN_S = 1_700_000_000
#: The options that a report looks at. Those of a run are not imported: that imports Locust,
#: which patches the standard library.
_OPTIONS = {"ladder": (), "search": "", "delivery_timeout": 10.0, "storm_jitter": 0.0}
#: Of so many codes, one is missing at a connection of each worker.
_LOST_EVERY = 97


@dataclass(frozen=True, slots=True)
class _Case:
    workers: int
    connections: int
    codes: int

    @property
    def receipts(self) -> int:
        return self.workers * self.connections * self.codes


_CASES = (
    _Case(1, 1000, 1000),
    _Case(1, 1000, 28_800),
    _Case(1, 1000, 100_000),
    _Case(10, 10_000, 1000),
    _Case(64, 1600, 1000),
)
_QUICK = (_Case(1, 100, 100), _Case(4, 100, 50))


class _Worker:
    """A worker whose reports of one code are repeated for all."""

    def __init__(self, number: int, connections: int) -> None:
        self.name = f"w{number}"
        self._connections = connections
        self._ledger = ledger = Ledger(10.0, self._arrived)
        draw = random.Random(number)
        for each in range(connections):
            connection = ledger.add_connection()
            connection.username = f"user{each}"
            connection.connect_us = draw.randrange(500, 9000)
            ledger.open_session(connection, _BEGAN_S * _S, _BEGAN_S * _S)
        sessions = list(ledger.audience.open)
        self._users = ledger.take()
        # One that everybody has, and one that a connection lacks.
        self._packed = []
        for sequence, late in ((1, 0), (2, 1)):
            sent_ns = (_BEGAN_S + 10 + sequence) * _S
            ledger.announce(sequence, sent_ns)
            ledger.set_status(sequence, "accepted")
            code = ledger.code(sequence)
            for session in sessions[late:]:
                session.receive(code, sent_ns + round(draw.lognormvariate(1.5, 0.5) * 1e6))
            ledger.settle(sent_ns + 11 * _S)
            self._packed.append(msgpack.packb(self._report().pack()))

    def _arrived(self, latencies_us: list[int], arrived_ns: list[int]) -> None:
        second = self._ledger.tally.second(arrived_ns[0])
        second.received += len(latencies_us)
        second.delivery.add_all(latencies_us)

    def _report(self, *, rows: tuple[ConnectionRow, ...] = (), final: bool = False) -> WorkerReport:
        gauges = Gauges(listeners=self._connections, open=self._connections, clock_known=True)
        received = {1: self._connections}
        return WorkerReport(self._ledger.take(), received, gauges, final, rows)

    def first(self) -> WorkerReport:
        """Return a report of the connections."""
        gauges = Gauges(listeners=self._connections, open=self._connections, clock_known=True)
        counters = self._users.counters
        counters.attempted = counters.succeeded = self._connections
        return WorkerReport(self._users, {0: self._connections}, gauges)

    def report(self, sequence: int, now_s: int) -> WorkerReport:
        """Return the report of a code."""
        packed = self._packed[sequence % _LOST_EVERY == 0]
        report = WorkerReport.unpack(msgpack.unpackb(packed, strict_map_key=False))
        tally = report.tally
        ((known, code),) = tally.codes.items()
        shift_ns = now_s * _S - (_BEGAN_S + 10 + known) * _S
        code.first_ns += shift_ns
        code.last_ns += shift_ns
        tally.codes = {sequence: code}
        tally.seconds = {key + shift_ns // _S: each for key, each in tally.seconds.items()}
        evidence = tally.evidence
        evidence.owed = dict.fromkeys([sequence] * bool(evidence.owed), *evidence.owed.values())
        evidence.lacking = dict.fromkeys(evidence.owed, *evidence.lacking.values())
        return report

    def last(self) -> WorkerReport:
        """Return the final report, with a row for each connection."""
        return self._report(rows=tuple(map(connection_row, self._ledger.connections)), final=True)


def _replayed(case: _Case) -> Totals:
    """Return the account of a run, as the last worker has reported."""
    workers = [_Worker(number, case.connections) for number in range(1, case.workers + 1)]
    totals = Totals()
    for worker in workers:
        totals.add_report(worker.name, worker.first())
    for sequence in range(1, case.codes + 1):
        now_s = _BEGAN_S + 10 + sequence
        totals.announce(sequence, now_s * _S, 50)
        totals.set_status(sequence, "accepted", 900)
        for worker in workers:
            totals.add_report(worker.name, worker.report(sequence, now_s))
        totals.fold(now_s * _S)
    for worker in workers:
        totals.add_report(worker.name, worker.last())
    assert totals.outcomes.owed == case.receipts
    return totals


def _facts(case: _Case) -> Run:
    ended_s = _BEGAN_S + case.codes + 20
    return Run(
        run_id="bench0",
        started_ns=_BEGAN_S * _S,
        target="http://127.0.0.1:8000",
        transport="websocket",
        ingest="POST /codes",
        options=_OPTIONS,
        versions={},
        finished_ns=ended_s * _S,
        phases=[("broadcast", (_BEGAN_S + 10) * _S, ended_s * _S)],
        complete=True,
    )


def _close(case: _Case, totals: Totals, folder: Path) -> dict[str, float]:
    """Make the report and its files as a run does; return the CPU seconds of each part."""
    clock = time.process_time
    began = clock()
    report = build(_facts(case), totals, load_thresholds(None))
    built = clock()
    rows = [row for worker in totals.workers.values() for row in worker.connections]
    history.keep(report, str(folder))
    kept = [str(folder / "report"), str(history.folder_of(str(folder), report))]
    files.write(report, kept[0], rows, copies=kept[1:])
    written = clock()
    summary(report)
    ended = clock()
    return {
        "build_s": built - began,
        "write_s": written - built,
        "console_s": ended - written,
        "all_s": ended - began,
    }


def _resident_mib() -> float:
    return machine.resident_bytes(os.getpid()) / (1 << 20)


def run(*, quick: bool, rounds: int) -> Table:
    """Measure each case."""
    table = Table(
        "closing",
        ["workers", "connections", "codes", "receipts", "report, s", "files, s", "all, s", "MiB"],
    )
    for case in _QUICK if quick else _CASES:
        before_mib = _resident_mib()
        totals = _replayed(case)
        replayed_mib = _resident_mib()
        taken: list[dict[str, Any]] = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                taken.append(_close(case, totals, Path(folder)))
            row = {
                "workers": case.workers,
                "connections": case.workers * case.connections,
                "codes": case.codes,
                **taken[-1],
                "mib": replayed_mib - before_mib,
            }
            table.raw.append(row)
            print_row(row)
        table.rows.append(
            [
                f"{case.workers:,}",
                f"{case.workers * case.connections:,}",
                f"{case.codes:,}",
                f"{case.receipts:,}",
                *(spread([each[name] for each in taken], 2) for name in ("build_s", "write_s")),
                spread([each["all_s"] for each in taken], 2),
                f"{replayed_mib - before_mib:.0f}",
            ]
        )
    table.notes.append(
        "CPU of the leader from the last worker's report to the end: the report, its files in two "
        "folders, and the summary. MiB: by how much the account of the run has grown; "
        f"{in_rounds(rounds)}."
    )
    return table
