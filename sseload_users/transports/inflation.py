"""What the connections of a process share in inflating: a memo of broadcasts, and counts."""

from __future__ import annotations

from collections.abc import Callable

#: Limits of the memo: number of messages, and bytes of one of them, inflated.
_MAX_REMEMBERED, _MAX_REMEMBERED_BYTES = 256, 65536


class Inflation:
    """Remembers inflated messages by their compressed bytes, and counts bytes.

    A broadcast that is compressed alike for all connections is inflated once. Besides, all
    copies are one object then, which makes looking them up cheaper further on.
    """

    __slots__ = ("_flushes", "_inflated", "_known", "_wire")

    def __init__(self) -> None:
        # Each inflated message with its compressed bytes, by these bytes.
        self._known: dict[bytes, tuple[bytes, bytes]] = {}
        self._wire = 0
        self._inflated = 0
        self._flushes = 0

    def remembered(self, data: bytes, inflate: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
        """Return a message that depends on no other, and its compressed bytes.

        Args:
            data: the compressed bytes.
            inflate: inflates them, should they be new.

        Returns:
            The message and its compressed bytes: for all copies of a broadcast, the same two
            objects.
        """
        known = self._known.get(data)
        if known is None:
            known = inflate(data), data
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            if max(map(len, known)) <= _MAX_REMEMBERED_BYTES:
                self._known[data] = known
        return known

    def count(self, wire: int, inflated: int, flushes: int = 0) -> None:
        """Count compressed bytes as they came, what they became, and flushes of a stream."""
        self._wire += wire
        self._inflated += inflated
        self._flushes += flushes

    def drain(self) -> tuple[int, int, int]:
        """Return the bytes since the last drain, as they came and inflated, and the flushes."""
        counted = self._wire, self._inflated, self._flushes
        self._wire = self._inflated = self._flushes = 0
        return counted
