"""One connected socket whose bytes carry the time at which the kernel received them.

The socket is always a plain, non-blocking one, because only such a socket gives the
kernel's timestamp along with the bytes; TLS runs above it, in memory.
"""

from __future__ import annotations

import _socket
import contextlib
import socket
import ssl
import time

import gevent.monkey
import gevent.socket

from sseload_users.core.clock import from_kernel, wall_ns
from sseload_users.transports.reading import OnBytes, OnEnd, Reader, end_watch, receive

#: Most bytes that wait for a slow receiver before ``send_now`` refuses more.
_BACKLOG_BYTES = 65536
#: So many reads in a row that had not to wait end a greenlet's turn: a server that never
#: stops talking does not keep all others from theirs, nor go on beyond the deadline.
_TURN_READS = 16
#: The most plaintext that one TLS record carries (RFC 8446 §5.1).
_RECORD_BYTES = 16384


class StampedSocket:
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
        empty_ns: when, while it was used like a socket, it was last seen that nothing was there
            to be read (the kernel's clock, ns).
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
        "_reads",
        "_tls",
        "_unanswered",
        "arrived_ns",
        "backlog",
        "empty_ns",
        "late_ns",
        "on_bytes",
        "on_end",
        "sock",
    )

    on_bytes: OnBytes
    on_end: OnEnd

    def __init__(
        self, sock: _socket.socket, connected_ns: int, reader: Reader, deadline: float | None
    ) -> None:
        self.sock = sock
        self._reader = reader
        self._deadline = deadline
        self._reads = 0
        self._tls: _Tls | None = None
        self._buffer = b""
        self._at = 0
        self.arrived_ns = connected_ns
        self.empty_ns = time.time_ns()
        self.late_ns = 0
        self._unanswered = True
        self.backlog = b""

    @property
    def emptied_ns(self) -> int:
        """When, before ``arrived_ns``, there was last nothing to read (wall clock, ns)."""
        return from_kernel(self.empty_ns)

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

    def watch(self, on_bytes: OnBytes, on_end: OnEnd) -> None:
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
                on_bytes(left, self.arrived_ns, self.emptied_ns)
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

    def _decrypting(self, tls: _Tls, on_bytes: OnBytes) -> OnBytes:
        def on_ciphertext(data: bytes, stamp: int, empty_ns: int | None) -> None:
            plain, ended = tls.decrypt(data)
            if tls.outgoing.pending:  # an answer to a key update
                self._send_raw_now(tls.outgoing.read())
            if plain:
                on_bytes(plain, stamp, empty_ns)
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
                self._reads = 0
                self.empty_ns = time.time_ns()
                gevent.socket.wait_read(self.sock.fileno(), *self._patience())
            else:
                self._unanswered = True
                self._reads += 1
                if self._reads % _TURN_READS == 0:
                    self._patience()
                    gevent.sleep(0)
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
        # Nearly every read is one whole record; asking once more after the last one would
        # cost an exception each time.
        plain, ended = self._read()
        if ended or not incoming.pending:
            return plain, ended
        records = [plain]
        while incoming.pending and not ended:
            plain, ended = self._read()
            if not plain:
                break
            records.append(plain)
        return b"".join(records), ended

    def _read(self) -> tuple[bytes, bool]:
        try:
            plain = self.ssl.read(_RECORD_BYTES)
        except ssl.SSLWantReadError:
            return b"", False
        except ssl.SSLZeroReturnError:
            return b"", True
        return plain, not plain

    def encrypt(self, data: bytes) -> bytes:
        """The records that carry the data."""
        self.ssl.write(data)
        return self.outgoing.read()
