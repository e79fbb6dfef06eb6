"""Decoding of WebSocket frames (RFC 6455 §5) from bytes, split anywhere; no sockets.

websocket-client owns the protocol; the decoder only saves it work. A whole, final, unmasked
data frame without reserved bits is sliced out of the bytes. Every other frame (fragments,
control frames, masked frames, protocol errors) goes to websocket-client once all of its bytes
are there, so that it never waits and can run in the hub. The result is the same as if
websocket-client had decoded all the bytes alone.

websocket-client knows no extensions. Where permessage-deflate was negotiated, it gets the frames
of a compressed message without their mark, and the decoder inflates the message that it returns.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any

from websocket import (
    ABNF,
    WebSocket,
    WebSocketException,
    WebSocketPayloadException,
)

from sseload_users.transports import Closed, OnMessage
from sseload_users.transports.lag import ShareStamp
from sseload_users.transports.permessage_deflate import BadCompressedData, InflatedTooLarge

#: Called when the frames end the session: with how, and with the error if there was one.
OnClose = Callable[[Closed, WebSocketException | None], None]

_TEXT, _BINARY = 0x80 | ABNF.OPCODE_TEXT, 0x80 | ABNF.OPCODE_BINARY
#: The bit that marks the first frame of a compressed message (RFC 7692 §6).
_RSV1 = 0x40
_COMPRESSED_TEXT, _COMPRESSED_BINARY = _TEXT | _RSV1, _BINARY | _RSV1
_unpack_length: Callable[[bytes, int], tuple[Any, ...]] = struct.Struct("!Q").unpack_from

# Causes for websocket-client's error texts.
_PROTOCOL_ERRORS = {
    "rsv is not implemented, yet": "reserved bits",
    "Invalid ping frame.": "fragmented ping",
    "Invalid close frame.": "bad close frame",
    "Illegal frame": "bad fragment order",
    "Ping message is too long": "oversized ping",
}

_BAD_DATA = "bad compressed data"
_NO_CLOSE_FRAME = Closed("network", "no close frame")


class MessageTooLarge(WebSocketException):
    """A message exceeds the size limit."""


class FrameDecoder:
    """Decodes bytes into messages and finally into how the session closed.

    Args:
        on_message: gets each text or binary message, and the stamp of its last bytes.
        on_close: called once, when a close frame or an error ends the session.
        send: sends the pongs and close frames that answer the server's.
        max_message: size limit of a message in bytes; a larger one ends the session.
        share: makes the stamp of messages that lie before the last bytes of a read.
        inflate: `MessageInflater.inflate`; None if no compression was negotiated.

    Attributes:
        ended: whether decoding has stopped; set it to stop in the middle of a read.
    """

    __slots__ = (
        "_chunks",
        "_client",
        "_collected",
        "_compressed",
        "_have",
        "_inflate",
        "_max_message",
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
    ) -> None:
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
        # websocket-client while it holds the beginning of a fragmented message, the size of
        # that beginning in bytes, and whether the message is compressed.
        self._client: Any = None
        self._collected = 0
        self._compressed = False

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
                elif length == 127:
                    start = at + 10
                    if size < start:
                        self._need = 10
                        break
                    length = _unpack_length(data, at + 2)[0]
                if masked:
                    start += 4
                    first = 0  # no fast path
            if length > self._max_message:
                self._end_too_large()
                return
            end = start + length
            if end > size:
                self._need = end - at
                break
            if end == size:
                stamp = arrived_ns
            elif stamp is None:
                stamp = self._share(arrived_ns, empty_ns)
            if first == _TEXT and self._client is None:
                payload = data[start:end]
                if payload.isascii() or is_text(payload):
                    self.on_message(payload, stamp)
                else:
                    self._decode_by_client(data[at:end], length, stamp)
            elif first == _BINARY and self._client is None:
                self.on_message(data[start:end], stamp)
            elif (
                first in (_COMPRESSED_TEXT, _COMPRESSED_BINARY)
                and self._inflate is not None
                and self._client is None
            ):
                self._hand_on_inflated(first == _COMPRESSED_TEXT, data[start:end], stamp)
            else:
                self._decode_by_client(data[at:end], length, stamp)
            at = end
            if at == size or self.ended:
                return
        self._have = size - at
        self._chunks = [data[at:]]

    def _decode_by_client(self, frame: bytes, length: int, arrived_ns: int) -> None:
        """Decode one whole frame by websocket-client."""
        client = self._client
        if client is None:
            client = _new_client(self._send)
            self._collected = 0
        if frame[0] & 0x0F <= ABNF.OPCODE_BINARY:
            self._collected += length
            if self._collected > self._max_message:
                self._end_too_large()
                return
        if frame[0] & 0x0F in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY):
            self._compressed = bool(frame[0] & _RSV1) and self._inflate is not None
            if self._compressed:
                frame = bytes((frame[0] & ~_RSV1,)) + frame[1:]
        client.sock.frame = frame
        try:
            opcode, answer = client.recv_data_frame(control_frame=True)
            if opcode == ABNF.OPCODE_TEXT and not (self._compressed or is_text(answer.data)):
                raise WebSocketPayloadException("cannot decode")
        except _NeedsFrameError:
            self._client = client  # it keeps a fragment
        except WebSocketException as error:
            self._end_invalid(error)
        else:
            # A control frame may come between fragments.
            self._client = client if client.cont_frame.cont_data else None
            if opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY):
                if self._compressed:
                    self._hand_on_inflated(opcode == ABNF.OPCODE_TEXT, answer.data, arrived_ns)
                else:
                    self.on_message(answer.data, arrived_ns)
            elif opcode == ABNF.OPCODE_CLOSE:
                self._end(parse_close(answer.data), None)

    def _hand_on_inflated(self, text: bool, data: bytes, arrived_ns: int) -> None:
        assert self._inflate is not None  # noqa: S101
        try:
            payload = self._inflate(data)
        except InflatedTooLarge:
            cause = "inflated message too large"
            self._end(Closed("client", cause), MessageTooLarge(cause))
        except BadCompressedData:
            self._end_invalid(WebSocketPayloadException(_BAD_DATA))
        else:
            if text and not (payload.isascii() or is_text(payload)):
                self._end_invalid(WebSocketPayloadException("cannot decode"))
            else:
                self.on_message(payload, arrived_ns)

    def _end_too_large(self) -> None:
        error = MessageTooLarge("message too large")
        self._end(Closed("client", "message too large"), error)

    def _end_invalid(self, error: WebSocketException) -> None:
        self._end(Closed("client", f"protocol error: {protocol_error_cause(error)}"), error)

    def _end(self, closed: Closed, error: WebSocketException | None) -> None:
        self.ended = True
        self._client = self._chunks = self._inflate = None
        self.on_close(closed, error)

    @property
    def at_end(self) -> Closed:
        """How the session has closed if the stream of bytes ends now."""
        return _NO_CLOSE_FRAME


def is_text(payload: bytes) -> bool:
    """Whether websocket-client accepts the payload as UTF-8.

    It accepts the beginning of a valid text, so the last character may be incomplete.
    """
    try:
        _, valid = codecs.utf_8_decode(payload, "strict", False)
    except UnicodeDecodeError:
        return False
    # Python rejects a surrogate only at its third byte.
    rest = payload[valid:]
    return len(rest) < 2 or rest[0] != 0xED or rest[1] < 0xA0


def parse_close(body: bytes) -> Closed:
    """Return how the server closed, from a close frame's payload (RFC 6455 §5.5.1)."""
    if not body:
        return Closed("server", "closed by server: no code")
    code = int.from_bytes(body[:2], "big")
    return Closed("server", f"closed by server: {code}", code, body[2:].decode(errors="replace"))


def protocol_error_cause(error: WebSocketException) -> str:
    """Return a short, countable cause for websocket-client's error about a frame."""
    text = str(error)
    if isinstance(error, WebSocketPayloadException):
        cause = _BAD_DATA if text == _BAD_DATA else "invalid UTF-8"
    elif text.startswith("Invalid opcode"):
        cause = "unknown opcode"
    elif text.startswith("Invalid close opcode"):
        cause = "bad close code"
    else:
        cause = _PROTOCOL_ERRORS.get(text, "bad frame")
    return cause


def close_frame(code: int) -> bytes:
    """Return a client's close frame with a status code (RFC 6455 §7.4)."""
    return ABNF.create_frame(struct.pack("!H", code), ABNF.OPCODE_CLOSE).format()


def text_frame(text: str) -> bytes:
    """Return a client's text frame."""
    return ABNF.create_frame(text, ABNF.OPCODE_TEXT).format()


class _NeedsFrameError(Exception):
    """websocket-client needs another frame."""


class _FrameSocket:
    """The socket that websocket-client sees: it reads one frame and sends its answers."""

    __slots__ = ("_at", "_frame", "_send")

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self.frame = b""

    @property
    def frame(self) -> bytes:
        return self._frame

    @frame.setter
    def frame(self, frame: bytes) -> None:
        self._frame = frame
        self._at = 0

    def recv(self, size: int) -> bytes:
        chunk = self._frame[self._at : self._at + size]
        if not chunk:
            raise _NeedsFrameError
        self._at += len(chunk)
        return chunk

    def send(self, data: bytes) -> int:
        self._send(data)
        return len(data)

    def gettimeout(self) -> float:
        return 0.0


def _new_client(send: Callable[[bytes], object]) -> Any:
    client: Any = WebSocket(enable_multithread=False)
    client.sock = _FrameSocket(send)
    # Its own check takes Python code for each byte; is_text gives the same result.
    client.cont_frame.skip_utf8_validation = True
    return client
