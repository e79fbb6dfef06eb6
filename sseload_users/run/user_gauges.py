"""What the users of a process are doing at the moment."""

from __future__ import annotations

from types import TracebackType

from sseload_users.core.garbage import Growth
from sseload_users.core.worker_report import UserCounts


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


class GrowthGauge(Gauge):
    """A gauge of users that make the process grow; see `Growth`."""

    __slots__ = ("_growth",)

    def __init__(self) -> None:
        super().__init__()
        self._growth = Growth()

    def __enter__(self) -> None:
        self._growth.__enter__()
        self.value += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.value -= 1
        self._growth.__exit__()


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
        self.connecting = GrowthGauge()

    def counts(self) -> UserCounts:
        """Return all numbers."""
        return UserCounts(
            self.listening.value,
            self.broadcasting.value,
            self.pending.value,
            self.connecting.value,
        )
