"""Timeouts that do not count a delay of this process against the other side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

#: Seconds in which what has arrived already is read once a timeout has passed.
ONCE_MORE_S = 0.01


class PatientTimeout(gevent.Timeout):
    """A timeout that is raised only after the event loop has read once more.

    When a process was stopped or starved for longer than a timeout, the timeout's timer can run
    before the bytes are read that arrived in time.
    """

    _timer: Any = None

    def _on_expiration(self, prev_greenlet: Any, ex: Any) -> None:
        throw: Callable[[Any], None] = prev_greenlet.throw
        self._timer = gevent.get_hub().loop.timer(ONCE_MORE_S, priority=-1)
        self._timer.start(throw, ex, update=True)

    def close(self) -> None:
        """Cancel it."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        super().close()
