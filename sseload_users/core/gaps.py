"""The gaps of a connection that is owed what was sent in them."""

from __future__ import annotations


class Gaps:
    """The gaps between the sessions of one connection, which count as one long session.

    All times are wall clock, ns.

    Attributes:
        away_ns: since when the connection is away; None while it is there.
        by_us: sseload ended the session before the current or latest gap.
        returned_ns: when it last returned; 0 before its first gap.
        recovered: sequence numbers of the codes that it has recovered since then.
    """

    __slots__ = ("_last_recovered_ns", "_starts", "away_ns", "by_us", "recovered", "returned_ns")

    def __init__(self) -> None:
        self.away_ns: int | None = None
        self.by_us = False
        self.returned_ns = 0
        self.recovered: set[int] = set()
        self._starts: list[int] = []
        self._last_recovered_ns = 0

    @property
    def started_ns(self) -> int:
        """When the connect of the session after the latest gap began; 0 before the first gap."""
        return self._starts[-1] if self._starts else 0

    @property
    def changed_ns(self) -> int:
        """When the connection last went away or returned; 0 before its first gap."""
        return self.returned_ns if self.away_ns is None else self.away_ns

    def go_away(self, at_ns: int, *, by_us: bool) -> int | None:
        """Begin a gap.

        Args:
            at_ns: when the session ended.
            by_us: sseload ended it.

        Returns:
            What `catch_up_ns` returns, of the session that ended.
        """
        took_ns = self.catch_up_ns()
        self.away_ns, self.by_us = at_ns, by_us
        return took_ns

    def come_back(self, started_ns: int, returned_ns: int, horizon_ns: int) -> None:
        """End the gap.

        Args:
            started_ns: when the new session's connect began.
            returned_ns: when its subscription was confirmed.
            horizon_ns: when the oldest code in flight was sent; what began earlier is forgotten.
        """
        self.away_ns = None
        self.returned_ns = returned_ns
        self.recovered.clear()
        self._last_recovered_ns = 0
        recent = [each for each in self._starts if each > horizon_ns]
        self._starts = [*recent, started_ns]

    def brought(self, sent_ns: int, arrived_ns: int) -> bool:
        """Whether a code was sent before a session that brought it: whether it was recovered."""
        return any(sent_ns < start <= arrived_ns for start in self._starts)

    def note_recovered(self, sequence: int, arrived_ns: int) -> None:
        """Note a code that was recovered."""
        if arrived_ns >= self.started_ns:
            self.recovered.add(sequence)
            self._last_recovered_ns = max(self._last_recovered_ns, arrived_ns)

    def catch_up_ns(self) -> int | None:
        """Return how long after the latest return the last recovered code arrived.

        None if the connection has recovered none since then.
        """
        if not self._last_recovered_ns:
            return None
        return max(0, self._last_recovered_ns - self.returned_ns)

    def is_replay(self, first_ns: int) -> bool:
        """Whether a copy that comes now repeats one that an earlier session had.

        Args:
            first_ns: when the first copy arrived.
        """
        return first_ns < self.started_ns
