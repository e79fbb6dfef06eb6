"""Codes in: the answers of the code server to ``POST /api/ingest``, and their faults."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

from sseload_users.core.clock import wall_ns
from sseload_users.demo.http import Exchange
from sseload_users.demo.messages import Code
from sseload_users.demo.push import Context

#: The longest code that is taken, in characters.
_CODE_LENGTH = 1000


class Ingest:
    """Takes codes, answers, and hands them on to be broadcast, in this order.

    Args:
        context: the server.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._requests = 0
        self._recent: deque[tuple[float, str, str]] = deque()

    def handle(self, exchange: Exchange) -> None:
        """Answer one request, now or after ``--ingest-delay``."""
        self._requests += 1
        delay = self._context.settings.ingest_delay
        if delay:
            loop = asyncio.get_running_loop()
            loop.call_later(delay, self._answer, exchange, self._requests, wall_ns())
        else:
            self._answer(exchange, self._requests, wall_ns())

    def _answer(self, exchange: Exchange, request: int, came_ns: int) -> None:
        plan = self._context.plan
        payload = _payload(exchange)
        text = _text(payload, "code")

        def note(status: int | str, index: int | None = None, fault: str = "") -> None:
            self._context.recorder.write(
                "ingest", code=text, status=status, index=index, ns=came_ns, fault=fault
            )

        ordered = plan.rejects(request)
        if ordered is not None:
            exchange.answer(ordered, {"error": "This answer was ordered"})
            note(ordered, fault="status")
            return
        status, mistake = self._judge(payload)
        if payload is None or mistake:
            exchange.answer(status, {"error": mistake})
            note(status)
            return
        username = _text(payload, "username")
        answer = {
            "message": "Code received and broadcasted",
            "status": "success",
            "username": username,
        }
        if self._repeated(username, text):
            exchange.answer(200, answer)
            note(200, fault="dedupe")
            return
        hangs = plan.hangs(request)
        if not hangs:
            # The answer comes first, as the code server's does: it promises no delivery.
            exchange.answer(200, answer)
        index = self._context.hub.broadcast(
            Code(
                text,
                username=username,
                user_id=self._context.user_id(username) or 0,
                timestamp=datetime.now(UTC).replace(tzinfo=None).isoformat(),
                source=_text(payload, "source"),
                type=_text(payload, "type") or "default",
                metadata=_metadata(payload),
            )
        )
        note("hang" if hangs else 200, index, "hang" if hangs else "")

    def _judge(self, payload: dict[str, Any] | None) -> tuple[int, str]:
        """The status, and what is wrong; nothing if all is well."""
        if payload is None:
            return 500, "Internal server error"
        username = _text(payload, "username")
        if not username:
            return 400, "username is required"
        if self._context.user_id(username) is None:
            return 403, "Unknown username"
        code = _text(payload, "code")
        if not code.strip() or len(code) > _CODE_LENGTH:
            return 400, "Invalid code data"
        return 200, ""

    def _repeated(self, username: str, code: str) -> bool:
        """Whether ``--dedupe`` swallows this code; one that it does not is remembered."""
        seconds = self._context.settings.dedupe
        if not seconds:
            return False
        now = time.monotonic()
        while self._recent and self._recent[0][0] <= now - seconds:
            self._recent.popleft()
        if any(seen[1:] == (username, code) for seen in self._recent):
            return True
        self._recent.append((now, username, code))
        return False


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


def _text(payload: dict[str, Any] | None, name: str) -> str:
    value = payload.get(name) if payload else None
    return value if isinstance(value, str) else ""


def _metadata(payload: dict[str, Any]) -> dict[str, Any]:
    value = payload.get("metadata")
    return value if isinstance(value, dict) else {}
