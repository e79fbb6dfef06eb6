"""Codes in by HTTP: the code server's answers to ``POST /api/ingest``."""

from __future__ import annotations

import json
from typing import Any

from sseload_users.core.clock import wall_ns
from sseload_users.demo import intake
from sseload_users.demo.http import Exchange
from sseload_users.demo.intake import Mistake
from sseload_users.demo.messages import IngestedCode
from sseload_users.demo.push import Context

_GONE = {
    "error": "HTTP ingest has been disabled",
    "next_steps": "Connect to the /ws/ingest Socket.IO namespace and include the shared ingest "
    "token.",
}


class HttpSubmission:
    """A code in a request.

    Args:
        context: the server.
        exchange: the request.
    """

    connection: int | None = None

    def __init__(self, context: Context, exchange: Exchange) -> None:
        read = _payload(exchange)
        self.payload = read or {}
        self.username = intake.text(self.payload, "username")
        self._readable = read is not None
        self._context = context
        self._exchange = exchange

    def mistake(self) -> Mistake | None:
        """What is wrong with it, in the order in which the code server looks."""
        if not self._readable:
            return Mistake(500, "Internal server error")
        if not self.username:
            return Mistake(400, "username is required")
        if self._context.user_id(self.username) is None:
            return Mistake(403, "Unknown username")
        return intake.invalid(self.payload)

    def code(self) -> IngestedCode:
        """What is to be broadcast."""
        return IngestedCode(
            intake.text(self.payload, "code"),
            username=self.username,
            user_id=self._context.user_id(self.username) or 0,
            timestamp=intake.now(),
            source=intake.text(self.payload, "source"),
            type=intake.text(self.payload, "type") or "default",
            metadata=intake.metadata(self.payload),
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

    def reject(self, mistake: Mistake) -> int:
        """Answer with the status and the words."""
        self._exchange.answer(mistake.status, {"error": mistake.error})
        return mistake.status

    def reset(self) -> None:
        """Reset the request's connection."""
        self._exchange.wire.reset()


def gone(context: Context, exchange: Exchange) -> None:
    """Answer as the server does today: 410, whatever the request, and where codes go in now."""
    exchange.answer(410, _GONE)
    context.recorder.write(
        "ingest",
        code=intake.text(_payload(exchange) or {}, "code"),
        status=410,
        index=None,
        ns=wall_ns(),
    )


def _payload(exchange: Exchange) -> dict[str, Any] | None:
    """The JSON object of a request; None for anything else, which the code server fails on."""
    kind = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return None
    try:
        value = json.loads(exchange.body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
