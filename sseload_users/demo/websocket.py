"""WebSocket: the handshake, and a connection whose codes are JSON text (RFC 6455)."""

from __future__ import annotations

import asyncio

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, generate_accept_token

from sseload_users.demo.http import Exchange
from sseload_users.demo.messages import PlainFormat, dump, frame
from sseload_users.demo.push import Context, PushConnection
from sseload_users.demo.wire import Wire

#: Seconds that a client may take to answer a close frame.
_CLOSE_SECONDS = 1.0


def upgrade(exchange: Exchange, ordinal: int) -> bytes:
    """Answer a handshake; the bytes that the client sent after it."""
    token = generate_accept_token(exchange.headers["sec-websocket-key"].encode())
    return exchange.switch(
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", token.decode()),
        ("X-Demo-Connection", str(ordinal)),
    )


def wanted(exchange: Exchange) -> bool:
    """Whether this is a WebSocket handshake (RFC 6455 §4.2.1)."""
    headers = exchange.headers
    return (
        headers.get("upgrade", "").lower() == "websocket"
        and "upgrade" in headers.get("connection", "").lower()
        and headers.get("sec-websocket-version") == "13"
        and "sec-websocket-key" in headers
    )


class WebSocketConnection(PushConnection):
    """A WebSocket; on its own, the plain one, which is subscribed from the start."""

    transport = "websocket"

    def __init__(self, context: Context, wire: Wire, ordinal: int, username: str) -> None:
        super().__init__(context, wire, ordinal, username)
        self._protocol = Connection(ConnectionType.SERVER)
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        wire.on_bytes = self.receive

    def begin(self) -> None:
        """The handshake was answered: say that codes will come."""
        self.wire.write(frame(dump({"type": "connected", "connection": self.ordinal})))
        self.subscribe(PlainFormat())

    def message(self, text: str) -> None:
        """The client sent a whole text message."""

    def receive(self, data: bytes) -> None:
        """The client sent bytes."""
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                self._handle(event)
        except LocalProtocolError:
            # Bytes after the closing handshake.
            self.wire.close()

    def hang_up(self, code: int) -> None:
        """Send a close frame, and wait a moment for its answer."""
        self.ending("server", code)
        if self._protocol.state is ConnectionState.OPEN:
            self.wire.write(self._protocol.send(CloseConnection(code=code)))
            self._timer = asyncio.get_running_loop().call_later(_CLOSE_SECONDS, self.wire.reset)

    def stop(self) -> None:
        """Stop waiting for a close frame."""
        if self._timer is not None:
            self._timer.cancel()

    def _handle(self, event: object) -> None:
        if isinstance(event, Ping):
            if not self.silent and self._protocol.state is ConnectionState.OPEN:
                self.wire.write(self._protocol.send(event.response()))
        elif isinstance(event, CloseConnection):
            # wsproto reports the client's protocol errors so, too, with the code to send.
            self.ending("client", event.code)
            if self._protocol.state is not ConnectionState.CLOSED and not self.silent:
                self.wire.write(self._protocol.send(event.response()))
            self.wire.close()
        elif isinstance(event, TextMessage):
            self._text += event.data
            if event.message_finished:
                text, self._text = self._text, ""
                self.message(text)
        elif isinstance(event, BytesMessage):
            pass
