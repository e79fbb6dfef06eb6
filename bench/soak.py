"""Twenty minutes of load: whether the generator's memory grows, and whether codes are lost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from bench.children import Child
from bench.generators import Sseload
from bench.measure import measure
from bench.progress import print_row
from bench.tables import Table, spread
from bench.traffic import Codes, Load

#: Connections, and seconds with one code each.
_CONNECTIONS, _SECONDS = 1000, 1200
#: The number of equal parts of the time for which memory is reported.
_PARTS = 4


def run(*, quick: bool, rounds: int) -> Table:
    """Hold the connections, and measure the memory of the process."""
    table = Table(
        "soak",
        [
            "connections", "owed", "lost",
            *(f"MiB in quarter {number}" for number in range(1, _PARTS + 1)),
            "MiB an hour",
        ],
    )  # fmt: skip
    load = Load(100, 40, 0.5) if quick else Load(_CONNECTIONS, _SECONDS, 1.0)
    # One round is enough, because growth shows within it.
    del rounds
    results = [_soak(load)]
    for report in results:
        parts = quarters(report)
        row = {
            "owed": report["deliveries"]["owed"],
            "lost": report["deliveries"]["owed"] - report["deliveries"]["delivered"],
            "dropped": report["connections"]["dropped"],
            "mib_by_quarter": [statistics.median(part) for part in parts],
            "mib_an_hour": growth(report),
        }
        table.raw.append(row)
        print_row(row)
    table.rows.append(
        [
            f"{load.connections:,}",
            *(f"{sum(row[name] for row in table.raw):,}" for name in ("owed", "lost")),
            *(
                spread([row["mib_by_quarter"][index] for row in table.raw], 1)
                for index in range(_PARTS)
            ),
            spread([row["mib_an_hour"] for row in table.raw], 2),
        ]
    )
    table.notes.append(
        f"Plain, a code every {load.interval:g} s for {load.codes * load.interval / 60:.2g} min; "
        "resident memory of sseload's one process as its own report has it, once a second: the "
        "median of each quarter of the time in which codes came, and the slope of the last three "
        "quarters, by least squares."
    )
    return table


def quarters(report: dict[str, Any]) -> list[list[float]]:
    """Return the resident memory in MiB for each part of the broadcast."""
    points = _under_load(report)
    size = len(points) / _PARTS
    return [
        [rss for _, rss in points[round(index * size) : round((index + 1) * size)]]
        for index in range(_PARTS)
    ]


def growth(report: dict[str, Any]) -> float:
    """Return the growth of memory in MiB per hour, without the first quarter."""
    points = _under_load(report)
    settled = points[len(points) // _PARTS :]
    return statistics.linear_regression(*zip(*settled, strict=True)).slope * 3600


def _under_load(report: dict[str, Any]) -> Sequence[tuple[float, float]]:
    sent = [point["t"] for point in report["timeline"] if point["sent"]]
    return [
        (point["t"], point["rss_mib"])
        for point in report["timeline"]
        if sent[0] <= point["t"] <= sent[-1]
    ]


def _soak(load: Load) -> dict[str, Any]:
    report: dict[str, Any] = {}

    def inspect(program: Child, codes: Codes) -> None:
        del codes
        report.update(Sseload().reported(program))

    measure(Sseload(), load, inspect=inspect)
    return report
