"""Reading slowly, as clients on a bad line do, so that the server has to hold what it sends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gevent

from sseload_users.transports.reader import LagRecorder, read_once

if TYPE_CHECKING:
    from sseload_users.transports.stamped_socket import StampedSocket

#: Seconds from one turn to the next.
_TURN_S = 0.1
#: The smallest receive buffer, in bytes: smaller ones hardly take one segment.
_SMALLEST_BUFFER = 4096


class SlowReader:
    """Reads each of its connections at the same rate, and never faster.

    They are in no epoll set, where they would be ready all the time: one timer gives each of
    them its turn. That they are read late is no lag of the generator, so none is recorded.

    Args:
        lag: for what is read before a connection is watched.
        bytes_per_second: what each connection reads, at most.

    Attributes:
        receive_buffer: bytes that the kernel should take for a connection, before it has the
            server wait; Linux takes twice as many.
    """

    __slots__ = ("_arrivals", "_due", "_rate", "_timer", "_turn", "lag", "receive_buffer")

    def __init__(self, lag: LagRecorder, bytes_per_second: float) -> None:
        self.lag = lag
        self.receive_buffer = max(_SMALLEST_BUFFER, int(2 * _TURN_S * bytes_per_second))
        self._rate = bytes_per_second
        self._arrivals: dict[StampedSocket, None] = {}
        # Bytes that each may read by now, and when that was worked out.
        self._due = 0.0
        self._turn = 0.0
        self._timer: Any = gevent.get_hub().loop.timer(_TURN_S, _TURN_S)

    def add(self, arrival: StampedSocket) -> None:
        """Begin to read a connection, and to write what it could not write yet."""
        if not self._arrivals:
            self._turn = time.monotonic()
            self._timer.start(self._on_turn)
        self._arrivals[arrival] = None

    def remove(self, arrival: StampedSocket) -> None:
        """Leave a connection alone; one that is not watched is no mistake."""
        if self._arrivals.pop(arrival, self) is None and not self._arrivals:
            self._timer.stop()

    def want_write(self, arrival: StampedSocket) -> None:
        """Nothing to do: each turn writes what waits."""

    def _on_turn(self) -> None:
        # Of what was left in a buffer on purpose, it is not known when it came.
        self.lag.empty_ns = None
        now = time.monotonic()
        # After a stall of this side nobody catches up: a slow line does not either.
        self._due += self._rate * min(now - self._turn, 2 * _TURN_S)
        self._turn = now
        size = int(self._due)
        self._due -= size
        for arrival in list(self._arrivals):
            if arrival in self._arrivals and arrival.backlog:
                arrival.flush_backlog()
            if arrival in self._arrivals and size:
                read_once(self, arrival, None, size)
