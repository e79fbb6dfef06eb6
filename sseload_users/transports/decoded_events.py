"""An event stream whose bytes come in a content coding."""

from __future__ import annotations

from collections.abc import Callable

from sseload_users.transports import Closed, OnMalformed, OnMessage
from sseload_users.transports.content_coding import BadContent, ContentDecoder
from sseload_users.transports.event_stream import EventStream
from sseload_users.transports.inflation import Inflation

#: Most bytes that one piece of a read may become. deflate can make a read a thousand times as
#: large, which would keep the process from everything else for seconds.
_MOST_BYTES = 8 << 20

#: The end of an empty stored block on a byte's boundary: what each flush of zlib writes
#: (Z_SYNC_FLUSH in its manual).
_FLUSH = b"\x00\x00\xff\xff"
_BAD_DATA = "bad compressed data"
_TOO_LARGE = Closed("client", "inflated stream too large")


class DecodedEvents:
    """Decodes a body's bytes as they come, and splits them into messages.

    An event is complete once the server has flushed its compressor behind it, as for a browser.

    Args:
        events: gets the decoded bytes.
        decoder: decodes them.
        on_close: called once, when the bytes cannot be decoded or are too many.
        on_malformed: gets the cause if they cannot be decoded, or go on after their own end.
        inflation: counts them.
    """

    __slots__ = (
        "_decoder",
        "_events",
        "_inflation",
        "_on_close",
        "_on_malformed",
        "_tail",
        "_told_excess",
    )

    def __init__(
        self,
        events: EventStream,
        decoder: ContentDecoder,
        *,
        on_close: Callable[[Closed], None],
        on_malformed: OnMalformed,
        inflation: Inflation,
    ) -> None:
        self._events = events
        self._decoder = decoder
        self._on_close = on_close
        self._on_malformed = on_malformed
        self._inflation = inflation
        self._told_excess = False
        # The end of the bytes so far, in which a flush may have begun.
        self._tail = b""

    @property
    def on_message(self) -> OnMessage:
        """Gets each message."""
        return self._events.on_message

    @on_message.setter
    def on_message(self, on_message: OnMessage) -> None:
        self._events.on_message = on_message

    @property
    def ended(self) -> bool:
        """Whether decoding has stopped; set it to stop in the middle of a read."""
        return self._events.ended

    @ended.setter
    def ended(self, ended: bool) -> None:
        self._events.ended = ended

    def feed(
        self, data: bytes, arrived_ns: int, empty_ns: int | None, *, followed: bool = False
    ) -> None:
        """Decode the next bytes; see `EventStream.feed`."""
        total = 0
        before: bytes | None = None
        try:
            for piece in self._decoder.decode(data):
                total += len(piece)
                if before is not None:
                    self._events.feed(before, arrived_ns, empty_ns, followed=True)
                before = piece
                if self.ended:
                    break
                if total > _MOST_BYTES:
                    self._end(_TOO_LARGE)
                    break
        except BadContent:
            self._flush(before, arrived_ns, empty_ns, followed=followed)
            if not self.ended:
                self._on_malformed(_BAD_DATA)
                self._end(Closed("client", f"protocol error: {_BAD_DATA}"))
        else:
            self._flush(before, arrived_ns, empty_ns, followed=followed)
        searched = self._tail + data
        self._tail = searched[1 - len(_FLUSH) :]
        self._inflation.count(len(data), total, searched.count(_FLUSH))
        if self._decoder.excess and not self._told_excess:
            # It explains why what these bytes contain is missing.
            self._told_excess = True
            self._on_malformed("data after the compressed stream")

    def _flush(
        self, piece: bytes | None, arrived_ns: int, empty_ns: int | None, *, followed: bool
    ) -> None:
        if piece is not None and not self.ended:
            self._events.feed(piece, arrived_ns, empty_ns, followed=followed)

    def _end(self, closed: Closed) -> None:
        self.ended = True
        self._on_close(closed)
