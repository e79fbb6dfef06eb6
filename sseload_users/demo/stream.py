"""Server-sent events: the plain stream, and the one with a token and pongs."""

from __future__ import annotations

import asyncio
import secrets

from sseload_users.demo.http import Exchange
from sseload_users.demo.messages import StreamFormat
from sseload_users.demo.push import Context, PushConnection

HEADERS = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),
)


class StreamConnection(PushConnection):
    """An event stream.

    Args:
        context: the server.
        exchange: the request, which this answers.
        ordinal: its number in the record.
        username: as the client gave it.
        needs_pong: codes stop when the client's pongs do.

    Attributes:
        connection_id: what the client names in its pongs.
    """

    transport = "sse"

    def __init__(
        self, context: Context, exchange: Exchange, ordinal: int, username: str, *, needs_pong: bool
    ) -> None:
        exchange.stream(*HEADERS, ("X-Demo-Connection", str(ordinal)))
        super().__init__(context, exchange.wire, ordinal, username)
        self.username = username
        self.connection_id = secrets.token_hex(8)
        self._loop = asyncio.get_running_loop()
        self._format = StreamFormat(chunked=exchange.http11, numbered=not needs_pong)
        self._ping_message = {"type": "ping"}
        self._comment_next = True
        self._pongs_missing = False
        self._pong_timer: asyncio.TimerHandle | None = None
        self.wire.write(
            self._format.data({"type": "connected", "connection_id": self.connection_id})
        )
        self.subscribe(self._format, after=None if needs_pong else _after(exchange))
        self._await_ping()
        if needs_pong:
            self._ping_message["connection_id"] = self.connection_id
            self._await_pong()

    def pong(self) -> None:
        """The client is still there; too late, if codes have stopped."""
        if self._pong_timer is not None and not self.silent:
            self._pong_timer.cancel()
            self._await_pong()

    def hang_up(self, code: int) -> None:  # noqa: ARG002 - streams have no codes
        """End the stream in order."""
        self.ending("server")
        self.wire.write(self._format.end())
        self.wire.close()

    def stop(self) -> None:
        """Stop the pings."""
        self._ping_timer.cancel()
        if self._pong_timer is not None:
            self._pong_timer.cancel()

    def _await_pong(self) -> None:
        self._pong_timer = self._loop.call_later(self.context.settings.pong_timeout, self._mute)

    def _mute(self) -> None:
        """The client's pongs are missing: codes stop, though the stream stays open."""
        if not self.silent:
            self.silent = True
            self._pongs_missing = True
            self._note_drop("no pong")

    def _ping(self) -> None:
        """Every so often a comment, and as often, half-way between, a message."""
        if not self.silent or self._pongs_missing:
            if self._comment_next:
                self.wire.write(self._format.block(": SSE keepalive\n\n"))
            else:
                self.wire.write(self._format.data(self._ping_message))
        self._comment_next = not self._comment_next
        self._await_ping()

    def _await_ping(self) -> None:
        self._ping_timer = self._loop.call_later(self.context.settings.sse_ping / 2, self._ping)


def _after(exchange: Exchange) -> int | None:
    """The index of the newest code that the client has, by ``Last-Event-ID``."""
    last = exchange.headers.get("last-event-id", "")
    return int(last) if last.isascii() and last.isdigit() else None
