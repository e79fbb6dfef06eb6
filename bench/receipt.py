"""What one receipt costs: CPU of the whole program, for each code on each connection."""

from __future__ import annotations

import statistics
from dataclasses import replace

from bench.generators import (
    Artillery,
    BareLoop,
    Generator,
    PlainLocust,
    Sseload,
    TransportAlone,
)
from bench.measure import Measured, measure
from bench.progress import say
from bench.tables import Table, spread
from bench.traffic import Load

GENERATORS: tuple[Generator, ...] = (
    BareLoop(),
    TransportAlone(),
    Sseload(),
    Artillery(),
    PlainLocust(),
)


def run(*, quick: bool, rounds: int) -> Table:
    """Compare all programs, round after round."""
    load = Load(1000, 20 if quick else 200, 0.1)
    table = Table(
        "receipt",
        ["program", "plain, µs", "of bare", "TLS, µs", "of bare", "lost"],
    )
    ready: list[Generator] = []
    for generator in GENERATORS:
        if (reason := generator.missing()) is None:
            ready.append(generator)
        else:
            table.notes.append(f"{generator.title}: not measured: {reason}.")
    measured: dict[tuple[str, bool], list[Measured]] = {}
    for number in range(rounds):
        for tls in (False, True):
            for generator in ready:
                own = replace(load, tls=tls)
                result = measure(generator, own)
                measured.setdefault((generator.title, tls), []).append(result)
                row = {
                    "program": generator.title,
                    "tls": tls,
                    "round": number + 1,
                    "us_per_receipt": result.us_per_receipt,
                    "cpu_percent": result.cpu_percent,
                    "lost": result.lost,
                    "load_average": result.load_average,
                }
                table.raw.append(row)
                say(row)
    for generator in ready:
        cells = [generator.title]
        for tls in (False, True):
            costs = [each.us_per_receipt for each in measured[generator.title, tls]]
            bare = [each.us_per_receipt for each in measured[BareLoop.title, tls]]
            cells.append(spread(costs, 1))
            cells.append(f"{statistics.median(costs) / statistics.median(bare):.2f}")
        lost = [each.lost for tls in (False, True) for each in measured[generator.title, tls]]
        table.rows.append([*cells, str(sum(lost))])
    table.notes.append(
        f"{load.connections} connections, {load.codes} codes, one each "
        f"{load.interval * 1000:g} ms; {rounds} rounds: the median (lowest to highest)."
    )
    return table
