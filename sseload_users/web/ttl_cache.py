"""A cache of one value that expires."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import gevent
from gevent.lock import RLock

_T = TypeVar("_T")

#: Most of a core that computing a value may take, however often it is asked for.
_SHARE = 0.02
#: Seconds after which a value that changes is computed again in any case.
_LONGEST_S = 6.0


class TtlCache(Generic[_T]):
    """A value that is computed at most once in a while, and by one greenlet at a time.

    A value that takes long to compute is kept for longer, so that it takes 2 % of a core at most.

    Args:
        ttl_s: seconds for which a value that changes is returned again, at least.
    """

    def __init__(self, ttl_s: float) -> None:
        self._least_s = self._ttl_s = ttl_s
        self._others_s = 0.0
        self._lock = RLock()
        self._key: Hashable = None
        self._computed_at = 0.0
        self._value: list[_T] = []

    def get(self, key: Hashable, compute: Callable[[], _T], *, changes: bool) -> _T:
        """Return the value; compute it if it has another key, or has changed and expired.

        Whoever asks while it is being computed waits, and gets the same value.

        Args:
            key: what the value belongs to.
            compute: returns the value.
            changes: whether the value of one key changes over time.
        """
        with self._lock:
            expired = changes and time.monotonic() - self._computed_at >= self._ttl_s
            if not self._value or self._key != key or expired:
                self._others_s, began_s = 0.0, time.thread_time()
                self._value = [compute()]
                own_s = time.thread_time() - began_s - self._others_s
                self._ttl_s = max(self._least_s, min(own_s / _SHARE, _LONGEST_S))
                self._key, self._computed_at = key, time.monotonic()
            return self._value[0]

    def pause(self) -> None:
        """Let other greenlets work in the middle of a computation, at their own cost."""
        before_s = time.thread_time()
        gevent.sleep(0)
        self._others_s += time.thread_time() - before_s
