"""Publishers: how codes are handed to the server, one class for each kind of ``[ingest]``."""

from __future__ import annotations

from typing import Protocol

from sseload_users.core.code_tally import Status
from sseload_users.core.sessions import Session

#: The name of published codes in Locust's table.
NAME = "ingest"


class IngestFailed(Exception):  # noqa: N818 - its name stands in Locust's table of failures
    """A code that the server did not accept."""


class Draft(Protocol):
    """A code that is due; it records its own outcome.

    Attributes:
        channel: the channel that it goes to; None in a run without channels.
        payload_bytes: size to which the payload that carries it is padded; 0 for no padding.
        sent: whether its bytes were handed to the kernel.
    """

    channel: str | None
    payload_bytes: int
    sent: bool

    def text(self, sent_ns: int) -> str:
        """Return the code's text if it is sent at that time (wall clock, ns)."""

    def record_begun(self, at_ns: int) -> None:
        """Record that the first of several requests for it was written.

        Its delay behind the schedule ends here: what follows is the server's time.

        Args:
            at_ns: when it was written (wall clock, ns).
        """

    def record_sent(
        self, sent_ns: int, exempt: Session | None = None, text_ns: int | None = None
    ) -> None:
        """Record that its bytes were handed to the kernel.

        Args:
            sent_ns: when they were (wall clock, ns).
            exempt: the session that sent it, if what it receives of it does not count.
            text_ns: the time in its text (wall clock, ns), if an earlier request had it; else it is
                `sent_ns`.
        """

    def record_outcome(
        self, status: Status, ingest_us: int, cause: str | None, server_text: str
    ) -> str | None:
        """Record its outcome; called exactly once, at the end.

        Args:
            status: its status.
            ingest_us: time from its sending to the response, in microseconds.
            cause: why it failed; None if it did not.
            server_text: the server's own words if it failed, without secrets.

        Returns:
            The cause under which it is counted.
        """


class Publisher(Protocol):
    """Hands codes to the server; reports each to Locust and to its draft."""

    def open(self) -> None:
        """Prepare for the first code.

        Raises:
            ConnectFailed: codes cannot be handed in.
        """

    def publish(self, draft: Draft) -> None:
        """Hand in a code and wait for its outcome; called from many greenlets at once."""

    def close(self) -> None:
        """Close whatever is open, whether or not `open` was called."""
