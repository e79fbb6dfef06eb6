"""WebSocket (RFC 6455): the handshake, and a connection that sends codes as JSON text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, generate_accept_token

from sseload_users.demo.client_socket import PushSocket
from sseload_users.demo.http import Exchange
from sseload_users.demo.messages import PlainFormat, dump, frame
from sseload_users.demo.push import Context, PushConnection
from sseload_users.demo.subscriptions import channels_in, index_in

#: Seconds to wait for a client's answer to a close frame.
_CLOSE_SECONDS = 1.0


def upgrade(exchange: Exchange, ordinal: int) -> bytes:
    """Answer a handshake, and return the bytes received after it."""
    token = generate_accept_token(exchange.headers["sec-websocket-key"].encode())
    return exchange.switch(
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", token.decode()),
        ("X-Demo-Connection", str(ordinal)),
    )


def is_handshake(exchange: Exchange) -> bool:
    """Whether a request is a WebSocket handshake (RFC 6455 §4.2.1)."""
    headers = exchange.headers
    return (
        headers.get("upgrade", "").lower() == "websocket"
        and "upgrade" in headers.get("connection", "").lower()
        and headers.get("sec-websocket-version") == "13"
        and "sec-websocket-key" in headers
    )


class WebSocketConnection(PushConnection):
    """A plain WebSocket; the base of Socket.IO's.

    It is subscribed from the start, to the channels in the query of its handshake, from the
    offset there on. With ``subscribe=message`` in the query, messages subscribe instead:
    ``{"type": "subscribe", "channel": "a,b", "offset": 5}``; ``unsubscribe`` ends that. In both
    cases, ``{"type": "join", "channel": "c"}`` joins a further channel, and ``leave`` leaves one.

    Args:
        context: the server's shared state.
        socket: the client's.
        ordinal: its number in the record.
        username: as given by the client.
        query: of the handshake.
    """

    transport = "websocket"

    def __init__(
        self,
        context: Context,
        socket: PushSocket,
        ordinal: int,
        username: str,
        query: Mapping[str, str] = {},
    ) -> None:
        super().__init__(context, socket, ordinal, username)
        self.query = query
        self._protocol = Connection(ConnectionType.SERVER)
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        socket.on_bytes = self.receive

    def begin(self) -> None:
        """Send the greeting after the answered handshake, and subscribe if that says to."""
        self.socket.write(frame(dump({"type": "connected", "connection": self.ordinal})))
        if self.query.get("subscribe") != "message":
            offset = index_in(self.query.get("offset", ""))
            channels = channels_in(self.query.get("channel", ""))
            self.subscribe(PlainFormat(), channels=channels, after=offset)

    def message(self, text: str) -> None:
        """Handle a complete text message; ignore what is no request of this protocol."""
        try:
            request = json.loads(text)
        except (ValueError, RecursionError):
            return
        if isinstance(request, dict):
            self._handle_request(request)

    def _handle_request(self, request: dict[str, Any]) -> None:
        """Subscribe or unsubscribe, and confirm it."""
        channel = request.get("channel", "")
        if not isinstance(channel, str):
            return
        if request.get("type") == "subscribe":
            offset = index_in(str(request.get("offset", "")))
            newest = self.context.hub.newest if offset is None else offset
            answer = {"type": "subscribed", "channel": channel, "offset": newest}
            self.socket.write(frame(dump(answer)))
            self.unsubscribe(channel)
            self.subscribe(PlainFormat(), channel, channels=channels_in(channel), after=offset)
        elif request.get("type") == "unsubscribe":
            self.unsubscribe(channel)
            self.socket.write(frame(dump({"type": "unsubscribed", "channel": channel})))
        elif request.get("type") == "join":
            self.socket.write(frame(dump({"type": "joined", "channel": channel})))
            self.join_channel(PlainFormat(), channel)
        elif request.get("type") == "leave":
            self.leave_channel(channel)
            self.socket.write(frame(dump({"type": "left", "channel": channel})))

    def receive(self, data: bytes) -> None:
        """Handle bytes from the client."""
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                self._handle(event)
        except LocalProtocolError:
            # The client sent bytes after the closing handshake.
            self.socket.close()

    def close(self, code: int) -> None:
        """Send a close frame, and wait up to `_CLOSE_SECONDS` for its answer."""
        self.mark_ended("server", code)
        if self._protocol.state is ConnectionState.OPEN:
            self.socket.write(self._protocol.send(CloseConnection(code=code)))
            self._timer = asyncio.get_running_loop().call_later(_CLOSE_SECONDS, self.socket.reset)

    def stop(self) -> None:
        """Cancel the wait for a close frame."""
        if self._timer is not None:
            self._timer.cancel()

    def _handle(self, event: object) -> None:
        if isinstance(event, Ping):
            if not self.silent and self._protocol.state is ConnectionState.OPEN:
                self.socket.write(self._protocol.send(event.response()))
        elif isinstance(event, CloseConnection):
            # wsproto reports the client's protocol errors this way too, with the code to send.
            self.mark_ended("client", event.code)
            if self._protocol.state is not ConnectionState.CLOSED and not self.silent:
                self.socket.write(self._protocol.send(event.response()))
            self.socket.close()
        elif isinstance(event, TextMessage):
            self._text += event.data
            if event.message_finished:
                text, self._text = self._text, ""
                self.message(text)
        elif isinstance(event, BytesMessage):
            pass
