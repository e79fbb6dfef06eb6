"""What answers to requests for codes mean, for tests."""

from __future__ import annotations

from sseload_users.targets import Target
from sseload_users.transports.http_request import HttpResponse


def ingest_failure(target: Target, status: int, body: bytes) -> str | None:
    """Return the cause why an answer does not accept a code; None if it does."""
    return target.answers.ingest_answer(-1, HttpResponse(status, body))[0]
