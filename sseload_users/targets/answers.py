"""What HTTP answers mean according to a profile."""

from __future__ import annotations

from collections.abc import Sequence

from sseload_users.targets.ingest import IngestBeforeSpec
from sseload_users.targets.requests import answer_matches, capture_from, refusal
from sseload_users.targets.spec import ProfileSpec
from sseload_users.transports.http_request import HttpResponse


class HttpAnswers:
    """Interpret the answers to a profile's requests.

    Args:
        spec: the profile's file.
    """

    def __init__(self, spec: ProfileSpec) -> None:
        self._spec = spec

    def ingest_answer(
        self, step: int, answer: HttpResponse, redirects: Sequence[HttpResponse] = ()
    ) -> tuple[str | None, dict[str, str]]:
        """Return what an answer to a request for a code means.

        Args:
            step: index of the request; see `HttpIngestSpec.requests`.
            answer: the answer.
            redirects: the answers that led to it, whose headers count as well.

        Returns:
            None, or the countable cause why it is a failure; and the values that it gives, by name.
        """
        call = self._spec.ingest_request.requests[step]
        cause = refusal(call.expect, answer.status, answer.body)
        if cause is not None or not isinstance(call, IngestBeforeSpec):
            return cause, {}
        found = capture_from(call.capture, answer, redirects)
        missing = next((name for name in call.capture if name not in found), None)
        # Without the answer, which may contain secrets.
        return (None if missing is None else f"no {missing} in the answer"), found

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
