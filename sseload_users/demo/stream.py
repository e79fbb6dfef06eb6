"""Server-sent events: the plain stream, and the embedded one with token and pongs."""

from __future__ import annotations

import asyncio
import secrets

from sseload_users.demo.http import Exchange
from sseload_users.demo.messages import StreamFormat
from sseload_users.demo.push import Context, PushConnection
from sseload_users.demo.subscriptions import channels_in, index_in

HEADERS = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),
)

#: Seconds after a node's return at which clients are told to reconnect: starting takes time.
_RETRY_MARGIN_S = 0.5


class StreamConnection(PushConnection):
    """An event stream.

    Args:
        context: the server's shared state.
        exchange: the request; answered here.
        ordinal: its number in the record.
        username: as given by the client.
        needs_pong: codes stop if the client's pongs are missing.

    Attributes:
        connection_id: identifies the stream in the client's pongs.
    """

    transport = "sse"

    def __init__(
        self, context: Context, exchange: Exchange, ordinal: int, username: str, *, needs_pong: bool
    ) -> None:
        exchange.stream(*HEADERS, ("X-Demo-Connection", str(ordinal)))
        super().__init__(context, exchange.socket, ordinal, username)
        self.connection_id = secrets.token_hex(8)
        self._loop = asyncio.get_running_loop()
        self._format = StreamFormat(chunked=exchange.http11, numbered=not needs_pong)
        self._ping_message = {"type": "ping"}
        self._comment_next = True
        self._pongs_missing = False
        self._pong_timer: asyncio.TimerHandle | None = None
        after = None if needs_pong else index_in(exchange.headers.get("last-event-id", ""))
        settings = context.settings
        if settings.restart_after:
            # A client that returned at once would find the node away.
            retry_ms = round((settings.restart_away + _RETRY_MARGIN_S) * 1000)
            self.socket.write(self._format.block(f"retry: {retry_ms}\n\n"))
        greeting = {"type": "connected", "connection_id": self.connection_id}
        # A client that returns before any code has an ID all the same.
        index = None if needs_pong else context.hub.newest if after is None else after
        self.socket.write(self._format.data(greeting, index))
        channels = channels_in(exchange.query.get("channel", ""))
        self.subscribe(self._format, channels=channels, after=after)
        self._schedule_ping()
        if needs_pong:
            self._ping_message["connection_id"] = self.connection_id
            self._start_pong_timeout()

    def pong(self) -> None:
        """Restart the pong timeout; has no effect once codes have stopped."""
        if self._pong_timer is not None and not self.silent:
            self._pong_timer.cancel()
            self._start_pong_timeout()

    def close(self, code: int) -> None:  # noqa: ARG002 - streams have no close codes
        """End the stream in order; ``code`` does not apply."""
        self.mark_ended("server")
        self.socket.write(self._format.end())
        self.socket.close()

    def stop(self) -> None:
        """Cancel the timers."""
        self._ping_timer.cancel()
        if self._pong_timer is not None:
            self._pong_timer.cancel()

    def _start_pong_timeout(self) -> None:
        self._pong_timer = self._loop.call_later(self.context.settings.pong_timeout, self._mute)

    def _mute(self) -> None:
        """Stop codes because of missing pongs; the stream stays open."""
        if not self.silent:
            self.silent = True
            self._pongs_missing = True
            self._record_drop("no pong")

    def _ping(self) -> None:
        """Write a comment and a ping message in turn, every half interval."""
        if not self.silent or self._pongs_missing:
            if self._comment_next:
                self.socket.write(self._format.block(": SSE keepalive\n\n"))
            else:
                self.socket.write(self._format.data(self._ping_message))
        self._comment_next = not self._comment_next
        self._schedule_ping()

    def _schedule_ping(self) -> None:
        self._ping_timer = self._loop.call_later(self.context.settings.sse_ping / 2, self._ping)
