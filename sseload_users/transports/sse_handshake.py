"""The request for an event stream, and the check of its response; no sockets.

h11 owns HTTP/1.1 (RFC 9110, RFC 9112) up to the end of the response's head.
"""

from __future__ import annotations

import functools

import h11

from sseload_users.transports import ConnectFailed, StayAway
from sseload_users.transports.content_coding import (
    ContentDecoder,
    accepted_codings,
    decoder_for,
    is_identity,
)
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.handshake_response import HEAD_BYTES, HandshakeResponse, KnownHead
from sseload_users.transports.known_heads import HEAD_END, MAX_KNOWN_BYTES, KnownHeads
from sseload_users.transports.request_head import request_bytes, request_headers

#: The status that ends an event stream for good (HTML Standard §9.2.3).
_NO_CONTENT = 204
_OK = 200
#: Most characters of a media type in the report.
_TYPE_BYTES = 60


class StreamResponse:
    """The response to a request for an event stream.

    Attributes:
        response: the response, as far as it has arrived.
    """

    response: HandshakeResponse

    def check(self) -> None:
        """Check that the response opens an event stream.

        Any response that does not is final (HTML Standard §9.2.3).

        Raises:
            StayAway: it has status 204.
            Redirected: it names another URL.
            ConnectFailed: at "handshake": it does not, or the stream's encoding is not
                supported.
        """
        response = self.response
        if response.head is not None and response.head.status_code == _NO_CONTENT:
            raise StayAway(f"HTTP {_NO_CONTENT}")
        if response.refused or response.head is None:
            raise response.refusal(final=True)
        kind = response.header("content-type").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            cause = f"not an event stream: {kind[:_TYPE_BYTES] or 'no content type'}"
            raise ConnectFailed("handshake", cause, final=True)
        try:
            self.decoder()
        except LookupError as error:
            cause = f"content encoding not supported: {self.coding[:_TYPE_BYTES]}"
            raise ConnectFailed("handshake", cause) from error

    @property
    def coding(self) -> str:
        """The body's content coding; empty for none."""
        coding = self.response.header("content-encoding").strip().lower()
        return "" if is_identity(coding) else coding

    def decoder(self) -> ContentDecoder | None:
        """Return a new decoder for the body; None if there is nothing to decode.

        Raises:
            LookupError: the content coding is not known.
        """
        return decoder_for(self.coding)


#: By the request's method, on which a response's framing depends, and the head's bytes.
_known_heads: KnownHeads[KnownHead] = KnownHeads()


class StreamRequest(StreamResponse):
    """One request for an event stream by HTTP/1.1, and its response.

    Args:
        endpoint: method, URL, headers and body of the request.
        compression: whether to offer content codings, as a browser does.

    Attributes:
        data: the request, ready to be sent.
        response: the response, as far as it has arrived.
        rest: the bytes that came after the head.

    Raises:
        ConnectFailed: at "handshake": the URL or a header is not allowed in HTTP.
    """

    def __init__(self, endpoint: Endpoint, *, compression: bool = True) -> None:
        self._method, self._url, self._body = endpoint.method, endpoint.url, endpoint.body
        self._headers, self.data = _prepare(
            endpoint.method,
            endpoint.url,
            endpoint.headers,
            endpoint.body,
            endpoint.last_event_id,
            compression,
        )
        self.response = HandshakeResponse(None, _OK)
        self.rest = b""

    def feed(self, data: bytes) -> bool:
        """Parse the next bytes of the response; see `HandshakeResponse.feed_checked`."""
        response = self.response
        is_first = response.is_new
        end = data.find(HEAD_END) + len(HEAD_END)
        known_by = (self._method, data[:end])
        if is_first:
            if (known := _known_heads.get(known_by)) is not None:
                response.take_known(known)
                self.rest = data[end:]
                return True
            client = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
            request_bytes(client, self._method, self._url, self._headers, self._body)
            response.parse_by(client)
        complete = response.feed_checked(data)
        if complete and response.head is not None and not response.refused:
            self.rest = response.rest
            if is_first and self.rest == data[end:] and end <= MAX_KNOWN_BYTES:
                _known_heads.add(known_by, response.as_known())
        return complete

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks; h11 rejects other transfer codings."""
        return bool(self.response.header("transfer-encoding"))

    @property
    def length(self) -> int | None:
        """The body's length in bytes; None if the response does not give it."""
        length = self.response.header("content-length")
        return int(length) if length else None


@functools.lru_cache(maxsize=256)
def _prepare(
    method: str,
    url: str,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    last_event_id: str,
    compression: bool,
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return a request's headers, and all its bytes; see `Endpoint`.

    Raises:
        ConnectFailed: see `StreamRequest`.
    """
    endpoint = Endpoint(url, method=method, headers=headers, body=body, last_event_id=last_event_id)
    own = stream_headers(endpoint, compression=compression)
    return own, request_bytes(h11.Connection(h11.CLIENT), method, url, own, body)


def stream_headers(endpoint: Endpoint, *, compression: bool) -> list[tuple[bytes, bytes]]:
    """Return a browser's headers for an event stream; the endpoint's replace them."""
    own = {
        "Accept": "text/event-stream",
        "Accept-Encoding": accepted_codings(endpoint.url, compression=compression),
        "Cache-Control": "no-cache",
    }
    if endpoint.body or endpoint.method != "GET":
        own["Content-Length"] = str(len(endpoint.body))
    given = endpoint.headers
    if last_event_id := endpoint.last_event_id.strip(" \t"):
        given = tuple(each for each in given if each[0].lower() != "last-event-id")
        own["Last-Event-ID"] = last_event_id
    return request_headers(endpoint.url, own, given)
