"""The places of all connections of a run: each is taken by one connection at a time."""

from __future__ import annotations

import heapq


class Places:
    """Assigns places, from 0, without gaps: the lowest free one first.

    A worker that is lost keeps its places, as its connections may still be open.
    """

    def __init__(self) -> None:
        self._taken: dict[tuple[str, int], int] = {}
        self._free: list[int] = []
        self._next = 0

    def take(self, worker: str, number: int) -> int:
        """Assign a place to a connection, and return it.

        Args:
            worker: id of the worker that has the connection.
            number: number of the connection in that worker.
        """
        if self._free:
            place = heapq.heappop(self._free)
        else:
            place, self._next = self._next, self._next + 1
        self._taken[worker, number] = place
        return place

    def give_back(self, worker: str, number: int) -> None:
        """Free the place of a connection that has ended."""
        place = self._taken.pop((worker, number), None)
        if place is not None:
            heapq.heappush(self._free, place)
