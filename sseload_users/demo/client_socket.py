"""One accepted socket, plain or TLS, that reports which writes the kernel has taken.

A write never waits: what does not fit into the socket's buffer is queued here. So a slow
reader delays no other client, and its unwritten messages are known when it disconnects.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

#: Bytes queued for a slow reader before it is disconnected.
QUEUE_BYTES = 4 << 20

#: Called once per write, with whether the kernel took all its bytes.
Settle = Callable[[bool], None]


class SlowClientError(Exception):
    """More than `QUEUE_BYTES` are queued for a slow client."""


class PushSocket(Protocol):
    """What a push connection writes to: a socket, or what stands for one.

    Attributes:
        on_bytes: called with the bytes received.
        on_end: called once when the connection ends, with the error, if any.
    """

    on_bytes: Callable[[bytes], None]
    on_end: Callable[[Exception | None], None]

    def write(self, data: bytes, settle: Settle = ...) -> None:
        """Write now, or as soon as there is room; settle whether the kernel took all bytes."""

    def close(self) -> None:
        """Close after the bytes written so far."""

    def reset(self, error: Exception | None = None) -> None:
        """Reset the connection by TCP."""

    def discard_pending(self) -> None:
        """Write nothing more, and settle the writes that the kernel has not taken."""


def _ignore(_: object) -> None:
    pass


class ClientSocket(asyncio.Protocol):
    """One accepted socket.

    Args:
        on_ready: called when the connection, with TLS its handshake, is established.
        tls: the TLS context, or None for a plain socket.
        open_sockets: contains the socket while it is connected.

    Attributes:
        on_bytes: called with the bytes received.
        on_end: called once when the connection ends, with the error, if any.
        gone: nothing more can be written.
    """

    def __init__(
        self,
        on_ready: Callable[[ClientSocket], None],
        tls: ssl.SSLContext | None,
        open_sockets: set[ClientSocket],
    ) -> None:
        self.on_bytes: Callable[[bytes], None] = _ignore
        self.on_end: Callable[[Exception | None], None] = _ignore
        self.gone = False
        self._on_ready = on_ready
        self._open_sockets = open_sockets
        self._tls = _Tls(tls) if tls is not None else None
        self._paused = False
        self._partial: Settle | None = None
        self._queue: deque[tuple[bytes, Settle]] = deque()
        self._queued = 0
        self._error: Exception | None = None

    def write(self, data: bytes, settle: Settle = _ignore) -> None:
        """Write now, or as soon as there is room.

        Args:
            data: the bytes.
            settle: called, now or later, with whether the kernel took all of them.
        """
        if self.gone:
            settle(False)
        elif self._paused:
            self._queue.append((data, settle))
            self._queued += len(data)
            if self._queued > QUEUE_BYTES:
                self.reset(SlowClientError())
        else:
            self._put(data, settle)

    def close(self) -> None:
        """Close after the bytes written so far."""
        if self.gone:
            return
        if self._paused:
            # Do not wait for a client that does not read.
            self.reset()
            return
        if self._tls is not None:
            self._transport.write(self._tls.close_notify())
        self.gone = True
        self._transport.close()

    def reset(self, error: Exception | None = None) -> None:
        """Reset the connection by TCP.

        Args:
            error: passed to ``on_end``.
        """
        if self._transport.is_closing():
            return
        self.gone = True
        self._error = error
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            # A linger time of 0 turns the close into a reset (SO_LINGER, socket(7)).
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def discard_pending(self) -> None:
        """Write nothing more, and settle the writes that the kernel has not taken."""
        self.gone = True
        self._settle_partial(taken=False)
        while self._queue:
            _, settle = self._queue.popleft()
            settle(False)

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle the accepted connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._open_sockets.add(self)
        # With a zero high-water mark, "not paused" means that the kernel has every byte.
        self._transport.set_write_buffer_limits(high=0)
        if self._tls is None:
            self._on_ready(self)

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the peer."""
        if self._tls is None:
            self.on_bytes(data)
            return
        ready = self._tls.ready
        try:
            plain = self._tls.decrypt(data)
        except ssl.SSLError as error:
            # Send the TLS alert that tells the peer why.
            self._transport.write(self._tls.outgoing.read())
            self._error = error
            self.gone = True
            self._transport.close()
            return
        if answer := self._tls.outgoing.read():
            self._transport.write(answer)
        if self._tls.ready and not ready:
            self._on_ready(self)
        if plain:
            self.on_bytes(plain)
        if self._tls.ended:
            self.close()

    def pause_writing(self) -> None:
        """Queue writes from now on: the kernel has no room."""
        self._paused = True

    def resume_writing(self) -> None:
        """Settle the pending write, which the kernel has taken, and write the queue."""
        self._paused = False
        self._settle_partial(taken=True)
        while self._queue and not self._paused and not self.gone:
            data, settle = self._queue.popleft()
            self._queued -= len(data)
            self._put(data, settle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle all pending writes, and call ``on_end``."""
        self._open_sockets.discard(self)
        self.discard_pending()
        on_end, self.on_end, self.on_bytes = self.on_end, _ignore, _ignore
        on_end(exc or self._error)

    def _put(self, data: bytes, settle: Settle) -> None:
        if self._tls is not None:
            data = self._tls.encrypt(data)
        self._transport.write(data)
        if self._transport.is_closing():
            self.gone = True
            settle(False)
        elif self._paused:
            self._partial = settle
        else:
            settle(True)

    def _settle_partial(self, *, taken: bool) -> None:
        settle, self._partial = self._partial, None
        if settle is not None:
            settle(taken)


class _Tls:
    """TLS in memory, so that plain and TLS sockets are written the same way."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self.outgoing, server_side=True)
        self.ready = False
        self.ended = False

    def decrypt(self, data: bytes) -> bytes:
        self._incoming.write(data)
        plain = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self.ready:
                self._object.do_handshake()
                self.ready = True
            try:
                while chunk := self._object.read(1 << 16):
                    plain += chunk
                self.ended = True
            except ssl.SSLZeroReturnError:
                self.ended = True
        return plain

    def encrypt(self, data: bytes) -> bytes:
        self._object.write(data)
        return self.outgoing.read()

    def close_notify(self) -> bytes:
        with contextlib.suppress(ssl.SSLError, ValueError):
            self._object.unwrap()
        return self.outgoing.read()
