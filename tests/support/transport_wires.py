"""The bytes that servers of each transport send, for tests that all transports share."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from sseload_users.transports import Closed, TransportName
from sseload_users.transports.endpoint import Endpoint
from tests.support.replies import confirmed_by
from tests.support.socket_servers import read_until
from tests.support.wire import accept_websocket, chunk, frame, receive_frame


class Wire(ABC):
    """The bytes that servers of one protocol send.

    Attributes:
        name: the transport's, as profiles have it.
        scheme: the URL's, without TLS.
        closed: how a session ends by `goodbye`.
        cut: how a session ends by the end of the stream alone.
        hears: whether clients can send.
        keeps_early: whether messages before the one that confirms are handed over.
    """

    name: ClassVar[TransportName]
    scheme: ClassVar[str]
    closed: ClassVar[Closed]
    cut: ClassVar[Closed]
    hears: ClassVar[bool] = True
    keeps_early: ClassVar[bool] = False

    @abstractmethod
    def accept(self, connection: socket.socket) -> bytes:
        """Accept a client; return the last bytes that it waits for."""

    @abstractmethod
    def message(self, text: str) -> bytes:
        """Return a message as bytes on the wire."""

    @abstractmethod
    def payload(self, text: str) -> bytes:
        """Return a message as the transport hands it over."""

    @abstractmethod
    def goodbye(self) -> bytes:
        """Return the bytes that end a session in an orderly way."""

    def endpoint(self, port: int, *, tls: bool = False, **more: Any) -> Endpoint:
        """Return where to connect."""
        return Endpoint(f"{self.scheme}{'s' if tls else ''}://127.0.0.1:{port}/push", **more)

    def subscription(self) -> dict[str, Any]:
        """Return an endpoint's options for a subscription that has to be confirmed."""
        return {
            "confirm": confirmed_by(self.payload("joined")),
            "refuse": lambda payload: "not allowed" if payload == self.payload("no") else None,
        }


class WebSocketWire(Wire):
    name: ClassVar[TransportName] = "websocket"
    scheme = "ws"
    closed = Closed("server", "closed by server: 4001", 4001, "enough")
    cut = Closed("network", "no close frame")

    def accept(self, connection: socket.socket) -> bytes:
        return accept_websocket(connection)

    def message(self, text: str) -> bytes:
        return frame(0x81, self.payload(text))

    def payload(self, text: str) -> bytes:
        return text.encode()

    def goodbye(self) -> bytes:
        return frame(0x88, b"\x0f\xa1enough")


class SocketIOWire(Wire):
    name: ClassVar[TransportName] = "socketio"
    scheme = "ws"
    closed = Closed("server", "disconnected by server")
    keeps_early = True
    cut = Closed("network", "no close frame")

    def accept(self, connection: socket.socket) -> bytes:
        opening = b'0{"sid":"x","pingTimeout":20000,"pingInterval":25000}'
        connection.sendall(accept_websocket(connection) + frame(0x81, opening))
        assert receive_frame(connection) == (0x81, b"40")
        return frame(0x81, b'40{"sid":"y"}')

    def message(self, text: str) -> bytes:
        return frame(0x81, self.payload(text))

    def payload(self, text: str) -> bytes:
        return f'42["{text}"]'.encode()

    def goodbye(self) -> bytes:
        return frame(0x81, b"41")


class SseWire(Wire):
    name: ClassVar[TransportName] = "sse"
    scheme = "http"
    closed = Closed("server", "end of stream")
    cut = Closed("network", "connection closed")
    hears = False

    def accept(self, connection: socket.socket) -> bytes:
        read_until(connection, b"\r\n\r\n")
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )

    def message(self, text: str) -> bytes:
        return chunk(self.payload(text) + b"\n\n")

    def payload(self, text: str) -> bytes:
        return f"data: {text}".encode()

    def goodbye(self) -> bytes:
        return b"0\r\n\r\n"
