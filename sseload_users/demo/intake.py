"""Codes in, however they come: judged, answered, and handed on to be broadcast.

The faults of ingests and the silence about repeated codes are here, once for all ways in.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from sseload_users.core.clock import wall_ns
from sseload_users.demo.messages import IngestedCode
from sseload_users.demo.push import Context

#: The longest code that is taken, in characters.
_CODE_LENGTH = 1000


class Mistake(NamedTuple):
    """Why a code is not taken: as an HTTP status, and in words."""

    status: int
    error: str


class Submission(Protocol):
    """A code that somebody hands in, and the means to answer, once.

    Attributes:
        username: who hands it in; empty if nobody is named.
        payload: what came with it; empty if that could not be read.
        connection: the ordinal of the connection that it came over, or None for a request.
    """

    username: str
    payload: dict[str, Any]
    connection: int | None

    def mistake(self) -> Mistake | None:
        """What is wrong with it."""

    def code(self) -> IngestedCode:
        """What is to be broadcast."""

    def accept(self) -> int | str:
        """Say that it was taken; what the record calls this answer."""

    def reject(self, mistake: Mistake) -> int | str:
        """Say that it was not taken; what the record calls this answer."""

    def reset(self) -> None:
        """Reset the connection that it came over."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A code that is to be answered: the how-manieth it is, and when it came."""

    submission: Submission
    number: int
    ns: int


class Intake:
    """Takes codes, answers, and hands them on to be broadcast, in this order.

    Args:
        context: the server.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._arrivals = 0
        self._recent: deque[tuple[float, str, str]] = deque()

    def take(self, submission: Submission) -> None:
        """Answer one, now or after ``--ingest-delay``."""
        self._arrivals += 1
        arrival = _Arrival(submission, self._arrivals, wall_ns())
        delay = self._context.settings.ingest_delay
        if delay:
            asyncio.get_running_loop().call_later(delay, self._answer, arrival)
        else:
            self._answer(arrival)

    def _answer(self, arrival: _Arrival) -> None:
        plan, submission = self._context.plan, arrival.submission
        ordered = plan.rejects(arrival.number)
        mistake = submission.mistake()
        if ordered is not None:
            answer = submission.reject(Mistake(ordered, "This answer was ordered"))
            self._note(arrival, answer, fault="status")
        elif mistake is not None:
            self._note(arrival, submission.reject(mistake))
        elif self._repeated(submission.username, text(submission.payload, "code")):
            self._note(arrival, submission.accept(), fault="dedupe")
        elif plan.hangs(arrival.number):
            self._note(arrival, "hang", self._broadcast(submission), "hang")
        elif plan.resets(arrival.number):
            index = self._broadcast(submission)
            submission.reset()
            self._note(arrival, "reset", index, "reset")
        else:
            # The answer comes first, as the code server's does: it promises no delivery.
            answer = submission.accept()
            self._note(arrival, answer, self._broadcast(submission))

    def _broadcast(self, submission: Submission) -> int:
        return self._context.hub.broadcast(submission.code())

    def _note(
        self, arrival: _Arrival, status: int | str, index: int | None = None, fault: str = ""
    ) -> None:
        self._context.recorder.write(
            "ingest",
            code=text(arrival.submission.payload, "code"),
            status=status,
            index=index,
            ns=arrival.ns,
            fault=fault,
            connection=arrival.submission.connection,
        )

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


def invalid(payload: dict[str, Any]) -> Mistake | None:
    """What is wrong with the code itself."""
    code = text(payload, "code")
    if not code.strip() or len(code) > _CODE_LENGTH:
        return Mistake(400, "Invalid code data")
    return None


def text(payload: dict[str, Any], name: str) -> str:
    """A field that is text; empty otherwise."""
    value = payload.get(name)
    return value if isinstance(value, str) else ""


def metadata(payload: dict[str, Any]) -> dict[str, Any]:
    """The field ``metadata``, if it is an object; empty otherwise."""
    value = payload.get("metadata")
    return value if isinstance(value, dict) else {}


def now() -> str:
    """The time as the code server writes it: ISO 8601, UTC, and not saying so."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()
