"""WebSocket (RFC 6455): the handshake, and a connection that sends codes as JSON text."""

from __future__ import annotations

import asyncio

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, generate_accept_token

from sseload_users.demo.client_socket import PushSocket
from sseload_users.demo.http import Exchange
from sseload_users.demo.messages import PlainFormat, dump, frame
from sseload_users.demo.push import Context, PushConnection

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
    """A plain WebSocket, subscribed from the start; the base of Socket.IO's."""

    transport = "websocket"

    def __init__(self, context: Context, socket: PushSocket, ordinal: int, username: str) -> None:
        super().__init__(context, socket, ordinal, username)
        self._protocol = Connection(ConnectionType.SERVER)
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        socket.on_bytes = self.receive

    def begin(self) -> None:
        """Send the greeting after the answered handshake, and subscribe."""
        self.socket.write(frame(dump({"type": "connected", "connection": self.ordinal})))
        self.subscribe(PlainFormat())

    def message(self, text: str) -> None:
        """Handle a complete text message; the plain WebSocket ignores it."""

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
