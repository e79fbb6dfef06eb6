"""The publisher that hands codes in over a connection of its own."""

from __future__ import annotations

from locust.env import Environment

from sseload_users.core.clock import wall_ns
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.run.locust_stats import fire
from sseload_users.run.worker_run import WorkerRun
from sseload_users.targets import Identity, Publishing
from sseload_users.transports import ConnectFailed
from sseload_users.users.publishers import NAME, Draft, IngestFailed
from sseload_users.users.publishers.ingest_connection import IngestConnection


class IngestConnectionLost(Exception):  # noqa: N818 - its name stands in Locust's table
    """A publisher's connection that the server or the network ended."""


class ConnectionPublisher:
    """Hands codes in over one connection, which it keeps open.

    It observes the connection, and reports to Locust and to the run.

    Args:
        environment: Locust's.
        run: this process's part in the run.
        publishing: what to send, and what the server answers.
        identity: the user that connects.
        before: makes the requests before connecting, and has the network.
    """

    def __init__(
        self,
        environment: Environment,
        run: WorkerRun,
        publishing: Publishing,
        identity: Identity,
        before: BeforeRequests,
    ) -> None:
        self._environment = environment
        self._worker_run = run
        self._connection = IngestConnection(publishing, before, run.options, identity, self)
        self._kind = self._connection.kind

    def open(self) -> None:
        """Connect and stay connected.

        Raises:
            ConnectFailed: no attempt succeeded.
        """
        self._connection.open(self._worker_run.options.connect_attempts)

    def publish(self, draft: Draft) -> None:
        """Send a code and wait for its outcome."""
        began_ns = sent_ns = wall_ns()

        def on_sent(at_ns: int) -> None:
            nonlocal sent_ns
            sent_ns = at_ns
            draft.record_sent(at_ns)

        outcome = self._connection.publish(draft.text, on_sent, draft.channel, draft.payload_bytes)
        end_ns = wall_ns() if outcome.at_ns is None else outcome.at_ns
        if outcome.status == "unsent":
            sent_ns = began_ns
        took_us = max(end_ns - sent_ns, 0) // 1000
        cause = draft.record_outcome(outcome.status, took_us, outcome.cause, outcome.server_text)
        error = None if cause is None else IngestFailed(f"{outcome.status}: {cause}")
        fire(self._environment, self._kind, NAME, took_us / 1000, error=error)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    # ConnectionObserver

    def on_connected(self, took_ms: float) -> None:
        """Report the connection to Locust."""
        fire(self._environment, self._kind, f"{NAME} connect", took_ms)

    def on_connect_failed(self, error: ConnectFailed, took_ms: float) -> None:
        """Report the failed attempt to Locust."""
        fire(self._environment, self._kind, f"{NAME} connect", took_ms, error=error)

    def on_lost(self, cause: str) -> None:
        """Report the loss to Locust and to the leader."""
        if self._worker_run.finished:
            return
        error = IngestConnectionLost(cause)
        fire(self._environment, self._kind, f"{NAME} session", None, error=error)
        self._worker_run.publication.report_lost_connection(cause)

    def on_upkeep(self, cause: str | None, server_text: str) -> None:
        """Count an upkeep request."""
        self._worker_run.operations.count_upkeep(cause, server_text)

    def on_malformed(self, cause: str) -> None:
        """Count what cannot be decoded."""
        self._worker_run.operations.count_malformed(cause)
