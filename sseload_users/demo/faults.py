"""Fault injection, decided by the seed alone. Pure: no sockets, no clock.

The same seed gives the same faults for the same codes, connections and requests, in
whatever order they are looked up.
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
    """The configured faults. Shares are between 0 and 1, times in seconds.

    Attributes:
        lose: share of deliveries that are never written.
        max_payload: most bytes of a delivery that is written; 0 is no limit.
        delay: share of deliveries that are written after ``delay_seconds``.
        duplicate: share of deliveries that are written twice.
        reorder: share of deliveries that are held until the next code has been written on
            the same connection, or for ``reorder_seconds``.
        garbage: share of deliveries that are followed by something undecodable.
        foreign: share of deliveries that are followed by a foreign code.
        leak: share of deliveries, of the pairs of a code and a connection outside its channel,
            that are made although they must not be.
        wrong_room: share of codes that go to another channel's connections instead.
        ignore_join: share of joins that are confirmed but not carried out.
        late_join: share of joins that are carried out ``late_join_seconds`` after they are
            confirmed.
        ignore_leave: share of leaves that are confirmed but not carried out.
        drop: share of listening connections that are dropped after ``drop_after`` codes.
        refuse: share of handshakes that are refused.
        ingest_share: share of ingests that are answered with ``ingest_status``.
        ingest_lose: share of ingests that are accepted and not broadcast.
        ingest_hang: share of ingests that are never answered.
        ingest_reset: share of ingests whose connection is reset instead of answered.
    """

    lose: float = 0.0
    max_payload: int = 0
    delay: float = 0.0
    delay_seconds: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_seconds: float = 10.0
    garbage: float = 0.0
    garbage_how: GarbageHow = "message"
    foreign: float = 0.0
    leak: float = 0.0
    wrong_room: float = 0.0
    ignore_join: float = 0.0
    late_join: float = 0.0
    late_join_seconds: float = 0.0
    ignore_leave: float = 0.0
    drop: float = 0.0
    drop_how: DropHow = "close"
    drop_code: int = 1001
    drop_after: int = 1
    refuse: float = 0.0
    refuse_how: RefuseHow = "503"
    ingest_status: int | None = None
    ingest_share: float = 1.0
    ingest_lose: float = 0.0
    ingest_hang: float = 0.0
    ingest_reset: float = 0.0


@dataclass(frozen=True, slots=True)
class DeliveryFaults:
    """The faults of one code on one connection.

    Attributes:
        lost: the code is never written; excludes all other faults.
        delay: seconds until it is written.
        held: it is held until the connection's next code; excludes a delay.
        copies: how many times it is written.
        garbage: something undecodable is written after it.
        foreign: a foreign code is written after it.
    """

    lost: bool = False
    delay: float = 0.0
    held: bool = False
    copies: int = 1
    garbage: bool = False
    foreign: bool = False


#: A delivery without faults.
PLAIN = DeliveryFaults()
_LOST = DeliveryFaults(lost=True, copies=0)


class FaultPlan:
    """Decide which deliveries, connections and ingests have a fault.

    Deliveries are drawn independently, so a share holds on average. Connections, ingests and
    codes that go to another channel are few and sampled systematically: of any n in a row, a
    share s affects s times n, rounded up or down.

    Args:
        faults: the configured faults.
        seed: any integer.

    Attributes:
        plain: no delivery has a fault.
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

    def delivery(self, code: int, connection: int) -> DeliveryFaults:
        """Return the faults of the ``code``-th code on the ``connection``-th connection."""
        if self.plain:
            return PLAIN
        faults = self.faults
        if self._drawn(faults.lose, 1, code, connection):
            return _LOST
        delayed = self._drawn(faults.delay, 2, code, connection)
        return DeliveryFaults(
            delay=faults.delay_seconds if delayed else 0.0,
            held=not delayed and self._drawn(faults.reorder, 3, code, connection),
            copies=2 if self._drawn(faults.duplicate, 4, code, connection) else 1,
            garbage=self._drawn(faults.garbage, 5, code, connection),
            foreign=self._drawn(faults.foreign, 6, code, connection),
        )

    def leaks(self, code: int, connection: int) -> bool:
        """Whether the ``code``-th code goes to a connection outside its channel."""
        return self._drawn(self.faults.leak, 12, code, connection)

    def misroutes(self, code: int) -> bool:
        """Whether the ``code``-th code goes to another channel's connections instead."""
        return self._due(self.faults.wrong_room, 13, code)

    def ignores_join(self, change: int, connection: int) -> bool:
        """Whether the ``change``-th change of a connection's channels is a join without effect."""
        return self._drawn(self.faults.ignore_join, 14, change, connection)

    def joins_late(self, change: int, connection: int) -> bool:
        """Whether that join is carried out only after its confirmation."""
        return self._drawn(self.faults.late_join, 15, change, connection)

    def ignores_leave(self, change: int, connection: int) -> bool:
        """Whether the ``change``-th change of a connection's channels is a leave without effect."""
        return self._drawn(self.faults.ignore_leave, 16, change, connection)

    def drops(self, connection: int) -> bool:
        """Whether the ``connection``-th listening connection is dropped."""
        return self._due(self.faults.drop, 7, connection)

    def refuses(self, connection: int) -> bool:
        """Whether the ``connection``-th handshake is refused."""
        return self._due(self.faults.refuse, 8, connection)

    def rejects(self, ingest: int) -> int | None:
        """Return the error status of the ``ingest``-th ingest, or None."""
        due = self._due(self.faults.ingest_share, 9, ingest)
        return self.faults.ingest_status if due else None

    def forgets(self, ingest: int) -> bool:
        """Whether the ``ingest``-th ingest is accepted and not broadcast."""
        return self._due(self.faults.ingest_lose, 14, ingest)

    def hangs(self, ingest: int) -> bool:
        """Whether the ``ingest``-th ingest is never answered."""
        return self._due(self.faults.ingest_hang, 10, ingest)

    def resets(self, ingest: int) -> bool:
        """Whether the ``ingest``-th ingest's connection is reset instead of answered."""
        return self._due(self.faults.ingest_reset, 11, ingest)

    def _drawn(self, share: float, fault: int, code: int, connection: int) -> bool:
        if share <= 0.0:
            return False
        mixed = _mix(self._seed ^ _mix((fault << 56) ^ (code << 28) ^ connection))
        return mixed < share * 2.0**64

    def _due(self, share: float, fault: int, index: int) -> bool:
        """Whether systematic sampling selects an index: every 1 / share from a random start."""
        if share <= 0.0:
            return False
        start = _mix(self._seed ^ _mix(fault << 56)) / 2.0**64
        return math.floor(start + (index + 1) * share) > math.floor(start + index * share)


def _mix(value: int) -> int:
    """Hash with SplitMix64's finalizer: each input bit flips half of the output bits."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
