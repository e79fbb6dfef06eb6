"""The cost of codes that come several in a message."""

from __future__ import annotations

from bench.compression import Kind, Measured, measure
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread

#: How many codes a message has.
_BATCHES = (1, 2, 10, 50)


def run(*, quick: bool, rounds: int) -> Table:
    """Measure all sizes of batches, round after round."""
    connections, codes, interval = (50, 50, 0.05) if quick else (500, 400, 0.05)
    table = Table("batches", ["codes in a message", "µs a receipt", "µs a message"])
    measured: dict[int, list[Measured]] = {each: [] for each in _BATCHES}
    for number in range(rounds):
        for batch in _BATCHES:
            result = measure(Kind(f"{batch}", {}, batch=batch), connections, codes, interval)
            measured[batch].append(result)
            row = {
                "batch": batch,
                "round": number + 1,
                "us_per_receipt": result.us_per_receipt,
                "lost": result.lost,
            }
            table.raw.append(row)
            print_row(row)
    for batch, results in measured.items():
        single = [each.us_per_receipt for each in results]
        table.rows.append([f"{batch}", spread(single, 1), spread([batch * us for us in single], 0)])
    lost = sum(each.lost for results in measured.values() for each in results)
    table.notes.append(
        f"CPU of the whole program, user and system. {connections:,} connections to a server on "
        f"Node, {codes} codes, one each {interval * 1000:g} ms, which the server collects; {lost} "
        f"deliveries lost; {in_rounds(rounds)}."
    )
    return table
