"""Socket.IO packets (protocol 5) in Engine.IO messages (protocol 4); no sockets.

https://github.com/socketio/socket.io-protocol: an Engine.IO message is ``4`` and a Socket.IO
packet. A packet is its type, for binary types the number of attachments and ``-``, the
namespace and ``,`` unless it is ``/``, an ID if an acknowledgement is requested, and JSON.

python-socketio's codec owns the packets. The hot path only distinguishes them by their first
bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from socketio.packet import BINARY_EVENT, CONNECT, DISCONNECT, EVENT, Packet

from sseload_users.transports import Malformed, ParsedMessage

_HEADER = re.compile(rb"4[0-6](?:(\d{1,4})-)?(/[^,?]*)?")
#: An event up to the ID of the acknowledgement that it requests.
_ID = re.compile(rb"4[25](?:\d{1,4}-)?(?:/[^,]*,)?(\d{1,20})\[")
# A joined binary event is its packet and then, for each attachment, this byte, the length and
# the attachment. JSON does not contain this byte.
_ATTACHMENT = b"\0"
_LENGTH_BYTES = 4


def connect_packet(namespace: str, auth: Mapping[str, object] | None) -> str:
    """Return the packet that connects to a namespace."""
    data = None if auth is None else dict(auth)
    return f"4{Packet(CONNECT, data, namespace, binary=False).encode()}"


def disconnect_packet(namespace: str) -> str:
    """Return the packet that disconnects from a namespace."""
    return f"4{Packet(DISCONNECT, namespace=namespace).encode()}"


def event_prefix(namespace: str) -> bytes:
    """Return the first bytes of a namespace's events that request no acknowledgement.

    One that does has its ID before the bracket.
    """
    return b"42[" if namespace == "/" else f"42{namespace},[".encode()


def requested_acknowledgement(payload: bytes, namespace: bytes) -> str | None:
    """Return the packet that acknowledges an event; None if the event requests none.

    Args:
        payload: the event.
        namespace: the event's.
    """
    found = _ID.match(payload)
    if found is None:
        return None
    room = "" if namespace == b"/" else f"{namespace.decode(errors='replace')},"
    return f"43{room}{found[1].decode()}[]"


def parse_header(payload: bytes) -> tuple[int, bytes] | None:
    """Return a packet's number of attachments and its namespace; None if it is invalid."""
    found = _HEADER.match(payload)
    if found is None or (found[1] is None) == (payload[1:2] in b"56"):
        return None
    return int(found[1] or 0), found[2] or b"/"


def is_connect_acknowledgement(data: object) -> bool:
    """Whether a connect packet's data are a server's acknowledgement: they have a session ID."""
    return isinstance(data, dict) and isinstance(data.get("sid"), str)


def packet_data(payload: bytes) -> Any:
    """Return a packet's JSON; None if there is none, or it is invalid."""
    try:
        return _decode(payload).data
    except Malformed:
        return None


def parse_acknowledgement(payload: bytes) -> tuple[int, list[Any]] | None:
    """Return an acknowledgement's ID and its arguments; None if it is invalid.

    Binary arguments are placeholders, without their attachments.
    """
    try:
        packet = _decode(payload)
    except Malformed:
        return None
    if type(packet.id) is not int:
        return None
    return packet.id, packet.data if isinstance(packet.data, list) else []


def error_message(data: object) -> str:
    """Return the message in the data of a refusal or an error event; empty if there is none."""
    if isinstance(data, Mapping):
        data = data.get("message", data.get("error", data.get("reason")))
    return data if isinstance(data, str) else ""


def join_attachments(frames: Sequence[bytes]) -> bytes:
    """Return a binary event and its attachments as one payload for ``parse_packet``."""
    packet, *attachments = frames
    parts = [packet]
    for each in attachments:
        parts += _ATTACHMENT, len(each).to_bytes(_LENGTH_BYTES, "big"), each
    return b"".join(parts)


def parse_packet(payload: bytes) -> ParsedMessage | None:
    """Return an event's name and the list of its arguments; None if this is no event.

    Raises:
        Malformed: "bad packet" or "bad JSON".
    """
    if payload[:1] in (b"0", b"1", b"2", b"3", b"5", b"6"):
        return None
    packet = _decode(payload)
    if packet.packet_type not in (EVENT, BINARY_EVENT):
        return None
    data = packet.data
    # The reference implementation accepts numbers as names, too.
    if not isinstance(data, list) or not data or type(data[0]) not in (str, int, float):
        raise Malformed("bad packet")
    return ParsedMessage(str(data[0]), data[1:])


def _decode(payload: bytes) -> Any:
    if parse_header(payload) is None:
        raise Malformed("bad packet")
    text, *attachments = _split_attachments(payload)
    try:
        packet: Any = Packet(encoded_packet=text[1:].decode())
    except json.JSONDecodeError as error:
        raise Malformed("bad JSON") from error
    except (ValueError, RecursionError) as error:
        raise Malformed("bad packet") from error
    try:
        for each in attachments:
            packet.add_attachment(each)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Malformed("bad packet") from error
    return packet


def _split_attachments(payload: bytes) -> list[bytes]:
    end = payload.find(_ATTACHMENT)
    if end < 0:
        return [payload]
    frames = [payload[:end]]
    while end < len(payload):
        start = end + 1 + _LENGTH_BYTES
        end = start + int.from_bytes(payload[end + 1 : start], "big")
        frames.append(payload[start:end])
    return frames
