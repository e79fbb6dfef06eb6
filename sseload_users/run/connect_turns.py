"""When each connection may connect: spread evenly over time, and only so many at a time."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any

import gevent

from sseload_users.core.clock import wall_ns

#: Seconds between two looks at which connections are due.
_TICK_S = 0.001


class _Turn:
    """One greenlet that waits for its turn."""

    __slots__ = ("due_s", "granted", "greenlet")

    def __init__(self, due_s: float) -> None:
        self.greenlet: Any = gevent.getcurrent()
        self.due_s = due_s
        self.granted = False


class ConnectTurns:
    """The turns of a process's connections to connect.

    Locust starts the users of each second at its beginning; their first connects are spread over
    the second.

    Args:
        most: how many connect at a time.
        rate: how many connections begin per second; 0 for all as soon as they can.
    """

    def __init__(self, most: int, rate: float) -> None:
        self._free = most
        self._spacing_s = 1 / rate if rate else 0.0
        self._next_s = -math.inf
        self._hub: Any = gevent.get_hub()
        # Those that are not due yet, and those that wait for another one to finish.
        self._due: deque[_Turn] = deque()
        self._waiting: dict[_Turn, None] = {}
        self._timer = self._hub.loop.timer(_TICK_S, _TICK_S)

    def wait_until_due(self) -> int:
        """Wait until the next first connect is due; return when that was (wall clock, ns)."""
        now_s = time.monotonic()
        due_s = max(self._next_s, now_s)
        due_ns = wall_ns() + round((due_s - now_s) * 1e9)
        self._next_s = due_s + self._spacing_s
        if due_s - now_s < _TICK_S:
            return due_ns
        if not self._due:
            self._timer.start(self._on_tick)
        turn = _Turn(due_s)
        self._due.append(turn)
        try:
            while not turn.granted:
                self._hub.switch()
        finally:
            turn.granted = True
        return due_ns

    def __enter__(self) -> None:
        """Wait until one more may connect."""
        if self._free:
            self._free -= 1
            return
        turn = _Turn(0.0)
        self._waiting[turn] = None
        try:
            while not turn.granted:
                self._hub.switch()
        except BaseException:
            # The user was stopped.
            if turn.granted:
                self.__exit__()
            else:
                del self._waiting[turn]
            raise

    def __exit__(self, *_: object) -> None:
        """Let the next one connect."""
        if not self._waiting:
            self._free += 1
            return
        turn = next(iter(self._waiting))
        del self._waiting[turn]
        turn.granted = True
        self._hub.loop.run_callback(turn.greenlet.switch)

    def _on_tick(self) -> None:
        now_s = time.monotonic()
        while self._due and self._due[0].due_s <= now_s:
            turn = self._due.popleft()
            if not turn.granted:
                turn.granted = True
                turn.greenlet.switch()
        if not self._due:
            self._timer.stop()
