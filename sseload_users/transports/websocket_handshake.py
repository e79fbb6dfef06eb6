"""The WebSocket handshake (RFC 6455 §4), over HTTP/1.1 by h11."""

from __future__ import annotations

import h11
from wsproto.utilities import generate_accept_token, generate_nonce

from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.handshake_response import HEAD_BYTES, HandshakeResponse
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
    return request.check(), request.rest


class UpgradeRequest:
    """One request to switch to WebSocket, and its response.

    Args:
        endpoint: URL, headers and subprotocols of the request.
        compression: see `open_websocket`.

    Attributes:
        data: the request, ready to be sent.
        response: the response, as far as it has arrived.

    Raises:
        ConnectFailed: at "handshake": the URL or a header is not allowed in HTTP.
    """

    def __init__(self, endpoint: Endpoint, *, compression: bool) -> None:
        self._client = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self.response = HandshakeResponse(self._client, _SWITCHED)
        headers = _headers(endpoint, compression=compression)
        self._key = _values(headers, b"sec-websocket-key")
        offered = _values(headers, b"sec-websocket-protocol")
        self._subprotocols = [each.strip() for each in offered.split(",") if each.strip()]
        self._extensions = _values(headers, _EXTENSIONS.lower().encode())
        self.data: bytes = request_bytes(self._client, "GET", endpoint.url, headers)

    def feed(self, data: bytes) -> bool:
        """See `HandshakeResponse.feed_checked`."""
        return self.response.feed_checked(data)

    @property
    def rest(self) -> bytes:
        """The bytes that came after the head."""
        return self._client.trailing_data[0]

    def check(self) -> DeflateParameters | None:
        """Check the response as RFC 6455 §4.1 and the WebSocket standard ask a client to.

        Returns:
            What was agreed on; None for no compression.

        Raises:
            ConnectFailed: at "handshake": it does not switch protocols, or not properly.
        """
        response = self.response
        if response.refused or response.head is None:
            raise response.refusal()
        problem = self._problem()
        if problem:
            raise ConnectFailed("handshake", "bad handshake answer", problem)
        answer = response.header(_EXTENSIONS.lower())
        try:
            return read_answer(answer, self._extensions)
        except InvalidExtensions as error:
            detail = f"{_EXTENSIONS}: {answer}: {error}"
            raise ConnectFailed("handshake", "invalid extensions", detail) from error

    def _problem(self) -> str:
        """Return what is wrong with a response that switches protocols; empty if nothing is."""
        header = self.response.header
        connection = {each.strip().lower() for each in header("connection").split(",")}
        accept = generate_accept_token(self._key.encode()).decode()
        chosen = header("sec-websocket-protocol")
        checks = {
            "Upgrade is not websocket": header("upgrade").lower() == "websocket",
            "Connection does not contain Upgrade": "upgrade" in connection,
            "Sec-WebSocket-Accept is wrong": header("sec-websocket-accept") == accept,
            # Two headers count as one value, which was not offered (RFC 6455 §11.3.4).
            f"subprotocol {chosen!r} was not offered": (not chosen or chosen in self._subprotocols),
            "no subprotocol was chosen": chosen or not self._subprotocols,
        }
        return next((problem for problem, fine in checks.items() if not fine), "")


def _headers(endpoint: Endpoint, *, compression: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers of the request; the endpoint's replace them.

    No ``Origin`` is sent unless one is given: only browsers must send it (RFC 6455 §4.1), and
    servers refuse the origins that they do not know.
    """
    own = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": generate_nonce().decode(),
        "Sec-WebSocket-Version": "13",
    }
    if endpoint.subprotocols:
        own["Sec-WebSocket-Protocol"] = ", ".join(endpoint.subprotocols)
    if compression:
        own[_EXTENSIONS] = OFFER
    return request_headers(endpoint.url, own, endpoint.headers)


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> str:
    """Return all values of a header as one."""
    return b", ".join(value for each, value in headers if each.lower() == name).decode()
