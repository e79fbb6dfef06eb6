"""One connected socket whose bytes carry the time at which the kernel received them.

The socket is always a plain, non-blocking one, because only such a socket gives the
kernel's timestamp along with the bytes; TLS runs above it, in memory.
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import functools
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent.monkey
import gevent.socket

from sseload_users.clock import wall_ns
from sseload_users.transports.reader import ANCILLARY_BYTES, Reader, end_watch, receive

# Linux's numbers (asm-generic/socket.h, linux/in.h), which the socket module has not all.
_SO_TIMESTAMPNS = 35
_IP_BIND_ADDRESS_NO_PORT = 24
# struct tcp_info's tcpi_rtt (µs) and tcpi_total_retrans (linux/tcp.h).
_TCP_INFO = struct.Struct("68xI28xI")
#: Most bytes that wait for a slow receiver before ``send_now`` refuses more.
_BACKLOG_BYTES = 65536
#: The most plaintext that one TLS record carries (RFC 8446 §5.1).
_RECORD_BYTES = 16384

# As websocket-client sets them: no delay for small frames, and a peer that vanished
# without a word is missed within a minute.
_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
]
for _name, _value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
    if hasattr(socket, _name):
        _OPTIONS.append((socket.IPPROTO_TCP, getattr(socket, _name), _value))


class Arrival:
    """One connected socket, plain or TLS, with kernel receive timestamps.

    First it is used like a socket, from one greenlet, for the handshake; its reading and
    writing calls wait cooperatively, until the deadline at most. Then ``watch`` hands
    what arrives to a callback in the hub.

    Args:
        sock: a connected, non-blocking socket.
        connected_ns: when it was connected (wall clock, ns).
        reader: what watches it.
        deadline: until when blocking calls may take, on ``time.monotonic``'s clock; None
            for no limit.

    Attributes:
        arrived_ns: when the newest bytes that ``recv`` read from the socket arrived
            (wall clock, ns); before them, when the connection was there.
        late_ns: how long this side, while it was used like a socket, has taken in all from
            an arrival to what it sent next. Without the kernel's stamp it is not known.
        sock: the plain socket.
        on_bytes: what the reader calls with bytes from the socket and their stamp.
        on_end: what the reader calls when there will be no more.
        backlog: bytes that the socket had no room for yet.
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_deadline",
        "_reader",
        "_tls",
        "_unanswered",
        "arrived_ns",
        "backlog",
        "late_ns",
        "on_bytes",
        "on_end",
        "sock",
    )

    on_bytes: Callable[[bytes, int], None]
    on_end: Callable[[Exception | None], None]

    def __init__(
        self, sock: _socket.socket, connected_ns: int, reader: Reader, deadline: float | None
    ) -> None:
        self.sock = sock
        self._reader = reader
        self._deadline = deadline
        self._tls: _Tls | None = None
        self._buffer = b""
        self._at = 0
        self.arrived_ns = connected_ns
        self.late_ns = 0
        self._unanswered = True
        self.backlog = b""

    # As a socket

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes; empty at the end of the stream.

        Raises:
            TimeoutError: the deadline has passed.
            OSError: the connection is broken.
        """
        at = self._at
        if at >= len(self._buffer):
            self._buffer = self._fill()
            at = 0
        chunk = self._buffer[at : at + size]
        self._at = at + len(chunk)
        return chunk

    def send(self, data: bytes) -> int:
        """Send everything; say how much that was.

        Raises:
            TimeoutError: the deadline has passed.
            OSError: the connection is broken.
        """
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Send everything.

        Raises:
            TimeoutError: the deadline has passed.
            OSError: the connection is broken.
        """
        if self._tls is not None:
            data = self._tls.encrypt(data)
        self._send_plain(data)

    def settimeout(self, seconds: float | None) -> None:
        """Let all blocking calls from now on take this long together; None: no limit."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def gettimeout(self) -> float | None:
        """Seconds left until the deadline; None: no limit."""
        if self._deadline is None:
            return None
        # Zero means "do not block" to whoever uses this as a socket.
        return max(self._deadline - time.monotonic(), 0.001)

    def fileno(self) -> int:
        """The socket's file descriptor; -1 once closed."""
        return self.sock.fileno()

    def shutdown(self, how: int = socket.SHUT_RDWR) -> None:
        """End the stream; whoever waits for it, in a greenlet or the hub, learns of it."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(how)

    def close(self) -> None:
        """Stop watching, close, and let go of all buffers."""
        if self.sock.fileno() >= 0:
            self._reader.remove(self)
            self.sock.close()
        self._tls = None
        self._buffer = self.backlog = b""
        self._at = 0

    # In the hub

    def watch(
        self,
        on_bytes: Callable[[bytes, int], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        """Hand over what has arrived and, from the hub, all that will arrive.

        Args:
            on_bytes: gets bytes and when they arrived (wall clock, ns). It must not
                block; if it raises, the watch ends with what it raised.
            on_end: is called once, when there will be no more bytes: with None at the
                end of the stream, or with the error. Not called after ``unwatch``.
        """
        self.on_end = on_end
        self.on_bytes = on_bytes if self._tls is None else self._decrypting(self._tls, on_bytes)
        left, self._buffer, self._at = self._buffer[self._at :], b"", 0
        self._reader.add(self)
        if left:
            try:
                on_bytes(left, self.arrived_ns)
            except Exception as error:  # noqa: BLE001 - as it would be from the hub
                end_watch(self._reader, self, error)

    def unwatch(self) -> None:
        """Hand over nothing more."""
        if self.sock.fileno() >= 0:
            self._reader.remove(self)

    def send_now(self, data: bytes) -> bool:
        """Send without waiting, from the hub or any greenlet.

        What the socket has no room for is kept and sent as soon as it has.

        Returns:
            Whether the data was taken: not if the connection is broken, or too much
            waits already.
        """
        if self._tls is not None:
            if len(self.backlog) > _BACKLOG_BYTES:
                return False
            try:
                data = self._tls.encrypt(data)
            except ssl.SSLError:
                return False
        elif len(self.backlog) + len(data) > _BACKLOG_BYTES and self.backlog:
            return False
        if self._unanswered:
            self._answer()
        if self.backlog:
            self.backlog += data
            return True
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < len(data):
            self.backlog = data[sent:]
            self._reader.want_write(self)
        return True

    def flush_backlog(self) -> None:
        """Send what had no room before; called when there is room. Never raises."""
        try:
            sent = self.sock.send(self.backlog)
        except BlockingIOError:
            return
        except OSError:
            # The next read tells what is wrong.
            sent = len(self.backlog)
        self.backlog = self.backlog[sent:]
        if not self.backlog:
            self._reader.want_write(self)

    # TLS

    def start_tls(
        self, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None
    ) -> None:
        """Make a TLS client's handshake; all bytes after it are encrypted.

        Raises:
            ssl.SSLError: the handshake failed.
            TimeoutError: the deadline has passed.
            OSError: the connection is broken.
        """
        tls = _Tls(context, host, session)
        while True:
            try:
                tls.ssl.do_handshake()
            except ssl.SSLWantReadError:
                self._send_plain(tls.outgoing.read())
                data = self._receive_plain()
                if data:
                    tls.incoming.write(data)
                else:
                    tls.incoming.write_eof()
            except ssl.SSLError:
                self.send_now(tls.outgoing.read())  # the alert that tells the server why
                raise
            else:
                break
        self._send_plain(tls.outgoing.read())
        self._tls = tls
        # What follows the handshake in the same read: TLS 1.3's session tickets, data.
        self._buffer = tls.decrypt(b"")[0]

    def tls_session(self) -> ssl.SSLSession | None:
        """The TLS session, for a later connection to resume."""
        return None if self._tls is None else self._tls.ssl.session

    def _decrypting(
        self, tls: _Tls, on_bytes: Callable[[bytes, int], None]
    ) -> Callable[[bytes, int], None]:
        def on_ciphertext(data: bytes, stamp: int) -> None:
            plain, ended = tls.decrypt(data)
            if tls.outgoing.pending:  # an answer to a key update
                self._send_raw_now(tls.outgoing.read())
            if plain:
                on_bytes(plain, stamp)
            if ended and self._tls is tls:
                end_watch(self._reader, self, None)

        return on_ciphertext

    def _send_raw_now(self, data: bytes) -> None:
        tls, self._tls = self._tls, None
        self.send_now(data)
        self._tls = tls

    # The plain socket, blocking

    def _fill(self) -> bytes:
        tls = self._tls
        if tls is None:
            return self._receive_plain()
        while data := self._receive_plain():
            plain, ended = tls.decrypt(data)
            if tls.outgoing.pending:
                self._send_plain(tls.outgoing.read())
            if plain or ended:
                return plain
        return b""

    def _receive_plain(self) -> bytes:
        if self.backlog:
            self._send_plain(b"")
        while True:
            try:
                data, self.arrived_ns = receive(self.sock, self._reader.lag)
            except BlockingIOError:
                gevent.socket.wait_read(self.sock.fileno(), *self._patience())
            else:
                self._unanswered = True
                return data

    def _answer(self) -> None:
        self._unanswered = False
        self.late_ns += max(wall_ns() - self.arrived_ns, 0)

    def _send_plain(self, data: bytes) -> None:
        if self._unanswered:
            self._answer()
        data = self.backlog + data
        self.backlog = b""
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                gevent.socket.wait_write(self.sock.fileno(), *self._patience())

    def _patience(self) -> tuple[float | None, TimeoutError]:
        late = TimeoutError("timed out")
        if self._deadline is None:
            return None, late
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise late
        return left, late


class _Tls:
    """A TLS client between two memory buffers."""

    __slots__ = ("incoming", "outgoing", "ssl")

    def __init__(self, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.ssl = context.wrap_bio(
            self.incoming, self.outgoing, server_hostname=host, session=session
        )

    def decrypt(self, data: bytes) -> tuple[bytes, bool]:
        """The plaintext of all whole records so far, and whether the stream has ended."""
        incoming = self.incoming
        incoming.write(data)
        whole: list[bytes] = []
        ended = False
        # Asking once more after the last record would cost an exception each time.
        while incoming.pending:
            try:
                plain = self.ssl.read(_RECORD_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                plain = b""
            if not plain:
                ended = True
                break
            whole.append(plain)
        return (whole[0] if len(whole) == 1 else b"".join(whole)), ended

    def encrypt(self, data: bytes) -> bytes:
        """The records that carry the data."""
        self.ssl.write(data)
        return self.outgoing.read()


def connect_tcp(
    family: int, address: Any, source: str | None, deadline: float
) -> tuple[_socket.socket, int]:
    """A non-blocking TCP connection that stamps what it receives, where that exists.

    Args:
        family: ``AF_INET`` or ``AF_INET6``.
        address: the server's socket address.
        source: the local address to connect from; None: whichever the system takes.
        deadline: until when, on ``time.monotonic``'s clock.

    Returns:
        The socket, and when it was connected (wall clock, ns).

    Raises:
        TimeoutError: the deadline has passed.
        OSError: the connection was refused, or could not be made.
    """
    # The bare class: no Python object's weight, and gevent does not wrap it.
    sock = _socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        for option in _OPTIONS:
            sock.setsockopt(*option)
        _stamp(sock)
        if source is not None:
            _bind(sock, source)
        return sock, _connect(sock, address, deadline)
    except BaseException:
        sock.close()
        raise


@functools.cache
def stamps_arrivals() -> bool:
    """Whether reads were seen to carry the kernel's timestamp; from then on, all do.

    Linux switches stamping on with the first socket that asks for it, a moment later, and
    off with the last. So one stays open as long as the process lives: the first read of
    each new connection has its timestamp too.
    """
    if sys.platform != "linux":
        return False
    blocking: type[socket.socket] = gevent.monkey.get_original("socket", "socket")
    try:
        with blocking() as keeper, blocking() as server, blocking() as sender:
            _stamp(keeper)
            _stamp(server)  # accepted sockets inherit it
            server.bind(("127.0.0.1", 0))
            server.listen(1)
            sender.connect(server.getsockname())
            with server.accept()[0] as stamped:
                for _ in range(20):
                    sender.send(b"?")
                    if stamped.recvmsg(1, ANCILLARY_BYTES)[1]:
                        keeper.detach()
                        return True
                    time.sleep(0.001)
    except OSError:
        pass
    return False


def _connect(sock: _socket.socket, address: Any, deadline: float) -> int:
    started_ns = wall_ns()
    code = sock.connect_ex(address)
    if code in (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY):
        late = TimeoutError("timed out")
        left = deadline - time.monotonic()
        if left <= 0:
            raise late
        gevent.socket.wait_write(sock.fileno(), left, late)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    now_ns = wall_ns()
    if sys.platform == "linux":
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        round_trip_us, retransmitted = _TCP_INFO.unpack(info)
        # The one round trip measured so far is the handshake's. It tells when the server's
        # answer came, however late this side woke up for it; but not if it had to ask twice.
        if not retransmitted:
            now_ns = min(started_ns + int(round_trip_us) * 1000, now_ns)
    return now_ns


def _bind(sock: _socket.socket, source: str) -> None:
    if sys.platform == "linux":
        # The port is chosen when the destination is known; otherwise each local port
        # would serve one connection in all, not one for each destination.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


def _stamp(sock: _socket.socket) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
