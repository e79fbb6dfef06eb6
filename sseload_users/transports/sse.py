"""Server-sent events over HTTP/1.1 or HTTP/2 as a transport."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from typing import ClassVar

from sseload_users.core.clock import wall_ns
from sseload_users.transports import Closed, ConnectFailed, OnMalformed, OnMessage, ParsedMessage
from sseload_users.transports.carrier import Carrier
from sseload_users.transports.causes import cause_of
from sseload_users.transports.connect_times import ConnectTimes
from sseload_users.transports.decoded_events import DecodedEvents
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.event_stream import EventStream, parse_event
from sseload_users.transports.handshake_response import BODY_SECONDS, Redirected
from sseload_users.transports.http2 import BAD_FRAME
from sseload_users.transports.http2_carrier import (
    Http2Body,
    Http2Carrier,
    Http2Connection,
    read_head,
)
from sseload_users.transports.http_body import BAD_CHUNK, Body, ChunkedBody
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.network import Network
from sseload_users.transports.reading import READ_BYTES
from sseload_users.transports.redirects import MAX_REDIRECTS, BadRedirect, redirected
from sseload_users.transports.sse_handshake import StreamRequest, StreamResponse
from sseload_users.transports.stamped_socket import StampedSocket
from sseload_users.transports.transport import Transport


class SseTransport(Transport):
    """One event stream; each event with data is a message: its lines, without the blank one.

    Clients cannot send on an event stream: the endpoint's ``hello`` and ``reply`` have no
    effect.
    """

    __slots__ = ("_events",)

    kind: ClassVar[str] = "SSE"

    def __init__(
        self,
        endpoint: Endpoint,
        network: Network,
        on_message: OnMessage,
        on_malformed: OnMalformed,
    ) -> None:
        super().__init__(endpoint, network, on_message, on_malformed)
        self._events: EventStream | None = None

    @staticmethod
    def parse(payload: bytes) -> ParsedMessage | None:
        """Return the event's name ("message" if it has none) and its data."""
        return parse_event(payload)

    @property
    def last_event_id(self) -> str:
        """ID of the last event, for the endpoint of the session that resumes from there."""
        known = None if self._events is None else self._events.last_event_id
        return self.endpoint.last_event_id if known is None else known

    @property
    def retry_ms(self) -> int | None:
        """How long the server wants a client to wait before it reconnects, if it said so."""
        return None if self._events is None else self._events.retry_ms

    def _open(self, times: ConnectTimes) -> Carrier:
        """Connect and make the handshake, where redirects lead.

        Raises:
            ConnectFailed: see `Transport.connect`.
        """
        deadline = time.monotonic() + self.network.connect_timeout
        for _ in range(MAX_REDIRECTS + 1):
            try:
                return self._reach(deadline, times)
            except Redirected as redirect:
                if not redirect.location:
                    raise
                self._follow(redirect)
        raise ConnectFailed("handshake", "too many redirects")

    def _follow(self, redirect: Redirected) -> None:
        """Go where a redirect leads; a new session begins at the first URL again."""
        endpoint = self.endpoint
        before = HttpRequest(endpoint.method, endpoint.url, endpoint.headers, endpoint.body)
        try:
            request = redirected(before, redirect.status, redirect.location)
        except BadRedirect as error:
            location = redirect.location
            raise ConnectFailed("handshake", error.cause, server_text=location) from redirect
        if self._connection is not None:
            self._connection.close()
        headers = request.headers
        if endpoint.jar is not None:
            headers = endpoint.jar.add_to(request.url, headers)
        self.endpoint = dataclasses.replace(
            endpoint,
            url=request.url,
            method=request.method,
            headers=headers,
            body=request.body,
        )

    @property
    def _offers_http2(self) -> bool:
        return self.endpoint.http != "1.1"

    def _reach(self, deadline: float, times: ConnectTimes) -> Carrier:
        endpoint = self.endpoint
        # A connection is read slowly as a whole.
        if endpoint.multiplex == 1 or endpoint.slow or not self._may_be_http2:
            return super()._reach(deadline, times)
        while True:
            asked_ns = wall_ns()
            opened = self.network.http2.open(
                endpoint, lambda: self._dial(deadline, times), deadline
            )
            if isinstance(opened, StampedSocket):
                return self._begin(opened, times)
            self._connection = opened
            self._check_left()
            self._held = deque()
            try:
                self._decoder = self._handshake_http2(opened)
            except ConnectFailed:
                # The server was about to end that connection, and has not seen the request.
                if not opened.stream.is_unprocessed or time.monotonic() >= deadline:
                    raise
                opened.close()
            else:
                self.subscribed_ns = opened.arrived_ns
                passed_ns = opened.arrived_ns - opened.late_ns - asked_ns
                times.handshake_ns += max(passed_ns - times.tcp_ns - times.tls_ns, 0)
                return opened

    @property
    def _may_be_http2(self) -> bool:
        """Whether the server may be spoken to by HTTP/2."""
        secure = self.endpoint.url.startswith("https:")
        return self.endpoint.http == "2" or (secure and self.endpoint.http == "auto")

    def _handshake(self, connection: StampedSocket) -> Body | Http2Body:
        secure = self.endpoint.url.startswith("https:")
        if connection.speaks_http2 or (self.endpoint.http == "2" and not secure):
            http2 = Http2Connection(
                connection,
                self.network.share,
                compression=self.network.compression,
                shared=False,
            )
            deadline = time.monotonic() + (connection.gettimeout() or 0)
            self._connection = carrier = http2.open(self.endpoint, deadline)
            return self._handshake_http2(carrier)
        if self.endpoint.http == "2":
            raise ConnectFailed("handshake", "the server does not speak HTTP/2")
        request = StreamRequest(self.endpoint, compression=self.network.compression)
        _request_stream(request, connection)
        request.response.keep_cookies(self.endpoint)
        request.check()
        self.http_version = "1.1"
        content = self._content(request)
        body = (
            ChunkedBody(content, self._on_close)
            if request.chunked
            else Body(content, self._on_close, request.length)
        )
        body.feed(request.rest, connection.arrived_ns, connection.emptied_ns)
        return body

    def _handshake_http2(self, carrier: Http2Carrier) -> Http2Body:
        read_head(carrier, BODY_SECONDS)
        carrier.stream.response.keep_cookies(self.endpoint)
        carrier.stream.check()
        self.http_version = "2"
        return Http2Body(carrier.stream, self._content(carrier.stream))

    def _content(self, response: StreamResponse) -> EventStream | DecodedEvents:
        """Return what takes the bytes of the response's body."""
        events = self._events = EventStream(
            self._hold, self._on_close, self.endpoint.max_message, self.network.share
        )
        decoder = response.decoder()
        if decoder is None:
            return events
        self.compression = response.coding
        return DecodedEvents(
            events,
            decoder,
            on_close=self._on_close,
            on_malformed=self._on_malformed,
            inflation=self.network.inflation,
        )

    def _say_goodbye(self) -> None:
        """Do nothing: closing the connection is all that a client can do."""

    def _on_close(self, closed: Closed) -> None:
        if closed is BAD_CHUNK:
            self._on_malformed("bad chunk")
        self.end(closed, by="data")

    def _on_end(self, error: Exception | None) -> None:
        if error is None and self._decoder is not None and self._decoder.at_end is BAD_FRAME:
            self._on_malformed("bad HTTP/2 frame")
        super()._on_end(error)


def _request_stream(request: StreamRequest, connection: StampedSocket) -> None:
    """Send a request; read its response's head and, if it refuses, its body.

    Raises:
        ConnectFailed: at "handshake": there is no valid response.
    """
    try:
        connection.sendall(request.data)
        while not request.feed(connection.recv(READ_BYTES)):
            if request.response.refused:
                request.response.read_body(connection)
                return
    except OSError as error:
        raise ConnectFailed("handshake", cause_of(error), str(error)) from error
