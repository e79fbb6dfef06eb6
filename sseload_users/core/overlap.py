"""Codes that are on their way to the server at the same time, and may overtake each other."""

from __future__ import annotations


class OverlapDetector:
    """Detects codes whose order the server is free to choose.

    A code may be overtaken by those that were sent before its own request had its result, and
    by no other.
    """

    def __init__(self) -> None:
        self._unanswered: set[int] = set()
        self._newest = 0

    def sent(self, sequence: int) -> bool:
        """Note that a code was sent.

        Args:
            sequence: its sequence number.

        Returns:
            Whether its order is open: another code is unanswered, or one with a higher
            sequence number was sent before it.
        """
        # It may be sent again, after an answer that only asked for a new login.
        self._unanswered.discard(sequence)
        overlaps = bool(self._unanswered) or sequence < self._newest
        self._unanswered.add(sequence)
        self._newest = max(self._newest, sequence)
        return overlaps

    def answered(self, sequence: int) -> int:
        """Note that a code's request was answered or given up.

        Returns:
            The highest sequence number that has been sent: codes up to it may arrive first.
        """
        self._unanswered.discard(sequence)
        return self._newest
