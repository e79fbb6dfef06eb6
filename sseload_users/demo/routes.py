"""Route each request to its handler."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from sseload_users.demo import error_page, ingest_http, websocket
from sseload_users.demo.admission import Admission
from sseload_users.demo.embed import EmbeddedStreams
from sseload_users.demo.http import Exchange
from sseload_users.demo.ingest_handler import IngestHandler
from sseload_users.demo.ingest_http import HttpSubmission
from sseload_users.demo.push import Context
from sseload_users.demo.socketio_requests import SocketIORequests
from sseload_users.demo.websocket import WebSocketConnection

_USERS = "/api/users/"
_VERIFY = "/verify"

_Handler = Callable[[Exchange], None]


class Routes:
    """Dispatch requests by method and path.

    Args:
        context: the server's shared state.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._awake_from = time.monotonic() + context.settings.asleep
        self._ingest_handler = IngestHandler(context)
        self._admission = Admission(context)
        socketio_requests = SocketIORequests(context, self._admission, self._ingest_handler)
        embed = EmbeddedStreams(context, self._admission)
        self._routes: dict[tuple[str, str], _Handler] = {
            ("GET", "/health"): self._health,
            ("HEAD", "/health"): self._health,
            ("GET", "/socket.io/"): socketio_requests.handle,
            ("POST", "/socket.io/"): socketio_requests.handle,
            ("GET", "/embed-stream"): embed.page,
            ("GET", "/events"): embed.stream,
            ("POST", "/sse-pong"): embed.pong,
        }
        self._today = context.settings.version == "today"
        if self._today:
            self._routes["POST", "/api/ingest"] = partial(ingest_http.gone, context)
        else:
            self._routes["POST", "/api/ingest"] = self._ingest
            self._routes["GET", "/ws"] = self._websocket
            self._routes["GET", "/stream"] = self._stream
        self._paths = {path for _, path in self._routes}

    def handle(self, exchange: Exchange) -> None:
        """Answer one request, now, later or never."""
        settings = self._context.settings
        if settings.mute_connections and len(self._context.open) >= settings.mute_connections:
            return
        if time.monotonic() < self._awake_from:
            exchange.answer(502, {"error": "The server is asleep"})
            return
        route = self._routes.get((exchange.method, exchange.path))
        if route is not None:
            route(exchange)
        elif not self._today and (name := _verified(exchange.path)) is not None:
            self._verify(exchange, name)
        else:
            self._fail(exchange, 405 if exchange.path in self._paths else 404)

    def _health(self, exchange: Exchange) -> None:
        after = self._context.settings.unhealthy_after
        if after and self._context.hub.codes >= after:
            exchange.answer(503, {"service": "code-server", "status": "unhealthy"})
        else:
            exchange.answer(200, {"service": "code-server", "status": "healthy"})

    def _fail(self, exchange: Exchange, status: int) -> None:
        """Answer with an error: JSON, or, as today's server, an HTML page."""
        if self._today:
            error_page.answer(exchange, status)
        else:
            exchange.answer(status, {"error": HTTPStatus(status).phrase.capitalize()})

    def _verify(self, exchange: Exchange, username: str) -> None:
        user_id = self._context.user_id(username)
        if user_id is None:
            exchange.answer(404, {"username": username, "verified": False})
        else:
            exchange.answer(200, {"user_id": user_id, "username": username, "verified": True})

    def _ingest(self, exchange: Exchange) -> None:
        self._ingest_handler.submit(HttpSubmission(self._context, exchange))

    def _websocket(self, exchange: Exchange) -> None:
        if not websocket.is_handshake(exchange):
            exchange.answer(
                426, {"error": "WebSocket handshake required"}, ("Upgrade", "websocket")
            )
            return
        username = exchange.query.get("username", "")
        ordinal = self._admission.admit(exchange, "websocket", username, known=not username)
        if ordinal is not None:
            factory = partial(WebSocketConnection, query=exchange.query)
            self._admission.upgrade(exchange, factory, ordinal, username)

    def _stream(self, exchange: Exchange) -> None:
        username = exchange.query.get("username", "")
        ordinal = self._admission.admit(exchange, "sse", username, known=not username)
        if ordinal is not None:
            self._admission.open_stream(exchange, ordinal, username, needs_pong=False)


def _verified(path: str) -> str | None:
    """Return the user named in a path of the verify route; None for any other path."""
    if path.startswith(_USERS) and path.endswith(_VERIFY):
        return path[len(_USERS) : -len(_VERIFY)]
    return None
