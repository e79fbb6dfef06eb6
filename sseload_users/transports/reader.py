"""Reading all connections of a process in the hub.

One epoll set holds all connections, and one libev watcher holds the epoll set. That costs
less, for each receipt and for each idle connection, than a libev watcher per connection: one
loop reads all that are ready, as `receiving` has it, and hands over what there was. On platforms
without epoll, each connection has its own watcher.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any

import gevent
import gevent.monkey

from sseload_users.core.clock import from_kernel
from sseload_users.transports.lag import LagRecorder
from sseload_users.transports.reading import (
    READ_BYTES,
    Readable,
    Reader,
    end_watch,
    read_once,
)
from sseload_users.transports.receiving import ReceiveEach, receive_best

#: Most connections that one turn of the hub reads, so that a broadcast to ten thousand does
#: not hold up the greenlets that send the next one.
_BATCH = 512

#: The set is polled every _BEAT seconds even without an event, so that whatever arrives
#: later is known not to have been there before.
_BEAT = 0.05

#: A broadcast is arriving once this many connections were read within this many seconds. It
#: is over when a poll, one every _TICK seconds, finds only a few.
_BURST, _BURST_WITHIN, _TICK, _FEW = 16, 0.001, 0.0005, 8

# Linux's numbers: gevent's patching takes them out of the select module. The end of a stream
# and urgent data are only reported on request.
_EPOLLIN, _EPOLLPRI, _EPOLLOUT, _EPOLLRDHUP = 0x001, 0x002, 0x004, 0x2000
_EPOLLONESHOT, _EPOLLET = 1 << 30, 1 << 31
_WATCHED = _EPOLLIN | _EPOLLPRI | _EPOLLRDHUP | _EPOLLET
_GATE = _EPOLLIN | _EPOLLONESHOT
_READ, _WRITE = 1, 2  # libev's EV_READ and EV_WRITE


class EpollReader:
    """Reads all connections of a process from one epoll set.

    The set is edge-triggered: it reports each arrival once, which spares the kernel a second
    check of every connection that was read. A connection whose read may have left bytes
    behind is armed again.

    Between this set and libev there is a second, one-shot set, the gate. It reports once that
    the first set has something, and then stays shut until it is armed again. Stopping libev's
    watcher instead would register the first set again for every broadcast, and registering a
    set makes the kernel walk through all of its members.

    Args:
        lag: records the generator's lag.
        epoll: makes an epoll set.
        receive_each: reads the connections that are ready.
        patient: whether reading may be put off during a burst: only if the kernel stamps
            arrivals.
    """

    __slots__ = (
        "_beat",
        "_connections",
        "_count",
        "_drained_ns",
        "_epoll",
        "_gate",
        "_left",
        "_patient",
        "_receive_each",
        "_since",
        "_timer",
        "_watcher",
        "lag",
    )

    def __init__(
        self,
        lag: LagRecorder,
        epoll: Callable[[], select.epoll],
        receive_each: ReceiveEach,
        *,
        patient: bool,
    ) -> None:
        self.lag = lag
        self._receive_each = receive_each
        self._connections: dict[int, Readable] = {}
        self._epoll = epoll()
        self._gate = epoll()
        self._gate.register(self._epoll.fileno(), _GATE)
        self._patient = patient
        loop = gevent.get_hub().loop
        # The watcher and the beat are active while there are connections; the timer replaces
        # the gate during a burst.
        self._watcher = loop.io(self._gate.fileno(), _READ)
        self._timer = loop.timer(_TICK, _TICK)
        self._beat = loop.timer(_BEAT, _BEAT)
        # When all buffers were last known to be empty, but for what that poll reported (the
        # kernel's clock, ns); and the same for each connection whose last read may have left
        # bytes behind (wall clock, ns).
        self._drained_ns = 0
        self._left: dict[int, int] = {}
        # How many connections were read since when (monotonic, s): a burst or not.
        self._count = 0
        self._since = 0.0

    def add(self, connection: Readable) -> None:
        """Start to read a connection, and to write its backlog."""
        if not self._connections:
            self._gate.modify(self._epoll.fileno(), _GATE)
            self._watcher.start(self._on_ready)
            self._beat.start(self._read)
            self._drained_ns = connection.empty_ns
        # The last poll did not cover what this one has received already.
        self._drained_ns = min(self._drained_ns, connection.empty_ns)
        fd = connection.fileno()
        self._connections[fd] = connection
        self._epoll.register(fd, _WATCHED | _EPOLLOUT if connection.backlog else _WATCHED)

    def remove(self, connection: Readable) -> None:
        """Stop watching a connection; does nothing if it is not watched."""
        fd = connection.fileno()
        if self._connections.get(fd) is connection:
            del self._connections[fd]
            self._left.pop(fd, None)
            self._epoll.unregister(fd)
            if not self._connections:
                # An active watcher would keep an idle hub from ending.
                self._watcher.stop()
                self._timer.stop()
                self._beat.stop()

    def want_write(self, connection: Readable) -> None:
        """Watch for room to write if, and only if, the connection has a backlog."""
        fd = connection.fileno()
        if self._connections.get(fd) is connection:
            # This reports pending input again, too.
            self._epoll.modify(fd, _WATCHED | _EPOLLOUT if connection.backlog else _WATCHED)

    def _on_ready(self) -> None:
        self._gate.poll(0, 1)
        now = time.monotonic()
        if now - self._since > _BURST_WITHIN:
            self._since = now
            self._count = 0
        self._count += self._read()
        if self._count >= _BURST and self._patient and self._connections:
            self._timer.start(self._on_tick)
        else:
            self._gate.modify(self._epoll.fileno(), _GATE)

    def _on_tick(self) -> None:
        if self._read() < _FEW and self._connections:
            self._timer.stop()
            self._gate.modify(self._epoll.fileno(), _GATE)

    def _read(self) -> int:
        """Read each connection that has input, up to a batch; return how many had."""
        # The hot path: these lines run for each message that each connection receives.
        connections, left, lag = self._connections, self._left, self.lag
        add = lag.add
        begun = time.time_ns()
        offset = from_kernel(begun) - begun
        all_empty_ns = self._drained_ns + offset
        ready = self._epoll.poll(0, _BATCH)
        if len(ready) < _BATCH:
            self._drained_ns = begun
        for fd, events, data, kernel_ns, late in self._receive_each(ready, connections):
            try:
                connection = connections[fd]
            except KeyError:
                continue  # an earlier callback of this turn closed it
            if events != _EPOLLIN and events & _EPOLLOUT:
                connection.flush_backlog()
            if data is None:
                if kernel_ns:  # the error's number
                    end_watch(self, connection, OSError(kernel_ns, os.strerror(kernel_ns)))
                continue
            if late is not None:
                add(late)
            if data:
                empty_ns = left.pop(fd, all_empty_ns) if left else all_empty_ns
                # A local name: an attribute is found faster when it is not called at once.
                on_bytes = connection.on_bytes
                if kernel_ns > begun or events != _EPOLLIN:
                    # This may be the stamp of something that arrived after the poll, even
                    # if only of the end of the stream.
                    stamp = lag.share(kernel_ns + offset, empty_ns)
                else:
                    stamp = kernel_ns + offset
                try:
                    on_bytes(data, stamp, empty_ns)
                except Exception as error:  # noqa: BLE001 - nothing may reach the hub
                    end_watch(self, connection, error)
                if events != _EPOLLIN or len(data) == READ_BYTES:
                    # There may be more to read, or the end.
                    if fd in connections:
                        left[fd] = empty_ns
                    self.want_write(connection)
            else:
                end_watch(self, connection, None)
        return len(ready)


class LoopReader:
    """Reads each connection from its own watcher; for platforms without epoll."""

    __slots__ = ("_watchers", "lag")

    def __init__(self, lag: LagRecorder) -> None:
        self.lag = lag
        self._watchers: dict[Readable, tuple[Any, Any]] = {}

    def add(self, connection: Readable) -> None:
        """Start to read a connection, and to write its backlog."""
        loop = gevent.get_hub().loop
        reading = loop.io(connection.fileno(), _READ)
        writing = loop.io(connection.fileno(), _WRITE)
        self._watchers[connection] = (reading, writing)
        reading.start(self._ready, connection)
        self.want_write(connection)

    def remove(self, connection: Readable) -> None:
        """Stop watching a connection; does nothing if it is not watched."""
        for watcher in self._watchers.pop(connection, ()):
            watcher.stop()
            watcher.close()

    def want_write(self, connection: Readable) -> None:
        """Watch for room to write if, and only if, the connection has a backlog."""
        if connection in self._watchers:
            writing = self._watchers[connection][1]
            writing.stop()
            if connection.backlog:
                writing.start(connection.flush_backlog)

    def _ready(self, connection: Readable) -> None:
        read_once(self, connection, self.lag)


def make_reader(lag: LagRecorder, *, stamped: bool) -> Reader:
    """Return the cheapest reader that this platform offers.

    Args:
        lag: records the generator's lag.
        stamped: whether the kernel stamps arrivals.
    """
    try:
        # gevent's patching takes epoll out of the select module.
        epoll = gevent.monkey.get_original("select", "epoll")
    except AttributeError:
        return LoopReader(lag)
    return EpollReader(lag, epoll, receive_best(), patient=stamped)
