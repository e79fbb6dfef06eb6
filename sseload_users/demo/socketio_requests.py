"""The requests of Socket.IO's clients: WebSocket handshakes, polls and POSTs of Engine.IO 4."""

from __future__ import annotations

from functools import partial

from sseload_users.core.clock import wall_ns
from sseload_users.demo import websocket
from sseload_users.demo.admission import Admission
from sseload_users.demo.http import Exchange
from sseload_users.demo.ingest_handler import IngestHandler
from sseload_users.demo.ingest_socketio import PublishingConnection
from sseload_users.demo.messages import dump
from sseload_users.demo.polling import PollingSocket
from sseload_users.demo.push import Context
from sseload_users.demo.socketio import SocketIOConnection

# Engine.IO's error codes.
_UNKNOWN_TRANSPORT = {"code": 0, "message": "Transport unknown"}
_UNKNOWN_SESSION = {"code": 1, "message": "Session ID unknown"}
_BAD_REQUEST = {"code": 3, "message": "Bad request"}
_UNSUPPORTED_VERSION = {"code": 5, "message": "Unsupported protocol version"}


class SocketIORequests:
    """Answers the requests for Socket.IO's path.

    Args:
        context: the server's shared state.
        admission: accepts or refuses handshakes.
        ingest_handler: handles the codes that clients submit.
    """

    def __init__(
        self, context: Context, admission: Admission, ingest_handler: IngestHandler
    ) -> None:
        self._context = context
        self._admission = admission
        self._factory = partial(PublishingConnection, ingest_handler)
        # The sessions that poll, or began so, by their IDs.
        self._sessions: dict[str, tuple[SocketIOConnection, PollingSocket]] = {}

    def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        query = exchange.query
        username = query.get("username") or exchange.headers.get("x-username", "")
        if self._is_foreign(exchange, username):
            return
        polls = query.get("transport") == "polling"
        if query.get("EIO") != "4":
            exchange.answer(400, _UNSUPPORTED_VERSION)
        elif not polls and query.get("transport") != "websocket":
            exchange.answer(400, _UNKNOWN_TRANSPORT)
        elif "sid" in query:
            self._continue(exchange, query["sid"], polls=polls)
        elif exchange.method != "GET" or not (polls or websocket.is_handshake(exchange)):
            exchange.answer(400, _BAD_REQUEST)
        else:
            # The user is checked later, when a namespace is joined.
            ordinal = self._admission.admit(exchange, "socketio", username, known=True)
            if ordinal is None:
                return
            if polls:
                self._open(exchange, ordinal, username)
            else:
                factory = partial(self._factory, query=query)
                self._admission.upgrade(exchange, factory, ordinal, username)

    def _is_foreign(self, exchange: Exchange, username: str) -> bool:
        """Whether the request is of a page that may not connect; answer it if it is."""
        origin, accepted = exchange.headers.get("origin"), self._context.settings.origins
        if not origin or accepted is None or origin in accepted:
            return False
        # Like python-engineio: before any other check, and JSON labelled as text.
        exchange.send_chunked(400, "text/plain", dump("Not an accepted origin."))
        ordinal = self._admission.count()
        self._admission.record_refusal(ordinal, "socketio", username, "origin")
        return True

    def _open(self, exchange: Exchange, ordinal: int, username: str) -> None:
        socket = PollingSocket()
        connection = self._factory(self._context, socket, ordinal, username, exchange.query)
        socket.on_packet = connection.message
        socket.on_upgrade = partial(self._record_upgrade, ordinal)
        on_end = socket.on_end

        def forget(error: Exception | None) -> None:
            del self._sessions[connection.sid]
            on_end(error)

        socket.on_end = forget
        self._sessions[connection.sid] = connection, socket
        connection.begin()
        socket.poll(exchange)
        self._admission.stop_if_full()

    def _continue(self, exchange: Exchange, sid: str, *, polls: bool) -> None:
        found = self._sessions.get(sid)
        if found is None:
            exchange.answer(400, _UNKNOWN_SESSION)
            return
        connection, socket = found
        if not polls and websocket.is_handshake(exchange):
            early = websocket.upgrade(exchange, connection.ordinal)
            exchange.socket.on_bytes = connection.receive
            socket.probe(exchange.socket)
            if early:
                connection.receive(early)
        elif not polls:
            exchange.answer(400, _BAD_REQUEST)
        elif exchange.method == "POST":
            socket.post(exchange)
        else:
            socket.poll(exchange)

    def _record_upgrade(self, ordinal: int) -> None:
        self._context.recorder.write("upgraded", connection=ordinal, ns=wall_ns())
