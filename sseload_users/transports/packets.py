"""Socket.IO packets (protocol 5) in Engine.IO messages (protocol 4); no sockets.

https://github.com/socketio/socket.io-protocol: an Engine.IO message is ``4`` and a Socket.IO
packet: its type, for the binary types the number of attachments and ``-``, the namespace and
``,`` unless it is ``/``, an id where an acknowledgement is asked for, and JSON.

python-socketio's codec owns the packets. What is here on the way of each message only tells
them apart by their first bytes.
"""

from __future__ import annotations

import json
import math
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from socketio.packet import BINARY_EVENT, CONNECT, DISCONNECT, EVENT, Packet

from sseload_users.transports import Event, Malformed

_HEAD = re.compile(rb"4[0-6](?:(\d{1,4})-)?(/[^,?]*)?")
_DIGITS, _PUNCTUATION = frozenset(string.digits), string.punctuation
_LONGEST_CAUSE, _LONGEST_WORD, _LONGEST_NUMBER = 80, 30, 3
# An assembled binary event: its packet, then each attachment after one of these and its length.
# JSON has no such byte.
_ATTACHMENT = b"\0"
_LENGTH_BYTES = 4


def connect_packet(namespace: str, auth: Mapping[str, object] | None) -> str:
    """The wish to join a namespace."""
    data = None if auth is None else dict(auth)
    return f"4{Packet(CONNECT, data, namespace, binary=False).encode()}"


def disconnect_packet(namespace: str) -> str:
    """The goodbye to a namespace."""
    return f"4{Packet(DISCONNECT, namespace=namespace).encode()}"


def event_prefix(namespace: str) -> bytes:
    """What nearly every event of a namespace begins with.

    In the default namespace an event that asks for an acknowledgement begins otherwise: its id
    comes first.
    """
    return b"42[" if namespace == "/" else f"42{namespace},".encode()


def head(payload: bytes) -> tuple[int, bytes] | None:
    """How many attachments a packet has, and its namespace; None for what is no packet."""
    found = _HEAD.match(payload)
    if found is None or (found[1] is None) == (payload[1:2] in b"56"):
        return None
    return int(found[1] or 0), found[2] or b"/"


def heartbeat(payload: bytes) -> float | None:
    """The longest time between two pings that an open packet allows, in seconds.

    Returns:
        pingInterval + pingTimeout; None if this is no open packet.
    """
    if payload[:1] != b"0":
        return None
    try:
        opening = json.loads(payload[1:])
        longest = (opening["pingInterval"] + opening["pingTimeout"]) / 1000
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return longest if isinstance(longest, float) and 0 < longest < math.inf else None


def acknowledged(payload: bytes) -> bool:
    """Whether a connect packet is a server's acknowledgement: it names the session."""
    data = said(payload)
    return isinstance(data, dict) and isinstance(data.get("sid"), str)


def said(payload: bytes) -> Any:
    """A packet's JSON; None where there is none, or it cannot be decoded."""
    try:
        return _decode(payload).data
    except Malformed:
        return None


def decode_ack(payload: bytes) -> tuple[int, list[Any]] | None:
    """An acknowledgement's id and its arguments; None if it cannot be decoded.

    Of binary arguments there are only placeholders: no attachment is needed.
    """
    try:
        packet = _decode(payload)
    except Malformed:
        return None
    if type(packet.id) is not int:
        return None
    return packet.id, packet.data if isinstance(packet.data, list) else []


def words(data: object) -> str:
    """What the server says in a refusal or an error event: a text, or a table's message."""
    if isinstance(data, Mapping):
        data = data.get("message", data.get("error", data.get("reason")))
    return data if isinstance(data, str) else ""


def cause(text: str) -> str:
    """The server's words as a short cause that is the same for all connections."""
    plain = "".join(each if each.isprintable() else " " for each in text[:500]).lower()
    kept = ("…" if _is_own(word.strip(_PUNCTUATION)) else word for word in plain.split())
    return " ".join(kept)[:_LONGEST_CAUSE].rstrip(" .!")


def assemble(frames: Sequence[bytes]) -> bytes:
    """One payload of a binary event and its attachments; ``decode_event`` reads it."""
    packet, *attachments = frames
    parts = [packet]
    for each in attachments:
        parts += _ATTACHMENT, len(each).to_bytes(_LENGTH_BYTES, "big"), each
    return b"".join(parts)


def decode_event(payload: bytes) -> Event | None:
    """An event's name and its arguments; None for a packet that is no event.

    Raises:
        Malformed: "bad packet" or "bad JSON".
    """
    if payload[:1] in (b"0", b"1", b"2", b"3", b"5", b"6"):
        return None
    packet = _decode(payload)
    if packet.packet_type not in (EVENT, BINARY_EVENT):
        return None
    data = packet.data
    # The reference implementation takes a number for a name, too.
    if not isinstance(data, list) or not data or type(data[0]) not in (str, int, float):
        raise Malformed("bad packet")
    return Event(str(data[0]), data[1:])


def _decode(payload: bytes) -> Any:
    if head(payload) is None:
        raise Malformed("bad packet")
    text, *attachments = _taken_apart(payload)
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


def _is_own(word: str) -> bool:
    """Whether a word differs from one connection to the next, or may be a secret.

    Ids, addresses, tokens, names with a number; a short number, such as an HTTP status, says
    something.
    """
    if len(word) > _LONGEST_WORD or "@" in word:
        return True
    return len(word) > _LONGEST_NUMBER and not _DIGITS.isdisjoint(word)


def _taken_apart(payload: bytes) -> list[bytes]:
    end = payload.find(_ATTACHMENT)
    if end < 0:
        return [payload]
    frames = [payload[:end]]
    while end < len(payload):
        start = end + 1 + _LENGTH_BYTES
        end = start + int.from_bytes(payload[end + 1 : start], "big")
        frames.append(payload[start:end])
    return frames
