"""Greenlets that wait until their socket can be read or written.

One epoll set holds the sockets of all greenlets that wait, and one libev watcher holds the set;
one timer is for all deadlines. A watcher and a timer for each wait would cost several times as
much, and a connect waits twice at least. On platforms without epoll, gevent's own waits are used.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable
from typing import Any

import gevent
import gevent.monkey
import gevent.socket

#: Most greenlets that one turn of the hub resumes: each may take a tenth of a millisecond.
_BATCH = 64
# Linux's numbers: gevent's patching takes them out of the select module.
_EPOLLIN, _EPOLLOUT = 0x001, 0x004
_READ = 1  # libev's EV_READ


def wait_readable(fd: int, deadline: float | None) -> None:
    """Wait in the current greenlet until a socket has something to read, or has ended.

    Args:
        fd: the socket's file descriptor. One greenlet at a time may wait for it.
        deadline: when to give up, on ``time.monotonic``'s clock; None for never.

    Raises:
        TimeoutError: the deadline has passed.
    """
    _wait(fd, _EPOLLIN, deadline)


def wait_writable(fd: int, deadline: float | None) -> None:
    """Wait in the current greenlet until a socket is connected, or has room; see `wait_readable`.

    Raises:
        TimeoutError: the deadline has passed.
    """
    _wait(fd, _EPOLLOUT, deadline)


class EpollWaits:
    """The greenlets of one hub that wait for sockets.

    Args:
        epoll: makes an epoll set.
    """

    def __init__(self, epoll: Callable[[], select.epoll]) -> None:
        self._epoll = epoll()
        self._hub: Any = gevent.get_hub()
        self._watcher = self._hub.loop.io(self._epoll.fileno(), _READ)
        # The greenlet and the deadline of each wait, by the file descriptor.
        self._waits: dict[int, tuple[Any, float]] = {}
        self._timer: Any = None
        # When the timer fires (monotonic clock, s): not after any deadline.
        self._checked_at = math.inf

    def wait(self, fd: int, events: int, deadline: float | None) -> None:
        """Wait for events of a socket; see `wait_readable`.

        Raises:
            TimeoutError: the deadline has passed.
        """
        until = math.inf if deadline is None else deadline
        if until < self._checked_at:
            self._check_at(until)
        if not self._waits:
            # An active watcher would keep an idle hub from ending.
            self._watcher.start(self._on_ready)
        own = self._waits[fd] = (gevent.getcurrent(), until)
        self._epoll.register(fd, events)
        try:
            while self._waits.get(fd) is own:
                self._hub.switch()
        finally:
            # Not if the greenlet is killed: then its wait is still there.
            self._remove(fd, own)

    def _remove(self, fd: int, own: tuple[Any, float]) -> bool:
        """End a wait; return whether it was there."""
        if self._waits.get(fd) is not own:
            return False
        del self._waits[fd]
        self._epoll.unregister(fd)
        if not self._waits:
            self._watcher.stop()
        return True

    def _on_ready(self) -> None:
        for fd, _ in self._epoll.poll(0, _BATCH):
            # A greenlet that was resumed before may have ended this wait.
            own = self._waits.get(fd)
            if own is not None and self._remove(fd, own):
                own[0].switch()

    def _on_timer(self) -> None:
        self._checked_at = math.inf
        now = time.monotonic()
        expired = [each for each in self._waits.items() if each[1][1] <= now]
        for fd, own in expired:
            if self._remove(fd, own):
                own[0].throw(TimeoutError("timed out"))
        self._check_at(min((until for _, until in self._waits.values()), default=math.inf))

    def _check_at(self, deadline: float) -> None:
        """Have the deadlines checked at a time, if they are not checked before."""
        if deadline >= self._checked_at:
            return
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self._checked_at = deadline
        # It does not keep an idle hub from ending, so it may outlast the wait that it is for.
        self._timer = self._hub.loop.timer(max(deadline - time.monotonic(), 0), ref=False)
        self._timer.start(self._on_timer, update=True)


#: By hub. Each holds its hub.
_waits: dict[Any, EpollWaits] = {}


def _wait(fd: int, events: int, deadline: float | None) -> None:
    hub = gevent.get_hub()
    waits = _waits.get(hub)
    if waits is None:
        try:
            # gevent's patching takes epoll out of the select module.
            epoll = gevent.monkey.get_original("select", "epoll")
        except AttributeError:
            _wait_for_watcher(fd, events, deadline)
            return
        waits = _waits[hub] = EpollWaits(epoll)
    waits.wait(fd, events, deadline)


def _wait_for_watcher(fd: int, events: int, deadline: float | None) -> None:
    wait = gevent.socket.wait_read if events == _EPOLLIN else gevent.socket.wait_write
    if deadline is None:
        wait(fd)
    else:
        wait(fd, max(deadline - time.monotonic(), 0), TimeoutError("timed out"))
