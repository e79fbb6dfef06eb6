"""The cost of a receipt where each connection gets a payload of its own."""

from __future__ import annotations

import statistics

from bench.compression import Kind, Measured, measure
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread

_OWN = {"own": True}
#: What is compared: the payload that is the same for all, and those that differ.
KINDS = {
    "a code in JSON": (
        Kind("WebSocket", {}),
        Kind("WebSocket", _OWN),
    ),
    "a code in JSON within JSON": (
        Kind("WebSocket", {"nested": True}, field="data.post.code"),
        Kind("WebSocket", {"nested": True, **_OWN}, field="data.post.code"),
    ),
    "an event with an ID": (
        Kind("event stream", {}, "sse"),
        Kind("event stream", _OWN, "sse"),
    ),
}
#: Bytes beside the code in each message.
_PADDINGS = (0, 1000)


def run(*, quick: bool, rounds: int) -> Table:
    """Measure all kinds, round after round."""
    connections, codes, interval = (50, 20, 0.1) if quick else (500, 100, 0.1)
    table = Table(
        "payload", ["payload", "bytes beside the code", "same, µs", "different, µs", "of same"]
    )
    measured: dict[tuple[str, int, bool], list[Measured]] = {}
    for number in range(rounds):
        for title, (same, own) in KINDS.items():
            for padding in _PADDINGS:
                for different, kind in enumerate((same, own)):
                    result = measure(kind, connections, codes, interval, padding=padding)
                    measured.setdefault((title, padding, bool(different)), []).append(result)
                    row = {
                        "payload": title,
                        "padding": padding,
                        "different": bool(different),
                        "round": number + 1,
                        "us_per_receipt": result.us_per_receipt,
                        "lost": result.lost,
                    }
                    table.raw.append(row)
                    print_row(row)
    lost = sum(each.lost for results in measured.values() for each in results)
    for title in KINDS:
        for padding in _PADDINGS:
            same_us, own_us = (
                [each.us_per_receipt for each in measured[title, padding, different]]
                for different in (False, True)
            )
            ratio = statistics.median(own_us) / statistics.median(same_us)
            cells = [spread(same_us, 1), spread(own_us, 1), f"{ratio:.2f}"]
            table.rows.append([title, f"{padding}", *cells])
    table.notes.append(
        f"CPU of the whole program, user and system, for each receipt. {connections:,} connections "
        f"to a server on Node, {codes} codes, one each {interval * 1000:g} ms; {lost} deliveries "
        f"lost; {in_rounds(rounds)}."
    )
    return table
