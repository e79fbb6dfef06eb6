"""Decoding of WebSocket frames (RFC 6455 §5) from bytes, split anywhere; no sockets.

wsproto owns the protocol; the decoder only saves it work. A whole, final, unmasked data frame
without reserved bits and with the shortest form of its length is sliced out of the bytes.
Every other frame (fragments, control frames, protocol errors) goes to wsproto once all of its
bytes are there, or once its header shows that it is invalid. The result is the same as if
wsproto had decoded all the bytes alone.

Where permessage-deflate was negotiated, wsproto gets the frames of a compressed message without
their mark, and the decoder inflates the message: wsproto bounds no inflated size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from wsproto import frame_protocol
from wsproto.frame_protocol import Opcode, ParseFailed

from sseload_users.transports import Closed, OnMessage
from sseload_users.transports.client_frames import close_frame, pong_frame
from sseload_users.transports.frame_memo import FrameMemo
from sseload_users.transports.lag import ShareStamp
from sseload_users.transports.permessage_deflate import BadCompressedData, InflatedTooLarge

_TEXT, _BINARY = 0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY
#: The bit that marks the first frame of a compressed message (RFC 7692 §6).
_RSV1 = 0x40
_COMPRESSED_TEXT, _COMPRESSED_BINARY = _TEXT | _RSV1, _BINARY | _RSV1
#: Stands for the first byte of a frame that is not for the fast path.
_SLOW = 0
_unpack_length: Callable[[bytes, int], tuple[Any, ...]] = struct.Struct("!Q").unpack_from

# Status codes of close frames (RFC 6455 §7.4.1).
_PROTOCOL_ERROR, _INVALID_PAYLOAD, _TOO_BIG = 1002, 1007, 1009

# Causes by the beginnings of wsproto's error texts.
_PROTOCOL_ERRORS = {
    "Reserved bit": "reserved bits",
    "Invalid opcode": "unknown opcode",
    "Invalid attempt to fragment": "fragmented control frame",
    "Control frame with payload": "oversized control frame",
    "Payload length used": "length not minimal",
    "8-byte payload length": "length out of range",
    "client received unexpected masked": "masked frame",
    "unexpected CONTINUATION": "bad fragment order",
    "expected CONTINUATION": "bad fragment order",
}

# The status codes that a server may send (RFC 6455 §7.4.1 and IANA's registry).
_STATUS_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})

_NO_CLOSE_FRAME = Closed("network", "no close frame")


class FrameError(Exception):
    """Bytes that make a client fail the connection (RFC 6455 §7.1.7).

    Args:
        cause: a short, countable cause.
        status: the status code for the client's close frame.
    """

    def __init__(self, cause: str, status: int = _PROTOCOL_ERROR) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status

    @property
    def is_malformed(self) -> bool:
        """Whether the bytes are invalid, and not merely too many."""
        return self.status != _TOO_BIG

    @property
    def closed(self) -> Closed:
        """How the session closes."""
        return Closed("client", f"{'protocol error: ' * self.is_malformed}{self.cause}")


#: Called when the frames end the session: with how, and with the error if there was one.
OnClose = Callable[[Closed, FrameError | None], None]


class FrameDecoder:
    """Decodes bytes into messages and finally into how the session closed.

    Args:
        on_message: gets each text or binary message, and the stamp of its last bytes.
        on_close: called once, when a close frame or an error ends the session.
        send: sends the pongs and close frames that answer the server's.
        max_message: size limit of a message in bytes; a larger one ends the session.
        share: makes the stamp of messages that lie before the last bytes of a read.
        inflate: `MessageInflater.inflate`; None if no compression was negotiated.
        memo: shared with decoders that have the same limit; None for one of its own.

    Attributes:
        ended: whether decoding has stopped; set it to stop in the middle of a read.
    """

    __slots__ = (
        "_chunks",
        "_fragments",
        "_have",
        "_inflate",
        "_max_message",
        "_memo",
        "_need",
        "_send",
        "_share",
        "ended",
        "on_close",
        "on_message",
    )

    def __init__(
        self,
        on_message: OnMessage,
        on_close: OnClose,
        send: Callable[[bytes], object],
        max_message: int,
        share: ShareStamp,
        inflate: Callable[[bytes], bytes] | None = None,
        memo: FrameMemo | None = None,
    ) -> None:
        self._memo = memo or FrameMemo()
        self.on_message = on_message
        self.on_close = on_close
        self.ended = False
        self._inflate = inflate
        self._send = send
        self._max_message = max_message
        self._share = share
        # While _need is not zero, the current frame is incomplete: the frame, or its header,
        # takes _need bytes, and the chunks hold _have of them.
        self._need = 0
        self._have = 0
        self._chunks: list[bytes] | None = None
        # The beginning of a fragmented message; None between messages.
        self._fragments: _Fragments | None = None

    # The hot path: calls would cost more than the branches.
    def feed(  # noqa: C901, PLR0912, PLR0915
        self, data: bytes, arrived_ns: int, empty_ns: int | None
    ) -> None:
        """Decode the next bytes, at least one.

        Args:
            data: the bytes of one read.
            arrived_ns: when the newest of them arrived (wall clock, ns): the stamp of the
                message that ends with them. `share` makes the stamp of the messages before.
            empty_ns: before when none of them had arrived; None if that is not known.
        """
        if self.ended:
            return
        memo = self._memo
        if data == memo.frame and not self._need and self._fragments is None:
            self.on_message(memo.payload, arrived_ns)
            return
        if self._need:
            # Join only once the frame is complete: the cost stays linear in its length.
            self._have += len(data)
            chunks = self._chunks
            assert chunks is not None  # noqa: S101
            chunks.append(data)
            if self._have < self._need:
                return
            data = b"".join(chunks)
            self._need = 0
            self._chunks = None
        size = len(data)
        at = 0
        stamp = None
        while True:
            if size - at < 2:
                self._need = 2
                break
            first = data[at]
            length = data[at + 1]
            if length < 126:
                start = at + 2
            else:
                masked = length & 0x80
                length &= 0x7F
                start = at + 2
                if length == 126:
                    start = at + 4
                    if size < start:
                        self._need = 4
                        break
                    length = data[at + 2] << 8 | data[at + 3]
                    if length < 126:
                        first = _SLOW
                elif length == 127:
                    start = at + 10
                    if size < start:
                        self._need = 10
                        break
                    length = _unpack_length(data, at + 2)[0]
                    if length < 1 << 16 or length >> 63:
                        first = _SLOW
                if masked:
                    first = _SLOW
            end = start + length
            if end > size or length > self._max_message:
                if not self._accepts(data[at:start], length):
                    return
                self._need = end - at
                break
            if end == size:
                stamp = arrived_ns
            elif stamp is None:
                stamp = self._share(arrived_ns, empty_ns)
            if first == _TEXT and self._fragments is None:
                payload = data[start:end]
                if payload.isascii() or is_text(payload):
                    if not at and end == size:
                        memo.frame, memo.payload = data, payload
                    self.on_message(payload, stamp)
                else:
                    self._fail(FrameError("invalid UTF-8", _INVALID_PAYLOAD))
            elif first == _BINARY and self._fragments is None:
                self.on_message(data[start:end], stamp)
            elif (
                first in (_COMPRESSED_TEXT, _COMPRESSED_BINARY)
                and self._inflate is not None
                and self._fragments is None
            ):
                self._hand_on_inflated(first == _COMPRESSED_TEXT, data[start:end], stamp)
            else:
                self._decode_frame(data[at:end], length, stamp)
            at = end
            if at == size or self.ended:
                return
        self._have = size - at
        self._chunks = [data[at:]]

    def _accepts(self, header: bytes, length: int) -> bool:
        """Whether the rest of a frame is worth waiting for; end the session if it is not."""
        try:
            _read_frame(self._without_mark(header))
        except ParseFailed as error:
            self._fail(_frame_error(error))
            return False
        if length > self._max_message:
            self._fail(_too_large("message"))
            return False
        return True

    def _without_mark(self, frame: bytes) -> bytes:
        """Return a frame without the mark of a compressed message, if it may have one."""
        first = frame[0]
        if self._inflate is None or first & 0x0F not in (Opcode.TEXT, Opcode.BINARY):
            return frame
        return bytes((first & ~_RSV1,)) + frame[1:]

    def _decode_frame(self, data: bytes, length: int, arrived_ns: int) -> None:
        """Decode one whole frame by wsproto."""
        plain = self._without_mark(data)
        try:
            frame = _read_frame(plain)
            assert frame is not None  # noqa: S101
            if frame.opcode.iscontrol():
                self._take_control(frame)
                return
            fragments = self._fragments or _Fragments(compressed=plain != data)
            message = fragments.join(frame, length, self._max_message)
        except ParseFailed as error:
            self._fail(_frame_error(error))
        except FrameError as error:
            self._fail(error)
        else:
            self._fragments = fragments if message is None else None
            if message is None:
                return
            if fragments.compressed:
                self._hand_on_inflated(fragments.text, message, arrived_ns)
            else:
                self.on_message(message, arrived_ns)

    def _hand_on_inflated(self, text: bool, data: bytes, arrived_ns: int) -> None:
        assert self._inflate is not None  # noqa: S101
        try:
            payload = self._inflate(data)
        except InflatedTooLarge:
            self._fail(_too_large("inflated message"))
        except BadCompressedData:
            self._fail(FrameError("bad compressed data", _INVALID_PAYLOAD))
        else:
            if text and not (payload.isascii() or is_text(payload)):
                self._fail(FrameError("invalid UTF-8", _INVALID_PAYLOAD))
            else:
                self.on_message(payload, arrived_ns)

    def _take_control(self, frame: frame_protocol.Frame) -> None:
        payload: Any = frame.payload
        if frame.opcode is Opcode.PING:
            self._send(pong_frame(payload))
        elif frame.opcode is Opcode.CLOSE:
            closed = parse_close(payload)
            # The answer has the same status code (RFC 6455 §5.5.1).
            self._send(close_frame(closed.code))
            self._end(closed, None)

    def _fail(self, error: FrameError) -> None:
        self._end(error.closed, error)

    def _end(self, closed: Closed, error: FrameError | None) -> None:
        self.ended = True
        self._fragments = self._chunks = self._inflate = None
        self.on_close(closed, error)

    @property
    def at_end(self) -> Closed:
        """How the session has closed if the stream of bytes ends now."""
        return _NO_CLOSE_FRAME


class _Fragments:
    """The fragments of one message, as far as they have arrived (RFC 6455 §5.4).

    Args:
        compressed: whether the message is compressed.

    Attributes:
        text: whether it is a text message.
    """

    __slots__ = ("_decoder", "_parts", "_size", "compressed", "text")

    def __init__(self, *, compressed: bool) -> None:
        self.compressed = compressed
        self.text = False
        self._decoder = frame_protocol.MessageDecoder()
        self._parts: list[Any] = []
        self._size = 0

    def join(self, frame: frame_protocol.Frame, length: int, max_message: int) -> bytes | None:
        """Add a frame; return the message if it is complete.

        Args:
            frame: a data frame.
            length: of its payload on the wire, in bytes.
            max_message: size limit of a message in bytes.

        Raises:
            ParseFailed: it does not belong here, or is not UTF-8.
            FrameError: the message is too large.
        """
        self._size += length
        if self._size > max_message:
            raise _too_large("message")
        if frame.opcode is Opcode.TEXT:
            self.text = True
            if self.compressed:
                # Its bytes are no text yet.
                frame = frame._replace(opcode=Opcode.BINARY)
        part = self._decoder.process_frame(frame)
        self._parts.append(part.payload)
        if not part.message_finished:
            return None
        if part.opcode is Opcode.TEXT:
            return "".join(self._parts).encode()
        return b"".join(self._parts)


def _read_frame(data: bytes) -> frame_protocol.Frame | None:
    """Return a frame that begins with a valid header; None if that is all there is.

    Raises:
        ParseFailed: the header is invalid.
    """
    decoder = frame_protocol.FrameDecoder(client=True)
    decoder.receive_bytes(data)
    return decoder.process_buffer()


def is_text(payload: bytes) -> bool:
    """Whether a payload is valid UTF-8."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def parse_close(body: bytes) -> Closed:
    """Return how the server closed, from a close frame's payload (RFC 6455 §5.5.1).

    Raises:
        FrameError: the payload is invalid.
    """
    if not body:
        return Closed("server", "closed by server: no code")
    if len(body) == 1:
        raise FrameError("bad close frame")
    code = int.from_bytes(body[:2], "big")
    if not (code in _STATUS_CODES or 3000 <= code <= 4999):
        raise FrameError("bad close code")
    try:
        reason = body[2:].decode()
    except UnicodeDecodeError:
        raise FrameError("invalid UTF-8", _INVALID_PAYLOAD) from None
    return Closed("server", f"closed by server: {code}", code, reason)


def _too_large(what: str) -> FrameError:
    return FrameError(f"{what} too large", _TOO_BIG)


def _frame_error(error: ParseFailed) -> FrameError:
    """Return wsproto's error with a short, countable cause."""
    if error.code == _INVALID_PAYLOAD:
        return FrameError("invalid UTF-8", _INVALID_PAYLOAD)
    text = str(error)
    causes = (cause for start, cause in _PROTOCOL_ERRORS.items() if text.startswith(start))
    return FrameError(next(causes, "bad frame"))
