"""Ingest: validate a submitted code, answer, and broadcast it.

Ingest faults and ``--dedupe`` are applied here, for HTTP and Socket.IO alike.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from sseload_users.core.clock import wall_ns
from sseload_users.demo.messages import IngestedCode
from sseload_users.demo.push import Context

#: The longest accepted code, in characters.
_CODE_LENGTH = 1000


class Rejection(NamedTuple):
    """Why a code is rejected: an HTTP status and a message."""

    status: int
    error: str


class Submission(Protocol):
    """A submitted code and the means to answer it once.

    Attributes:
        username: who submits it; empty if not given.
        payload: the submitted object; empty if it could not be parsed.
        connection: ordinal of the submitting connection; None for an HTTP request.
    """

    username: str
    payload: dict[str, Any]
    connection: int | None

    def rejection(self) -> Rejection | None:
        """Return why it is invalid, or None."""

    def code(self) -> IngestedCode:
        """Return the code to broadcast."""

    def accept(self) -> int | str:
        """Answer that it was accepted; return the answer's name in the record."""

    def reject(self, rejection: Rejection) -> int | str:
        """Answer that it was rejected; return the answer's name in the record."""

    def reset(self) -> None:
        """Reset the connection that it came over by TCP."""


@dataclass(frozen=True, slots=True)
class _ReceivedCode:
    """A submission, its ordinal, and when it was received (wall clock, ns)."""

    submission: Submission
    number: int
    ns: int


class IngestHandler:
    """Answer submitted codes, then broadcast the accepted ones.

    Args:
        context: the server's shared state.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._recent: deque[tuple[float, str, str]] = deque()

    def submit(self, submission: Submission) -> None:
        """Answer a submission, now or after ``--ingest-delay``."""
        self._context.counts.ingests += 1
        received = _ReceivedCode(submission, self._context.counts.ingests, wall_ns())
        delay = self._context.settings.ingest_delay
        if delay:
            asyncio.get_running_loop().call_later(delay, self._answer, received)
        else:
            self._answer(received)

    def _answer(self, received: _ReceivedCode) -> None:
        plan, submission = self._context.plan, received.submission
        injected = plan.rejects(received.number)
        rejection = submission.rejection()
        if injected is not None:
            answer = submission.reject(Rejection(injected, "Injected fault"))
            self._record(received, answer, fault="status")
        elif rejection is not None:
            self._record(received, submission.reject(rejection))
        elif self._repeated(submission.username, text(submission.payload, "code")):
            self._record(received, submission.accept(), fault="dedupe")
        elif plan.forgets(received.number):
            self._record(received, submission.accept(), fault="lose")
        elif plan.hangs(received.number):
            self._record(received, "hang", self._broadcast(submission), "hang")
        elif plan.resets(received.number):
            index = self._broadcast(submission)
            submission.reset()
            self._record(received, "reset", index, "reset")
        else:
            # Answer first, as the code server does: an answer does not promise a delivery.
            answer = submission.accept()
            self._record(received, answer, self._broadcast(submission))

    def _broadcast(self, submission: Submission) -> int:
        return self._context.hub.broadcast(submission.code())

    def _record(
        self, received: _ReceivedCode, status: int | str, index: int | None = None, fault: str = ""
    ) -> None:
        self._context.recorder.write(
            "ingest",
            code=text(received.submission.payload, "code"),
            status=status,
            index=index,
            ns=received.ns,
            fault=fault,
            connection=received.submission.connection,
            node=self._context.node,
        )

    def _repeated(self, username: str, code: str) -> bool:
        """Whether ``--dedupe`` suppresses this code; remember it if not."""
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


def invalid(payload: dict[str, Any]) -> Rejection | None:
    """Return why the code itself is invalid, or None."""
    code = text(payload, "code")
    if not code.strip() or len(code) > _CODE_LENGTH:
        return Rejection(400, "Invalid code data")
    return None


def text(payload: dict[str, Any], name: str) -> str:
    """Return a text field; empty if it is missing or not a text."""
    value = payload.get(name)
    return value if isinstance(value, str) else ""


def channel(payload: dict[str, Any], query: Mapping[str, str]) -> str:
    """Return the channel that a code is for, from its object or else the query; empty if none."""
    return text(payload, "channel") or query.get("channel", "")


def metadata(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the field ``metadata``; empty if it is missing or not an object."""
    value = payload.get("metadata")
    return value if isinstance(value, dict) else {}


def now() -> str:
    """Return the current time as the code server writes it: ISO 8601, UTC, no offset."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()
