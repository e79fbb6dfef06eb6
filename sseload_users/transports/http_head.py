"""Asking for an event stream by HTTP/1.1, and judging the answer; no sockets.

h11 owns the protocol (RFC 9110, RFC 9112) up to the end of the response's head, and for the
body of a refusal.
"""

from __future__ import annotations

import string
from urllib.parse import quote, urlsplit

import h11

from sseload_users.transports import ConnectFailed
from sseload_users.transports.endpoint import Endpoint, parse_origin

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEAD_BYTES = 65536
#: Bytes of a refusal's body that are kept for the log, and of a media type for the report.
_DETAIL_BYTES, _TYPE_BYTES = 200, 60
_DEFAULT_PORTS = {"http": 80, "https": 443}


class StreamRequest:
    """One request for an event stream, and the head of its answer.

    Args:
        endpoint: where to ask, and with which headers.

    Attributes:
        data: the request, to be sent.

    Raises:
        ConnectFailed: at "handshake": the URL or a header is not allowed in HTTP.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
        self._answer: h11.Response | None = None
        self._body = b""
        try:
            request = h11.Request(
                method="GET", target=_target(endpoint.url), headers=_headers(endpoint)
            )
            head, end = self._client.send(request), self._client.send(h11.EndOfMessage())
        except (h11.LocalProtocolError, UnicodeError):
            # What h11 says quotes the header, which may be a secret.
            raise ConnectFailed(
                "handshake", "bad request", "a header or the URL is not allowed in HTTP"
            ) from None
        self.data: bytes = (head or b"") + (end or b"")

    @property
    def refused(self) -> bool:
        """Whether the answer's status is there, and is not the one that opens a stream."""
        return self._answer is not None and self._answer.status_code != 200

    def feed(self, data: bytes) -> bool:
        """Take the next bytes of the answer; empty at its end.

        Returns:
            Whether that is enough: the whole head and, of a refusal, what it says.

        Raises:
            ConnectFailed: at "handshake": this is no answer, or it ends too early.
        """
        try:
            self._client.receive_data(data)
            while (event := self._client.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self._answer = event
                    if not self.refused:
                        return True
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) >= _DETAIL_BYTES:
                        return True
                elif not isinstance(event, h11.InformationalResponse):
                    return True
        except h11.RemoteProtocolError as error:
            if self._answer is not None:
                return True
            if not data:
                raise ConnectFailed("handshake", "connection closed") from error
            detail = str(error)[:_DETAIL_BYTES]
            raise ConnectFailed("handshake", "bad handshake answer", detail) from error
        return False

    def check(self) -> None:
        """Judge the answer.

        Raises:
            ConnectFailed: at "handshake": it opens no event stream that can be read.
        """
        answer = self._answer
        if answer is None:
            raise ConnectFailed("handshake", "bad handshake answer")
        status = answer.status_code
        if status in _REDIRECTS:
            raise ConnectFailed("handshake", f"redirected: HTTP {status}", self._header("location"))
        if status != 200:
            said = self._body[:_DETAIL_BYTES].decode(errors="replace").strip()
            detail = said or answer.reason.decode(errors="replace")
            raise ConnectFailed("handshake", f"HTTP {status}", detail)
        kind = self._header("content-type").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            cause = f"not an event stream: {kind[:_TYPE_BYTES] or 'no content type'}"
            raise ConnectFailed("handshake", cause)
        coding = self._header("content-encoding").strip().lower()
        if coding not in ("", "identity"):
            cause = f"content encoding not supported: {coding[:_TYPE_BYTES]}"
            raise ConnectFailed("handshake", cause)

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks; h11 takes no other transfer coding."""
        return bool(self._header("transfer-encoding"))

    @property
    def length(self) -> int | None:
        """The body's length in bytes, if the answer says it."""
        length = self._header("content-length")
        return int(length) if length else None

    @property
    def rest(self) -> bytes:
        """What came after the head."""
        return self._client.trailing_data[0]

    def _header(self, name: str) -> str:
        if self._answer is None:
            return ""
        values = (value for key, value in self._answer.headers if key == name.encode())
        return ", ".join(value.decode(errors="replace") for value in values)


def _target(url: str) -> str:
    parts = urlsplit(url)
    target = parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    return quote(target, safe=string.punctuation)


def _headers(endpoint: Endpoint) -> list[tuple[bytes, bytes]]:
    """What a browser sends for an event stream; the endpoint's headers replace its own."""
    own = {
        "host": ("Host", _host(endpoint.url)),
        "accept": ("Accept", "text/event-stream"),
        "accept-encoding": ("Accept-Encoding", "identity"),
        "cache-control": ("Cache-Control", "no-cache"),
    }
    further: list[tuple[str, str]] = []
    cookies: list[str] = []
    last_event_id = endpoint.last_event_id.strip(" \t")
    for name, value in endpoint.headers:
        match name.lower():
            case "cookie":
                cookies.append(value)
            case "last-event-id" if last_event_id:
                pass
            case lower if lower in own:
                own[lower] = (name, value)
            case _:
                further.append((name, value))
    if cookies:
        further.append(("Cookie", "; ".join(cookies)))
    if last_event_id:
        further.append(("Last-Event-ID", last_event_id))
    return [(name.encode(), value.encode()) for name, value in (*own.values(), *further)]


def _host(url: str) -> str:
    host, port, _ = parse_origin(url)
    if ":" in host:
        host = f"[{host}]"
    elif not host.isascii():
        host = host.encode("idna").decode()
    return host if port == _DEFAULT_PORTS.get(urlsplit(url).scheme) else f"{host}:{port}"
