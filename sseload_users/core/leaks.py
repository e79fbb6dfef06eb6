"""Leaks: codes that reached a session outside their channel."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: How many examples of leaks are kept.
MAX_EXAMPLES = 10
#: How many of a session's own channels an example names.
_MAX_CHANNELS = 3


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """An example of a leak.

    Attributes:
        sequence: the code's sequence number.
        channel: the channel that it was published to.
        connection: number of the connection that received it, within its worker.
        username: user that the connection connected as.
        own_channels: some of the channels that its session had belonged to.
        worker: name of the worker that holds the connection; empty on the worker.
    """

    sequence: int
    channel: str
    connection: int
    username: str
    own_channels: tuple[str, ...]
    worker: str = ""

    @classmethod
    def to(
        cls, sequence: int, channel: str, connection: int, username: str, channels: tuple[str, ...]
    ) -> Leak:
        """Return the example of a code that reached a session with these channels."""
        return cls(sequence, channel, connection, username, channels[:_MAX_CHANNELS])

    def at(self, worker: str) -> Leak:
        """Return the example with its worker's name, unless it has one."""
        return self if self.worker else replace(self, worker=worker)
