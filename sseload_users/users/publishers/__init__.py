"""Publishers: the ways by which codes are handed to the server, one behind each profile."""

from __future__ import annotations

from typing import Protocol

from sseload_users.core.tally import Status

#: The name of codes that are handed in, in Locust's table.
NAME = "ingest"


class IngestFailed(Exception):  # noqa: N818 - its name stands in Locust's table of failures
    """A code that the server did not accept."""


class Draft(Protocol):
    """A code that is due, and is told what becomes of it."""

    def text(self, sent_ns: int) -> str:
        """The code as it is if it is sent then (wall clock, ns)."""

    def written(self, sent_ns: int) -> None:
        """Its bytes have been handed to the kernel, with that time in them."""

    def answered(self, status: Status, ingest_us: int, cause: str | None, said: str) -> str | None:
        """What became of it; called once, at the end.

        Args:
            status: what.
            ingest_us: after how long.
            cause: why it failed; None if it did not.
            said: the server's own words where it failed, without secrets.

        Returns:
            The cause as which it is counted.
        """


class Publisher(Protocol):
    """Hands codes to the server. It tells Locust of each, and the draft what became of it."""

    def open(self) -> None:
        """Make ready, before the first code is due.

        Raises:
            ConnectFailed: no code can be handed in.
        """

    def publish(self, draft: Draft) -> None:
        """Hand a code in and wait for its answer; called from many greenlets at once."""

    def close(self) -> None:
        """Let go of whatever it has open; it may have been opened or not."""
