"""permessage-deflate (RFC 7692): what is offered and agreed, and inflating messages; no sockets.

Messages to the server are not compressed, which the extension allows (§6).
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import Any

from sseload_users.transports.inflation import Inflation

#: What a browser offers.
OFFER = "permessage-deflate; client_max_window_bits"

_NAME = "permessage-deflate"
_SERVER_BITS, _CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"
_SERVER_FRESH, _CLIENT_FRESH = "server_no_context_takeover", "client_no_context_takeover"
_PARAMETERS = frozenset({_SERVER_BITS, _CLIENT_BITS, _SERVER_FRESH, _CLIENT_FRESH})
#: Window sizes of deflate, as powers of two (§7.1.2).
_WINDOW_BITS = {str(bits): bits for bits in range(8, 16)}
_LARGEST_WINDOW = 15

# One element of Sec-WebSocket-Extensions, or one of its parameters (RFC 6455 §9.1).
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = rf';[ \t]*({_WORD})(?:[ \t]*=[ \t]*(?:({_WORD})|"({_WORD})"))?[ \t]*'
_EXTENSION = re.compile(rf"[ \t]*({_WORD})[ \t]*((?:{_PARAMETER})*)")
_PARAMETERS_OF = re.compile(_PARAMETER)

#: What a sender has removed from the end of each compressed message (§7.2.1).
_TAIL = b"\x00\x00\xff\xff"


class InvalidExtensions(ValueError):  # noqa: N818 - the server's failure
    """A server's answer about extensions that this client must not accept."""


class BadCompressedData(Exception):  # noqa: N818 - the server's failure
    """A compressed message that cannot be inflated."""


class InflatedTooLarge(Exception):  # noqa: N818 - the server's failure
    """A compressed message that exceeds the size limit once it is inflated."""


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """What client and server have agreed on.

    Attributes:
        server_no_context_takeover: whether the server compresses each message by itself.
        client_no_context_takeover: whether the client has to.
        server_max_window_bits: size of the server's window, as a power of two.
        client_max_window_bits: size of the client's window, as a power of two.
        text: all of that, as the header has it.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = _LARGEST_WINDOW
    client_max_window_bits: int = _LARGEST_WINDOW
    text: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Once for all connections with the same response.
        object.__setattr__(self, "text", self._as_text())

    def __str__(self) -> str:
        return self.text

    def _as_text(self) -> str:
        flags = [name for name in (_SERVER_FRESH, _CLIENT_FRESH) if getattr(self, name)]
        sizes = [
            f"{name}={bits}"
            for name in (_SERVER_BITS, _CLIENT_BITS)
            if (bits := getattr(self, name)) != _LARGEST_WINDOW
        ]
        return "; ".join([_NAME, *flags, *sizes])


def read_answer(answer: str, offer: str) -> DeflateParameters | None:
    """Return what a server has accepted; None if it has accepted no extension.

    Args:
        answer: its Sec-WebSocket-Extensions; several headers are joined by commas.
        offer: the client's.

    Raises:
        InvalidExtensions: the client must fail the connection (RFC 6455 §4.1, RFC 7692 §7.1).
    """
    accepted = _extensions(answer)
    if not accepted:
        return None
    offered = _extensions(offer)
    for name, _ in accepted:
        if all(name != each for each, _ in offered):
            raise InvalidExtensions(f"{name} was not offered")
        if name != _NAME:
            raise InvalidExtensions(f"{name} is not supported")
    if len(accepted) > 1:
        raise InvalidExtensions(f"{_NAME} is accepted twice")
    given = _checked(accepted[0][1])
    if _CLIENT_BITS in given and not any(
        _CLIENT_BITS in dict(parameters) for name, parameters in offered if name == _NAME
    ):
        raise InvalidExtensions(f"{_CLIENT_BITS} was not offered")
    return DeflateParameters(**given)


def _extensions(header: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """Return the extensions in a header, each with its parameters."""
    found = []
    # No token contains a comma, so no quoted value does (RFC 6455 §9.1).
    for element in filter(str.strip, header.split(",")):
        extension = _EXTENSION.fullmatch(element)
        if extension is None:
            raise InvalidExtensions("the header is invalid")
        parameters = _PARAMETERS_OF.findall(extension[2])
        found.append(
            (extension[1], [(name, plain or quoted or None) for name, plain, quoted in parameters])
        )
    return found


def _checked(parameters: list[tuple[str, str | None]]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in parameters:
        if name not in _PARAMETERS:
            raise InvalidExtensions(f"there is no parameter {name}")
        if name in given:
            raise InvalidExtensions(f"{name} is given twice")
        if name in (_SERVER_FRESH, _CLIENT_FRESH):
            if value is not None:
                raise InvalidExtensions(f"{name} has a value")
            given[name] = True
        elif value not in _WINDOW_BITS:
            raise InvalidExtensions(f"{name} is not a number from 8 to 15")
        else:
            given[name] = _WINDOW_BITS[value]
    return given


class MessageInflater:
    """Inflates the messages of one connection.

    With context takeover, a message may refer to those before it, so that the connection
    needs an inflater of its own. It is made for the second compressed message: connections
    that get none, or a single one, need not keep its window.

    Args:
        agreed: what was negotiated.
        max_message: size limit of an inflated message, in bytes.
        inflation: the process's memo and counts.
    """

    __slots__ = ("_bits", "_first", "_inflater", "_inflation", "_limit", "_takeover")

    def __init__(self, agreed: DeflateParameters, max_message: int, inflation: Inflation) -> None:
        self._bits = -agreed.server_max_window_bits
        self._takeover = not agreed.server_no_context_takeover
        self._limit = max_message
        self._inflation = inflation
        # The first message of the context, compressed, until there is an inflater.
        self._first: bytes | None = None
        self._inflater: Any = None

    def inflate(self, data: bytes) -> bytes:
        """Inflate a whole message.

        Raises:
            BadCompressedData: it is not deflated data.
            InflatedTooLarge: it would exceed the limit.
        """
        if not data:
            return b""
        if self._inflater is None and self._first is None:
            message, data = self._inflation.remembered(data, self._inflate_alone)
            if len(message) > self._limit:  # another connection's limit may be higher
                raise InflatedTooLarge("inflated message too large")
            if self._takeover:
                self._first = data
        else:
            message = self._inflate_next(data)
        self._inflation.count(len(data), len(message))
        return message

    def _inflate_alone(self, data: bytes) -> bytes:
        return self._run(zlib.decompressobj(self._bits), data)[0]

    def _inflate_next(self, data: bytes) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            _, self._inflater = self._run(zlib.decompressobj(self._bits), first)
        message, self._inflater = self._run(self._inflater, data)
        return message

    def _run(self, inflater: Any, data: bytes) -> tuple[bytes, Any]:
        """Return a message, and the inflater for the next one."""
        data += _TAIL
        message = b""
        while True:
            try:
                message += inflater.decompress(data, self._limit + 1 - len(message))
            except zlib.error as error:
                raise BadCompressedData(str(error)) from error
            if len(message) > self._limit:
                raise InflatedTooLarge("inflated message too large")
            if not inflater.eof:
                return message, inflater
            # A block that calls itself the last one, after which others follow (§7.2.3.4). The
            # window is kept as far as this message fills it: whoever ends a deflate stream with
            # each message starts with an empty window.
            data = inflater.unused_data
            window = message[-(1 << -self._bits) :]
            inflater = zlib.decompressobj(self._bits, zdict=window)
            if data == _TAIL:
                return message, inflater
