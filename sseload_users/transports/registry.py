"""The transports by their names in target profiles."""

from __future__ import annotations

from sseload_users.transports import TransportName
from sseload_users.transports.socketio import SocketIOTransport
from sseload_users.transports.sse import SseTransport
from sseload_users.transports.transport import Transport
from sseload_users.transports.websocket import WebSocketTransport

_TRANSPORTS: dict[TransportName, type[Transport]] = {
    "socketio": SocketIOTransport,
    "sse": SseTransport,
    "websocket": WebSocketTransport,
}


def transport_for(name: TransportName) -> type[Transport]:
    """Return the transport's class."""
    return _TRANSPORTS[name]
