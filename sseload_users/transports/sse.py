"""Server-sent events over HTTP/1.1: one connection of one listener."""

from __future__ import annotations

import time
from collections import deque
from typing import ClassVar

from sseload_users.transports import Closed, ConnectFailed, OnMalformed, OnMessage, ParsedMessage
from sseload_users.transports.causes import cause_of
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.event_stream import EventStream, parse_event
from sseload_users.transports.http_body import Body, ChunkedBody
from sseload_users.transports.http_head import StreamRequest
from sseload_users.transports.network import Network
from sseload_users.transports.reading import READ_BYTES
from sseload_users.transports.stamped_socket import StampedSocket
from sseload_users.transports.websocket import WebSocketTransport


class SseTransport(WebSocketTransport):
    """One event stream.

    Its session is that of a WebSocket; other bytes are sent for the handshake, and other
    bytes make a message. A client of an event stream cannot say anything, so the endpoint's
    ``hello`` and ``reply`` mean nothing here, and there is no goodbye.

    Args:
        endpoint: where and how to connect.
        network: what all connections share.
        on_message: gets each event that has data, in the hub: its lines, without the blank
            one.
        on_malformed: gets the cause, when the stream cannot be decoded.
    """

    __slots__ = ("_body", "_events")

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
        self._body: Body | None = None

    @property
    def last_event_id(self) -> str:
        """What a session that goes on from here says it has: give it to its endpoint."""
        known = None if self._events is None else self._events.last_event_id
        return self.endpoint.last_event_id if known is None else known

    @property
    def retry_ms(self) -> int | None:
        """How long the server wants a client to wait before it comes back, if it said."""
        return None if self._events is None else self._events.retry_ms

    @staticmethod
    def parse(payload: bytes) -> ParsedMessage | None:
        """The event's name, "message" if it has none, and its data."""
        return parse_event(payload)

    def send(self, text: str) -> bool:  # noqa: ARG002 - there is no way to say it
        """Send nothing.

        Returns:
            False.
        """
        return False

    def keep_alive(self, message: bytes) -> None:
        """Answer nothing."""

    def _say_goodbye(self) -> None:
        """The end of the stream is all that there is to say."""

    def _open(self) -> StampedSocket:
        """TCP, TLS, the request, and the head of the answer."""
        endpoint, network = self.endpoint, self.network
        deadline = time.monotonic() + network.connect_timeout
        request = StreamRequest(endpoint)
        arrival = self._arrival = network.open(endpoint.url, deadline, slow=endpoint.slow)
        self._check_left()
        self._ask(request, arrival)
        self._check_left()
        request.check()
        self.subscribed_ns = arrival.arrived_ns
        self._held = deque()
        events = self._events = EventStream(
            self._hold, self._on_closed, endpoint.max_message, network.lag.share
        )
        if request.chunked:
            body: Body = ChunkedBody(events, self._on_closed)
        else:
            body = Body(events, self._on_closed, request.length)
        self._body = self._decoder = body
        network.keep_tls_session(endpoint.url, arrival)
        body.feed(request.rest, arrival.arrived_ns, arrival.emptied_ns)
        return arrival

    def _ask(self, request: StreamRequest, arrival: StampedSocket) -> None:
        try:
            arrival.sendall(request.data)
            while True:
                data = arrival.recv(READ_BYTES)
                if not data:
                    self._check_left()
                if request.feed(data):
                    return
                if request.answer.refused:
                    request.answer.read_body(arrival)
                    return
        except OSError as error:
            raise ConnectFailed("handshake", cause_of(error), str(error)) from error

    def _on_closed(self, closed: Closed) -> None:
        if closed.cause.startswith("protocol error: "):
            self._on_malformed(closed.cause.removeprefix("protocol error: "))
        self.end(closed)

    def _on_end(self, error: Exception | None) -> None:
        if error is None and self._body is not None:
            self.end(self._body.at_end)
        else:
            super()._on_end(error)
