"""Admission control: accept or refuse each handshake."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from sseload_users.core.clock import wall_ns
from sseload_users.demo import websocket
from sseload_users.demo.client_socket import PushSocket
from sseload_users.demo.http import Exchange
from sseload_users.demo.push import Context, PushConnection
from sseload_users.demo.stream import StreamConnection
from sseload_users.demo.websocket import WebSocketConnection

#: Creates the connection after a WebSocket handshake has been answered.
ConnectionFactory = Callable[[Context, PushSocket, int, str], WebSocketConnection]


class Admission:
    """Count handshakes and accept or refuse them.

    Args:
        context: the server's shared state.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        # When the latest handshakes were accepted (monotonic clock, s).
        self._accepted: deque[float] = deque()

    def count(self) -> int:
        """Count a handshake and return its ordinal."""
        self._context.counts.handshakes += 1
        return self._context.counts.handshakes

    def admit(
        self, exchange: Exchange, transport: str, username: str, *, known: bool
    ) -> int | None:
        """Accept a handshake and return its ordinal, or refuse it and return None.

        Args:
            exchange: the handshake; answered here if it is refused.
            transport: the transport's name in the record.
            username: as given by the client.
            known: skip the check that the user is known.
        """
        context, settings = self._context, self._context.settings
        ordinal = self.count()
        if context.plan.refuses(ordinal):
            how = context.plan.faults.refuse_how
            if how == "503":
                self._refuse(exchange, ordinal, transport, username, status=503, how=how)
            else:
                self.record_refusal(ordinal, transport, username, how)
                if how == "reset":
                    exchange.socket.reset()
        elif settings.max_connections and len(context.open) >= settings.max_connections:
            full = "too many connections"
            self._refuse(exchange, ordinal, transport, username, status=503, how=full)
        elif self._is_too_fast():
            self._refuse(exchange, ordinal, transport, username, status=503, how="too fast")
        elif not known and context.user_id(username) is None:
            unknown = "unknown username"
            self._refuse(exchange, ordinal, transport, username, status=403, how=unknown)
        else:
            return ordinal
        return None

    def _is_too_fast(self) -> bool:
        """Whether ``--handshake-rate`` is exceeded; count the handshake if not."""
        most = self._context.settings.handshake_rate
        if not most:
            return False
        now = time.monotonic()
        while self._accepted and self._accepted[0] <= now - 1:
            self._accepted.popleft()
        if len(self._accepted) >= most:
            return True
        self._accepted.append(now)
        return False

    def record_refusal(self, ordinal: int, transport: str, username: str, how: str) -> None:
        """Record a refused handshake."""
        self._context.recorder.write(
            "refused",
            connection=ordinal,
            node=self._context.node,
            transport=transport,
            username=username,
            how=how,
            ns=wall_ns(),
        )

    def upgrade(
        self, exchange: Exchange, factory: ConnectionFactory, ordinal: int, username: str
    ) -> None:
        """Open a WebSocket for an accepted handshake."""
        early = websocket.upgrade(exchange, ordinal)
        connection = factory(self._context, exchange.socket, ordinal, username)
        connection.begin()
        self._opened(connection)
        if early:
            connection.receive(early)

    def open_stream(
        self, exchange: Exchange, ordinal: int, username: str, *, needs_pong: bool
    ) -> None:
        """Open an event stream for an accepted request, unless ``--max-streams`` is reached."""
        streams = sum(isinstance(each, StreamConnection) for each in self._context.open)
        limit = self._context.settings.max_streams
        if limit and streams >= limit:
            self._refuse(exchange, ordinal, "sse", username, status=500, how="too many streams")
            return
        self._opened(
            StreamConnection(self._context, exchange, ordinal, username, needs_pong=needs_pong)
        )

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
        """Answer with a JSON error and record the refusal."""
        exchange.answer(status, {"error": f"Refused: {how}"})
        self.record_refusal(ordinal, transport, username, how)

    def _opened(self, connection: PushConnection) -> None:
        if self._context.settings.one_session:
            connection.end_others()
        self.stop_if_full()

    def stop_if_full(self) -> None:
        """End the process if ``--memory-limit-connections`` is reached."""
        limit = self._context.settings.memory_limit_connections
        if limit and len(self._context.open) >= limit:
            self._context.kill("memory limit")
