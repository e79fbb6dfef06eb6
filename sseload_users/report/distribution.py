"""Group how many connections received how many codes into a few rows."""

from __future__ import annotations

from collections.abc import Mapping

from sseload_users.core.formatting import number


def distribution(received: Mapping[str, int], rows: int = 8) -> list[tuple[str, int]]:
    """Return how many connections received how many codes, the most codes first.

    Where there are more than `rows` different numbers, the highest one and zero keep rows of
    their own, and the others are grouped into ranges.

    Args:
        received: the number of codes (as a text) to the number of connections.
        rows: the most rows, four or more.
    """
    counts = {int(codes): many for codes, many in received.items() if many}
    if len(counts) <= rows:
        return [(number(codes), counts[codes]) for codes in sorted(counts, reverse=True)]
    highest, none = max(counts), counts.pop(0, 0)
    shown = [(number(highest), counts.pop(highest))]
    lowest, top = min(counts), max(counts)
    step = -(-(top - lowest + 1) // (rows - 2))
    for start in range(top, lowest - 1, -step):
        end = max(lowest, start - step + 1)
        many = sum(counts.get(codes, 0) for codes in range(end, start + 1))
        label = number(end) if end == start else f"{number(end)}-{number(start)}"
        shown.append((label, many))
    return shown + ([("0", none)] if none else [])
