"""Settled codes: just enough is kept to correct their account when late copies arrive.

Of each code, its times, which codes may overtake it and, as one bit each, the sessions that
miss it are kept. The most
recent ones also keep their object, as further copies of them are likely.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

from sseload_users.core.session_set import SessionSet
from sseload_users.core.sessions import Session, TrackedCode
from sseload_users.core.spans import NEVER

#: Number of settled codes that nobody misses and that keep their object; for a further copy of
#: an older one, which is rare, it is created again.
_MAX_RECENT = 256
#: Number of sequence numbers before the first settled code for which there is room.
_MARGIN = 1000
#: Send time of a code that is owed to nobody, and of one that is not settled.
_UNOWED, _UNSETTLED = 0, -1
#: Text time of a code without one.
_NO_TIME = -1
#: By how many later codes a code can be overtaken, if there is no limit.
_ANY_NUMBER = (1 << 16) - 1


class SettledCodes:
    """The settled codes of one worker.

    Args:
        channel_of: returns the channel of a code by its sequence number; None without channels.
        make: makes a code of its sequence number and send time.

    Attributes:
        count: number of settled codes.
        newest_ns: send time of the newest code that is owed (wall clock, ns).
        newest_missed_ns: send time of the newest code that a session misses.
    """

    __slots__ = (
        "_channel_of",
        "_first",
        "_make",
        "_missed",
        "_overtaking",
        "_recent",
        "_sent",
        "_texts",
        "count",
        "newest_missed_ns",
        "newest_ns",
    )

    def __init__(
        self,
        channel_of: Callable[[int], str | None],
        make: Callable[[int, int | None], TrackedCode],
    ) -> None:
        self._channel_of = channel_of
        self._make = make
        self.count = 0
        self.newest_ns = 0
        self.newest_missed_ns = 0
        # By sequence number, from the first on: send times, the times in the codes' texts, and the
        # number of later codes that may overtake them.
        self._first = 0
        self._sent = array("q")
        self._texts = array("q")
        self._overtaking = array("H")
        self._recent: dict[int, TrackedCode] = {}
        self._missed: dict[int, TrackedCode] = {}

    def add(self, code: TrackedCode) -> None:
        """Add a code that has just been settled."""
        sequence = code.sequence
        sent_ns = code.sent_ns if code.owed and code.sent_ns is not None else _UNOWED
        index = self._make_room(sequence)
        self._sent[index] = sent_ns
        self._texts[index] = _NO_TIME if code.text_ns is None else code.text_ns
        self._overtaking[index] = min(max(code.overtakable_by - sequence, 0), _ANY_NUMBER)
        self.count += 1
        self.newest_ns = max(self.newest_ns, sent_ns)
        if code.missing is None:
            self._add_recent(code)
        else:
            self._add_missed(code)

    def _make_room(self, sequence: int) -> int:
        """Return the index of a sequence number, for which there is room."""
        if not self._sent:
            # Observed messages have their own numbers, which may be large.
            self._first = max(0, sequence - _MARGIN)
        columns: tuple[tuple[array[int], int], ...] = (
            (self._sent, _UNSETTLED), (self._texts, _NO_TIME), (self._overtaking, 0)
        )  # fmt: skip
        before, after = self._first - sequence, sequence + 1 - self._first - len(self._sent)
        for column, nothing in columns:
            if before > 0:
                column[:0] = array(column.typecode, [nothing]) * before
            elif after > 0:
                column.extend([nothing] * after)
        self._first = min(self._first, sequence)
        return sequence - self._first

    def find(self, sequence: int) -> TrackedCode | None:
        """Return a settled code; None if it is not settled or does not exist."""
        found = self._recent.get(sequence) or self._missed.get(sequence)
        index = sequence - self._first
        if found is None and 0 <= index < len(self._sent) and self._sent[index] != _UNSETTLED:
            sent_ns = self._sent[index]
            text_ns = self._texts[index]
            found = self._make(sequence, sent_ns or None)
            found.text_ns = None if text_ns == _NO_TIME else text_ns
            later = self._overtaking[index]
            found.overtakable_by = NEVER if later == _ANY_NUMBER else sequence + later
            found.copies = None
            found.announced = True
            found.owed = sent_ns != _UNOWED
        return found

    def owed_to(self, session: Session, since_ns: int) -> Iterator[TrackedCode]:
        """Yield the codes that were sent at a time or later and that a session is owed.

        Args:
            session: a session.
            since_ns: the time (wall clock, ns).
        """
        if since_ns <= self.newest_ns:
            for sequence, sent_ns in enumerate(self._sent, self._first):
                if (
                    sent_ns >= since_ns
                    and sent_ns != _UNOWED
                    and session.is_owed(sent_ns, self._channel_of(sequence))
                    and (code := self.find(sequence))
                ):
                    yield code

    def missed_since(self, at_ns: int) -> Iterator[TrackedCode]:
        """Yield those of them that a session misses."""
        if at_ns <= self.newest_missed_ns:
            for code in list(self._missed.values()):
                if code.sent_ns is not None and code.sent_ns >= at_ns:
                    yield code

    def add_missing(self, code: TrackedCode, session: Session) -> None:
        """Note that a session that was just opened misses a settled code."""
        if code.missing is None:
            code.missing = SessionSet(session.number, session.number)
            self._recent.pop(code.sequence, None)
            self._add_missed(code)
        code.missing.add(session)

    def remove_missing(self, code: TrackedCode, session: Session) -> bool:
        """Note that a session no longer misses a code; return whether it did."""
        if code.missing is None or not code.missing.remove(session):
            return False
        if not code.missing:
            code.missing = None
            del self._missed[code.sequence]
            self._add_recent(code)
        return True

    def _add_missed(self, code: TrackedCode) -> None:
        self._missed[code.sequence] = code
        self.newest_missed_ns = max(self.newest_missed_ns, code.sent_ns or 0)

    def _add_recent(self, code: TrackedCode) -> None:
        self._recent[code.sequence] = code
        if len(self._recent) > _MAX_RECENT:
            del self._recent[next(iter(self._recent))]
