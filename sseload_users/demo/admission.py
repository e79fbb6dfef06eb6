"""Which handshake is let in, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

from sseload_users.core.clock import wall_ns
from sseload_users.demo import websocket
from sseload_users.demo.http import Exchange
from sseload_users.demo.push import Context
from sseload_users.demo.stream import StreamConnection
from sseload_users.demo.websocket import WebSocketConnection
from sseload_users.demo.wire import Wire

#: What makes the connection of an answered WebSocket handshake.
Kind = Callable[[Context, Wire, int, str], WebSocketConnection]


class Admission:
    """Counts handshakes, and lets them in or not.

    Args:
        context: the server.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def count(self) -> int:
        """Count one more handshake; its ordinal."""
        self._context.handshakes += 1
        return self._context.handshakes

    def admit(
        self, exchange: Exchange, transport: str, username: str, *, known: bool
    ) -> int | None:
        """Let a handshake in: its ordinal, or None when it was refused.

        Args:
            exchange: the handshake, answered here if it is refused.
            transport: for the record.
            username: as the client gave it.
            known: let it in whoever the user is.
        """
        context, settings = self._context, self._context.settings
        ordinal = self.count()
        if context.plan.refuses(ordinal):
            how = context.plan.faults.refuse_how
            if how == "503":
                self._refuse(exchange, ordinal, transport, username, status=503, how=how)
            else:
                self.note_refusal(ordinal, transport, username, how)
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

    def note_refusal(self, ordinal: int, transport: str, username: str, how: str) -> None:
        """Put into the record that a handshake was refused."""
        self._context.recorder.write(
            "refused",
            connection=ordinal,
            transport=transport,
            username=username,
            how=how,
            ns=wall_ns(),
        )

    def upgrade(self, exchange: Exchange, kind: Kind, ordinal: int, username: str) -> None:
        """Open a WebSocket for a handshake that was let in."""
        early = websocket.upgrade(exchange, ordinal)
        connection = kind(self._context, exchange.wire, ordinal, username)
        connection.begin()
        self._stop_if_full()
        if early:
            connection.receive(early)

    def open_stream(
        self, exchange: Exchange, ordinal: int, username: str, *, needs_pong: bool
    ) -> None:
        """Open an event stream for a request that was let in, if it is not one too many."""
        streams = sum(isinstance(each, StreamConnection) for each in self._context.open)
        limit = self._context.settings.max_streams
        if limit and streams >= limit:
            self._refuse(exchange, ordinal, "sse", username, status=500, how="too many streams")
            return
        StreamConnection(self._context, exchange, ordinal, username, needs_pong=needs_pong)
        self._stop_if_full()

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
        """Answer with an error of this program's own, and put it into the record."""
        exchange.answer(status, {"error": f"Refused: {how}"})
        self.note_refusal(ordinal, transport, username, how)

    def _stop_if_full(self) -> None:
        limit = self._context.settings.memory_limit_connections
        if limit and len(self._context.open) >= limit:
            self._context.stop_hard("memory limit")
