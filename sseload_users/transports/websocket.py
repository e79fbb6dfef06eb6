"""WebSocket (RFC 6455): one connection of one listener."""

from __future__ import annotations

import http.cookies
import logging
import time
from collections import deque
from typing import Any, ClassVar, Protocol

import gevent.event
from websocket import (
    WebSocket,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketPayloadException,
    WebSocketTimeoutException,
)
from websocket._handshake import CookieJar

from sseload_users.core.clock import wall_ns
from sseload_users.transports import Closed, ConnectFailed, Event, Malformed, OnMalformed, OnMessage
from sseload_users.transports.frames import FrameDecoder, MessageTooLarge, close_frame, text_frame
from sseload_users.transports.handshake import BodyAhead, Head, header_options, refused
from sseload_users.transports.network import Endpoint, Network, cause_of
from sseload_users.transports.reader import READ_BYTES
from sseload_users.transports.refusal import words_of_event
from sseload_users.transports.stamped_socket import StampedSocket

_logger = logging.getLogger(__name__)

_LEFT = Closed("client", "left")
_NORMAL, _PROTOCOL_ERROR, _INVALID_PAYLOAD, _TOO_BIG = 1000, 1002, 1007, 1009


class Decoder(Protocol):
    """Makes messages of bytes."""

    #: Gets each message.
    on_message: OnMessage
    #: Nothing more is decoded.
    ended: bool

    def feed(self, data: bytes, arrived_ns: int) -> None:
        """Decode the next bytes, at least one, which arrived then (wall clock, ns)."""


class WebSocketTransport:
    """One WebSocket connection.

    A protocol above WebSocket is a subclass: it overrides ``subscribe``, which converses
    by ``send`` and ``receive``, and gives its own ``on_message``, which looks into each
    message in the hub.

    Args:
        endpoint: where and how to connect.
        network: what all connections share.
        on_message: gets each message after the subscription, in the hub.
        on_malformed: gets the cause, when a frame cannot be decoded.
    """

    __slots__ = (
        "_arrival",
        "_closed",
        "_decoder",
        "_done",
        "_held",
        "_on_malformed",
        "_on_message",
        "connecting",
        "endpoint",
        "network",
        "started_ns",
        "subscribed_ns",
    )

    kind: ClassVar[str] = "WS"

    def __init__(
        self,
        endpoint: Endpoint,
        network: Network,
        on_message: OnMessage,
        on_malformed: OnMalformed,
    ) -> None:
        self.endpoint = endpoint
        self.network = network
        self.started_ns = 0
        self.subscribed_ns = 0
        self.connecting = False
        self._on_message = on_message
        self._on_malformed = on_malformed
        self._arrival: StampedSocket | None = None
        self._decoder: Decoder | None = None
        # Messages that arrived before they could be handed on.
        self._held: deque[tuple[bytes, int]] | None = None
        self._done: gevent.event.Event | None = None
        self._closed: Closed | None = None

    @staticmethod
    def event(payload: bytes) -> Event | None:
        """The message as text; as bytes if it is not UTF-8."""
        try:
            return Event("", payload.decode())
        except UnicodeDecodeError:
            return Event("", payload)

    def connect(self) -> None:
        """Connect and subscribe; return when the server owes this session codes.

        Raises:
            ConnectFailed: at whatever step it failed, the connect timeout included.
        """
        self.started_ns = wall_ns()
        self.connecting = True
        try:
            arrival = self._open()
            opened_ns, late_ns = self.subscribed_ns, arrival.late_ns
            self.subscribe()
            self._check_left()
            if self.subscribed_ns != opened_ns:
                late_ns = arrival.late_ns
            # What this side took to go on, busy with others, is no part of the connect time.
            self.started_ns += late_ns
        except BaseException:
            if self._arrival is not None:
                self._arrival.close()
            self._held = None
            raise
        finally:
            self.connecting = False

    def subscribe(self) -> None:
        """Say what the endpoint says after the handshake, and wait for the confirmation.

        ``subscribed_ns`` is already the handshake's answer; a protocol that confirms sets
        it to the stamp of the message that did.

        Raises:
            ConnectFailed: at "subscribe": refused, closed, or the time is over.
        """
        endpoint = self.endpoint
        for text in endpoint.hello:
            self.send(text)
        if endpoint.confirm is None:
            return
        while True:
            message, arrived_ns = self.receive()
            if endpoint.refuse is not None and (cause := endpoint.refuse(message)) is not None:
                raise ConnectFailed("subscribe", cause, said=self._words(message))
            # What confirms may want an answer as well.
            self.keep_alive(message)
            if endpoint.confirm(message):
                self.subscribed_ns = arrived_ns
                return

    def receive(self) -> tuple[bytes, int]:
        """The next message and its arrival (wall clock, ns), while subscribing.

        Messages that came and were not received here go to ``on_message`` when ``listen``
        begins.

        Raises:
            ConnectFailed: at "subscribe": the session ended, or the time is over.
        """
        arrival, decoder, held = self._arrival, self._decoder, self._held
        if arrival is None or decoder is None or held is None:
            raise ConnectFailed("subscribe", "not connected")
        while not held:
            if self._closed is not None:
                raise ConnectFailed("subscribe", self._closed.cause, said=self._closed.reason)
            try:
                data = arrival.recv(READ_BYTES)
            except OSError as error:
                raise ConnectFailed("subscribe", cause_of(error), str(error)) from error
            if data:
                decoder.feed(data, arrival.arrived_ns)
            else:
                self._check_left()
                raise ConnectFailed("subscribe", "connection closed")
        return held.popleft()

    def send(self, text: str) -> bool:
        """Send a text message without waiting, from the hub or any greenlet.

        Returns:
            Whether it was taken: not on a connection that is broken or overfull.
        """
        return self._arrival is not None and self._arrival.send_now(text_frame(text))

    @property
    def congested(self) -> bool:
        """Whether a message that is sent now would wait here for earlier ones."""
        return self._arrival is not None and bool(self._arrival.backlog)

    def keep_alive(self, message: bytes) -> None:
        """Answer a message in which no code was found, if the endpoint has an answer."""
        if self.endpoint.reply is not None and (answer := self.endpoint.reply(message)) is not None:
            self.send(answer)

    def listen(self) -> Closed:
        """Hand every message to ``on_message`` until the session ends; say how it ended."""
        arrival, decoder, held = self._arrival, self._decoder, self._held
        if arrival is None or decoder is None or held is None:
            return self._closed or _LEFT
        self._done = gevent.event.Event()
        try:
            decoder.on_message = self._on_message
            self._held = None
            try:
                self._catch_up(held)
            except Exception as error:  # noqa: BLE001 - it ends this session, as in the hub
                self._on_end(error)
            del held
            if self._closed is None:
                arrival.watch(decoder.feed, self._on_end)
                self._done.wait()
        finally:
            # Killed while it waited, the greenlet still says goodbye.
            self.leave()
            arrival.close()
            self._arrival = self._decoder = self._done = None
        return self._closed or _LEFT

    def leave(self) -> None:
        """Close from this side: a best-effort goodbye, without waiting for an answer."""
        if self._closed is None:
            self._say_goodbye()
        self.end(_LEFT)

    def end(self, closed: Closed) -> None:
        """End the session for a reason that lies above the frames; ``listen`` returns it.

        From the hub or any greenlet. A session that has ended stays ended as it did.
        """
        if self._closed is None:
            self._closed = closed
        if self._decoder is not None:
            self._decoder.ended = True
        if self._arrival is not None:
            self._arrival.unwatch()
            self._arrival.shutdown()
            if self._done is None and not self.connecting:
                self._arrival.close()
        if self._done is not None:
            self._done.set()

    def _open(self) -> StampedSocket:
        """TCP, TLS and the handshake, which websocket-client makes."""
        endpoint, network = self.endpoint, self.network
        deadline = time.monotonic() + network.connect_timeout
        arrival = self._arrival = network.open(endpoint.url, deadline, slow=endpoint.slow)
        self._check_left()
        client: Any = WebSocket(enable_multithread=False)
        head = Head(arrival)
        try:
            client.connect(
                endpoint.url,
                socket=head,
                redirect_limit=0,
                subprotocols=list(endpoint.subprotocols),
                **header_options(endpoint.headers),
            )
        except (WebSocketBadStatusException, BodyAhead) as error:
            why = refused(bytes(head.data), arrival, str(error))
            self._check_left()
            raise why from error
        except WebSocketTimeoutException as error:
            raise ConnectFailed("handshake", "timed out") from error
        except WebSocketConnectionClosedException as error:
            self._check_left()
            raise ConnectFailed("handshake", "connection closed", str(error)) from error
        except OSError as error:
            raise ConnectFailed("handshake", cause_of(error), str(error)) from error
        except (WebSocketException, http.cookies.CookieError, ValueError) as error:
            if client.handshake_response is not None:
                status = int(client.handshake_response.status)
                location = str(client.handshake_response.headers.get("location", ""))
                raise ConnectFailed(
                    "handshake", f"redirected: HTTP {status}", said=location
                ) from error
            raise ConnectFailed("handshake", "bad handshake answer", str(error)) from error
        finally:
            # One jar for the whole process: the cookies that one simulated user was given
            # would be sent by all others.
            CookieJar.jar.clear()
        self.subscribed_ns = arrival.arrived_ns
        self._held = deque()
        self._decoder = FrameDecoder(
            self._hold, self._on_close, arrival.send_now, endpoint.max_message, network.lag.share
        )
        network.keep_tls_session(endpoint.url, arrival)
        return arrival

    def _words(self, message: bytes) -> str:
        """What a message says, for people."""
        try:
            event = self.event(message)
        except Malformed:
            event = None
        return "" if event is None else words_of_event(event)

    def _say_goodbye(self) -> None:
        if self._arrival is not None and self._decoder is not None:
            self._arrival.send_now(close_frame(_NORMAL))

    def _catch_up(self, held: deque[tuple[bytes, int]]) -> None:
        """Look into what arrived before ``listen``, as if it came now."""
        while held:
            self._on_message(*held.popleft())

    def _hold(self, message: bytes, arrived_ns: int) -> None:
        if self._held is not None:
            self._held.append((message, arrived_ns))

    def _on_close(self, closed: Closed, error: WebSocketException | None) -> None:
        if error is not None and self._arrival is not None:
            code = _PROTOCOL_ERROR
            if isinstance(error, MessageTooLarge):
                code = _TOO_BIG
            elif isinstance(error, WebSocketPayloadException):
                code = _INVALID_PAYLOAD
            self._arrival.send_now(close_frame(code))
            if code != _TOO_BIG:
                self._on_malformed(closed.cause.removeprefix("protocol error: "))
        self.end(closed)

    def _on_end(self, error: Exception | None) -> None:
        if error is None:
            self.end(Closed("network", "no close frame"))
        elif isinstance(error, OSError):
            self.end(Closed("network", cause_of(error)))
        else:
            self.network.log_once(error)
            self.end(Closed("client", f"listener error: {type(error).__name__}"))

    def _check_left(self) -> None:
        if self._closed is _LEFT:
            raise ConnectFailed("connect", "left")
