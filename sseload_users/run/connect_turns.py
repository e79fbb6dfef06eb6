"""When each connection may connect, and on whose stack: spread evenly, and so many at a time.

The memory of a greenlet's stack is that of its deepest call, for as long as it lives. A connection
is made deep in calls, and then held for hours a few calls deep. So a few greenlets make the
connections for all: each takes the connection whose turn is next.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gevent

from sseload_users.core.clock import wall_ns

_T = TypeVar("_T")

#: Seconds between two looks at which connections are due.
_TICK_S = 0.001
#: Most greenlets that make connections.
_MOST_CALLERS = 200
#: A caller lets other greenlets run after so many calls, which may all have failed at once.
_CALLS_IN_ROW = 16


class Turn(Generic[_T]):
    """A function to be called when its turn has come.

    Attributes:
        function: gets how long it waited for its turn, in microseconds.
        limited: whether it is one of those that are limited in number.
        notify: called when the call has returned, or has to be made by `ConnectTurns.wait`, if
            nobody waits yet; None if somebody will.
        greenlet: waits for the call to return; None if none does yet.
        due_s: when its turn may come (monotonic clock, s).
        asked_s: since when it waits for others (monotonic clock, s).
        waited_us: how long it has waited for others.
        state: what has become of it; "direct" if who waits for it has to make the call.
        caller: the greenlet that makes the call.
        result: what the function has returned.
        error: what it has raised.
    """

    __slots__ = (
        "asked_s",
        "caller",
        "due_s",
        "error",
        "function",
        "greenlet",
        "limited",
        "notify",
        "result",
        "state",
        "waited_us",
    )

    def __init__(
        self,
        function: Callable[[int], _T],
        due_s: float,
        notify: Callable[[Turn[_T]], None] | None,
        *,
        limited: bool,
    ) -> None:
        self.function = function
        self.limited = limited
        self.notify = notify
        self.greenlet: Any = None
        self.due_s = self.asked_s = due_s
        self.waited_us = 0
        self.state = "waiting"
        self.caller: gevent.Greenlet[..., None] | None = None
        self.result: _T | None = None
        self.error: BaseException | None = None

    @property
    def has_succeeded(self) -> bool:
        """Whether the call has returned None, and raised nothing."""
        return self.state == "done" and self.error is None and self.result is None

    def wake(self) -> None:
        """Let the greenlet that waits go on, unless that was stopped meanwhile."""
        if self.state in ("done", "direct"):
            self.greenlet.switch()


class ConnectTurns(Generic[_T]):
    """The turns of a process's connections to connect.

    Locust starts the users of each second at its beginning; their first connects are spread over
    the second.

    Args:
        most: how many connect at a time.
        rate: how many connections begin per second; 0 for all as soon as they can.
    """

    def __init__(self, most: int, rate: float) -> None:
        self._free = most
        self._most_callers = min(most, _MOST_CALLERS)
        self._spacing_s = 1 / rate if rate else 0.0
        self._next_s = -math.inf
        self._hub: Any = gevent.get_hub()
        # Those that are not due yet; those that wait for another one to finish; and those that
        # the callers are about to make.
        self._due: deque[Turn[_T]] = deque()
        self._waiting: dict[Turn[_T], None] = {}
        self._granted: deque[Turn[_T]] = deque()
        self._timer = self._hub.loop.timer(_TICK_S, _TICK_S)
        self._callers: set[gevent.Greenlet[..., None]] = set()
        self._idle: list[gevent.Greenlet[..., None]] = []
        self._closed = False

    def next_due(self) -> tuple[float, int]:
        """Return when the next first connect is due (monotonic clock, s; wall clock, ns)."""
        now_s = time.monotonic()
        due_s = max(self._next_s, now_s)
        self._next_s = due_s + self._spacing_s
        return due_s, wall_ns() + round((due_s - now_s) * 1e9)

    def ask(
        self,
        function: Callable[[int], _T],
        due_s: float = 0.0,
        *,
        limited: bool = True,
        notify: Callable[[Turn[_T]], None] | None = None,
    ) -> Turn[_T]:
        """Have a function called when its turn has come.

        Args:
            function: makes a connection. It is called with the time that it had to wait for
                others, in microseconds, and in another greenlet as a rule.
            due_s: when its turn may come, from `next_due`; 0 for now.
            limited: whether it is one of those that are limited in number.
            notify: see `Turn`. It is called in any greenlet, and must not block.

        Returns:
            What to `wait` for: at once if there is nobody to notify.
        """
        own = Turn(function, due_s, notify, limited=limited)
        if due_s - time.monotonic() >= _TICK_S:
            if not self._due:
                self._timer.start(self._on_tick)
            self._due.append(own)
        else:
            self._admit(own)
        return own

    def wait(self, own: Turn[_T]) -> _T:
        """Wait for a call, and return what it returns; stop it if the current greenlet is stopped.

        Args:
            own: the turn, from `ask`.
        """
        own.greenlet = gevent.getcurrent()
        try:
            while own.state not in ("done", "direct"):
                self._hub.switch()
        except BaseException:
            self._stop(own)
            raise
        if own.state == "direct":
            try:
                return own.function(own.waited_us)
            finally:
                if (following := self._release(own)) is not None:
                    self._grant(following)
        if own.error is not None:
            raise own.error
        return own.result  # type: ignore[return-value]

    def close(self) -> None:
        """Keep no greenlets that are idle, from now on."""
        self._closed = True
        for each in self._idle:
            self._callers.discard(each)
            each.kill(block=False)
        self._idle.clear()

    def _on_tick(self) -> None:
        now_s = time.monotonic()
        while self._due and self._due[0].due_s <= now_s:
            own = self._due.popleft()
            if own.state == "waiting":
                self._admit(own)
        if not self._due:
            self._timer.stop()

    def _admit(self, own: Turn[_T]) -> None:
        """Have a call made that is due, as soon as one more may connect."""
        if not own.limited:
            self._grant(own)
        elif self._free:
            self._free -= 1
            self._grant(own)
        else:
            own.asked_s = time.monotonic()
            self._waiting[own] = None

    def _grant(self, own: Turn[_T]) -> None:
        """Have a caller make a call; if all are busy, its own greenlet."""
        if self._idle:
            self._hub.loop.run_callback(self._idle.pop().switch)
        elif len(self._callers) < self._most_callers:
            self._callers.add(gevent.spawn(self._make_calls))
        else:
            own.state = "direct"
            self._notify(own)
            return
        own.state = "granted"
        self._granted.append(own)

    def _release(self, own: Turn[_T]) -> Turn[_T] | None:
        """Give up a call's place; return the call whose turn it is then, if there is one."""
        if not own.limited:
            return None
        if not self._waiting:
            self._free += 1
            return None
        following = next(iter(self._waiting))
        del self._waiting[following]
        following.waited_us = round((time.monotonic() - following.asked_s) * 1e6)
        return following

    def _stop(self, own: Turn[_T]) -> None:
        """End a call whose greenlet is stopped."""
        state, own.state = own.state, "stopped"
        if state == "waiting":
            self._waiting.pop(own, None)
            return
        if state == "done":
            return
        if own.caller is not None:
            own.caller.kill()
        if (following := self._release(own)) is not None:
            self._grant(following)

    def _make_calls(self) -> None:
        """Make one call after the other; in a caller."""
        current: Any = gevent.getcurrent()
        made = 0
        try:
            while True:
                own = self._granted.popleft() if self._granted else None
                if own is None:
                    if self._closed:
                        return
                    self._idle.append(current)
                    self._hub.switch()
                elif own.state == "granted":
                    self._make(own, current)
                    made += 1
                    if made % _CALLS_IN_ROW == 0:
                        gevent.sleep(0)
        finally:
            self._callers.discard(current)

    def _make(self, own: Turn[_T], caller: gevent.Greenlet[..., None]) -> None:
        own.state, own.caller = "running", caller
        try:
            own.result = own.function(own.waited_us)
        except BaseException as error:  # noqa: BLE001 - its greenlet raises it
            own.error = error
        if own.state == "stopped":
            raise gevent.GreenletExit
        own.state, own.caller = "done", None
        if (following := self._release(own)) is not None:
            following.state = "granted"
            self._granted.append(following)
        self._notify(own)

    def _notify(self, own: Turn[_T]) -> None:
        """Have who waits for a call go on, or who asked for it."""
        if own.greenlet is not None:
            self._hub.loop.run_callback(own.wake)
        elif own.notify is not None:
            own.notify(own)
