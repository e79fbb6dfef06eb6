"""Engine.IO, revisions 3 and 4: opening, payloads of long polling, errors; no sockets.

https://github.com/socketio/engine.io-protocol. A packet is a type, one digit, and its data. Over
WebSocket each packet is a message. Over long polling a body, the payload, has any number of
packets.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from sseload_users.transports import Malformed, Revision
from sseload_users.transports.server_text import body_text, countable_cause

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
#: What both sides say before the connection goes over to another carrier.
PROBE, PROBE_ANSWER = "2probe", b"3probe"

_SEPARATOR = b"\x1e"
#: Revision 3: a packet's length, in UTF-16 units, stands before it.
_LENGTH = re.compile(r"(\d{1,9}):")
_LONGEST_LENGTH = 10
#: Revision 3's other form, where a packet is binary: kind, decimal digits, 255.
_BINARY_LENGTH = re.compile(rb"([\0\1])([\0-\x09]{1,9})\xff")
#: Revision 3 marks binary messages: this is the message type as a byte, not a digit.
BINARY_MESSAGE = b"\x04"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a server says in its open packet.

    Attributes:
        sid: the session's ID, for the further requests of long polling.
        upgrades: the carriers that the connection may go over to.
        ping_interval_s: seconds between two pings.
        ping_timeout_s: seconds that an answer to a ping may take.
        max_payload: the largest body that a client may post, in bytes; None for no limit.
    """

    sid: str
    upgrades: tuple[str, ...]
    ping_interval_s: float
    ping_timeout_s: float
    max_payload: int | None = None


def parse_opening(packet: bytes) -> Opening | None:
    """Return what an open packet says; None if it is none, or invalid."""
    if packet[:1] != OPEN:
        return None
    try:
        said = json.loads(packet[1:])
        interval, timeout = said["pingInterval"] / 1000, said["pingTimeout"] / 1000
        valid = 0 < interval + timeout < math.inf and min(interval, timeout) >= 0
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if not valid:
        return None
    upgrades, most = said.get("upgrades"), said.get("maxPayload")
    return Opening(
        str(said.get("sid", "")),
        tuple(map(str, upgrades)) if isinstance(upgrades, list) else (),
        interval,
        timeout,
        most if type(most) is int and most > 0 else None,
    )


def is_revision_3(body: bytes) -> bool:
    """Whether a response to the request for a session is a payload of revision 3."""
    return re.match(rb"\d{1,9}:0\{|[\0\1][\0-\x09]{1,9}\xff0\{", body) is not None


@lru_cache(maxsize=256)
def with_query(url: str, **given: str) -> str:
    """Return a URL with parameters added to its query where they are missing."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url  # connecting to it fails
    there = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    lacking = [f"{name}={value}" for name, value in given.items() if name not in there]
    query = "&".join([parts.query, *lacking] if parts.query else lacking)
    return urlunsplit(parts._replace(query=query))


def engine_refusal(status: int, body: bytes) -> tuple[str, str]:
    """Return the cause of a refused request, and the server's text.

    Engine.IO's own reasons, ``{"code":1,"message":"Session ID unknown"}``, are causes of their
    own. python-engineio sends texts, which are not always the same for all connections.
    """
    text = body_text(body)
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict) and type(said.get("code")) is int:
        message = said.get("message")
        if isinstance(message, str) and (words := countable_cause(message)):
            return f"HTTP {status}: {words}", message
    return f"HTTP {status}", text


# Payloads


def split_payload(body: bytes, revision: Revision) -> Iterator[bytes]:
    """Return the packets of a payload, as they would be over WebSocket.

    Raises:
        Malformed: "bad payload"; the packets before the error have been returned.
    """
    if revision == 4:
        for packet in body.split(_SEPARATOR):
            yield _from_base64(packet[1:]) if packet[:1] == b"b" else packet
    elif body[:1] in (b"\0", b"\1"):
        yield from _split_binary(body)
    else:
        yield from _split_by_length(body)


def join_payload(packets: Iterable[str | bytes], revision: Revision) -> bytes:
    """Return the payload of packets that a client sends.

    Args:
        packets: as they would be over WebSocket.
        revision: of the protocol.
    """
    texts = [_text_of(each, revision) for each in packets]
    if revision == 4:
        return _SEPARATOR.join(each.encode() for each in texts)
    return "".join(f"{_units(each)}:{each}" for each in texts).encode()


def _text_of(packet: str | bytes, revision: Revision) -> str:
    if isinstance(packet, str):
        return packet
    mark = "b" if revision == 4 else "b4"
    return mark + binascii.b2a_base64(packet, newline=False).decode()


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _from_base64(data: bytes) -> bytes:
    try:
        return binascii.a2b_base64(data)
    except binascii.Error as error:
        raise Malformed("bad payload") from error


def _split_by_length(body: bytes) -> Iterator[bytes]:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed("bad payload") from error
    # Lengths count UTF-16's units, which are Python's characters in the basic plane only.
    units = text.encode("utf-16-le", "surrogatepass") if max(text, default="") > "\uffff" else None
    at, end = 0, _units(text) if units else len(text)

    def part(start: int, end: int) -> str:
        if units is None:
            return text[start:end]
        return units[2 * start : 2 * end].decode("utf-16-le", "replace")

    while at < end:
        found = _LENGTH.match(part(at, at + _LONGEST_LENGTH))
        if found is None:
            raise Malformed("bad payload")
        start = at + found.end()
        at = start + int(found[1])
        if at > end:
            raise Malformed("bad payload")
        packet = part(start, at)
        if packet.startswith("b"):
            yield BINARY_MESSAGE + _from_base64(packet[2:].encode())
        elif packet:
            yield packet.encode()


def _split_binary(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        found = _BINARY_LENGTH.match(body, at)
        if found is None:
            raise Malformed("bad payload")
        start = found.end()
        at = start + int("".join(map(str, found[2])))
        if at > len(body):
            raise Malformed("bad payload")
        yield body[start:at]
