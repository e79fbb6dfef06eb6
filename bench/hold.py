"""Whether sseload keeps up with many connections and receipts, and accounts for all of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from bench.children import Child
from bench.generators import Sseload
from bench.measure import Measured, measure
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from bench.traffic import Codes, Load

#: Seconds for which codes are sent.
_S = 60


@dataclass(frozen=True, slots=True)
class _Case:
    load: Load
    processes: int = 1

    def __str__(self) -> str:
        secure = "TLS" if self.load.tls else "plain"
        processes = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.load.connections:,}, {secure}{processes}"


_CASES = (
    _Case(Load(9000, _S, 1.0)),
    _Case(Load(9000, _S, 1.0, tls=True)),
    _Case(Load(15_000, _S, 1.0)),
    _Case(Load(19_000, _S, 1.0), processes=2),
    # More than the server can send.
    _Case(Load(10_000, _S * 10, 0.1)),
)
_QUICK = (_Case(Load(500, 5, 1.0)), _Case(Load(500, 20, 0.1), processes=2))


def run(*, quick: bool, rounds: int) -> Table:
    """Measure each case."""
    table = Table(
        "hold",
        [
            "connections", "receipts a second, offered", "owed", "delivered", "late", "missing",
            "CPU, %", "lag p50, ms", "lag p99, ms", "saturated",
        ],
    )  # fmt: skip
    for case in _QUICK if quick else _CASES:
        results = [_hold(case) for _ in range(rounds)]
        for measured, report in results:
            row = {
                "connections": case.load.connections,
                "tls": case.load.tls,
                "processes": case.processes,
                **{name: report["deliveries"][name] for name in (*_OUTCOMES, "interrupted")},
                "cpu_percent": report["generator"]["cpu_percent_max"],
                "saturated": report["generator"]["saturated"],
                "grade": report["verdict"]["grade"],
                "notes": report["run"]["notes"],
                "load_average": measured.load_average,
                **{f"lag_{name}": report["generator"]["lag_ms"][name] for name in _LAG},
                **{f"delivery_{name}": report["delivery_ms"][name] for name in _LAG},
            }
            table.raw.append(row)
            print_row(row)
        reports = [report for _, report in results]
        # With several processes, this is the CPU of the master.
        cpu = [measured.cpu_percent for measured, _ in results]
        table.rows.append(
            [
                str(case),
                f"{case.load.connections / case.load.interval:,.0f}",
                *(
                    f"{statistics.median(each['deliveries'][name] for each in reports):,.0f}"
                    for name in _OUTCOMES
                ),
                spread(cpu, 1) if case.processes == 1 else "",
                *(
                    spread([each["generator"]["lag_ms"][name] for each in reports], 2)
                    for name in ("p50", "p99")
                ),
                "yes" if any(each["generator"]["saturated"] for each in reports) else "no",
            ]
        )
    table.notes.append(
        f"Codes for {'a few' if quick else _S} s; CPU is the share of one core while codes come; "
        "the lag is the whole run's, connecting included; saturated as the report says. Several "
        "processes share all "
        f"cores with the server; {in_rounds(rounds)}."
    )
    return table


_OUTCOMES = ("owed", "delivered", "late", "missing")
_LAG = ("p50", "p99", "max")


def _hold(case: _Case) -> tuple[Measured, dict[str, Any]]:
    report: dict[str, Any] = {}
    generator = Sseload(case.processes)

    def inspect(program: Child, codes: Codes) -> None:
        del codes
        report.update(generator.reported(program))

    return measure(generator, case.load, inspect=inspect), report
