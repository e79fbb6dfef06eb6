"""Slow consumers: connections read at a limited rate, so that the server must buffer."""

from __future__ import annotations

import time
from typing import Any

import gevent

from sseload_users.transports.lag import LagRecorder
from sseload_users.transports.reading import Readable, read_once

#: Seconds between two turns.
_TURN_S = 0.1
#: The smallest receive buffer, in bytes: smaller ones hardly hold one segment.
_SMALLEST_BUFFER = 4096


class SlowReader:
    """Reads each of its connections at a fixed rate.

    One timer reads all of them in turn: in an epoll set they would be ready all the time.
    Their late reads are intended, so they are not recorded as the generator's lag.

    Args:
        lag: records the lag of reads before a connection is watched, during the handshake.
        bytes_per_second: the most that each connection reads.

    Attributes:
        receive_buffer: size to request for a socket's receive buffer, in bytes; Linux
            allocates twice as much. When it is full, the server must wait.
    """

    __slots__ = ("_connections", "_due", "_rate", "_timer", "_turn", "lag", "receive_buffer")

    def __init__(self, lag: LagRecorder, bytes_per_second: float) -> None:
        self.lag = lag
        self.receive_buffer = max(_SMALLEST_BUFFER, int(2 * _TURN_S * bytes_per_second))
        self._rate = bytes_per_second
        self._connections: dict[Readable, None] = {}
        # Bytes that each connection may read now, and when that was computed.
        self._due = 0.0
        self._turn = 0.0
        self._timer: Any = gevent.get_hub().loop.timer(_TURN_S, _TURN_S)

    def add(self, connection: Readable) -> None:
        """Start to read a connection, and to write its backlog."""
        if not self._connections:
            self._turn = time.monotonic()
            self._timer.start(self._on_turn)
        self._connections[connection] = None

    def remove(self, connection: Readable) -> None:
        """Stop watching a connection; does nothing if it is not watched."""
        if self._connections.pop(connection, self) is None and not self._connections:
            self._timer.stop()

    def want_write(self, connection: Readable) -> None:
        """Do nothing: each turn writes the backlog."""

    def _on_turn(self) -> None:
        now = time.monotonic()
        # No catching up after a stall of this process: a slow line would not either.
        self._due += self._rate * min(now - self._turn, 2 * _TURN_S)
        self._turn = now
        size = int(self._due)
        self._due -= size
        for connection in list(self._connections):
            if connection in self._connections and connection.backlog:
                connection.flush_backlog()
            if connection in self._connections and size:
                read_once(self, connection, None, size)
