"""The transports by their names in target profiles."""

from __future__ import annotations

from functools import cache
from typing import assert_never

from sseload_users.core.garbage import kept
from sseload_users.transports import TransportName
from sseload_users.transports.transport import Transport


@cache
def transport_for(name: TransportName) -> type[Transport]:
    """Return the transport's class; its module is imported when it is first needed.

    Socket.IO's packets come from a package that imports HTTP clients and databases: a fifth of
    a second, and 20 MiB of each worker.
    """
    match name:
        case "websocket":
            from sseload_users.transports.websocket import WebSocketTransport

            return WebSocketTransport
        case "socketio":
            with kept():
                from sseload_users.transports.socketio import SocketIOTransport

            return SocketIOTransport
        case "sse":
            from sseload_users.transports.sse import SseTransport

            return SseTransport
    assert_never(name)
