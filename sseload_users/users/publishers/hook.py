"""The publisher that hands codes in by the Python code of a locustfile."""

from __future__ import annotations

from collections.abc import Callable

from locust.env import Environment

from sseload_users.core.clock import wall_ns
from sseload_users.core.code_tally import Status
from sseload_users.run.locust_stats import fire
from sseload_users.transports.patience import PatientTimeout
from sseload_users.users.publishers import NAME, Draft, IngestFailed

_LATE = "no answer in time"


class HookPublisher:
    """Hands in each code by a call of `CodeBroadcaster.publish`.

    A code is sent when the call begins and accepted when it returns. If it raises, the code is
    unsent; if it takes too long, the code is unanswered.

    Args:
        environment: Locust's.
        publish: sends a code.
        timeout_s: seconds within which it must return.
    """

    def __init__(
        self, environment: Environment, publish: Callable[[str], object], timeout_s: float
    ) -> None:
        self._environment = environment
        self._publish = publish
        self._timeout_s = timeout_s

    def open(self) -> None:
        """Do nothing: the locustfile opens what it needs."""

    def publish(self, draft: Draft) -> None:
        """Hand in a code; what the call raises is raised."""
        late = TimeoutError(_LATE)
        status: Status = "accepted"
        cause: str | None = None
        sent_ns = wall_ns()
        try:
            with PatientTimeout(self._timeout_s, late):
                self._publish(draft.text(sent_ns))
        except TimeoutError as error:
            if error is not late:
                raise
            status, cause = "unanswered", _LATE
        took_us = (wall_ns() - sent_ns) // 1000
        draft.record_sent(sent_ns)
        cause = draft.record_outcome(status, took_us, cause, "")
        failed = None if cause is None else IngestFailed(f"{status}: {cause}")
        fire(self._environment, "CODE", NAME, took_us / 1000, error=failed)

    def close(self) -> None:
        """Do nothing: the locustfile closes what it has opened."""
