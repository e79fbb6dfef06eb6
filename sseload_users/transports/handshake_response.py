"""The response to a handshake: its head and, if it refuses, the beginning of its body.

h11 owns HTTP/1.1 (RFC 9112): a body may have a length, come in chunks, or end with the
connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import h11

from sseload_users.transports import ConnectFailed
from sseload_users.transports.content_coding import BadContent, decoded_content
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.reading import READ_BYTES
from sseload_users.transports.redirects import REDIRECTS
from sseload_users.transports.server_text import MAX_BODY, body_text
from sseload_users.transports.stamped_socket import StampedSocket

#: Most bytes of a response's head.
HEAD_BYTES = 65536
#: Most characters of a description of invalid HTTP.
_DETAIL_BYTES = 200
#: Seconds that the body of a refusal may take after its head.
BODY_SECONDS = 1.0


class Redirected(ConnectFailed):
    """The server names another URL.

    Args:
        status: of the response.
        location: the URL, absolute or relative; empty if there is none.
        final: see `ConnectFailed`.

    Attributes:
        status: as given.
        location: as given.
    """

    def __init__(self, status: int, location: str, *, final: bool) -> None:
        super().__init__(
            "handshake", f"redirected: HTTP {status}", server_text=location, final=final
        )
        self.status = status
        self.location = location


@dataclass(frozen=True, slots=True)
class KnownHead:
    """The head of a response that came before, for all further responses with the same bytes.

    Attributes:
        head: the head.
        fields: the values of its headers by name, in lower case.
    """

    head: h11.Response | h11.InformationalResponse
    fields: Mapping[bytes, bytes]


class HandshakeResponse:
    """The response to a handshake's request.

    Args:
        client: h11's connection, which has sent the request; None until `parse_by`, and for a
            head that does not have to be parsed.
        accepted: the status that accepts.

    Attributes:
        head: the final response's; None before it has arrived.
    """

    def __init__(self, client: h11.Connection | None, accepted: int) -> None:
        self._client = client
        self._accepted = accepted
        self._body = b""
        # The values of its headers by name, in lower case; None before one was asked for.
        self._fields: Mapping[bytes, bytes] | None = None
        self.head: h11.Response | h11.InformationalResponse | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing has arrived yet."""
        return self._client is None and self.head is None

    def parse_by(self, client: h11.Connection) -> None:
        """Parse what arrives by h11's connection, which has sent the request."""
        self._client = client

    @property
    def refused(self) -> bool:
        """Whether the head has arrived and refuses."""
        return self.head is not None and self.head.status_code != self._accepted

    def feed(self, data: bytes) -> bool:
        """Parse the next bytes of the response; empty at the end of the stream.

        Returns:
            Whether the response is complete: its head and, if it refuses, enough of its body.

        Raises:
            h11.RemoteProtocolError: this is not HTTP.
        """
        client = self._client
        assert client is not None  # noqa: S101
        try:
            client.receive_data(data)
            while (event := client.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response) or _switches(event):
                    self.head = event
                    if not self.refused:
                        return True
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) >= MAX_BODY:
                        return True
                elif not isinstance(event, h11.InformationalResponse):
                    return True
        except h11.RemoteProtocolError:
            if self.head is None:
                raise
            return True
        return False

    @property
    def rest(self) -> bytes:
        """The bytes that came after the head of a response that accepts."""
        return b"" if self._client is None else self._client.trailing_data[0]

    def take_known(self, known: KnownHead) -> None:
        """Take a head that does not have to be parsed."""
        self.head, self._fields = known.head, known.fields

    def as_known(self) -> KnownHead:
        """Return the head, which has arrived, for `take_known`."""
        assert self.head is not None  # noqa: S101
        return KnownHead(self.head, self._all_fields())

    def take_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Take a head that came by another way than HTTP/1.1."""
        self.head = h11.Response(status_code=status, headers=headers)

    def take_body(self, data: bytes) -> bool:
        """Take a part of such a response's body; return whether that is enough."""
        self._body += data
        return len(self._body) >= MAX_BODY

    def feed_checked(self, data: bytes) -> bool:
        """Parse the next bytes as `feed` does.

        Raises:
            ConnectFailed: at "handshake": the response is invalid, or ends too early.
        """
        try:
            complete = self.feed(data)
        except h11.RemoteProtocolError as error:
            if not data:
                raise ConnectFailed("handshake", "connection closed") from error
            if data.startswith(b"\0") and data[3:5] == b"\4\0":  # a SETTINGS frame
                raise ConnectFailed("handshake", "the server speaks only HTTP/2") from error
            detail = str(error)[:_DETAIL_BYTES]
            raise ConnectFailed("handshake", "bad handshake answer", detail) from error
        if not data and self.head is None:
            raise ConnectFailed("handshake", "connection closed")
        return complete

    def read_body(self, connection: StampedSocket) -> None:
        """Read the body of a refusal, for one second at most."""
        connection.settimeout(min(connection.gettimeout() or BODY_SECONDS, BODY_SECONDS))
        try:
            while not self.feed(connection.recv(READ_BYTES)):
                pass
        except OSError:
            return  # the part that has arrived will do

    def refusal(self, *, final: bool = False) -> ConnectFailed:
        """Return why the response does not accept, with the server's text.

        Args:
            final: see `ConnectFailed`.

        Returns:
            A `Redirected` if that is the reason.
        """
        if self.head is None:
            return ConnectFailed("handshake", "bad handshake answer")
        status = self.head.status_code
        if status in REDIRECTS:
            return Redirected(status, self.header("location"), final=final)
        return ConnectFailed("handshake", f"HTTP {status}", server_text=self.text, final=final)

    def keep_cookies(self, endpoint: Endpoint) -> None:
        """Have the endpoint's jar take the cookies that the response sets."""
        if endpoint.jar is None or self.head is None:
            return
        if b"set-cookie" in self._all_fields():
            endpoint.jar.take(endpoint.url, self.head.headers.raw_items())

    def header(self, name: str) -> str:
        """Return a header's value; empty if there is none."""
        return self._all_fields().get(name.encode(), b"").decode(errors="replace")

    def _all_fields(self) -> Mapping[bytes, bytes]:
        """Return the values of the head's headers by name; none before it has arrived."""
        if self._fields is None:
            if self.head is None:
                return {}
            # In one pass, as each connect asks for several.
            fields: dict[bytes, bytes] = {}
            for raw, value in self.head.headers.raw_items():
                key = raw.lower()
                fields[key] = fields[key] + b", " + value if key in fields else value
            self._fields = fields
        return self._fields

    @property
    def text(self) -> str:
        """The text of a refusal: its body, or else the reason phrase."""
        try:
            body = decoded_content(self._body, self.header("content-encoding"), MAX_BODY)
        except BadContent:
            body = b""
        text = body_text(body)
        if text or self.head is None:
            return text
        return self.head.reason.decode(errors="replace")


def _switches(event: object) -> TypeGuard[h11.InformationalResponse]:
    """Whether this is the only interim response that is final, as it ends HTTP."""
    return isinstance(event, h11.InformationalResponse) and event.status_code == 101
