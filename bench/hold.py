"""Many connections in one process on one core, for a minute."""

from __future__ import annotations

import statistics
from typing import Any

from bench.children import Child
from bench.generators import Sseload
from bench.measure import Measured, measure
from bench.progress import say
from bench.tables import Table, spread
from bench.traffic import Codes, Load


def run(*, quick: bool, rounds: int) -> Table:
    """Hold the connections, plain and TLS, with one code a second."""
    table = Table(
        "hold",
        ["connections", "owed", "delivered", "CPU, %", "lag p50, ms", "lag p99, ms", "lag max, ms"],
    )
    connections, codes = (500, 5) if quick else (9000, 60)
    for tls in (False, True):
        load = Load(connections, codes, 1.0, tls=tls)
        results = [_hold(load) for _ in range(rounds)]
        for measured, report in results:
            row = {
                "tls": tls,
                "owed": report["deliveries"]["owed"],
                "delivered": report["deliveries"]["delivered"],
                "cpu_percent": measured.cpu_percent,
                "load_average": measured.load_average,
                **{f"lag_{name}": report["generator"]["lag_ms"][name] for name in _LAG},
                **{f"delivery_{name}": report["delivery_ms"][name] for name in _LAG},
            }
            table.raw.append(row)
            say(row)
        table.rows.append(
            [
                f"{connections:,}, {'TLS' if tls else 'plain'}",
                *(
                    f"{statistics.median(report['deliveries'][name] for _, report in results):,}"
                    for name in ("owed", "delivered")
                ),
                spread([measured.cpu_percent for measured, _ in results], 1),
                *(
                    spread([report["generator"]["lag_ms"][name] for _, report in results], 2)
                    for name in _LAG
                ),
            ]
        )
    table.notes.append(
        f"One code a second for {codes} s; CPU is the share of one core while codes come; the "
        f"lag is the whole run's, connecting included; {rounds} rounds: the median (lowest to "
        "highest)."
    )
    return table


_LAG = ("p50", "p99", "max")


def _hold(load: Load) -> tuple[Measured, dict[str, Any]]:
    report: dict[str, Any] = {}

    def look(program: Child, codes: Codes) -> None:
        del codes
        report.update(Sseload().reported(program))

    return measure(Sseload(), load, look=look), report
