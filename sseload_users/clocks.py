"""How far this machine's clock is from the leader's, from exchanged timestamps; pure.

The leader is asked the time again and again. A question that was answered in a round trip
of r nanoseconds says the difference to within r / 2, wherever in between the leader looked
at its clock. The quickest answers say most, but clocks drift, and old answers grow stale:
the best one is that whose error, with what may have drifted since, is the smallest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

#: By how much two clocks may drift apart, at most. Crystals are within 100 millionths, and
#: NTP slews by 500 at most (RFC 5905 §A.5.5.6).
_DRIFT = 500e-6

#: Answers that are kept.
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the leader's clock is ahead of this one.

    Attributes:
        ns: nanoseconds to add to a time of this clock.
        error_ns: how wrong that can be.
    """

    ns: int
    error_ns: int


#: Between processes of one host there is none, since they have one clock.
NONE = Difference(0, 0)


class Clocks:
    """The differences as they were measured.

    Attributes:
        same: the leader is on this host: there is no difference, and nothing to measure.
    """

    def __init__(self) -> None:
        self.same = False
        self._answers: deque[tuple[int, int, int]] = deque(maxlen=_KEPT)

    @property
    def known(self) -> bool:
        """Whether there is anything to go by."""
        return self.same or bool(self._answers)

    def answered(self, asked_ns: int, leader_ns: int, heard_ns: int) -> None:
        """Take an answer.

        Args:
            asked_ns: when the question was sent (this clock).
            leader_ns: when it was answered (the leader's clock).
            heard_ns: when the answer came (this clock). One that came before its question
                was sent, as a clock was set back meanwhile, says nothing.
        """
        if heard_ns >= asked_ns:
            middle = (asked_ns + heard_ns) // 2
            self._answers.append((middle, leader_ns - middle, (heard_ns - asked_ns + 1) // 2))

    def at(self, here_ns: int) -> Difference:
        """The difference at a time of this clock.

        Raises:
            LookupError: nothing is known yet.
        """
        if self.same:
            return NONE
        if not self._answers:
            raise LookupError("the leader has not told the time yet")
        error, ahead = min(
            (half + round(abs(here_ns - middle) * _DRIFT), ahead)
            for middle, ahead, half in self._answers
        )
        return Difference(ahead, error)

    def to_leader(self, here_ns: int) -> int:
        """A time of this clock on the leader's."""
        return here_ns + self.at(here_ns).ns

    def to_here(self, leader_ns: int) -> int:
        """A time of the leader's clock on this one."""
        here = leader_ns - self.at(leader_ns).ns
        # Asked again at the right time: with a large difference it was asked far off.
        return leader_ns - self.at(here).ns
