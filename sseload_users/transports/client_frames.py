"""The WebSocket frames that a client sends (RFC 6455 §5); wsproto serializes them."""

from __future__ import annotations

from wsproto import frame_protocol

# Serializes whole frames only, which leave no state behind.
_SERIALIZER = frame_protocol.FrameProtocol(client=True, extensions=[])


def message_frame(message: str | bytes) -> bytes:
    """Return the frame of a text or a binary message."""
    return bytes(_SERIALIZER.send_data(message))


def ping_frame() -> bytes:
    """Return a ping frame without data (RFC 6455 §5.5.2)."""
    return bytes(_SERIALIZER.ping())


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping frame (RFC 6455 §5.5.3)."""
    return bytes(_SERIALIZER.pong(payload))


def close_frame(code: int | None) -> bytes:
    """Return a close frame with a status code, if any (RFC 6455 §7.4)."""
    return bytes(_SERIALIZER.close(code))
