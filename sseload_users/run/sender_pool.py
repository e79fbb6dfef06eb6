"""Greenlets that send codes, one code after the other."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import gevent.pool
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.queue import SimpleQueue


class SenderPool:
    """Calls functions in greenlets that it uses again.

    A new greenlet for each code takes a fifth of what it costs to send one: Python maps memory
    for its stack, and unmaps it.

    Args:
        most: how many functions are called at a time.
    """

    def __init__(self, most: int) -> None:
        self._room = Semaphore(most)
        self._due: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._greenlets = gevent.pool.Group()
        # Functions that were handed in and have not returned.
        self._open = 0
        self._empty = Event()
        self._empty.set()

    def call(self, function: Callable[[], object]) -> None:
        """Call a function soon, and do not wait for it; wait while too many are called."""
        self._room.acquire()
        self._open += 1
        self._empty.clear()
        self._due.put(function)
        if len(self._greenlets) < self._open:
            self._greenlets.spawn(self._run)

    def join(self) -> None:
        """Wait until all functions have returned, or have been stopped."""
        self._empty.wait()

    def kill(self, *, block: bool = True, timeout: float | None = None) -> None:
        """Stop all functions; those that were not called yet are not called any more.

        Args:
            block: whether to wait until they have stopped.
            timeout: how many seconds at most; None for no limit.
        """
        while not self._due.empty():
            self._due.get_nowait()
            self._note_end()
        ending, self._greenlets = self._greenlets, gevent.pool.Group()
        ending.kill(block=block, timeout=timeout)

    def _run(self) -> None:
        while True:
            function = self._due.get()
            try:
                function()
            except Exception as error:  # noqa: BLE001 - another code has the same greenlet
                hub = gevent.get_hub()
                hub.handle_error(function, type(error), error, error.__traceback__)
            finally:
                self._note_end()

    def _note_end(self) -> None:
        self._open -= 1
        self._room.release()
        if not self._open:
            self._empty.set()
