"""How ``check`` hands its code in over a connection of the publisher's."""

from __future__ import annotations

from sseload_users.options import Options
from sseload_users.run.before_requests import Before
from sseload_users.targets import Publishing
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.refusal import adds_to
from sseload_users.users.publishers.answers import Outcome
from sseload_users.users.publishers.ingest_connection import IngestConnection

#: What there is to say of a code that was taken.
_TAKEN = {"ack": "acknowledged", "message": "answered", "none": "written"}


class CheckedPublisher:
    """The publisher's connection of one check.

    Args:
        publishing: what to say.
        before: makes the requests before connecting.
        options: the check's.
        identity: as whom.

    Attributes:
        way: how the code goes in, in words.
        connect_ms: how long connecting took.
    """

    def __init__(
        self, publishing: Publishing, before: Before, options: Options, identity: Identity
    ) -> None:
        self.way = publishing.way
        self.connect_ms = 0.0
        self._taken = _TAKEN[publishing.expects]
        self._sent_ns = 0
        self._connection = IngestConnection(publishing, before, options, identity, self)

    @property
    def place(self) -> str:
        """Where it was connected to."""
        return self._connection.place

    def open(self) -> None:
        """Connect.

        Raises:
            ConnectFailed: it could not be made.
        """
        self._connection.open(1)

    def send(self, code: str) -> tuple[Outcome, int]:
        """Send a code, and wait for what the server says to it.

        Returns:
            What became of it, and when it was sent (wall clock, ns).
        """
        return self._connection.publish(lambda _: code, self._written), self._sent_ns

    def said(self, outcome: Outcome) -> str:
        """What became of a code, in words."""
        if outcome.cause is None:
            return self._taken
        more = adds_to(outcome.cause, outcome.said)
        return f"{outcome.status} ({outcome.cause})" + (f": {more}" if more else "")

    def close(self) -> None:
        """Say goodbye."""
        self._connection.close()

    def without_secrets(self, words: str) -> str:
        """A text in which nothing is left that the server has given to the publisher."""
        return self._connection.without_secrets(words)

    def _written(self, sent_ns: int) -> None:
        self._sent_ns = sent_ns

    # As the connection's watcher

    def connected(self, took_ms: float) -> None:
        """See `ingest_connection.Watcher`."""
        self.connect_ms = took_ms

    def failed(self, error: ConnectFailed, took_ms: float) -> None:
        """See `ingest_connection.Watcher`: whoever opens it is told, too."""

    def lost(self, cause: str) -> None:
        """See `ingest_connection.Watcher`: it says what became of the code."""

    def kept_alive(self, cause: str | None, said: str) -> None:
        """See `ingest_connection.Watcher`: a check is over before it matters."""

    def malformed(self, cause: str) -> None:
        """See `ingest_connection.Watcher`: what answers a code is missed, and that is told."""
