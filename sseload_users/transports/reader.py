"""Reading in the hub: whose bytes are there, when they arrived, how late they were read.

One epoll set holds all connections of a process, and one libev watcher holds the epoll
set. That is cheaper, for each receipt and for each idle connection, than a libev watcher
per connection: the loop below fetches, stamps and hands over without a Python call in
between. Where there is no epoll, each connection has its watcher.
"""

from __future__ import annotations

import errno
import logging
import select
import struct
import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import gevent
import gevent.monkey

from sseload_users.core.clock import from_kernel
from sseload_users.core.timestamps import SharedStamp

if TYPE_CHECKING:
    from sseload_users.transports.stamped_socket import StampedSocket

_logger = logging.getLogger(__name__)

#: Most bytes that one read takes. A buffer of this size is allocated for each read and
#: shrunk to what came, which costs less than a second read for a burst.
READ_BYTES = 16384
#: Room for one ``SCM_TIMESTAMPNS``: a control message header and a ``struct timespec``.
ANCILLARY_BYTES = 32
#: A ``struct timespec``: seconds and nanoseconds.
unpack_timespec: Callable[[bytes], tuple[Any, ...]] = struct.Struct("@ll").unpack
#: Most connections that one turn of the hub reads, so that a broadcast to ten thousand
#: does not keep the greenlets waiting that send the next one.
_BATCH = 512

#: Each _BEAT seconds there is a look whether or not anything is said to be there, so that it
#: is known of what comes next that it was not there before.
_BEAT = 0.05

#: A broadcast rolls in when so many connections were read within so many seconds. It is
#: over when a look, one each _TICK seconds, finds only a few.
_CROWD, _CROWD_WITHIN, _TICK, _FEW = 16, 0.001, 0.0005, 8

# Linux's numbers: gevent's patching takes them out of the select module, and the end of a
# stream and urgent data are told of only to who asks.
_EPOLLIN, _EPOLLPRI, _EPOLLOUT, _EPOLLRDHUP = 0x001, 0x002, 0x004, 0x2000
_EPOLLONESHOT, _EPOLLET = 1 << 30, 1 << 31
_WATCHED = _EPOLLIN | _EPOLLPRI | _EPOLLRDHUP | _EPOLLET
_GATE = _EPOLLIN | _EPOLLONESHOT
_READ, _WRITE = 1, 2  # libev's EV_READ and EV_WRITE


class LagRecorder:
    """The generator's lag: from the kernel's timestamp to the read, a sample a read.

    Attributes:
        add: record one sample, in nanoseconds.
        empty_ns: of the bytes that are being read, none were there at that time (wall clock,
            ns); None if no such time is known.
    """

    __slots__ = ("_errors", "_samples", "add", "empty_ns")

    def __init__(self) -> None:
        self._samples = array("q")
        self._errors = array("q")
        self.add: Callable[[int], None] = self._samples.append
        self.empty_ns: int | None = None

    def share(self, arrived_ns: int) -> int:
        """The stamp of those messages that came before the last bytes of the same read.

        Args:
            arrived_ns: when those last bytes arrived (wall clock, ns).
        """
        empty_ns = self.empty_ns
        if empty_ns is None or empty_ns >= arrived_ns or isinstance(arrived_ns, SharedStamp):
            return arrived_ns
        self._errors.append(arrived_ns - empty_ns)
        return SharedStamp.of(arrived_ns, empty_ns)

    def drain(self) -> array[int]:
        """The samples since the last drain, in whole microseconds.

        A clock that was stepped back between stamp and read counts as no lag.
        """
        samples, self._samples = self._samples, array("q")
        self.add = self._samples.append
        return array("q", [sample // 1000 if sample > 0 else 0 for sample in samples])

    def drain_errors(self) -> array[int]:
        """How much too late shared stamps can be at most, in whole microseconds.

        One value for each read since the last drain whose messages shared one.
        """
        errors, self._errors = self._errors, array("q")
        return array("q", [error // 1000 for error in errors])


class Reader(Protocol):
    """Watches connections in the hub and hands their bytes to them."""

    lag: LagRecorder

    def add(self, arrival: StampedSocket) -> None:
        """Begin to read a connection, and to write what it could not write yet."""

    def remove(self, arrival: StampedSocket) -> None:
        """Leave a connection alone; one that is not watched is no mistake."""

    def want_write(self, arrival: StampedSocket) -> None:
        """Begin or end to watch whether more can be written."""


class EpollReader:
    """Reads all connections of a process from one epoll set.

    The set tells of each arrival once, which spares the kernel a second look at every
    connection that was read. What a read may have left behind is asked for again.

    Between the set and libev stands a second one, the gate. It tells once that the first has
    something and is then shut until it is opened again. Shutting libev's own watcher instead
    would register the set anew for every broadcast, and the kernel walks through all that a
    set holds when that is registered.

    Args:
        lag: where the generator's lag is recorded.
        epoll: makes an epoll set.
        patient: whether reading may wait while much arrives: only if the kernel stamps it.
    """

    __slots__ = (
        "_arrivals",
        "_beat",
        "_count",
        "_drained_ns",
        "_epoll",
        "_gate",
        "_left",
        "_patient",
        "_since",
        "_timer",
        "_watcher",
        "lag",
    )

    def __init__(
        self, lag: LagRecorder, epoll: Callable[[], select.epoll], *, patient: bool
    ) -> None:
        self.lag = lag
        self._arrivals: dict[int, StampedSocket] = {}
        self._epoll = epoll()
        self._gate = epoll()
        self._gate.register(self._epoll.fileno(), _GATE)
        self._patient = patient
        loop = gevent.get_hub().loop
        # Active as long as there are connections: the watcher, and the timer while the gate
        # is shut.
        self._watcher = loop.io(self._gate.fileno(), _READ)
        self._timer = loop.timer(_TICK, _TICK)
        self._beat = loop.timer(_BEAT, _BEAT)
        # When no connection had anything but what was read then (the kernel's clock, ns); and
        # for those of which that is not so, as a read left something behind, when that was
        # (wall clock, ns).
        self._drained_ns = 0
        self._left: dict[int, int] = {}
        # How many connections were read since when.
        self._count = 0
        self._since = 0.0

    def add(self, arrival: StampedSocket) -> None:
        """Begin to read a connection, and to write what it could not write yet."""
        if not self._arrivals:
            self._gate.modify(self._epoll.fileno(), _GATE)
            self._watcher.start(self._on_ready)
            self._beat.start(self._read)
            self._drained_ns = arrival.empty_ns
        # What it has got already was not seen at the last look.
        self._drained_ns = min(self._drained_ns, arrival.empty_ns)
        fd = arrival.fileno()
        self._arrivals[fd] = arrival
        self._epoll.register(fd, _WATCHED | _EPOLLOUT if arrival.backlog else _WATCHED)

    def remove(self, arrival: StampedSocket) -> None:
        """Leave a connection alone; one that is not watched is no mistake."""
        fd = arrival.fileno()
        if self._arrivals.get(fd) is arrival:
            del self._arrivals[fd]
            self._left.pop(fd, None)
            self._epoll.unregister(fd)
            if not self._arrivals:
                # An active watcher would keep a hub alive that has nothing else to do.
                self._watcher.stop()
                self._timer.stop()
                self._beat.stop()

    def want_write(self, arrival: StampedSocket) -> None:
        """Begin or end to watch whether more can be written."""
        fd = arrival.fileno()
        if self._arrivals.get(fd) is arrival:
            # It is told of anew as well, if there is something to read.
            self._epoll.modify(fd, _WATCHED | _EPOLLOUT if arrival.backlog else _WATCHED)

    def _on_ready(self) -> None:
        self._gate.poll(0, 1)
        now = time.monotonic()
        if now - self._since > _CROWD_WITHIN:
            self._since = now
            self._count = 0
        self._count += self._read()
        if self._count >= _CROWD and self._patient and self._arrivals:
            self._timer.start(self._on_tick)
        else:
            self._gate.modify(self._epoll.fileno(), _GATE)

    def _on_tick(self) -> None:
        if self._read() < _FEW and self._arrivals:
            self._timer.stop()
            self._gate.modify(self._epoll.fileno(), _GATE)

    def _read(self) -> int:
        """Read each connection that has something, up to a batch; say how many had."""
        # Every line here is paid for each message that each connection receives.
        arrivals, left, lag = self._arrivals, self._left, self.lag
        add = lag.add
        now = time.time_ns
        begun = now()
        offset = from_kernel(begun) - begun
        lag.empty_ns = empty_ns = self._drained_ns + offset
        batch = self._epoll.poll(0, _BATCH)
        if len(batch) < _BATCH:
            self._drained_ns = begun
        for fd, events in batch:
            try:
                arrival = arrivals[fd]
            except KeyError:
                continue  # an earlier callback of this turn closed it
            if events & _EPOLLOUT:
                arrival.flush_backlog()
                if events == _EPOLLOUT:
                    continue
            try:
                data, ancillary, _, _ = arrival.sock.recvmsg(READ_BYTES, ANCILLARY_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                end_watch(self, arrival, error)
                continue
            stamp = now()
            if ancillary:
                seconds, nanoseconds = unpack_timespec(ancillary[0][2])
                arrived = seconds * 1_000_000_000 + nanoseconds
                add(stamp - arrived)
                stamp = arrived
            if data:
                if left:
                    lag.empty_ns = left.pop(fd, empty_ns)
                # Not called as a method: the attribute is found faster alone.
                on_bytes = arrival.on_bytes
                if stamp > begun or events != _EPOLLIN:
                    # It may be that of something that came later than what was told of, be
                    # it only the end of the stream.
                    stamp = lag.share(stamp + offset)
                else:
                    stamp += offset
                try:
                    on_bytes(data, stamp)
                except Exception as error:  # noqa: BLE001 - nothing may reach the hub
                    end_watch(self, arrival, error)
                if events != _EPOLLIN or len(data) == READ_BYTES:
                    # There may be more, or the end.
                    if fd in arrivals:
                        left[fd] = lag.empty_ns
                    self.want_write(arrival)
            else:
                end_watch(self, arrival, None)
        return len(batch)


class LoopReader:
    """Reads each connection from a watcher of its own; for platforms without epoll."""

    __slots__ = ("_watchers", "lag")

    def __init__(self, lag: LagRecorder) -> None:
        self.lag = lag
        self._watchers: dict[StampedSocket, tuple[Any, Any]] = {}

    def add(self, arrival: StampedSocket) -> None:
        """Begin to read a connection, and to write what it could not write yet."""
        loop = gevent.get_hub().loop
        reading = loop.io(arrival.fileno(), _READ)
        writing = loop.io(arrival.fileno(), _WRITE)
        self._watchers[arrival] = (reading, writing)
        reading.start(self._ready, arrival)
        self.want_write(arrival)

    def remove(self, arrival: StampedSocket) -> None:
        """Leave a connection alone; one that is not watched is no mistake."""
        for watcher in self._watchers.pop(arrival, ()):
            watcher.stop()
            watcher.close()

    def want_write(self, arrival: StampedSocket) -> None:
        """Begin or end to watch whether more can be written."""
        if arrival in self._watchers:
            writing = self._watchers[arrival][1]
            writing.stop()
            if arrival.backlog:
                writing.start(arrival.flush_backlog)

    def _ready(self, arrival: StampedSocket) -> None:
        self.lag.empty_ns = None
        read_once(self, arrival, self.lag)


def make_reader(lag: LagRecorder, *, stamped: bool) -> Reader:
    """The cheapest reader that this platform has.

    Args:
        lag: where the generator's lag is recorded.
        stamped: whether the kernel stamps what arrives.
    """
    try:
        # gevent's patching takes epoll out of the select module.
        epoll = gevent.monkey.get_original("select", "epoll")
    except AttributeError:
        return LoopReader(lag)
    return EpollReader(lag, epoll, patient=stamped)


def read_once(
    reader: Reader, arrival: StampedSocket, lag: LagRecorder | None, size: int = READ_BYTES
) -> None:
    """Read a connection once, and hand over what was there; never raises.

    Args:
        reader: which watches it.
        arrival: the connection.
        lag: where the generator's lag is recorded; None: it is none.
        size: most bytes.
    """
    try:
        data, stamp = receive(arrival.sock, lag, size)
    except BlockingIOError:
        return
    except OSError as error:
        end_watch(reader, arrival, error)
        return
    if not data:
        end_watch(reader, arrival, None)
        return
    try:
        arrival.on_bytes(data, stamp)
    except Exception as error:  # noqa: BLE001 - nothing may reach the hub
        end_watch(reader, arrival, error)


def receive(sock: Any, lag: LagRecorder | None, size: int = READ_BYTES) -> tuple[bytes, int]:
    """One read: its bytes, and when the newest of them arrived (wall clock, ns).

    Args:
        sock: a non-blocking socket.
        lag: where the generator's lag is recorded; None: it is none.
        size: most bytes.

    Raises:
        BlockingIOError: nothing is there.
        OSError: the connection is broken.
    """
    if not hasattr(sock, "recvmsg"):  # Windows
        return sock.recv(size), from_kernel(time.time_ns())
    data, ancillary, _, _ = sock.recvmsg(size, ANCILLARY_BYTES)
    stamp = time.time_ns()
    if ancillary:
        seconds, nanoseconds = unpack_timespec(ancillary[0][2])
        arrived = seconds * 1_000_000_000 + nanoseconds
        if lag is not None:
            lag.add(stamp - arrived)
        stamp = arrived
    return data, from_kernel(stamp)


def end_watch(reader: Reader, arrival: StampedSocket, error: Exception | None) -> None:
    """Stop reading a connection and say why; never raises."""
    try:
        reader.remove(arrival)
        arrival.on_end(error)
    except Exception:
        _logger.exception("the end of a connection could not be handled")


def is_gone(error: OSError) -> bool:
    """Whether a send failed because the other side is gone, not because it is slow."""
    return error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK)
