"""Memory per connection: the resident memory of the process."""

from __future__ import annotations

from bench.generators import Sseload
from bench.measure import Measured, measure
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from bench.traffic import Load

#: Codes and seconds between them, enough to use every part of the receive path.
_CODES, _INTERVAL = 5, 1.0
#: The number of connections whose memory is neglected.
FEW = 10


def run(*, quick: bool, rounds: int) -> Table:
    """Measure plain and TLS connections."""
    table = Table("memory", ["connections", "KiB each", "the process, MiB", "of it with none, MiB"])
    connections = 500 if quick else 10_000
    for tls in (False, True):
        pairs = [
            tuple(_measure(Load(count, _CODES, _INTERVAL, tls=tls)) for count in (FEW, connections))
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
            print_row(row)
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
    """Return the KiB of each connection beyond the few."""
    return (many.resident_bytes - few.resident_bytes) / (connections - FEW) / 1024


def _measure(load: Load) -> Measured:
    return measure(Sseload(), load)
