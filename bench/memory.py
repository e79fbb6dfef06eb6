"""What a connection weighs: resident memory of the process, for each connection it holds."""

from __future__ import annotations

from bench.generators import Sseload
from bench.measure import Measured, measure
from bench.progress import say
from bench.tables import Table, in_rounds, spread
from bench.traffic import Load

#: Codes, and seconds between them: enough that everything on the way has been used.
_CODES, _INTERVAL = 5, 1.0
#: A process with so few connections is taken for one with none.
FEW = 10


def run(*, quick: bool, rounds: int) -> Table:
    """Weigh plain and TLS connections."""
    table = Table("memory", ["connections", "KiB each", "the process, MiB", "of it with none, MiB"])
    connections = 500 if quick else 10_000
    for tls in (False, True):
        pairs = [
            tuple(_weigh(Load(count, _CODES, _INTERVAL, tls=tls)) for count in (FEW, connections))
            for _ in range(rounds)
        ]
        for few, many in pairs:
            row = {
                "tls": tls,
                "kib_each": kib_each(few, many, connections),
                "mib": many.resident_bytes / (1 << 20),
                "mib_with_none": few.resident_bytes / (1 << 20),
            }
            table.raw.append(row)
            say(row)
        table.rows.append(
            [
                f"{connections:,}, {'TLS' if tls else 'plain'}",
                spread([kib_each(few, many, connections) for few, many in pairs], 1),
                spread([many.resident_bytes / (1 << 20) for _, many in pairs], 0),
                spread([few.resident_bytes / (1 << 20) for few, _ in pairs], 0),
            ]
        )
    table.notes.append(
        f"Resident memory of sseload's one process after {_CODES} codes, less that of a process "
        f"with {FEW} connections; {in_rounds(rounds)}."
    )
    return table


def kib_each(few: Measured, many: Measured, connections: int) -> float:
    """What each connection beyond the few weighs."""
    return (many.resident_bytes - few.resident_bytes) / (connections - FEW) / 1024


def _weigh(load: Load) -> Measured:
    return measure(Sseload(), load)
