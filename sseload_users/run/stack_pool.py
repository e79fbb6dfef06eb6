"""Stacks that greenlets share for what goes deep and ends soon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gevent

_T = TypeVar("_T")


class StackPool(Generic[_T]):
    """Calls functions in greenlets of its own, which it keeps for further calls.

    The memory of a greenlet's stack is that of its deepest call, for as long as it lives. A
    connection is made deep in calls, and then held for hours a few calls deep.

    Args:
        most: how many functions are called at a time, as a rule. If as many greenlets are busy,
            or `MOST`, a function is called directly.
    """

    #: Most greenlets of a pool.
    MOST = 200

    def __init__(self, most: int) -> None:
        self._most = min(most, self.MOST)
        self._made = 0
        self._idle: list[_Caller[_T]] = []

    def call(self, function: Callable[[], _T]) -> _T:
        """Call a function and return what it returns; stop it if the caller is stopped."""
        if self._idle:
            caller = self._idle.pop()
        elif self._made < self._most:
            self._made += 1
            caller = _Caller()
        else:
            return function()
        try:
            caller.call(function)
        except BaseException:
            # The caller was stopped. The greenlet ends with what it called.
            self._made -= 1
            caller.kill()
            raise
        self._idle.append(caller)
        return caller.outcome()

    def close(self) -> None:
        """End the greenlets that are idle."""
        self._made -= len(self._idle)
        for each in self._idle:
            each.kill(block=False)
        self._idle.clear()


class _Caller(Generic[_T]):
    """A greenlet that calls one function after the other."""

    __slots__ = ("_error", "_function", "_greenlet", "_hub", "_result", "_waiting")

    def __init__(self) -> None:
        self._hub: Any = gevent.get_hub()
        self._function: Callable[[], _T] | None = None
        self._waiting: Any = None
        self._result: list[_T] = []
        self._error: BaseException | None = None
        self._greenlet = gevent.spawn(self._run)

    def call(self, function: Callable[[], _T]) -> None:
        """Call a function, and wait until it returns or raises; see `outcome`."""
        self._function, self._waiting = function, gevent.getcurrent()
        # Before its first call, it is about to start anyway.
        if self._greenlet.started and self._greenlet.gr_frame is not None:
            self._hub.loop.run_callback(self._greenlet.switch)
        try:
            while self._function is not None:
                self._hub.switch()
        finally:
            self._function = self._waiting = None

    def outcome(self) -> _T:
        """Return what the function has returned, or raise what it has raised; once."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._result.pop()

    def kill(self, *, block: bool = True) -> None:
        """End the greenlet, and the function that it calls."""
        self._greenlet.kill(block=block)

    def _run(self) -> None:
        while True:
            function = self._function
            if function is not None:
                try:
                    self._result.append(function())
                except gevent.GreenletExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the caller's
                    self._error = error
                self._function = function = None
                self._hub.loop.run_callback(self._wake)
            self._hub.switch()

    def _wake(self) -> None:
        # A caller that was stopped meanwhile waits for something else.
        if self._waiting is not None:
            self._waiting.switch()
