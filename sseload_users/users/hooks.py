"""Calls of the hooks that a subclass of a user overrides, in a greenlet of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent.queue import SimpleQueue

_logger = logging.getLogger(__name__)

#: The hooks and exception types that have been logged in this process.
_logged: set[tuple[str, type[Exception]]] = set()


def log_once(hook: Callable[..., object], error: Exception) -> None:
    """Log an exception of a hook, once for the hook and the exception's type."""
    name = getattr(hook, "__qualname__", "a hook")
    if (name, type(error)) not in _logged:
        _logged.add((name, type(error)))
        _logger.error("%s raised an exception (logged once for its type)", name, exc_info=error)


class HookCalls:
    """Calls hooks one after the other, in the order of their events.

    A hook may block: later calls wait, and nothing else does. If it raises, that is counted,
    logged once for each hook and type of exception, and the next call is made all the same.

    Args:
        on_error: called for each exception that a hook raises.
    """

    def __init__(self, on_error: Callable[[], None]) -> None:
        self._on_error = on_error
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        gevent.spawn(self._run)

    def put(self, call: Callable[[], None]) -> None:
        """Queue a call. It never blocks, so it may be used in the hub."""
        self._queue.put(call)

    def close(self) -> None:
        """Accept no further calls; those that are queued are still made."""
        self._queue.put(None)

    def _run(self) -> None:
        while (call := self._queue.get()) is not None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - the next call is made all the same
                self._on_error()
                log_once(getattr(call, "func", call), error)
