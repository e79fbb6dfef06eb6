"""Which transport a profile's name for it stands for."""

from __future__ import annotations

from sseload_users.transports import TransportName
from sseload_users.transports.socketio import SocketIOTransport
from sseload_users.transports.sse import SseTransport
from sseload_users.transports.websocket import WebSocketTransport

_TRANSPORTS: dict[TransportName, type[WebSocketTransport]] = {
    "socketio": SocketIOTransport,
    "sse": SseTransport,
    "websocket": WebSocketTransport,
}


def transport_for(name: TransportName) -> type[WebSocketTransport]:
    """The transport's class."""
    return _TRANSPORTS[name]
