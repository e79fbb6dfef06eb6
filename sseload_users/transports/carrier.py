"""What a transport stands on: what carries a session's bytes, and what decodes them."""

from __future__ import annotations

from typing import Protocol

from sseload_users.transports import Closed, OnMessage
from sseload_users.transports.reading import OnBytes, OnEnd


class StreamDecoder(Protocol):
    """Decodes the bytes of a connection into messages.

    Attributes:
        on_message: gets each message.
        ended: whether decoding has stopped; set it to stop in the middle of a read.
    """

    on_message: OnMessage
    ended: bool

    @property
    def at_end(self) -> Closed:
        """How the session has closed if the stream of bytes ends now."""

    def feed(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        """Decode the bytes of one read; see `OnBytes`."""


class Carrier(Protocol):
    """What carries a session's bytes: a socket, an HTTP/2 stream, or requests in its place."""

    @property
    def arrived_ns(self) -> int:
        """When what ``recv`` has returned arrived (wall clock, ns)."""

    @property
    def late_ns(self) -> int:
        """Total time that this process took from each arrival to the next write."""

    @property
    def network_ns(self) -> int:
        """The newest arrival less all delays of this process before it."""

    @property
    def emptied_ns(self) -> int:
        """When a blocking read last found nothing to read (wall clock, ns)."""

    @property
    def backlog(self) -> bytes | bool:
        """What waits to be written, or whether anything does."""

    def latest_arrival_ns(self, *, data: bool) -> int:
        """Return a time by which all that has come had arrived (wall clock, ns).

        Args:
            data: whether only bytes count, and not the end of the stream.
        """

    def recv(self, size: int) -> bytes:
        """Return what has arrived; nothing at the end."""

    def watch(self, on_bytes: OnBytes, on_end: OnEnd) -> None:
        """Hand over everything that arrives, in the hub."""

    def unwatch(self) -> None:
        """Stop handing over."""

    def send_now(self, data: bytes) -> bool:
        """Send without waiting; return whether the data was accepted."""

    def shutdown(self) -> None:
        """End the stream; wakes up whoever waits for it."""

    def close(self) -> None:
        """Close, and release all buffers."""

    def reset(self) -> None:
        """Close by a TCP reset, as far as there is a connection to reset."""

    def fall_silent(self) -> None:
        """Neither read nor write any more; a connection stays open until `close`."""
