"""Socket.IO's msgpack parser: packets as msgpack maps in place of text and attachments; no sockets.

https://github.com/socketio/socket.io-msgpack-parser. Here a packet is translated from and to the
default parser's form, which everything else understands.
"""

from __future__ import annotations

import functools
from typing import Any

import msgpack
from socketio.packet import Packet

from sseload_users.transports import Malformed

#: JavaScript's ``undefined``, as notepack writes it.
_UNDEFINED = (0, b"\0")


def is_packed(payload: bytes) -> bool:
    """Whether an Engine.IO message is a msgpack map, and not text."""
    return payload[:1] >= b"\x80"


@functools.lru_cache(maxsize=64)  # the copies of a broadcast are the same
def unpack(payload: bytes) -> tuple[bytes, ...]:
    """Return a packet as the default parser has it: text, and attachments.

    Raises:
        Malformed: "bad packet".
    """
    try:
        said = msgpack.unpackb(payload, ext_hook=_plain, strict_map_key=False)
        packet = Packet(said["type"], said.get("data"), said["nsp"], said.get("id"))
        encoded = packet.encode()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed("bad packet") from error
    text, *attachments = encoded if isinstance(encoded, list) else [encoded]
    return (f"4{text}".encode(), *attachments)


def pack(packet: str) -> bytes:
    """Return a packet that the default parser has as text, without attachments.

    Raises:
        ValueError: it is no such packet.
    """
    said: Any = Packet(encoded_packet=packet[1:])
    values = {"type": said.packet_type, "data": said.data, "nsp": said.namespace, "id": said.id}
    kept = {name: value for name, value in values.items() if value is not None}
    packed: bytes = msgpack.packb(kept | {"nsp": said.namespace or "/"})
    return packed


def _plain(code: int, data: bytes) -> object:
    return None if (code, data) == _UNDEFINED else data
