"""Decoding of event streams (HTML Standard §9.2.5, §9.2.6), split anywhere; no sockets.

A stream consists of blocks, each ended by a blank line. A block with data is a message. It is
handed on as bytes that do not depend on how the stream was split: lines end with LF, comments
are left out. `parse_event` parses it, once for all copies of a broadcast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from sseload_users.transports import Closed, OnMessage, ParsedMessage
from sseload_users.transports.lag import ShareStamp

_BOM = b"\xef\xbb\xbf"
# Searching for a byte by its number is several times faster.
_NUL, _LF, _CR, _COLON = 0x00, 0x0A, 0x0D, 0x3A
#: Longer numbers are ignored: nobody waits that long.
_RETRY_DIGITS = 12
#: Largest block, in bytes, whose lines are cached.
_LARGEST_CACHED = 4096


class EventStream:
    """Splits an event stream into messages.

    Args:
        on_message: gets each block with data, without its blank line, and the stamp of the
            bytes that completed it.
        on_close: called once, when a block or a line is too large.
        max_message: size limit of a block, and of a line, in bytes.
        share: makes the stamp of messages that lie before the last bytes of a read.

    Attributes:
        ended: whether decoding has stopped; set it to stop in the middle of a read.
        retry_ms: the reconnection time that the server has set; None if it has not.
    """

    __slots__ = (
        "_after_cr",
        "_at_line",
        "_beginning",
        "_between",
        "_comment",
        "_ended",
        "_have",
        "_last_id",
        "_max_message",
        "_on_close",
        "_pieces",
        "_share",
        "_shared",
        "on_message",
        "retry_ms",
    )

    def __init__(
        self,
        on_message: OnMessage,
        on_close: Callable[[Closed], None],
        max_message: int,
        share: ShareStamp,
    ) -> None:
        self.on_message = on_message
        self.retry_ms: int | None = None
        self._on_close = on_close
        self._max_message = max_message
        self._share = share
        # The arrival whose stamp was last shared, and that shared stamp.
        self._shared: tuple[int, int] = 0, 0
        self._ended = False
        # Between two blocks, without any state from earlier bytes.
        self._between = False
        # The stream's first bytes while they may be a byte order mark; None after them.
        self._beginning: bytes | None = b""
        self._after_cr = False
        self._at_line = True
        # Size of the current comment, whose bytes are dropped as they arrive.
        self._comment = 0
        # The current block's bytes so far, and their number.
        self._pieces: list[bytes] | None = None
        self._have = 0
        self._last_id: bytes | None = None

    @property
    def ended(self) -> bool:
        """Whether decoding has stopped."""
        return self._ended

    @ended.setter
    def ended(self, ended: bool) -> None:
        self._ended = ended
        self._between = False

    @property
    def last_event_id(self) -> str | None:
        """The last event ID; None if the stream set none, empty if it reset it."""
        return None if self._last_id is None else self._last_id.decode(errors="replace")

    def feed(
        self, data: bytes, arrived_ns: int, empty_ns: int | None, *, followed: bool = False
    ) -> None:
        """Decode the next bytes, at least one.

        Args:
            data: bytes of one read, or of a part of it.
            arrived_ns: when the read's newest bytes arrived (wall clock, ns): the stamp of the
                message that ends with them. `share` makes the stamp of the messages before.
            empty_ns: before when none of the read's bytes had arrived; None if that is not
                known.
            followed: whether more bytes of the same read follow.
        """
        # A larger read goes line by line: comments do not count towards the limit.
        if self._between and len(data) <= self._max_message and (block := _only_block(data)):
            read = _lines_of(block) if _LF in block else None
            if read is None or not read.has_blank:
                self._complete(block, read, arrived_ns, empty_ns, shared=followed)
                return
        if self._ended:
            return
        data = self._with_lf(data)
        at, size = 0, len(data)
        while at < size and not self._ended:
            if self._comment or (self._at_line and data[at] == _COLON):
                at = self._skip_comment(data, at)
            elif self._at_line and data[at] == _LF:
                at += 1
                self._join(b"", arrived_ns, empty_ns, shared=followed or at < size)
            else:
                end = data.find(b"\n\n", at)
                comment = data.find(b"\n:", at, size if end < 0 else end)
                if comment >= 0:
                    self._keep(data[at : comment + 1])
                    at = comment + 1
                elif end < 0:
                    self._keep(data[at:])
                    break
                else:
                    rest, at = data[at:end], end + 2
                    self._join(rest, arrived_ns, empty_ns, shared=followed or at < size)
        self._between = (
            self._at_line
            and self._pieces is None
            and not (self._comment or self._after_cr or self._ended or self._beginning)
        )

    def _with_lf(self, data: bytes) -> bytes:
        """Return the bytes without the stream's byte order mark, and with LF line ends."""
        if self._beginning is not None:
            data = self._beginning + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._beginning = data
                return b""
            self._beginning = None
            data = data.removeprefix(_BOM)
        if self._after_cr:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if _CR in data:
            # The line ends here, whether or not its LF follows.
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _skip_comment(self, data: bytes, at: int) -> int:
        # Some servers send only comments for hours, without a blank line: keep none of it.
        end = data.find(_LF, at) + 1
        stop = end or len(data)
        self._comment += stop - at
        if self._comment - bool(end) > self._max_message:
            self._end_too_large()
        elif end:
            self._comment = 0
            self._at_line = True
        return stop

    def _keep(self, piece: bytes) -> None:
        self._have += len(piece)
        # The last line end does not count.
        if self._have - piece.endswith(b"\n") > self._max_message:
            self._end_too_large()
            return
        if self._pieces is None:
            self._pieces = []
        self._pieces.append(piece)
        self._at_line = piece.endswith(b"\n")

    def _join(self, rest: bytes, arrived_ns: int, empty_ns: int | None, *, shared: bool) -> None:
        block = rest
        if self._pieces is not None:
            self._pieces.append(rest)
            block = b"".join(self._pieces).removesuffix(b"\n")
            self._pieces = None
            self._have = 0
        self._at_line = True
        if block:
            self._complete(block, None, arrived_ns, empty_ns, shared=shared)

    def _complete(
        self,
        block: bytes,
        read: _Lines | None,
        arrived_ns: int,
        empty_ns: int | None,
        *,
        shared: bool,
    ) -> None:
        """Hand on a whole block; its lines are given if they have been read."""
        if len(block) > self._max_message:
            self._end_too_large()
            return
        if read is None and (_LF in block or not block.startswith(b"data:")):
            read = _lines_of(block)
        if read is not None:
            block = read.payload
            if read.last_id is not None:
                self._last_id = read.last_id
            if read.retry_ms is not None:
                self.retry_ms = read.retry_ms
            if not block:
                return
        if shared:
            if self._shared[0] != arrived_ns:
                self._shared = arrived_ns, self._share(arrived_ns, empty_ns)
            arrived_ns = self._shared[1]
        self.on_message(block, arrived_ns)

    def _end_too_large(self) -> None:
        self.ended = True
        self._pieces = None
        self._on_close(Closed("client", "message too large"))


def _only_block(data: bytes) -> bytes:
    """Return the only block of a usual read; empty if the read is another one.

    The block may still contain a blank line.
    """
    if data.endswith(b"\n\n"):
        block = data[:-2]
    elif data.endswith(b"\r\n\r\n"):
        block = data[:-4].replace(b"\r\n", b"\n")
    else:
        return b""
    return b"" if _CR in block else block


class _Lines:
    """What the lines of a block contain beside the event.

    Attributes:
        has_blank: whether a line is blank, so that this is more than one block.
        payload: the block without comments; empty if it has no data.
        last_id: the event ID that the block sets; None if it sets none.
        retry_ms: the reconnection time that the block sets; None if it sets none.
    """

    __slots__ = ("has_blank", "last_id", "payload", "retry_ms")

    def __init__(self, block: bytes) -> None:
        lines = block.split(b"\n")
        self.has_blank = b"" in lines
        self.last_id: bytes | None = None
        self.retry_ms: int | None = None
        has_data = has_comment = False
        for line in lines:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                has_data = True
            elif field == b"id" and _NUL not in value:
                self.last_id = value
            elif field == b"retry" and value.isdigit() and len(value) <= _RETRY_DIGITS:
                self.retry_ms = int(value)
            has_comment = has_comment or line.startswith(b":")
        if has_comment:
            block = b"\n".join(line for line in lines if not line.startswith(b":"))
        self.payload = block if has_data else b""


# All copies of a broadcast have the same lines: read them once.
_cached_lines_of = functools.lru_cache(maxsize=128)(_Lines)


def _lines_of(block: bytes) -> _Lines:
    # Large blocks would take too much memory.
    return _cached_lines_of(block) if len(block) <= _LARGEST_CACHED else _Lines(block)


def parse_event(block: bytes) -> ParsedMessage | None:
    """Parse a block of lines; return None if it has no data."""
    name = ""
    data: list[str] = []
    for line in block.decode(errors="replace").split("\n"):
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif field == "event":
            name = value.removeprefix(" ")
    return ParsedMessage(name or "message", "\n".join(data)) if data else None
