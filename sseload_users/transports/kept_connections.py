"""HTTP connections that are kept for further requests (RFC 9112 §9.3)."""

from __future__ import annotations

import contextlib
import select
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

import gevent
import gevent.monkey

#: Seconds for which an unused connection is kept: most servers close one after five, some after
#: two.
_IDLE_S = 1.5
#: Most connections that are kept, as each takes a file descriptor.
_MOST = 256
#: The system's calls, which gevent's patching replaces by its own. Windows has no poll.
_select: Callable[..., Any] = gevent.monkey.get_original("select", "select")
_poll: Callable[[], Any] | None = getattr(select, "poll", None) and gevent.monkey.get_original(
    "select", "poll"
)
_POLLIN = 0x001


class Keepable(Protocol):
    """A connection that can be kept."""

    @property
    def sock(self) -> Any:
        """Its socket; None once it is closed."""

    def close(self) -> None:
        """Close it."""


_Kept = TypeVar("_Kept", bound=Keepable)


class KeptConnections(Generic[_Kept]):
    """The connections of a process that wait for another request, by what they can be used for.

    Args:
        idle_s: seconds after which an unused connection is closed.
        most: most connections; one more closes the one that has waited longest.
    """

    def __init__(self, idle_s: float = _IDLE_S, most: int = _MOST) -> None:
        self._idle_s = idle_s
        self._most = most
        self._by_use: dict[Hashable, list[_Kept]] = defaultdict(list)
        # Their uses, and since when they wait (monotonic clock, s): the longest first.
        self._waiting: dict[_Kept, tuple[Hashable, float]] = {}
        self._timer: Any = None

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, use: Hashable) -> _Kept | None:
        """Return the connection that was used last and is still open; None if there is none."""
        while own := self._by_use.get(use):
            connection = own[-1]
            self._forget(connection)
            if connection.sock is not None and is_quiet(connection.sock):
                return connection
            _close(connection)
        return None

    def keep(self, use: Hashable, connection: _Kept) -> None:
        """Keep a connection whose last response is complete.

        Args:
            use: what it can be used for: `take` asks for the same.
            connection: its server has not announced to close it.
        """
        if len(self._waiting) >= self._most:
            self._close_oldest()
        self._by_use[use].append(connection)
        self._waiting[connection] = use, time.monotonic()
        if self._timer is None:
            # It does not keep an idle hub from ending.
            self._timer = gevent.get_hub().loop.timer(self._idle_s, self._idle_s, ref=False)
            self._timer.start(self._close_idle, update=True)

    def close(self) -> None:
        """Close all."""
        while self._waiting:
            self._close_oldest()
        self._stop_timer()

    def _close_idle(self) -> None:
        """Close those that have waited too long; in the hub."""
        since_s = time.monotonic() - self._idle_s
        while self._waiting and next(iter(self._waiting.values()))[1] <= since_s:
            self._close_oldest()
        if not self._waiting:
            self._stop_timer()

    def _close_oldest(self) -> None:
        connection = next(iter(self._waiting))
        self._forget(connection)
        _close(connection)

    def _forget(self, connection: _Kept) -> None:
        use, _ = self._waiting.pop(connection)
        own = self._by_use[use]
        own.remove(connection)
        if not own:
            del self._by_use[use]

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


def is_quiet(sock: Any) -> bool:
    """Whether a connection without a request in flight can take one: nothing has come meanwhile.

    What comes then is the end of the connection, or what no request asked for.
    """
    descriptor = sock.fileno()
    if descriptor < 0:
        return False
    if _poll is None:
        return not _select([descriptor], [], [], 0)[0]
    watched = _poll()
    watched.register(descriptor, _POLLIN)
    return not watched.poll(0)


def _close(connection: Keepable) -> None:
    with contextlib.suppress(OSError):
        connection.close()
