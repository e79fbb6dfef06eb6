"""Leaks: codes that reached a session outside their channel."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sseload_users.core.sessions import Session

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
        own_channels: some of the channels that its session belonged to when the code was sent.
        had_left: whether it had belonged to the code's channel before.
        worker: name of the worker that holds the connection; empty on the worker.
    """

    sequence: int
    channel: str
    connection: int
    username: str
    own_channels: tuple[str, ...]
    had_left: bool = False
    worker: str = ""

    @classmethod
    def to(cls, session: Session, sequence: int, sent_ns: int, channel: str) -> Leak:
        """Return the example of a code that reached a session outside its channel.

        Args:
            session: the session.
            sequence: the code's sequence number.
            sent_ns: when it was sent (wall clock, ns).
            channel: its channel.
        """
        channels = session.channels or {}
        own = [each for each in channels if session.relation(sent_ns, each) != "outside"]
        return cls(
            sequence,
            channel,
            session.connection.number,
            session.connection.username,
            tuple(own[:_MAX_CHANNELS]),
            channel in channels,
        )

    def at(self, worker: str) -> Leak:
        """Return the example with its worker's name, unless it has one."""
        return self if self.worker else replace(self, worker=worker)
