"""How `check` hands its code in over a publisher's connection."""

from __future__ import annotations

from sseload_users.options import Options
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.targets import Publishing
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.server_text import text_beyond
from sseload_users.users.publishers.answers import PublishOutcome
from sseload_users.users.publishers.ingest_connection import IngestConnection

#: The word for an accepted code, by what answers it.
_ACCEPTED = {"ack": "acknowledged", "message": "answered", "none": "written"}


class CheckedPublisher:
    """The publisher's connection of one check; it observes the connection itself.

    Args:
        publishing: what to send, and what the server answers.
        before: makes the requests before connecting.
        options: the check's options.
        identity: the user that connects.

    Attributes:
        way: how the code is handed in, in words.
        connect_ms: how long connecting took.
    """

    def __init__(
        self, publishing: Publishing, before: BeforeRequests, options: Options, identity: Identity
    ) -> None:
        self.way = publishing.way
        self.connect_ms = 0.0
        self._accepted = _ACCEPTED[publishing.expects]
        self._sent_ns = 0
        self._connection = IngestConnection(publishing, before, options, identity, self)

    @property
    def place(self) -> str:
        """URL of the connection, without its query."""
        return self._connection.place

    def open(self) -> None:
        """Connect.

        Raises:
            ConnectFailed: the attempt failed.
        """
        self._connection.open(1)

    def send(self, code: str) -> tuple[PublishOutcome, int]:
        """Send a code and wait for its outcome.

        Returns:
            The outcome, and when the code was sent (wall clock, ns).
        """
        return self._connection.publish(lambda _: code, self._on_sent), self._sent_ns

    def describe(self, outcome: PublishOutcome) -> str:
        """Return an outcome in words."""
        if outcome.cause is None:
            return self._accepted
        more = text_beyond(outcome.cause, outcome.server_text)
        return f"{outcome.status} ({outcome.cause})" + (f": {more}" if more else "")

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def redact(self, text: str) -> str:
        """Return a text without the values that the server gave to the publisher."""
        return self._connection.redact(text)

    def _on_sent(self, sent_ns: int) -> None:
        self._sent_ns = sent_ns

    # ConnectionObserver

    def on_connected(self, took_ms: float) -> None:
        """Note how long connecting took."""
        self.connect_ms = took_ms

    def on_connect_failed(self, error: ConnectFailed, took_ms: float) -> None:
        """Do nothing: `open` raises the error."""

    def on_lost(self, cause: str) -> None:
        """Do nothing: the code's outcome has the cause."""

    def on_upkeep(self, cause: str | None, server_text: str) -> None:
        """Do nothing: a check ends before upkeep matters."""

    def on_malformed(self, cause: str) -> None:
        """Do nothing: if it was the answer, the code is reported as unanswered."""
