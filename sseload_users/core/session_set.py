"""Sets of sessions that take little memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Numbered(Protocol):
    """A session, as a set sees it.

    Attributes:
        number: number of the session, from 0, in the order in which sessions were opened.
    """

    number: int


class SessionSet:
    """A set of sessions, one bit each: with a broken server they are many."""

    __slots__ = ("_bits", "_first", "_size")

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._bits = bytearray((last - first) // 8 + 1)
        self._size = 0

    @classmethod
    def of(cls, sessions: Iterable[Numbered]) -> SessionSet | None:
        """Return the set of these sessions; None if there are none."""
        numbers = [each.number for each in sessions]
        if not numbers:
            return None
        new = cls(min(numbers), max(numbers))
        for number in numbers:
            at = number - new._first
            new._bits[at >> 3] |= 1 << (at & 7)
        new._size = len(numbers)
        return new

    def __len__(self) -> int:
        return self._size

    def __contains__(self, session: Numbered) -> bool:
        """Whether a session is in the set."""
        at = session.number - self._first
        return 0 <= at < len(self._bits) * 8 and bool(self._bits[at >> 3] & (1 << (at & 7)))

    def add(self, session: Numbered) -> None:
        """Add a session; it is not in the set, and was opened after the first of the set."""
        at = session.number - self._first
        self._bits.extend(bytes(max(0, (at >> 3) + 1 - len(self._bits))))
        self._bits[at >> 3] |= 1 << (at & 7)
        self._size += 1

    def remove(self, session: Numbered) -> bool:
        """Remove a session; return whether it was in the set."""
        if session not in self:
            return False
        at = session.number - self._first
        self._bits[at >> 3] &= ~(1 << (at & 7))
        self._size -= 1
        return True
