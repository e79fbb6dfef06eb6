"""The WebSocket handshake (RFC 6455 §4), made by websocket-client."""

from __future__ import annotations

import http.cookies
from typing import Any

import h11
from websocket import (
    WebSocket,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
)
from websocket._handshake import CookieJar

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
from sseload_users.transports.stamped_socket import StampedSocket

_DETAIL_CHARACTERS = 200
_EXTENSIONS = "Sec-WebSocket-Extensions"


def open_websocket(
    endpoint: Endpoint, connection: StampedSocket, *, compression: bool
) -> DeflateParameters | None:
    """Make the handshake; afterwards the connection carries frames.

    Args:
        endpoint: URL, headers and subprotocols of the request.
        connection: is connected; its deadline applies.
        compression: whether to offer what a browser does, unless the endpoint's headers have
            an offer of their own.

    Returns:
        What was agreed on; None for no compression.

    Raises:
        ConnectFailed: at "handshake": refused, invalid, or too late.
    """
    client: Any = WebSocket(enable_multithread=False)
    head = _HeadSocket(connection)
    headers = endpoint.headers
    offers = [value for name, value in headers if name.lower() == _EXTENSIONS.lower()]
    if compression and not offers:
        offers.append(OFFER)
        headers = (*headers, (_EXTENSIONS, OFFER))
    try:
        client.connect(
            endpoint.url,
            socket=head,
            redirect_limit=0,
            subprotocols=list(endpoint.subprotocols),
            **_header_options(headers),
        )
    except (WebSocketBadStatusException, _HeadIsOverError) as error:
        raise _refused(bytes(head.data), connection, str(error)) from error
    except WebSocketTimeoutException as error:
        raise ConnectFailed("handshake", "timed out") from error
    except WebSocketConnectionClosedException as error:
        raise ConnectFailed("handshake", "connection closed", str(error)) from error
    except OSError as error:
        raise ConnectFailed("handshake", cause_of(error), str(error)) from error
    except (WebSocketException, http.cookies.CookieError, ValueError) as error:
        if client.handshake_response is None:
            raise ConnectFailed("handshake", "bad handshake answer", str(error)) from error
        status = int(client.handshake_response.status)
        location = str(client.handshake_response.headers.get("location", ""))
        cause = f"redirected: HTTP {status}"
        raise ConnectFailed("handshake", cause, server_text=location) from error
    finally:
        # There is one jar per process: other users would send the cookies that this
        # simulated user was given.
        CookieJar.jar.clear()
    answer = _extensions_in(head.data)
    try:
        return read_answer(answer, ", ".join(offers))
    except InvalidExtensions as error:
        detail = f"{_EXTENSIONS}: {answer}: {error}"
        raise ConnectFailed("handshake", "invalid extensions", detail) from error


class _HeadIsOverError(WebSocketException):
    """websocket-client reads on after the response's head: it wants a refusal's body."""


class _HeadSocket:
    """The socket that websocket-client sees: it ends with the head of the response.

    websocket-client reads the body of a refusal without any limit of size or time, and knows
    no chunks.

    Args:
        connection: is read.

    Attributes:
        data: what has been read.
    """

    __slots__ = ("_connection", "data")

    def __init__(self, connection: StampedSocket) -> None:
        self._connection = connection
        self.data = bytearray()

    def recv(self, size: int) -> bytes:
        """See `StampedSocket.recv`.

        Raises:
            WebSocketException: the head is complete, or too long.
        """
        if self.data.endswith((b"\n\r\n", b"\n\n")):
            raise _HeadIsOverError
        data = self._connection.recv(size)
        self.data += data
        if len(self.data) > HEAD_BYTES:
            raise WebSocketException("the response is too long")
        return data

    def close(self) -> None:
        """Stay open: the body of a refusal is read afterwards. The opener closes it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _header_options(headers: tuple[tuple[str, str], ...]) -> dict[str, object]:
    """Return headers as websocket-client's options: some replace its own, others are added.

    No ``Origin`` is sent unless one is given: only browsers must send it (RFC 6455 §4.1), and
    servers refuse the origins that they do not know.
    """
    options: dict[str, object] = {"suppress_origin": True}
    further: list[str] = []
    cookies: list[str] = []
    for name, value in headers:
        match name.lower():
            case "host" | "origin" as own:
                options[own] = value
                if own == "origin":
                    options["suppress_origin"] = False
            case "cookie":
                cookies.append(value)
            case _:
                further.append(f"{name}: {value}")
    if further:
        options["header"] = further
    if cookies:
        options["cookie"] = "; ".join(cookies)
    return options


def _extensions_in(head: bytes | bytearray) -> str:
    """Return the extensions in a response's head: websocket-client keeps one header of a name."""
    values = []
    for line in head.splitlines():
        name, _, value = line.partition(b":")
        if name.strip().lower() == _EXTENSIONS.lower().encode():
            values.append(value.decode("latin-1").strip())
    return ", ".join(values)


def _refused(head: bytes, connection: StampedSocket, detail: str) -> ConnectFailed:
    """Return why a response does not switch protocols, with the server's text.

    Args:
        head: the response's head.
        connection: its body is still to be read from here.
        detail: describes a response that is not HTTP.
    """
    try:
        response = HandshakeResponse.to_upgrade(head)
        if response.head is None:
            return ConnectFailed("handshake", "bad handshake answer", detail[:_DETAIL_CHARACTERS])
        response.read_body(connection)
    except h11.RemoteProtocolError as error:
        return ConnectFailed("handshake", "bad handshake answer", str(error))
    cause = f"HTTP {response.head.status_code}"
    return ConnectFailed("handshake", cause, server_text=response.text)
