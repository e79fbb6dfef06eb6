"""Engine.IO's heartbeat: whether the server is still there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent

from sseload_users.transports.engineio import Opening

#: Seconds to read what has arrived already, should this process itself be late.
_GRACE = 1.0


class Heartbeat:
    """Watches that the server is heard from in time; in the hub.

    In revision 4 the server pings. In revision 3 the client does, see `PingingHeartbeat`.

    One timer per connection, restarted for the time that is left: what is heard costs no timer.

    Args:
        opening: says how long the server may be silent.
        on_missed: called once if it was for longer.
    """

    __slots__ = ("_deadline", "_on_missed", "_overdue", "_timer", "allowed_s")

    def __init__(self, opening: Opening, on_missed: Callable[[], None]) -> None:
        self.allowed_s = opening.ping_interval_s + opening.ping_timeout_s
        self._on_missed = on_missed
        self._deadline = time.monotonic() + self.allowed_s
        self._overdue = False
        self._timer: Any = None

    def hear(self) -> None:
        """Handle a sign of life."""
        self._deadline = time.monotonic() + self.allowed_s
        self._overdue = False

    def start(self) -> None:
        """Start to watch."""
        self._start_timer(max(self._deadline - time.monotonic(), 0))

    def stop(self) -> None:
        """Stop for good."""
        _stop(self._timer)
        self._timer = None

    def _start_timer(self, seconds: float) -> None:
        self._timer = _restarted(self._timer, seconds, self._check)

    def _check(self) -> None:
        left = self._deadline - time.monotonic()
        if left > 0:
            self._start_timer(left)
        elif not self._overdue:
            # After a stall of this process, timers run before what waits unread is read.
            self._overdue = True
            self._start_timer(_GRACE)
        else:
            self._on_missed()


class PingingHeartbeat(Heartbeat):
    """The heartbeat of revision 3: this side pings, and anything that comes is a sign of life.

    Args:
        opening: says how often to ping, and how long the answer may take.
        on_missed: called once if nothing came in time.
        ping: sends a ping.
    """

    __slots__ = ("_opening", "_ping", "_pings")

    def __init__(
        self, opening: Opening, on_missed: Callable[[], None], ping: Callable[[], object]
    ) -> None:
        super().__init__(opening, on_missed)
        self._opening = opening
        self._ping = ping
        self._pings: Any = None

    def start(self) -> None:
        """Start to watch, and to ping."""
        super().start()
        self._pings = _restarted(None, self._opening.ping_interval_s, self._on_due)

    def stop(self) -> None:
        """Stop for good."""
        super().stop()
        _stop(self._pings)
        self._pings = None

    def on_pong(self) -> None:
        """Handle the answer to a ping: the next one follows after the interval."""
        if self._pings is not None:
            self._pings = _restarted(self._pings, self._opening.ping_interval_s, self._on_due)

    def _on_due(self) -> None:
        self._ping()
        self._deadline = time.monotonic() + self._opening.ping_timeout_s
        self._start_timer(self._opening.ping_timeout_s)


def _restarted(timer: Any, seconds: float, action: Callable[[], None]) -> Any:
    """Return a timer that runs once, in place of another one."""
    _stop(timer)
    timer = gevent.get_hub().loop.timer(seconds)
    timer.start(action)
    return timer


def _stop(timer: Any) -> None:
    if timer is not None:
        timer.stop()
        timer.close()
