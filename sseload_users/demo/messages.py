"""The messages that the server writes, encoded once per format.

WebSocket frames follow RFC 6455 §5.2, Socket.IO packets revision 5 of its protocol over
Engine.IO 4; event streams follow the HTML living standard §9.2, in HTTP/1.1 chunks
(RFC 9112 §7.1).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from wsproto.frame_protocol import FrameProtocol

from sseload_users.demo.faults import GarbageHow

#: A frame with the reserved opcode 3 (RFC 6455 §5.2: the receiver must fail the connection).
_BAD_FRAME = b"\x83\x03bad"
#: A chunk with an invalid size line (RFC 9112 §7.1: hexadecimal digits).
_BAD_CHUNK = b"not a chunk\r\n"


@dataclass(frozen=True, slots=True)
class IngestedCode:
    """An ingested code.

    Attributes:
        index: 1 for the first broadcast code; 0 until it is broadcast.
        timestamp: when it was received, in ISO 8601, UTC.
        channel: the channel that it is for; empty if it names none.
        padding: further text that is passed on.
        codetype: the type again, as today's code server sends it; empty for the older one.
    """

    code: str
    username: str
    user_id: int
    timestamp: str
    source: str = ""
    type: str = "default"
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    codetype: str = ""
    channel: str = ""
    padding: str = ""
    index: int = 0


#: A foreign code: of the usual shape, but of no run.
_FOREIGN = IngestedCode(
    "LT-others-1-1", username="others", user_id=0, timestamp="1970-01-01T00:00:00Z"
)


class Format(Protocol):
    """The message format of a subscription. Pure and hashable: equal formats, equal bytes."""

    def code(self, code: IngestedCode) -> bytes:
        """Encode a broadcast code."""

    def foreign(self) -> bytes:
        """Encode a foreign code."""

    def garbage(self, how: GarbageHow) -> bytes:
        """Return something undecodable: a broken message in a valid frame, or a broken frame."""


@dataclass(frozen=True, slots=True)
class PlainFormat:
    """JSON text over WebSocket."""

    def code(self, code: IngestedCode) -> bytes:
        """Encode a broadcast code."""
        return frame(_plain_json(code))

    def foreign(self) -> bytes:
        """Encode a foreign code."""
        return self.code(_FOREIGN)

    def garbage(self, how: GarbageHow) -> bytes:
        """Return truncated JSON, or a frame with a reserved opcode."""
        return _BAD_FRAME if how == "frame" else frame('{"type":"new_code","code":')


@dataclass(frozen=True, slots=True)
class SocketIOFormat:
    """Socket.IO events in one namespace, over WebSocket."""

    namespace: str

    def code(self, code: IngestedCode) -> bytes:
        """Encode a broadcast code."""
        return frame(event(self.namespace, "new_code", _all_fields(code)))

    def foreign(self) -> bytes:
        """Encode a foreign code."""
        return self.code(_FOREIGN)

    def garbage(self, how: GarbageHow) -> bytes:
        """Return an event with truncated JSON, or a frame with a reserved opcode."""
        if how == "frame":
            return _BAD_FRAME
        return frame(f'{packet("2", self.namespace)}["new_code",{{"code":')


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """Server-sent events.

    Attributes:
        chunked: write HTTP/1.1 chunks; HTTP/1.0 has none.
        numbered: write each code with its index as ``id``, for ``Last-Event-ID``, in the
            plain format. Otherwise use the code server's format.
    """

    chunked: bool = True
    numbered: bool = False

    def code(self, code: IngestedCode) -> bytes:
        """Encode a broadcast code."""
        if not self.numbered:
            return self.data(_all_fields(code))
        number = f"id: {code.index}\n" if code.index else ""
        return self.block(f"{number}data: {_plain_json(code)}\n\n")

    def foreign(self) -> bytes:
        """Encode a foreign code."""
        return self.code(_FOREIGN)

    def garbage(self, how: GarbageHow) -> bytes:
        """Return truncated JSON, or a broken chunk if the stream is chunked."""
        if how == "frame" and self.chunked:
            return _BAD_CHUNK
        return self.block('data: {"type":"new_code","code":\n\n')

    def data(self, value: object, index: int | None = None) -> bytes:
        """Encode a message with JSON data, and with an index as ``id`` if there is one."""
        number = f"id: {index}\n" if index is not None else ""
        return self.block(f"{number}data: {dump(value)}\n\n")

    def block(self, text: str) -> bytes:
        """Encode a piece of the stream."""
        data = text.encode()
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data

    def end(self) -> bytes:
        """Return the orderly end of the stream."""
        return b"0\r\n\r\n" if self.chunked else b""


def frame(text: str) -> bytes:
    """Encode an unmasked, unfragmented text frame."""
    return bytes(FrameProtocol(client=False, extensions=[]).send_data(text, fin=True))


def packet(kind: str, namespace: str, payload: str = "") -> str:
    """Encode a Socket.IO packet: "0" connect, "1" disconnect, "2" event, "3" ack, "4" error."""
    if namespace == "/":
        return f"4{kind}{payload}"
    return f"4{kind}{namespace},{payload}"


def event(namespace: str, name: str, data: object) -> str:
    """Encode a Socket.IO event."""
    return packet("2", namespace, dump([name, data]))


def dump(value: object) -> str:
    """Encode as compact JSON."""
    return json.dumps(value, separators=(",", ":"))


def _all_fields(code: IngestedCode) -> dict[str, Any]:
    """Return all fields of a code, as the code server sends them."""
    return {
        "code": code.code,
        "source": code.source,
        "type": code.type,
        **({"codetype": code.codetype} if code.codetype else {}),
        "username": code.username,
        "user_id": code.user_id,
        "metadata": code.metadata,
        "timestamp": code.timestamp,
        **({"padding": code.padding} if code.padding else {}),
    }


def _plain_json(code: IngestedCode) -> str:
    return dump(
        {
            "type": "new_code",
            "code": code.code,
            "username": code.username,
            "timestamp": code.timestamp,
            **({"channel": code.channel} if code.channel else {}),
            **({"offset": code.index} if code.index else {}),
            **({"padding": code.padding} if code.padding else {}),
        }
    )
