"""One accepted socket, plain or TLS, that knows which of its bytes the kernel took.

Writing never waits: what the socket has no room for is queued here, so one slow reader
delays nobody else, and what it was still owed when it went away is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from typing import cast

#: Bytes that may wait for one slow reader before it is cut off.
QUEUE_BYTES = 4 << 20

#: Called once with whether the kernel took all bytes of a write.
Settle = Callable[[bool], None]


class TooFarBehindError(Exception):
    """The peer reads so slowly that more waits for it than `QUEUE_BYTES`."""


def _ignore(_: object) -> None:
    pass


class Wire(asyncio.Protocol):
    """One accepted socket.

    Args:
        on_made: called when the connection (with TLS: its handshake) is there.
        tls: the context for TLS, or None for a plain socket.

    Attributes:
        on_bytes: gets what the peer sends.
        on_end: called once, when the connection is over, with the error if there was one.
        gone: nothing can be written any more.
    """

    def __init__(self, on_made: Callable[[Wire], None], tls: ssl.SSLContext | None) -> None:
        self.on_bytes: Callable[[bytes], None] = _ignore
        self.on_end: Callable[[Exception | None], None] = _ignore
        self.gone = False
        self._on_made = on_made
        self._tls = _Tls(tls) if tls is not None else None
        self._paused = False
        self._partial: Settle | None = None
        self._queue: deque[tuple[bytes, Settle]] = deque()
        self._queued = 0
        self._error: Exception | None = None

    def write(self, data: bytes, settle: Settle = _ignore) -> None:
        """Write at once, or as soon as there is room.

        Args:
            data: what to write.
            settle: told whether the kernel took all of it, now or later.
        """
        if self.gone:
            settle(False)
        elif self._paused:
            self._queue.append((data, settle))
            self._queued += len(data)
            if self._queued > QUEUE_BYTES:
                self.reset(TooFarBehindError())
        else:
            self._put(data, settle)

    def close(self) -> None:
        """End the stream after what was written."""
        if self.gone:
            return
        if self._paused:
            # Whoever does not read is not waited for.
            self.reset()
            return
        if self._tls is not None:
            self._transport.write(self._tls.goodbye())
        self.gone = True
        self._transport.close()

    def reset(self, error: Exception | None = None) -> None:
        """End the connection by a TCP reset."""
        if self._transport.is_closing():
            return
        self.gone = True
        self._error = error
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            # Lingering for no time turns the close into a reset (SO_LINGER, socket(7)).
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def give_up(self) -> None:
        """Write nothing more, and settle what the kernel has not taken by now."""
        self.gone = True
        self._settle_partial(taken=False)
        while self._queue:
            _, settle = self._queue.popleft()
            settle(False)

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket was accepted."""
        self._transport = cast("asyncio.Transport", transport)
        # With no slack, "not paused" means that the kernel has every byte.
        self._transport.set_write_buffer_limits(high=0)
        if self._tls is None:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """The peer sent something."""
        if self._tls is None:
            self.on_bytes(data)
            return
        ready = self._tls.ready
        try:
            plain = self._tls.decrypt(data)
        except ssl.SSLError as error:
            # What is left to say is the alert that tells the peer why.
            self._transport.write(self._tls.outgoing.read())
            self._error = error
            self.gone = True
            self._transport.close()
            return
        if answer := self._tls.outgoing.read():
            self._transport.write(answer)
        if self._tls.ready and not ready:
            self._on_made(self)
        if plain:
            self.on_bytes(plain)
        if self._tls.ended:
            self.close()

    def pause_writing(self) -> None:
        """The kernel has no room."""
        self._paused = True

    def resume_writing(self) -> None:
        """The kernel has taken all that was written so far."""
        self._paused = False
        self._settle_partial(taken=True)
        while self._queue and not self._paused and not self.gone:
            data, settle = self._queue.popleft()
            self._queued -= len(data)
            self._put(data, settle)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self.give_up()
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
    """TLS in memory, so that plain and encrypted connections are written the same way."""

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

    def goodbye(self) -> bytes:
        with contextlib.suppress(ssl.SSLError, ValueError):
            self._object.unwrap()
        return self.outgoing.read()
