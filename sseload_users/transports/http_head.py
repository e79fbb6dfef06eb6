"""Asking for an event stream by HTTP/1.1, and judging the answer; no sockets.

h11 owns the protocol (RFC 9110, RFC 9112) up to the end of the response's head.
"""

from __future__ import annotations

import string
from urllib.parse import quote, urlsplit

import h11

from sseload_users.transports import ConnectFailed
from sseload_users.transports.endpoint import Endpoint, parse_origin
from sseload_users.transports.refusal import HEAD_BYTES, Answer

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Most bytes of a media type in the report, and of what is wrong with an answer.
_TYPE_BYTES, _DETAIL_BYTES = 60, 200
_DEFAULT_PORTS = {"http": 80, "https": 443}


class StreamRequest:
    """One request for an event stream, and the head of its answer.

    Args:
        endpoint: where to ask, and with which headers.

    Attributes:
        data: the request, to be sent.
        answer: what came of the answer.

    Raises:
        ConnectFailed: at "handshake": the URL or a header is not allowed in HTTP.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._client = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self.answer = Answer(self._client, 200)
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

    def feed(self, data: bytes) -> bool:
        """Take the next bytes of the answer; empty at its end.

        Returns:
            Whether that is enough: the whole head and, of a refusal, what it says.

        Raises:
            ConnectFailed: at "handshake": this is no answer, or it ends too early.
        """
        try:
            return self.answer.feed(data)
        except h11.RemoteProtocolError as error:
            if not data:
                raise ConnectFailed("handshake", "connection closed") from error
            detail = str(error)[:_DETAIL_BYTES]
            raise ConnectFailed("handshake", "bad handshake answer", detail) from error

    def check(self) -> None:
        """Judge the answer.

        Raises:
            ConnectFailed: at "handshake": it opens no event stream that can be read.
        """
        answer = self.answer
        if answer.head is None:
            raise ConnectFailed("handshake", "bad handshake answer")
        status = answer.head.status_code
        if status in _REDIRECTS:
            raise ConnectFailed(
                "handshake", f"redirected: HTTP {status}", said=answer.header("location")
            )
        if status != 200:
            raise ConnectFailed("handshake", f"HTTP {status}", said=answer.words)
        kind = answer.header("content-type").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            cause = f"not an event stream: {kind[:_TYPE_BYTES] or 'no content type'}"
            raise ConnectFailed("handshake", cause)
        coding = answer.header("content-encoding").strip().lower()
        if coding not in ("", "identity"):
            cause = f"content encoding not supported: {coding[:_TYPE_BYTES]}"
            raise ConnectFailed("handshake", cause)

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks; h11 takes no other transfer coding."""
        return bool(self.answer.header("transfer-encoding"))

    @property
    def length(self) -> int | None:
        """The body's length in bytes, if the answer says it."""
        length = self.answer.header("content-length")
        return int(length) if length else None

    @property
    def rest(self) -> bytes:
        """What came after the head."""
        return self._client.trailing_data[0]


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
