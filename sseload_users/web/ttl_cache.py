"""A cache of one value that expires."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from gevent.lock import RLock

_T = TypeVar("_T")


class TtlCache(Generic[_T]):
    """A value that is computed at most once in a while, and by one greenlet at a time.

    Args:
        ttl_s: seconds for which a value that changes is returned again.
    """

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
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
                self._value = [compute()]
                self._key, self._computed_at = key, time.monotonic()
            return self._value[0]
