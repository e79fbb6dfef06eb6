"""What HTTP answers mean according to a profile."""

from __future__ import annotations

from sseload_users.targets.requests import answer_matches, refusal
from sseload_users.targets.spec import ProfileSpec


class HttpAnswers:
    """Interpret the answers to a profile's requests.

    Args:
        spec: the profile's file.
    """

    def __init__(self, spec: ProfileSpec) -> None:
        self._spec = spec

    def ingest_failure(self, status: int, body: bytes) -> str | None:
        """Return None if an answer accepts a code, else the countable cause."""
        return refusal(self._spec.ingest_request.expect, status, body)

    def is_healthy(self, status: int, body: bytes) -> bool:
        """Whether an answer to the health check reports a healthy server."""
        health = self._spec.health
        return health is None or refusal(health.expect, status, body) is None

    def knows_user(self, status: int, body: bytes) -> bool | None:
        """Whether the server knows the user; None if the answer does not say so clearly."""
        verify = self._spec.verify
        if verify is None:
            return None
        if verify.refuse is not None and answer_matches(verify.refuse, status, body):
            return False
        return True if refusal(verify.expect, status, body) is None else None
