"""Which request gets which answer, and which handshake is let in."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from sseload_users.core.clock import wall_ns
from sseload_users.demo import websocket
from sseload_users.demo.http import Exchange
from sseload_users.demo.ingest import Ingest
from sseload_users.demo.push import Context
from sseload_users.demo.socketio import SocketIOConnection
from sseload_users.demo.stream import StreamConnection, Tokens
from sseload_users.demo.websocket import WebSocketConnection

_NONCE_LENGTH = 8
_USERS = "/api/users/"
_VERIFY = "/verify"


class Routes:
    """Answers requests.

    Args:
        context: the server.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tokens = Tokens()
        self._awake = time.monotonic() + context.settings.asleep
        ingest = Ingest(context)
        self._routes: dict[tuple[str, str], Callable[[Exchange], None]] = {
            ("GET", "/health"): _health,
            ("HEAD", "/health"): _health,
            ("POST", "/api/ingest"): ingest.handle,
            ("GET", "/ws"): self._websocket,
            ("GET", "/socket.io/"): self._socketio,
            ("GET", "/stream"): self._stream,
            ("GET", "/embed-stream"): self._embed,
            ("GET", "/events"): self._events,
            ("POST", "/sse-pong"): self._pong,
        }
        self._paths = {path for _, path in self._routes}

    def handle(self, exchange: Exchange) -> None:
        """Answer one request, now, later or never."""
        settings = self._context.settings
        if settings.mute_connections and len(self._context.open) >= settings.mute_connections:
            return
        if time.monotonic() < self._awake:
            exchange.answer(502, {"error": "The server is asleep"})
            return
        route = self._routes.get((exchange.method, exchange.path))
        if route is not None:
            route(exchange)
        elif exchange.path.startswith(_USERS) and exchange.path.endswith(_VERIFY):
            self._verify(exchange)
        elif exchange.path in self._paths:
            exchange.answer(405, {"error": "Method not allowed"})
        else:
            exchange.answer(404, {"error": "Not found"})

    def _verify(self, exchange: Exchange) -> None:
        username = exchange.path[len(_USERS) : -len(_VERIFY)]
        user_id = self._context.user_id(username)
        if user_id is None:
            exchange.answer(404, {"username": username, "verified": False})
        else:
            exchange.answer(200, {"user_id": user_id, "username": username, "verified": True})

    def _websocket(self, exchange: Exchange) -> None:
        if not websocket.wanted(exchange):
            exchange.answer(426, {"error": "This is a WebSocket"}, ("Upgrade", "websocket"))
            return
        username = exchange.query.get("username", "")
        ordinal = self._admit(exchange, "websocket", username, known=not username)
        if ordinal is not None:
            self._upgrade(exchange, WebSocketConnection, ordinal, username)

    def _socketio(self, exchange: Exchange) -> None:
        # Engine.IO's own answers (its protocol, "Handshake" and "Errors").
        if exchange.query.get("EIO") != "4":
            exchange.answer(400, {"code": 5, "message": "Unsupported protocol version"})
            return
        if exchange.query.get("transport") != "websocket":
            exchange.answer(400, {"code": 0, "message": "Transport unknown"})
            return
        if not websocket.wanted(exchange):
            exchange.answer(400, {"code": 3, "message": "Bad request"})
            return
        username = exchange.query.get("username") or exchange.headers.get("x-username", "")
        # Whether the user is known is said inside, when a namespace is joined.
        ordinal = self._admit(exchange, "socketio", username, known=True)
        if ordinal is not None:
            self._upgrade(exchange, SocketIOConnection, ordinal, username)

    def _stream(self, exchange: Exchange) -> None:
        username = exchange.query.get("username", "")
        ordinal = self._admit(exchange, "sse", username, known=not username)
        if ordinal is not None:
            self._open_stream(exchange, ordinal, username, needs_pong=False)

    def _embed(self, exchange: Exchange) -> None:
        """A page of the server's own origin, with the token that opens the stream."""
        user = exchange.query.get("user", "")
        origin = urlsplit(exchange.headers.get("origin", "")).netloc
        if not origin or origin != exchange.headers.get("host"):
            exchange.answer(403, {"error": "Origin not allowed"})
        elif len(exchange.query.get("nonce", "")) < _NONCE_LENGTH:
            exchange.answer(400, {"error": "nonce of 8 or more characters is required"})
        elif self._context.user_id(user) is None:
            exchange.answer(403, {"error": "Unknown username"})
        else:
            name = quote(user, safe="")
            token = quote(self._tokens.make(user), safe=":")
            page = (
                f"<!doctype html><title>Codes for {html.escape(user)}</title><script>"
                f'new EventSource("/events?user={name}&token={token}")</script>\n'
            )
            exchange.send(200, "text/html; charset=utf-8", page)

    def _events(self, exchange: Exchange) -> None:
        user, token = exchange.query.get("user", ""), exchange.query.get("token", "")
        ordinal = self._admit(exchange, "sse", user, known=True)
        if ordinal is None:
            return
        if self._tokens.check(token, user):
            self._open_stream(exchange, ordinal, user, needs_pong=True)
        else:
            self._refuse(exchange, ordinal, "sse", user, status=403, how="bad token")

    def _pong(self, exchange: Exchange) -> None:
        identity = exchange.query.get("connection_id", "")
        for connection in self._context.open:
            if isinstance(connection, StreamConnection) and connection.connection_id == identity:
                if self._tokens.check(exchange.query.get("token", ""), connection.username):
                    connection.pong()
                    exchange.answer(200, {"status": "ok"})
                else:
                    exchange.answer(403, {"error": "Invalid token"})
                return
        exchange.answer(404, {"error": "Unknown connection"})

    def _admit(
        self, exchange: Exchange, transport: str, username: str, *, known: bool
    ) -> int | None:
        """The handshake's ordinal, or None when it was refused.

        Args:
            exchange: the handshake, answered here if it is refused.
            transport: for the record.
            username: as the client gave it.
            known: let it in whoever the user is.
        """
        context, settings = self._context, self._context.settings
        context.handshakes += 1
        ordinal = context.handshakes
        if context.plan.refuses(ordinal):
            how = context.plan.faults.refuse_how
            if how == "503":
                self._refuse(exchange, ordinal, transport, username, status=503, how=how)
            else:
                self._note_refusal(ordinal, transport, username, how)
                if how == "reset":
                    exchange.wire.reset()
        elif settings.max_connections and len(context.open) >= settings.max_connections:
            full = "too many connections"
            self._refuse(exchange, ordinal, transport, username, status=503, how=full)
        elif not known and context.user_id(username) is None:
            unknown = "unknown username"
            self._refuse(exchange, ordinal, transport, username, status=403, how=unknown)
        else:
            return ordinal
        return None

    def _refuse(
        self,
        exchange: Exchange,
        ordinal: int,
        transport: str,
        username: str,
        *,
        status: int,
        how: str,
    ) -> None:
        exchange.answer(status, {"error": f"Refused: {how}"})
        self._note_refusal(ordinal, transport, username, how)

    def _note_refusal(self, ordinal: int, transport: str, username: str, how: str) -> None:
        self._context.recorder.write(
            "refused",
            connection=ordinal,
            transport=transport,
            username=username,
            how=how,
            ns=wall_ns(),
        )

    def _upgrade(
        self, exchange: Exchange, kind: type[WebSocketConnection], ordinal: int, username: str
    ) -> None:
        early = websocket.upgrade(exchange, ordinal)
        connection = kind(self._context, exchange.wire, ordinal, username)
        connection.begin()
        self._stop_if_full()
        if early:
            connection.receive(early)

    def _open_stream(
        self, exchange: Exchange, ordinal: int, username: str, *, needs_pong: bool
    ) -> None:
        streams = sum(isinstance(each, StreamConnection) for each in self._context.open)
        limit = self._context.settings.max_streams
        if limit and streams >= limit:
            self._refuse(exchange, ordinal, "sse", username, status=500, how="too many streams")
            return
        StreamConnection(self._context, exchange, ordinal, username, needs_pong=needs_pong)
        self._stop_if_full()

    def _stop_if_full(self) -> None:
        limit = self._context.settings.memory_limit_connections
        if limit and len(self._context.open) >= limit:
            self._context.stop_hard("memory limit")


def _health(exchange: Exchange) -> None:
    exchange.answer(200, {"service": "code-server", "status": "healthy"})
