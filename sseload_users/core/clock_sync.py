"""The difference between this machine's clock and the leader's, from exchanged timestamps.

A worker asks the leader for its time again and again. An exchange with a round trip of r
nanoseconds gives the difference to within r / 2, whenever the leader read its clock. Quick
exchanges are the most accurate, but clocks drift, so old ones lose accuracy. The best exchange
is the one whose error, including possible drift since then, is the smallest.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

#: Maximum drift between two clocks. Crystals are accurate to 100 ppm, and NTP slews by at most
#: 500 ppm (RFC 5905 §A.5.5.6).
_MAX_DRIFT = 500e-6

#: Number of exchanges that are kept.
_KEPT = 64


@dataclass(frozen=True, slots=True)
class ClockDifference:
    """How far the leader's clock is ahead of this one.

    Attributes:
        ns: nanoseconds to add to a time of this clock.
        error_ns: maximum error of `ns`.
    """

    ns: int
    error_ns: int


#: Processes of one host share its clock.
NO_DIFFERENCE = ClockDifference(0, 0)


class ClockSync:
    """Measured differences, and the conversion of times between the clocks.

    Attributes:
        same: the leader is on this host: there is no difference, and nothing to measure.
        error_ns: maximum error of all times converted so far.
    """

    def __init__(self) -> None:
        self.same = False
        self.error_ns = 0
        # Time halfway through the exchange (this clock), difference, and half the round trip.
        self._exchanges: deque[tuple[int, int, int]] = deque(maxlen=_KEPT)

    @property
    def known(self) -> bool:
        """Whether the difference is known."""
        return self.same or bool(self._exchanges)

    def add_exchange(self, asked_ns: int, leader_ns: int, received_ns: int) -> None:
        """Add an exchange of timestamps.

        Args:
            asked_ns: when the request was sent (this clock).
            leader_ns: when the leader replied (the leader's clock).
            received_ns: when the reply arrived (this clock). A reply that is older than its
                request, because the clock was set back in between, is ignored.
        """
        if received_ns < asked_ns:
            return
        middle, half = (asked_ns + received_ns) // 2, (received_ns - asked_ns) // 2 + 1
        ahead = leader_ns - middle
        if self._exchanges:
            expected = self.difference_at(middle)
            if abs(ahead - expected.ns) > expected.error_ns + half + round(half * _MAX_DRIFT):
                # They contradict each other: the leader's clock was set in between.
                self._exchanges.clear()
        self._exchanges.append((middle, ahead, half))

    def shift(self, by_ns: int) -> None:
        """Adjust the exchanges to a step of this clock."""
        self._exchanges = deque(
            ((middle + by_ns, ahead - by_ns, half) for middle, ahead, half in self._exchanges),
            maxlen=_KEPT,
        )

    def difference_at(self, here_ns: int) -> ClockDifference:
        """Return the difference at a time of this clock.

        Raises:
            LookupError: no difference is known yet.
        """
        if self.same:
            return NO_DIFFERENCE
        if not self._exchanges:
            raise LookupError("the difference from the leader's clock is not known yet")
        # The leader replied within `half` of the middle, and the clocks have drifted since then.
        error, ahead = min(
            (half + math.ceil((abs(here_ns - middle) + half) * _MAX_DRIFT), ahead)
            for middle, ahead, half in self._exchanges
        )
        return ClockDifference(ahead, error)

    def to_leader(self, here_ns: int) -> int:
        """Convert a time of this clock to the leader's."""
        difference = self.difference_at(here_ns)
        self.error_ns = max(self.error_ns, difference.error_ns)
        return here_ns + difference.ns

    def to_here(self, leader_ns: int) -> int:
        """Convert a time of the leader's clock to this one."""
        here = leader_ns
        # Iterate: the difference depends on the time of this clock, which is not known yet.
        for _ in range(3):
            difference = self.difference_at(here)
            here = leader_ns - difference.ns
        self.error_ns = max(self.error_ns, difference.error_ns)
        return here
