"""Which codes may overtake each other on their way to the server; pure."""

from __future__ import annotations


class InFlight:
    """Codes that were sent and not answered yet, as their broadcaster sees them."""

    def __init__(self) -> None:
        self._unanswered: set[int] = set()
        self._newest = 0

    def sent(self, sequence: int) -> bool:
        """A code is sent.

        Args:
            sequence: the code's.

        Returns:
            Whether its order among the others is open: another one is under way, or one that
            was due later was sent before. However the server takes codes between their sending
            and their answer, it takes no more of them after a later one than this is true for.
        """
        is_open = bool(self._unanswered) or sequence < self._newest
        self._unanswered.add(sequence)
        self._newest = max(self._newest, sequence)
        return is_open

    def answered(self, sequence: int) -> None:
        """A code has its answer, or will have none."""
        self._unanswered.discard(sequence)
