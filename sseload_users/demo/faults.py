"""What goes wrong, to whom and when: decided from the seed alone.

Nothing here knows a socket or a clock. The same seed and the same numbers of codes,
connections and requests give the same faults, in whatever order they are asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

DropHow = Literal["close", "reset", "silent"]
RefuseHow = Literal["503", "reset", "hang"]
GarbageHow = Literal["message", "frame"]

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults that were ordered. Shares are between 0 and 1, times in seconds.

    Attributes:
        lose: share of deliveries that are never written.
        delay: share of deliveries that are written ``delay_seconds`` later.
        duplicate: share of deliveries that are written twice.
        reorder: share of deliveries that wait until the next code was written on the same
            connection, or for ``reorder_seconds``.
        garbage: share of deliveries that something undecodable follows.
        foreign: share of deliveries that a code of somebody else's follows.
        drop: share of listening connections that end after ``drop_after`` codes.
        refuse: share of handshakes that are refused.
        ingest_share: share of ingests that are answered with ``ingest_status``.
        ingest_hang: share of ingests that are never answered.
        ingest_reset: share of ingests whose connection is reset instead of an answer.
    """

    lose: float = 0.0
    delay: float = 0.0
    delay_seconds: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_seconds: float = 10.0
    garbage: float = 0.0
    garbage_how: GarbageHow = "message"
    foreign: float = 0.0
    drop: float = 0.0
    drop_how: DropHow = "close"
    drop_code: int = 1001
    drop_after: int = 1
    refuse: float = 0.0
    refuse_how: RefuseHow = "503"
    ingest_status: int | None = None
    ingest_share: float = 1.0
    ingest_hang: float = 0.0
    ingest_reset: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What happens to one code on one connection.

    Attributes:
        lost: it is never written, and nothing else happens to it.
        delay: seconds until it is written.
        held: it waits for the next code on the connection; not together with a delay.
        copies: how often it is written.
        garbage: something undecodable follows it.
        foreign: a code of somebody else's follows it.
    """

    lost: bool = False
    delay: float = 0.0
    held: bool = False
    copies: int = 1
    garbage: bool = False
    foreign: bool = False


#: A delivery to which nothing happens.
PLAIN = Delivery()
_LOST = Delivery(lost=True, copies=0)


class FaultPlan:
    """The faults of one run.

    Deliveries are drawn one by one, so a share of them is met on average. Connections and
    ingests are few, so of any n in a row a share s meets s times n, rounded up or down.

    Args:
        faults: what was ordered.
        seed: any integer.

    Attributes:
        plain: no delivery ever has a fault.
    """

    def __init__(self, faults: Faults, seed: int = 0) -> None:
        self.faults = faults
        self.plain = not any(
            (
                faults.lose,
                faults.delay,
                faults.duplicate,
                faults.reorder,
                faults.garbage,
                faults.foreign,
            )
        )
        self._seed = _mix(seed & _MASK)

    def delivery(self, code: int, connection: int) -> Delivery:
        """What happens to the ``code``-th code on the ``connection``-th connection."""
        if self.plain:
            return PLAIN
        faults = self.faults
        if self._drawn(faults.lose, 1, code, connection):
            return _LOST
        delayed = self._drawn(faults.delay, 2, code, connection)
        return Delivery(
            delay=faults.delay_seconds if delayed else 0.0,
            held=not delayed and self._drawn(faults.reorder, 3, code, connection),
            copies=2 if self._drawn(faults.duplicate, 4, code, connection) else 1,
            garbage=self._drawn(faults.garbage, 5, code, connection),
            foreign=self._drawn(faults.foreign, 6, code, connection),
        )

    def drops(self, connection: int) -> bool:
        """Whether the ``connection``-th listening connection ends after its codes."""
        return self._due(self.faults.drop, 7, connection)

    def refuses(self, connection: int) -> bool:
        """Whether the ``connection``-th handshake is refused."""
        return self._due(self.faults.refuse, 8, connection)

    def rejects(self, ingest: int) -> int | None:
        """The ordered status that the ``ingest``-th ingest is answered with, if it is."""
        due = self._due(self.faults.ingest_share, 9, ingest)
        return self.faults.ingest_status if due else None

    def hangs(self, ingest: int) -> bool:
        """Whether the ``ingest``-th ingest is never answered."""
        return self._due(self.faults.ingest_hang, 10, ingest)

    def resets(self, ingest: int) -> bool:
        """Whether the ``ingest``-th ingest's connection is reset instead of an answer."""
        return self._due(self.faults.ingest_reset, 11, ingest)

    def _drawn(self, share: float, fault: int, code: int, connection: int) -> bool:
        if share <= 0.0:
            return False
        mixed = _mix(self._seed ^ _mix((fault << 56) ^ (code << 28) ^ connection))
        return mixed < share * 2.0**64

    def _due(self, share: float, fault: int, index: int) -> bool:
        """Systematic sampling: indices at every 1 / share from a start that is drawn."""
        if share <= 0.0:
            return False
        start = _mix(self._seed ^ _mix(fault << 56)) / 2.0**64
        return math.floor(start + (index + 1) * share) > math.floor(start + index * share)


def _mix(value: int) -> int:
    """The finalizer of SplitMix64: every bit of the input changes half of the output's."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
