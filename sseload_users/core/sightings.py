"""Sightings of messages that others send: the leader numbers them by the first ones; pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

#: Time for which the leader waits for earlier sightings by other workers, in ns.
MERGE_NS = 1_000_000_000
#: Limits of the ids that are remembered; the oldest are forgotten. A further copy of such a
#: message is taken for a new one.
_MAX_IDS, _MAX_OUTSIDE = 500_000, 100_000
#: Most that a number may differ from its neighbours, and most numbers that may be missing;
#: beyond that, numbers are not in a row, and tables by number would exhaust the memory.
_MAX_JUMP, _MAX_HOLES = 100_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """The first sighting of a message in one worker. Times are on the leader's clock.

    Attributes:
        id: what identifies the message.
        seen_ns: when its first copy arrived.
        sent_ns: when it was sent, by the time in it; None if it has none.
    """

    id: str
    seen_ns: int
    sent_ns: int | None


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message that has its sequence number.

    Attributes:
        id: what identifies it.
        sequence: its sequence number; 0 if it was first seen outside the time of observation.
        sent_ns: when it was sent, as far as is known (the leader's clock).
    """

    id: str
    sequence: int
    sent_ns: int


@dataclass(slots=True)
class _Pending:
    seen_ns: int
    sent_ns: int | None
    reported_ns: int


class Sightings:
    """Merges the sightings of all workers.

    Args:
        in_row: the ids are numbers in a row, which are the sequence numbers. Otherwise messages
            are numbered in the order of their first sightings.

    Attributes:
        numbered: number of messages that were first seen during the observation.
        skipped: number of messages whose numbers are far from all others.
    """

    def __init__(self, *, in_row: bool) -> None:
        self.numbered = self.skipped = 0
        self._in_row = in_row
        self._begun_ns: int | None = None
        self._ended_ns: int | None = None
        self._pending: dict[str, _Pending] = {}
        self._known: dict[str, Numbered] = {}
        self._outside: deque[int] = deque(maxlen=_MAX_OUTSIDE)
        self._lowest = self._highest = 0

    def begin(self, at_ns: int) -> None:
        """Begin the observation; messages that were seen before do not count."""
        self._begun_ns = at_ns

    def end(self, at_ns: int) -> None:
        """End the observation; messages that are first seen later do not count."""
        if self._ended_ns is None:
            self._ended_ns = at_ns

    @property
    def pending(self) -> int:
        """The number of messages that wait for earlier sightings."""
        return len(self._pending)

    @property
    def holes(self) -> int | None:
        """How many numbers between the lowest and the highest nobody saw; None without a row."""
        if not self._in_row:
            return None
        if not self.numbered:
            return 0
        outside = sum(self._lowest < each < self._highest for each in self._outside)
        return self._highest - self._lowest + 1 - self.numbered - outside

    def add(self, sighting: Sighting, now_ns: int) -> Numbered | None:
        """Add a worker's first sighting of a message.

        Args:
            sighting: the sighting.
            now_ns: the time (the leader's clock, ns).

        Returns:
            The message, if it has its number already; None if it has none yet, or gets none.
        """
        known = self._known.get(sighting.id)
        if known is not None:
            return known if known.sequence else None
        pending = self._pending.get(sighting.id)
        if pending is None:
            self._pending[sighting.id] = _Pending(sighting.seen_ns, sighting.sent_ns, now_ns)
        elif sighting.seen_ns < pending.seen_ns:
            pending.seen_ns, pending.sent_ns = sighting.seen_ns, sighting.sent_ns
        return None

    def number_due(self, now_ns: int, *, final: bool = False) -> list[Numbered]:
        """Return the messages that get their numbers now, in the order of first sightings.

        Args:
            now_ns: the time (the leader's clock, ns).
            final: wait for no further sightings.
        """
        due = [
            (each.seen_ns, id_)
            for id_, each in self._pending.items()
            if final or each.reported_ns + MERGE_NS <= now_ns
        ]
        numbered = []
        for _, id_ in sorted(due):
            new = self._number(id_, self._pending.pop(id_))
            self._known[id_] = new
            if len(self._known) > _MAX_IDS:
                del self._known[next(iter(self._known))]
            if new.sequence:
                numbered.append(new)
        return numbered

    def _number(self, id_: str, first: _Pending) -> Numbered:
        # A clock that is ahead of ours must not make a message arrive before it was sent.
        sent_ns = first.seen_ns if first.sent_ns is None else min(first.sent_ns, first.seen_ns)
        if not self._is_within(first.seen_ns):
            if self._in_row:
                self._outside.append(int(id_))
            return Numbered(id_, 0, sent_ns)
        number = int(id_) if self._in_row else self.numbered + 1
        if self._in_row and self.numbered and not self._is_near(number):
            self.skipped += 1
            return Numbered(id_, 0, sent_ns)
        self._lowest = min(self._lowest or number, number)
        self._highest = max(self._highest, number)
        self.numbered += 1
        return Numbered(id_, number, sent_ns)

    def _is_within(self, seen_ns: int) -> bool:
        begun_ns, ended_ns = self._begun_ns, self._ended_ns
        return (
            begun_ns is not None
            and begun_ns <= seen_ns
            and (ended_ns is None or seen_ns <= ended_ns)
        )

    def _is_near(self, number: int) -> bool:
        lowest, highest = min(self._lowest, number), max(self._highest, number)
        return (
            self._lowest - _MAX_JUMP <= number <= self._highest + _MAX_JUMP
            and highest - lowest - self.numbered <= _MAX_HOLES
        )
