"""The pairs of a code and a connection that were not simply delivered, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

#: The most pairs that a process keeps, and that deliveries.csv has.
MAX_PAIRS = 100_000


class Pair(NamedTuple):
    """A pair that was late, recovered, interrupted or missing.

    Attributes:
        connection: number of the connection in its process.
        code: the code's sequence number.
        node: index of the connection's node; None in a run without nodes.
        outcome: the outcome.
        latency_us: how long after its sending the code came, in microseconds; None if it did not.
    """

    connection: int
    code: int
    node: int | None
    outcome: str
    latency_us: int | None


class UnusualPairs:
    """The pairs of one process that were late, recovered, interrupted or missing.

    Args:
        most: how many are kept; the first ones.
    """

    def __init__(self, most: int = MAX_PAIRS) -> None:
        self._most = most
        # By the session's number and the code's.
        self._kept: dict[tuple[int, int], Pair] = {}

    def add(self, session: int, pair: Pair) -> None:
        """Note the outcome of a pair of a session, unless too many are kept."""
        if len(self._kept) < self._most:
            self._kept[session, pair.code] = pair

    def remove(self, session: int, code: int) -> None:
        """Take the outcome of a pair of a session back."""
        self._kept.pop((session, code), None)

    def rows(self) -> tuple[Pair, ...]:
        """Return the pairs that are kept."""
        return tuple(self._kept.values())


def pack_pairs(pairs: Iterable[Pair]) -> list[Any]:
    """Return pairs as plain data, for `unpack_pairs`."""
    return [value for pair in pairs for value in pair]


def unpack_pairs(data: Sequence[Any]) -> tuple[Pair, ...]:
    """Return the pairs that were packed."""
    size = len(Pair._fields)
    return tuple(Pair(*data[at : at + size]) for at in range(0, len(data), size))
