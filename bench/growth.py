"""Whether the cost of a connection or of a receipt grows with their number."""

from __future__ import annotations

from bench.generators import Sseload
from bench.measure import Measured, measure
from bench.memory import FEW, kib_each
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from bench.traffic import Load

#: Receipts per second and in total, the same for every size.
_RATE, _RECEIPTS = 10_000, 200_000


def run(*, quick: bool, rounds: int) -> Table:
    """Measure with few connections and with many."""
    table = Table("growth", ["connections", "codes", "whole, µs", "alone, µs", "KiB each"])
    sizes = (100, 500) if quick else (100, 1000, 5000, 10_000, 15_000)
    receipts = _RECEIPTS // 10 if quick else _RECEIPTS
    measured: dict[int, list[tuple[Measured, Measured]]] = {size: [] for size in sizes}
    for number in range(rounds):
        for size in sizes:
            codes = max(receipts // size, 5)
            few = measure(Sseload(), Load(FEW, codes, size / _RATE))
            many = measure(Sseload(), Load(size, codes, size / _RATE))
            measured[size].append((few, many))
            row = {
                "connections": size,
                "round": number + 1,
                "codes": codes,
                "us_per_receipt": many.us_per_receipt,
                "us_alone": _alone_us(few, many),
                "kib_each": kib_each(few, many, size),
                "lost": many.lost,
                "load_average": many.load_average,
            }
            table.raw.append(row)
            print_row(row)
    for size, pairs in measured.items():
        table.rows.append(
            [
                f"{size:,}",
                str(max(receipts // size, 5)),
                spread([many.us_per_receipt for _, many in pairs], 1),
                spread([_alone_us(few, many) for few, many in pairs], 1),
                spread([kib_each(few, many, size) for few, many in pairs], 1),
            ]
        )
    table.notes.append(
        f"Plain, {_RATE:,} receipts a second at every size. Whole: CPU of the process for each "
        f"receipt. Alone: the same less the CPU of a process with {FEW} connections and as many "
        "codes, which is the cost of sending codes and waiting; memory is compared with that "
        f"process as well; {in_rounds(rounds)}."
    )
    return table


def _alone_us(few: Measured, many: Measured) -> float:
    return (many.cpu_seconds - few.cpu_seconds) / (many.receipts - few.receipts) * 1e6
