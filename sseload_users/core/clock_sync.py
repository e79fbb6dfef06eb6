"""How far this machine's clock is from the leader's, from exchanged timestamps; pure.

The leader is asked the time again and again. A question that was answered in a round trip
of r nanoseconds says the difference to within r / 2, wherever in between the leader looked
at its clock. The quickest answers say most, but clocks drift, and old answers grow stale:
the best one is that whose error, with what may have drifted since, is the smallest.
"""

from __future__ import annotations

import math
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
        error_ns: how wrong the times can be, at most, that have been put on the other clock.
    """

    def __init__(self) -> None:
        self.same = False
        self.error_ns = 0
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
        if heard_ns < asked_ns:
            return
        middle, half = (asked_ns + heard_ns) // 2, (heard_ns - asked_ns) // 2 + 1
        ahead = leader_ns - middle
        if self._answers:
            expected = self.at(middle)
            if abs(ahead - expected.ns) > expected.error_ns + half + round(half * _DRIFT):
                # The two cannot both be: the leader's clock was set in between.
                self._answers.clear()
        self._answers.append((middle, ahead, half))

    def stepped(self, by_ns: int) -> None:
        """This clock was set, by so much: what was measured before is still good, moved."""
        self._answers = deque(
            ((middle + by_ns, ahead - by_ns, half) for middle, ahead, half in self._answers),
            maxlen=_KEPT,
        )

    def at(self, here_ns: int) -> Difference:
        """The difference at a time of this clock.

        Raises:
            LookupError: nothing is known yet.
        """
        if self.same:
            return NONE
        if not self._answers:
            raise LookupError("the leader has not told the time yet")
        # The leader answered within `half` of the middle, and the clocks drifted since then.
        error, ahead = min(
            (half + math.ceil((abs(here_ns - middle) + half) * _DRIFT), ahead)
            for middle, ahead, half in self._answers
        )
        return Difference(ahead, error)

    def to_leader(self, here_ns: int) -> int:
        """A time of this clock on the leader's."""
        difference = self.at(here_ns)
        self.error_ns = max(self.error_ns, difference.error_ns)
        return here_ns + difference.ns

    def to_here(self, leader_ns: int) -> int:
        """A time of the leader's clock on this one."""
        here = leader_ns
        # Asked again at the right time: with a large difference it was asked far off.
        for _ in range(3):
            difference = self.at(here)
            here = leader_ns - difference.ns
        self.error_ns = max(self.error_ns, difference.error_ns)
        return here
