"""Ingest by HTTP: the code server's answers to ``POST /api/ingest``."""

from __future__ import annotations

import json
from typing import Any

from sseload_users.core.clock import wall_ns
from sseload_users.demo import ingest_handler
from sseload_users.demo.http import Exchange
from sseload_users.demo.ingest_handler import Rejection
from sseload_users.demo.messages import IngestedCode
from sseload_users.demo.push import Context

_GONE = {
    "error": "HTTP ingest has been disabled",
    "next_steps": "Connect to the /ws/ingest Socket.IO namespace and include the shared ingest "
    "token.",
}


class HttpSubmission:
    """A code submitted by an HTTP request.

    Args:
        context: the server's shared state.
        exchange: the request.
    """

    connection: int | None = None

    def __init__(self, context: Context, exchange: Exchange) -> None:
        read = _payload(exchange)
        self.payload = read or {}
        self.username = ingest_handler.text(self.payload, "username")
        self._readable = read is not None
        self._context = context
        self._exchange = exchange

    def rejection(self) -> Rejection | None:
        """Return why it is invalid, or None, checking in the code server's order."""
        if not self._readable:
            return Rejection(500, "Internal server error")
        if not self.username:
            return Rejection(400, "username is required")
        if self._context.user_id(self.username) is None:
            return Rejection(403, "Unknown username")
        return ingest_handler.invalid(self.payload)

    def code(self) -> IngestedCode:
        """Return the code to broadcast."""
        return IngestedCode(
            ingest_handler.text(self.payload, "code"),
            username=self.username,
            user_id=self._context.user_id(self.username) or 0,
            timestamp=ingest_handler.now(),
            source=ingest_handler.text(self.payload, "source"),
            type=ingest_handler.text(self.payload, "type") or "default",
            metadata=ingest_handler.metadata(self.payload),
            padding=ingest_handler.text(self.payload, "padding"),
            channel=ingest_handler.channel(self.payload, self._exchange.query),
        )

    def accept(self) -> int:
        """Answer 200."""
        self._exchange.answer(
            200,
            {
                "message": "Code received and broadcasted",
                "status": "success",
                "username": self.username,
            },
        )
        return 200

    def reject(self, rejection: Rejection) -> int:
        """Answer with the status and the message."""
        self._exchange.answer(rejection.status, {"error": rejection.error})
        return rejection.status

    def reset(self) -> None:
        """Reset the request's connection by TCP."""
        self._exchange.socket.reset()


def gone(context: Context, exchange: Exchange) -> None:
    """Answer 410 and name the new way in, as today's server does for every request."""
    exchange.answer(410, _GONE)
    context.recorder.write(
        "ingest",
        code=ingest_handler.text(_payload(exchange) or {}, "code"),
        status=410,
        index=None,
        ns=wall_ns(),
        node=context.node,
    )


def _payload(exchange: Exchange) -> dict[str, Any] | None:
    """Return a request's JSON object; None for anything else, which crashes the code server."""
    kind = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return None
    try:
        value = json.loads(exchange.body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
