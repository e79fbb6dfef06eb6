"""What the server writes: each kind of message, encoded once for all who get it.

WebSocket frames follow RFC 6455 §5.2, Socket.IO packets revision 5 of its protocol over
Engine.IO 4, event streams the HTML living standard §9.2 inside HTTP/1.1 chunks
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
#: Where the size of a chunk in hexadecimal digits belongs.
_BAD_CHUNK = b"not a chunk\r\n"


@dataclass(frozen=True, slots=True)
class IngestedCode:
    """A code as it was ingested.

    Attributes:
        index: 1 for the first code that was broadcast; 0 before.
        timestamp: when it came, in ISO 8601, UTC.
        codetype: the type once more, as the code server says it today; empty before.
    """

    code: str
    username: str
    user_id: int
    timestamp: str
    source: str = ""
    type: str = "default"
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    codetype: str = ""
    index: int = 0


#: Somebody else's code: of the usual shape, and no code of the run that listens.
_FOREIGN = IngestedCode(
    "LT-others-1-1", username="others", user_id=0, timestamp="1970-01-01T00:00:00Z"
)


class Format(Protocol):
    """How messages look to one kind of subscriber. Pure, and hashable: equal in, equal out."""

    def code(self, code: IngestedCode) -> bytes:
        """A broadcast code."""

    def foreign(self) -> bytes:
        """A code of somebody else's."""

    def garbage(self, how: GarbageHow) -> bytes:
        """Something undecodable: a message inside a good frame, or a bad frame."""


@dataclass(frozen=True, slots=True)
class PlainFormat:
    """JSON text over WebSocket."""

    def code(self, code: IngestedCode) -> bytes:
        """A broadcast code."""
        return frame(_plain(code))

    def foreign(self) -> bytes:
        """A code of somebody else's."""
        return self.code(_FOREIGN)

    def garbage(self, how: GarbageHow) -> bytes:
        """JSON that breaks off, or a reserved opcode."""
        return _BAD_FRAME if how == "frame" else frame('{"type":"new_code","code":')


@dataclass(frozen=True, slots=True)
class SocketIOFormat:
    """Events in one namespace of Socket.IO over WebSocket."""

    namespace: str

    def code(self, code: IngestedCode) -> bytes:
        """A broadcast code."""
        return frame(event(self.namespace, "new_code", _whole(code)))

    def foreign(self) -> bytes:
        """A code of somebody else's."""
        return self.code(_FOREIGN)

    def garbage(self, how: GarbageHow) -> bytes:
        """An event whose JSON breaks off, or a reserved opcode."""
        if how == "frame":
            return _BAD_FRAME
        return frame(f'{packet("2", self.namespace)}["new_code",{{"code":')


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """An event stream.

    Attributes:
        chunked: inside HTTP/1.1 chunks; HTTP/1.0 has none.
        numbered: the plain stream: each code carries its index as ``id``, for
            ``Last-Event-ID``. Otherwise it is written as the code server does.
    """

    chunked: bool = True
    numbered: bool = False

    def code(self, code: IngestedCode) -> bytes:
        """A broadcast code."""
        if not self.numbered:
            return self.data(_whole(code))
        number = f"id: {code.index}\n" if code.index else ""
        return self.block(f"{number}data: {_plain(code)}\n\n")

    def foreign(self) -> bytes:
        """A code of somebody else's."""
        return self.code(_FOREIGN)

    def garbage(self, how: GarbageHow) -> bytes:
        """JSON that breaks off, or (only where there are chunks) a broken chunk."""
        if how == "frame" and self.chunked:
            return _BAD_CHUNK
        return self.block('data: {"type":"new_code","code":\n\n')

    def data(self, value: object) -> bytes:
        """A message of JSON."""
        return self.block(f"data: {dump(value)}\n\n")

    def block(self, text: str) -> bytes:
        """A piece of the stream."""
        data = text.encode()
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data

    def end(self) -> bytes:
        """What ends the stream in order."""
        return b"0\r\n\r\n" if self.chunked else b""


def frame(text: str) -> bytes:
    """An unmasked, whole text frame, as servers send it."""
    return bytes(FrameProtocol(client=False, extensions=[]).send_data(text, fin=True))


def packet(kind: str, namespace: str, payload: str = "") -> str:
    """A Socket.IO packet ("0" connect, "1" disconnect, "2" event, "4" error) as text."""
    if namespace == "/":
        return f"4{kind}{payload}"
    return f"4{kind}{namespace},{payload}"


def event(namespace: str, name: str, data: object) -> str:
    """A Socket.IO event as text."""
    return packet("2", namespace, dump([name, data]))


def dump(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"))


def _whole(code: IngestedCode) -> dict[str, Any]:
    """All fields of a code, as the code server sends them."""
    return {
        "code": code.code,
        "source": code.source,
        "type": code.type,
        **({"codetype": code.codetype} if code.codetype else {}),
        "username": code.username,
        "user_id": code.user_id,
        "metadata": code.metadata,
        "timestamp": code.timestamp,
    }


def _plain(code: IngestedCode) -> str:
    return dump(
        {
            "type": "new_code",
            "code": code.code,
            "username": code.username,
            "timestamp": code.timestamp,
        }
    )
