"""A connected socket whose bytes come with the time at which the kernel received them.

It is always plain and non-blocking: no other has the kernel's timestamps. TLS runs above it.
"""

from __future__ import annotations

import _socket
import contextlib
import functools
import socket
import ssl
import struct
import time

import gevent

from sseload_users.core.clock import from_kernel, wall_ns
from sseload_users.transports.reading import OnBytes, OnEnd, Reader, end_watch, receive
from sseload_users.transports.tcp_arrival import (
    earliest_send_ns,
    has_input_since,
    latest_arrival_ns,
    latest_data_arrival_ns,
)
from sseload_users.transports.waiting import wait_readable, wait_writable

#: Most bytes that wait for a slow receiver before ``send_now`` refuses more.
_BACKLOG_BYTES = 65536
#: A greenlet yields after this many reads in a row without waiting, so that a server that
#: never stops sending neither blocks other greenlets nor outlasts the deadline.
_TURN_READS = 16
#: A write that takes longer leaves open when the bytes left.
_PREEMPTED_NS = 20_000_000
#: The most plaintext that one TLS record carries (RFC 8446 §5.1).
_RECORD_BYTES = 16384


class StampedSocket:
    """One connected socket, plain or TLS, with kernel receive timestamps.

    For the handshake it is used like a socket, from one greenlet: reads and writes wait
    cooperatively, at most until the deadline. Then ``watch`` hands everything that arrives
    to a callback in the hub.

    Args:
        sock: a connected, non-blocking socket.
        connected_ns: when it was connected (wall clock, ns).
        reader: reads it once it is watched.
        deadline: end of all blocking calls, on ``time.monotonic``'s clock; None for no
            limit.

    Attributes:
        arrived_ns: when the newest bytes that ``recv`` has read arrived (wall clock, ns);
            before any, when the socket was connected.
        empty_ns: when a blocking read last found nothing to read (the kernel's clock, ns).
        late_ns: total time this process took during the handshake from each arrival to the
            last write before the next one. It includes no wake-up delay where the kernel does not
            stamp.
        network_ns: the newest arrival less all delays of this process before it: a clock that
            only network and server advance.
        sock: the plain socket.
        on_bytes: the reader calls it with each read of the plain socket.
        on_end: the reader calls it when there will be no more bytes.
        backlog: bytes that the socket had no room for yet.
    """

    __slots__ = (
        "_at",
        "_awaits_write",
        "_buffer",
        "_deadline",
        "_reader",
        "_reads",
        "_tls",
        "_written_ns",
        "arrived_ns",
        "backlog",
        "empty_ns",
        "late_ns",
        "network_ns",
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
        self._tls: _TlsLayer | None = None
        self._buffer = b""
        self._at = 0
        self.arrived_ns = self.network_ns = connected_ns
        self.empty_ns = time.time_ns()
        self.late_ns = 0
        self._awaits_write = True
        self._written_ns = 0
        self.backlog = b""

    @property
    def emptied_ns(self) -> int:
        """When a blocking read last found nothing to read (wall clock, ns)."""
        return from_kernel(self.empty_ns)

    def latest_arrival_ns(self, *, data: bool) -> int:
        """Return a time by which all that has come had arrived (wall clock, ns).

        Args:
            data: whether only bytes count, and not the end of the stream.
        """
        return latest_data_arrival_ns(self.sock) if data else latest_arrival_ns(self.sock)

    # As a socket

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none at the end of the stream.

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
        """Send everything; return the number of bytes.

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
        """Limit all further blocking calls together to this many seconds; None: no limit."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def gettimeout(self) -> float | None:
        """Return the seconds left until the deadline; None: no limit."""
        if self._deadline is None:
            return None
        # To the users of a socket, zero means "do not block".
        return max(self._deadline - time.monotonic(), 0.001)

    def fileno(self) -> int:
        """Return the socket's file descriptor; -1 once closed."""
        return self.sock.fileno()

    def shutdown(self, how: int = socket.SHUT_RDWR) -> None:
        """End the stream; wakes up whoever waits for it, in a greenlet or the hub."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(how)

    def close(self) -> None:
        """Stop watching, close, and release all buffers."""
        if self.sock.fileno() >= 0:
            self._reader.remove(self)
            self.sock.close()
        self._tls = None
        self._buffer = self.backlog = b""
        self._at = 0

    def reset(self) -> None:
        """Close by a TCP reset."""
        with contextlib.suppress(OSError):
            # A linger time of 0 turns the close into a reset (SO_LINGER, socket(7)).
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def fall_silent(self) -> None:
        """Neither read nor write any more; the connection stays open until `close`."""
        self.unwatch()

    # In the hub

    def watch(self, on_bytes: OnBytes, on_end: OnEnd) -> None:
        """Hand over everything that has arrived and, from the hub, all that will arrive.

        Args:
            on_bytes: see `OnBytes`. If it raises, the watch ends with that error.
            on_end: see `OnEnd`. It is called once, and not after ``unwatch``.
        """
        self.on_end = on_end
        self.on_bytes = on_bytes
        if self._tls is not None:
            self._tls.release_buffer()
            if self._tls.outgoing.pending:
                self._send_raw_now(self._tls.outgoing.read())
            self.on_bytes = self._decrypting(self._tls, on_bytes)
        left, self._buffer, self._at = self._buffer[self._at :], b"", 0
        self._reader.add(self)
        if left:
            try:
                on_bytes(left, self.arrived_ns, self.emptied_ns)
            except Exception as error:  # noqa: BLE001 - as it would be from the hub
                end_watch(self._reader, self, error)

    def unwatch(self) -> None:
        """Stop handing over."""
        if self.sock.fileno() >= 0:
            self._reader.remove(self)

    def send_now(self, data: bytes) -> bool:
        """Send without waiting, from the hub or any greenlet.

        Data that the socket has no room for is kept, and sent as soon as there is room.

        Returns:
            Whether the data was accepted: not if the connection is broken or its backlog is
            full.
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
        if self._awaits_write:
            self._count_delay()
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
        """Send the backlog as far as there is room; never raises."""
        try:
            sent = self.sock.send(self.backlog)
        except BlockingIOError:
            return
        except OSError:
            # The next read reports the error.
            sent = len(self.backlog)
        self.backlog = self.backlog[sent:]
        if not self.backlog:
            self._reader.want_write(self)

    # TLS

    def start_tls(
        self, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None
    ) -> None:
        """Make a TLS client handshake; all further bytes are encrypted.

        Raises:
            ssl.SSLError: the handshake failed.
            TimeoutError: the deadline has passed.
            OSError: the connection is broken.
        """
        # Handshakes that are ready to begin then do so in a row, which takes less CPU time than
        # each between other work: the processor's caches still hold OpenSSL's code and data.
        gevent.sleep(0)
        tls = _TlsLayer(context, host, session)
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
                self.send_now(tls.outgoing.read())  # the alert for the server
                raise
            else:
                break
        # What ends the handshake goes with the first bytes that are sent.
        self._tls = tls
        if tls.incoming.pending:
            # The last read contains more: TLS 1.3 session tickets, data.
            self._buffer = tls.decrypt(b"")[0]

    @property
    def speaks_http2(self) -> bool:
        """Whether HTTP/2 was negotiated with TLS."""
        return self._tls is not None and self._tls.ssl.selected_alpn_protocol() == "h2"

    def tls_session(self) -> ssl.SSLSession | None:
        """Return the TLS session, for a later connection to resume; None without TLS."""
        return None if self._tls is None else self._tls.ssl.session

    def _decrypting(self, tls: _TlsLayer, on_bytes: OnBytes) -> OnBytes:
        def on_ciphertext(data: bytes, stamp: int, empty_ns: int | None) -> None:
            plain, ended = tls.decrypt(data)
            if tls.outgoing.pending:  # the response to a key update
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
        if tls.outgoing.pending:
            self._send_plain(tls.outgoing.read())
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
        if not self._awaits_write:
            # An answer to what has just been written takes its time.
            self._await_input()
        while True:
            try:
                data, self.arrived_ns = receive(self.sock, self._reader.lag)
            except BlockingIOError:
                self.empty_ns = time.time_ns()
                self._await_input()
            else:
                self.network_ns = self.arrived_ns - self.late_ns
                self._awaits_write = True
                self._reads += 1
                if self._reads % _TURN_READS == 0:
                    if self._deadline is not None and self._deadline <= time.monotonic():
                        raise TimeoutError("timed out")
                    gevent.sleep(0)
                return data

    def _await_input(self) -> None:
        self._reads = 0
        try:
            wait_readable(self.sock.fileno(), self._deadline)
        except TimeoutError:
            if self._deadline is None or not has_input_since(self.sock, self._deadline):
                raise

    def _count_delay(self) -> None:
        since_ns = self.arrived_ns if self._awaits_write else self._written_ns
        self._awaits_write = False
        self._written_ns = wall_ns()
        self.late_ns += max(self._written_ns - since_ns, 0)

    def _send_plain(self, data: bytes) -> None:
        self._count_delay()
        data = self.backlog + data
        self.backlog = b""
        at_once = True
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                at_once = False
                wait_writable(self.sock.fileno(), self._deadline)
        if at_once and wall_ns() - self._written_ns > _PREEMPTED_NS:
            # The process may have lost its core before the kernel got the bytes.
            sent_ns = earliest_send_ns(self.sock)
            self.late_ns += max(sent_ns - self._written_ns, 0)
            self._written_ns = max(sent_ns, self._written_ns)


@functools.lru_cache(maxsize=256)
def _ascii_name(host: str) -> bytes:
    """Return a host's name as `ssl` would encode it, which takes several microseconds."""
    return host.encode("idna")


class _TlsLayer:
    """A TLS client between two memory buffers."""

    __slots__ = ("_lacks_more", "incoming", "outgoing", "ssl")

    def __init__(self, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None) -> None:
        # Whether OpenSSL may hold a part of a record.
        self._lacks_more = True
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.ssl = context.wrap_bio(
            self.incoming, self.outgoing, server_hostname=_ascii_name(host), session=session
        )

    def decrypt(self, data: bytes) -> tuple[bytes, bool]:
        """Return the plaintext of all whole records, and whether the stream has ended."""
        incoming = self.incoming
        incoming.write(data)
        # Nearly every read is one whole record; another read after the last record would
        # cost an exception each time. What is to be read is allocated, so it is no more than
        # there can be.
        plain, ended = self._read(_RECORD_BYTES if self._lacks_more else len(data))
        if ended or not incoming.pending:
            return plain, ended
        records = [plain]
        while incoming.pending and not ended:
            plain, ended = self._read(_RECORD_BYTES)
            if not plain:
                break
            records.append(plain)
        return b"".join(records), ended

    def _read(self, size: int) -> tuple[bytes, bool]:
        try:
            plain = self.ssl.read(size)
        except ssl.SSLWantReadError:
            self._lacks_more = True
            self.release_buffer()  # it may have been another ticket
            return b"", False
        except ssl.SSLZeroReturnError:
            return b"", True
        self._lacks_more = False
        return plain, not plain

    def release_buffer(self) -> None:
        """Release OpenSSL's buffer for writing, which takes 16 KiB.

        A session ticket makes OpenSSL allocate it, and only a write releases it. An empty one
        sends nothing (SSL_write_ex(3)).
        """
        with contextlib.suppress(ssl.SSLError):
            self.ssl.write(b"")

    def encrypt(self, data: bytes) -> bytes:
        """Return the records that carry the data."""
        self.ssl.write(data)
        return self.outgoing.read()
