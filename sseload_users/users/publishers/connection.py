"""Codes in over a connection of the publisher's, with Locust and the run told of it."""

from __future__ import annotations

from locust.env import Environment

from sseload_users.core.clock import wall_ns
from sseload_users.run.locust_stats import fire
from sseload_users.run.worker_run import WorkerRun
from sseload_users.targets import Identity, Publishing
from sseload_users.transports import ConnectFailed
from sseload_users.users.publishers import NAME, Draft, IngestFailed
from sseload_users.users.publishers.ingest_connection import IngestConnection


class IngestConnectionLost(Exception):  # noqa: N818 - its name stands in Locust's table
    """A connection of the publisher's that the server or the network ended."""


class ConnectionPublisher:
    """Hands codes in over one connection, which it keeps.

    Args:
        environment: Locust's.
        station: the process's part in the run.
        publishing: what to say.
        identity: as whom.
    """

    def __init__(
        self,
        environment: Environment,
        station: WorkerRun,
        publishing: Publishing,
        identity: Identity,
    ) -> None:
        self._environment = environment
        self._station = station
        self._connection = IngestConnection(
            publishing, station.before, station.options, identity, self
        )
        self._kind = self._connection.kind

    def open(self) -> None:
        """Connect, and stay connected.

        Raises:
            ConnectFailed: it could not be made.
        """
        self._connection.open(self._station.options.connect_attempts)

    def publish(self, draft: Draft) -> None:
        """Send a code, and wait for its answer."""
        began_ns = sent_ns = wall_ns()

        def written(at_ns: int) -> None:
            nonlocal sent_ns
            sent_ns = at_ns
            draft.written(at_ns)

        outcome = self._connection.publish(draft.text, written)
        end_ns = wall_ns() if outcome.at_ns is None else outcome.at_ns
        if outcome.status == "unsent":
            sent_ns = began_ns
        took_us = max(end_ns - sent_ns, 0) // 1000
        cause = draft.answered(outcome.status, took_us, outcome.cause, outcome.said)
        error = None if cause is None else IngestFailed(f"{outcome.status}: {cause}")
        fire(self._environment, self._kind, NAME, took_us / 1000, error=error)

    def close(self) -> None:
        """Say goodbye."""
        self._connection.close()

    # As the connection's watcher

    def connected(self, took_ms: float) -> None:
        """See `ingest_connection.Watcher`."""
        fire(self._environment, self._kind, f"{NAME} connect", took_ms)

    def failed(self, error: ConnectFailed, took_ms: float) -> None:
        """See `ingest_connection.Watcher`."""
        fire(self._environment, self._kind, f"{NAME} connect", took_ms, error=error)

    def lost(self, cause: str) -> None:
        """See `ingest_connection.Watcher`."""
        if self._station.finished:
            return
        error = IngestConnectionLost(cause)
        fire(self._environment, self._kind, f"{NAME} session", None, error=error)
        self._station.publisher_lost(cause)

    def kept_alive(self, cause: str | None, said: str) -> None:
        """See `ingest_connection.Watcher`."""
        self._station.kept_alive(cause, said)

    def malformed(self, cause: str) -> None:
        """See `ingest_connection.Watcher`."""
        self._station.malformed(cause)
