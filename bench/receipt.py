"""The cost of a receipt: the CPU time of the whole program for one code on one connection."""

from __future__ import annotations

import statistics
from dataclasses import replace

from bench.generators import (
    Artillery,
    BareLoop,
    Generator,
    PlainLocust,
    PlainLocustLoop,
    Sseload,
    SseloadInPython,
    TransportAlone,
)
from bench.measure import Measured, measure
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from bench.traffic import Load

GENERATORS: tuple[Generator, ...] = (
    BareLoop(),
    TransportAlone(),
    Sseload(),
    SseloadInPython(),
    Artillery(),
    PlainLocustLoop(),
    PlainLocust(),
)


def run(*, quick: bool, rounds: int) -> Table:
    """Measure all programs, round after round."""
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
                mine = replace(load, tls=tls)
                result = measure(generator, mine)
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
                print_row(row)
    medians = {
        key: statistics.median(each.us_per_receipt for each in results)
        for key, results in measured.items()
    }
    for generator in ready:
        cells, lost = [generator.title], 0
        for tls in (False, True):
            results = measured[generator.title, tls]
            cells.append(spread([each.us_per_receipt for each in results], 1))
            cells.append(f"{medians[generator.title, tls] / medians[BareLoop.title, tls]:.2f}")
            lost += sum(each.lost for each in results)
        table.rows.append([*cells, str(lost)])
    for tls in (False, True):
        own = medians[Sseload.title, tls]
        others = [
            f"{medians[generator.title, tls] / own:.2f} × for {generator.title}"
            for generator in ready
            if generator.title != Sseload.title
        ]
        table.notes.append(
            f"{'TLS' if tls else 'Plain'}, relative to sseload: {', '.join(others)}."
        )
    table.notes.append(
        f"CPU of the whole program, user and system, for each receipt. {load.connections:,} "
        f"connections, {load.codes} codes, one each {load.interval * 1000:g} ms; "
        f"{in_rounds(rounds)}."
    )
    return table
