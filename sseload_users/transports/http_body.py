"""Decoding of HTTP/1.1 response bodies (RFC 9112 §6, §7), split anywhere; no sockets.

h11 reads the response's head. For the body it would make one object per piece, which costs
more than everything else that a message costs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from sseload_users.transports import END_OF_STREAM, Closed, OnMessage
from sseload_users.transports.decoded_events import DecodedEvents
from sseload_users.transports.event_stream import EventStream

# As lenient as h11: ignores extensions, and blanks before the line end.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\r\n]*)?[ \t]*\r\n")
#: Most bytes of a chunk's first line with its extensions, and of the trailer.
_LINE_BYTES, _TRAILER_BYTES = 4096, 16384
#: Most bytes of a chunk's first line on the fast path.
_SHORT_LINE = 20
_LF = 0x0A
_END = Closed("server", END_OF_STREAM)
_CUT = Closed("network", "connection closed")
#: How a session closes if a chunk is invalid.
BAD_CHUNK = Closed("client", "protocol error: bad chunk")


class Body:
    """A response's body that ends after a given length or with the connection.

    Args:
        events: gets the body's bytes.
        on_close: called once, when the body is complete or invalid.
        length: in bytes; None if the body ends with the connection.

    Attributes:
        at_end: how the session has closed if the connection ends now.
    """

    __slots__ = ("_events", "_left", "_on_close", "at_end")

    def __init__(
        self,
        events: EventStream | DecodedEvents,
        on_close: Callable[[Closed], None],
        length: int | None = None,
    ) -> None:
        self._events = events
        self._on_close = on_close
        self._left = length
        self.at_end = _END if length is None else _CUT

    @property
    def on_message(self) -> OnMessage:
        """Gets each message."""
        return self._events.on_message

    @on_message.setter
    def on_message(self, on_message: OnMessage) -> None:
        self._events.on_message = on_message

    @property
    def ended(self) -> bool:
        """Whether decoding has stopped."""
        return self._events.ended

    @ended.setter
    def ended(self, ended: bool) -> None:
        self._events.ended = ended

    def feed(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        """Decode the next bytes, at least one.

        Args:
            data: the bytes of one read.
            arrived_ns: when the newest of them arrived (wall clock, ns).
            empty_ns: before when none of them had arrived; None if that is not known.
        """
        left = self._left
        if left is not None:
            data = data[:left]
            self._left = left = left - len(data)
        if data:
            self._events.feed(data, arrived_ns, empty_ns)
        if left == 0:
            self._close(_END)

    def _close(self, closed: Closed) -> None:
        if not self._events.ended:
            self._events.ended = True
            self._on_close(closed)


class ChunkedBody(Body):
    """A response's body in chunks (RFC 9112 §7.1).

    Args:
        events: gets the body's bytes.
        on_close: called once, when the body is complete or invalid.
    """

    __slots__ = ("_between", "_left_in_chunk", "_line", "_trailer")

    def __init__(
        self, events: EventStream | DecodedEvents, on_close: Callable[[Closed], None]
    ) -> None:
        super().__init__(events, on_close, 0)
        # Between two chunks, without any state from earlier bytes.
        self._between = True
        # Bytes left of the current chunk; None between chunks, 0 before its final line end.
        self._left_in_chunk: int | None = None
        # The beginning of an incomplete line.
        self._line = b""
        # Size of the trailer so far; None before it.
        self._trailer: int | None = None

    def feed(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        """Decode the next bytes, at least one.

        Args:
            data: the bytes of one read.
            arrived_ns: when the newest of them arrived (wall clock, ns).
            empty_ns: before when none of them had arrived; None if that is not known.
        """
        events = self._events
        size = len(data)
        if self._between:
            # The fast path: the read is one whole chunk.
            start = data.find(_LF) + 1
            if (
                start < _SHORT_LINE
                and start + _length_of(data[:start]) == size - 2 > start
                and data.endswith(b"\r\n")
            ):
                events.feed(data[start:-2], arrived_ns, empty_ns)
                return
        at = 0
        while at < size and not events.ended:
            if self._left_in_chunk:
                piece = data[at : at + self._left_in_chunk]
                at += len(piece)
                self._left_in_chunk -= len(piece)
                # The chunk's own line end is not part of the body.
                events.feed(piece, arrived_ns, empty_ns, followed=size - at > len(b"\r\n"))
            else:
                end = data.find(_LF, at) + 1
                self._line += data[at : end or size]
                at = end or size
                if len(self._line) > _LINE_BYTES:
                    self._close(BAD_CHUNK)
                elif end:
                    line, self._line = self._line, b""
                    self._take_line(line)
        self._between = self._left_in_chunk is self._trailer is None and not (
            self._line or events.ended
        )

    def _take_line(self, line: bytes) -> None:
        if self._left_in_chunk == 0:
            self._left_in_chunk = None
            if line != b"\r\n":
                self._close(BAD_CHUNK)
        elif self._trailer is not None:
            self._trailer += len(line)
            if line in (b"\r\n", b"\n"):
                self._close(_END)
            elif self._trailer > _TRAILER_BYTES:
                self._close(BAD_CHUNK)
        elif (length := _length_of(line)) > 0:
            self._left_in_chunk = length
        elif length == 0:
            self._trailer = 0
        else:
            self._close(BAD_CHUNK)


@functools.lru_cache(maxsize=256)  # the messages of a broadcast share a few lengths
def _length_of(line: bytes) -> int:
    """Return a chunk's length in bytes, from its first line; negative if that is invalid."""
    found = _CHUNK_LINE.fullmatch(line)
    return -_LINE_BYTES if found is None else int(found[1], 16)
