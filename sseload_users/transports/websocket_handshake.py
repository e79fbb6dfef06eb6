"""The WebSocket handshake (RFC 6455 §4), over HTTP/1.1 by h11."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import h11
from wsproto.utilities import generate_accept_token, generate_nonce

from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.handshake_response import HEAD_BYTES, HandshakeResponse, KnownHead
from sseload_users.transports.known_heads import HEAD_END, MAX_KNOWN_BYTES, KnownHeads
from sseload_users.transports.permessage_deflate import (
    OFFER,
    DeflateParameters,
    InvalidExtensions,
    read_answer,
)
from sseload_users.transports.reading import READ_BYTES
from sseload_users.transports.request_head import request_bytes, request_headers
from sseload_users.transports.stamped_socket import StampedSocket

_SWITCHED = 101
_KEY = "Sec-WebSocket-Key"
_SUBPROTOCOLS = "Sec-WebSocket-Protocol"
_EXTENSIONS = "Sec-WebSocket-Extensions"


def open_websocket(
    endpoint: Endpoint, connection: StampedSocket, *, compression: bool
) -> tuple[DeflateParameters | None, bytes]:
    """Make the handshake; afterwards the connection carries frames.

    Args:
        endpoint: URL, headers and subprotocols of the request.
        connection: is connected; its deadline applies.
        compression: whether to offer what a browser does, unless the endpoint's headers have
            an offer of their own.

    Returns:
        What was agreed on, None for no compression; and the bytes that came after the response.

    Raises:
        ConnectFailed: at "handshake": refused, invalid, or too late.
    """
    request = UpgradeRequest(endpoint, compression=compression)
    try:
        connection.sendall(request.data)
        while not request.feed(connection.recv(READ_BYTES)):
            if request.response.refused:
                request.response.read_body(connection)
                break
    except OSError as error:
        raise ConnectFailed("handshake", cause_of(error), str(error)) from error
    request.response.keep_cookies(endpoint)
    return request.check(), request.rest


@dataclass(frozen=True, slots=True)
class _PreparedRequest:
    """What the requests of all connections to an endpoint have in common.

    Attributes:
        headers: all headers in order, with a key that h11 has checked in place of each
            connection's.
        before: the request's bytes before the key.
        after: the bytes after it; None if the headers that were given contain a key, and
            ``before`` is the whole request.
        key: the key that the headers contain.
        subprotocols: value of ``Sec-WebSocket-Protocol``; empty if there is none.
        extensions: value of ``Sec-WebSocket-Extensions``; empty if there is none.
    """

    headers: list[tuple[bytes, bytes]] = field(repr=False)
    before: bytes = field(repr=False)
    after: bytes | None = field(repr=False)
    key: str
    subprotocols: str
    extensions: str


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A response that was accepted.

    Attributes:
        known: its head.
        agreed: see `open_websocket`.
    """

    known: KnownHead
    agreed: DeflateParameters | None


#: By what is offered, and the head's bytes before and after the value that depends on the key.
_known_heads: KnownHeads[_Accepted] = KnownHeads()


class UpgradeRequest:
    """One request to switch to WebSocket, and its response.

    Args:
        endpoint: URL, headers and subprotocols of the request.
        compression: see `open_websocket`.

    Attributes:
        data: the request, ready to be sent.
        response: the response, as far as it has arrived.
        rest: the bytes that came after the head.

    Raises:
        ConnectFailed: at "handshake": the URL or a header is not allowed in HTTP.
    """

    __slots__ = ("_accept", "_known", "_known_by", "_prepared", "_url", "data", "response", "rest")

    def __init__(self, endpoint: Endpoint, *, compression: bool) -> None:
        self._url = endpoint.url
        prepared = self._prepared = _prepare(
            endpoint.url, endpoint.headers, endpoint.subprotocols, compression
        )
        key, self.data = prepared.key.encode(), prepared.before
        if prepared.after is not None:
            key = generate_nonce()
            self.data = prepared.before + key + prepared.after
        self._accept: bytes = generate_accept_token(key)
        self.response = HandshakeResponse(None, _SWITCHED)
        self.rest = b""
        self._known: _Accepted | None = None
        self._known_by: tuple[str, str, bytes, bytes] | None = None

    def feed(self, data: bytes) -> bool:
        """Parse the next bytes of the response; see `HandshakeResponse.feed_checked`."""
        if self.response.is_new:
            if self._is_known(data):
                return True
            client = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
            request_bytes(client, "GET", self._url, self._prepared.headers)
            self.response.parse_by(client)
        else:
            self._known_by = None  # it came in pieces
        complete = self.response.feed_checked(data)
        if complete:
            self.rest = self.response.rest
            if self._known_by is not None and not data.endswith(self._known_by[3] + self.rest):
                self._known_by = None  # h11 sees the end of the head elsewhere
        return complete

    def check(self) -> DeflateParameters | None:
        """Check the response as RFC 6455 §4.1 and the WebSocket standard ask a client to.

        Returns:
            What was agreed on; None for no compression.

        Raises:
            ConnectFailed: at "handshake": it does not switch protocols, or not properly.
        """
        if self._known is not None:
            return self._known.agreed
        response = self.response
        if response.refused or response.head is None:
            raise response.refusal()
        problem = self._problem()
        if problem:
            raise ConnectFailed("handshake", "bad handshake answer", problem)
        answer = response.header(_EXTENSIONS.lower())
        try:
            agreed = read_answer(answer, self._prepared.extensions)
        except InvalidExtensions as error:
            detail = f"{_EXTENSIONS}: {answer}: {error}"
            raise ConnectFailed("handshake", "invalid extensions", detail) from error
        if self._known_by is not None:
            _known_heads.add(self._known_by, _Accepted(response.as_known(), agreed))
        return agreed

    def _is_known(self, data: bytes) -> bool:
        """Take a whole head that differs from an accepted one only by its request's key."""
        end = data.find(HEAD_END) + len(HEAD_END)
        before, accept, after = data[:end].partition(self._accept)
        if not (accept and after.endswith(HEAD_END) and end <= MAX_KNOWN_BYTES):
            return False
        self._known_by = (self._prepared.subprotocols, self._prepared.extensions, before, after)
        self._known = _known_heads.get(self._known_by)
        if self._known is None:
            return False
        self.response.take_known(self._known.known)
        self.rest = data[end:]
        return True

    def _problem(self) -> str:
        """Return what is wrong with a response that switches protocols; empty if nothing is."""
        header = self.response.header
        connection = {each.strip().lower() for each in header("connection").split(",")}
        accept = self._accept.decode()
        offered = [each.strip() for each in self._prepared.subprotocols.split(",") if each.strip()]
        chosen = header("sec-websocket-protocol")
        checks = {
            "Upgrade is not websocket": header("upgrade").lower() == "websocket",
            "Connection does not contain Upgrade": "upgrade" in connection,
            "Sec-WebSocket-Accept is wrong": header("sec-websocket-accept") == accept,
            # Two headers count as one value, which was not offered (RFC 6455 §11.3.4).
            f"subprotocol {chosen!r} was not offered": (not chosen or chosen in offered),
            "no subprotocol was chosen": chosen or not offered,
        }
        return next((problem for problem, fine in checks.items() if not fine), "")


@functools.lru_cache(maxsize=256)
def _prepare(
    url: str,
    headers: tuple[tuple[str, str], ...],
    subprotocols: tuple[str, ...],
    compression: bool,
) -> _PreparedRequest:
    """Return what the requests to an endpoint have in common; see `_PreparedRequest`.

    Raises:
        ConnectFailed: see `UpgradeRequest`.
    """
    own = generate_nonce().decode()
    all_headers = _headers(url, headers, subprotocols, own, compression=compression)
    client = h11.Connection(h11.CLIENT)
    data = request_bytes(client, "GET", url, all_headers)
    key = _values(all_headers, _KEY)
    before, after = data, None
    if key == own:
        before, _, after = data.partition(f"{_KEY}: {own}".encode())
        before += f"{_KEY}: ".encode()
    return _PreparedRequest(
        all_headers,
        before,
        after,
        key,
        _values(all_headers, _SUBPROTOCOLS),
        _values(all_headers, _EXTENSIONS),
    )


def _headers(
    url: str,
    given: tuple[tuple[str, str], ...],
    subprotocols: tuple[str, ...],
    key: str,
    *,
    compression: bool,
) -> list[tuple[bytes, bytes]]:
    """Return the headers of the request; the given ones replace them.

    No ``Origin`` is sent unless one is given: only browsers must send it (RFC 6455 §4.1), and
    servers refuse the origins that they do not know.
    """
    own = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        _KEY: key,
        "Sec-WebSocket-Version": "13",
    }
    if subprotocols:
        own[_SUBPROTOCOLS] = ", ".join(subprotocols)
    if compression:
        own[_EXTENSIONS] = OFFER
    return request_headers(url, own, given)


def _values(headers: list[tuple[bytes, bytes]], name: str) -> str:
    """Return all values of a header as one."""
    wanted = name.lower().encode()
    return b", ".join(value for each, value in headers if each.lower() == wanted).decode()
