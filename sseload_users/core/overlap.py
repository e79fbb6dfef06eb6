"""Codes that are on their way to the server at the same time, and may overtake each other."""

from __future__ import annotations


class OverlapDetector:
    """Detects codes whose order the server is free to choose.

    Codes of which no two were unanswered at the same time reach the server in order. Of those
    that overlap, no more can arrive out of order than `sent` returned True for.
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
        overlaps = bool(self._unanswered) or sequence < self._newest
        self._unanswered.add(sequence)
        self._newest = max(self._newest, sequence)
        return overlaps

    def answered(self, sequence: int) -> None:
        """Note that a code's request was answered or given up."""
        self._unanswered.discard(sequence)
