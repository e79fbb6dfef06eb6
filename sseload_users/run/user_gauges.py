"""What the users of a process are doing at the moment."""

from __future__ import annotations

from types import TracebackType

import gevent

from sseload_users.core.garbage import Growth
from sseload_users.core.worker_report import UserCounts

#: Seconds without a new user or connection after which the process no longer grows.
_GROWTH_S = 0.5


class Gauge:
    """A number of users; a context manager that adds one for as long as it is held.

    Attributes:
        value: the number.
    """

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def __enter__(self) -> None:
        self.value += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.value -= 1


class UserGauges:
    """What the users of a process are doing at the moment.

    Attributes:
        listening: listeners.
        broadcasting: broadcasters.
        pending: users that have neither connected nor failed for good.
        connecting: listeners that are connecting.
    """

    def __init__(self) -> None:
        self.listening = Gauge()
        self.broadcasting = Gauge()
        self.pending = Gauge()
        self._growth = Growth()
        self.connecting = Gauge()
        self._has_grown = False
        self._growing: gevent.Greenlet[..., None] | None = None

    def grow(self) -> None:
        """Note that a user is created or connects, as thousands may do; see `Growth`."""
        self._has_grown = True
        if self._growing is None:
            self._growing = gevent.spawn(self._grow)
            self._growth.__enter__()

    def _grow(self) -> None:
        try:
            while self._has_grown:
                self._has_grown = False
                gevent.sleep(_GROWTH_S)
        finally:
            self._growth.__exit__()
            self._growing = None

    def counts(self) -> UserCounts:
        """Return all numbers."""
        return UserCounts(
            self.listening.value,
            self.broadcasting.value,
            self.pending.value,
            self.connecting.value,
        )
