"""The WebSocket frames that a client sends (RFC 6455 §5), made by websocket-client."""

from __future__ import annotations

import struct

from websocket import ABNF


def message_frame(message: str | bytes) -> bytes:
    """Return the frame of a text or a binary message."""
    return _frame(message, ABNF.OPCODE_TEXT if isinstance(message, str) else ABNF.OPCODE_BINARY)


def ping_frame() -> bytes:
    """Return a ping frame without data (RFC 6455 §5.5.2)."""
    return _frame(b"", ABNF.OPCODE_PING)


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping frame (RFC 6455 §5.5.3)."""
    return _frame(payload, ABNF.OPCODE_PONG)


def close_frame(code: int | None) -> bytes:
    """Return a close frame with a status code, if any (RFC 6455 §7.4)."""
    return _frame(b"" if code is None else struct.pack("!H", code), ABNF.OPCODE_CLOSE)


def _frame(data: str | bytes, opcode: int) -> bytes:
    return bytes(ABNF.create_frame(data, opcode).format())
