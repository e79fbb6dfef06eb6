"""One event stream of an HTTP/2 connection: its response, and what comes of its body."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import h11

from sseload_users.transports import Closed
from sseload_users.transports.handshake_response import HandshakeResponse
from sseload_users.transports.reading import OnBytes, OnEnd
from sseload_users.transports.sse_handshake import StreamResponse


class Http2Stream(StreamResponse):
    """A request for an event stream that was sent, and its response.

    What arrives before somebody watches it is kept, as far as its flow control window reaches.

    Args:
        number: its number in the connection.
        unsent: the body of the request.

    Attributes:
        number: as given.
        key: its number as it is in frames.
        unsent: what of the request's body has not been sent yet.
        response: the response, as far as it has arrived.
        is_open: whether the response has arrived and accepts.
        closed: how the stream has ended; None while it is open.
        is_unprocessed: whether the server has said that it did not act on the request, so that it
            can be made again (RFC 9113 §8.7).
        arrived_ns: when the newest bytes of it arrived that were handed over (wall clock, ns).
        empty_ns: before when none of these had arrived; None if that is not known.
        unacknowledged: bytes that are to be given back to its window.
        news: called whenever something happens that nobody watches.
    """

    def __init__(self, number: int, unsent: bytes) -> None:
        self.number = number
        self.key = number.to_bytes(4, "big")
        self.unsent = unsent
        self.response = HandshakeResponse(h11.Connection(h11.CLIENT), 200)
        self.is_open = False
        self.closed: Closed | None = None
        self.is_unprocessed = False
        self.arrived_ns = 0
        self.empty_ns: int | None = None
        self.unacknowledged = 0
        self.news: Callable[[], None] = lambda: None
        self._kept: deque[tuple[bytes, int, int | None]] = deque()
        self._kept_bytes = 0
        self._is_silent = False
        self._on_bytes: OnBytes | None = None
        self._on_end: OnEnd | None = None

    # The connection's side

    def take_head(
        self, headers: list[tuple[bytes, bytes]], arrived_ns: int, empty_ns: int | None
    ) -> bool:
        """Take the head of the response; return whether it is valid."""
        try:
            status = int(dict(headers)[b":status"])
            self.response.take_head(status, [each for each in headers if each[0][:1] != b":"])
        except (LookupError, ValueError, h11.LocalProtocolError):
            return False
        self.is_open = not self.response.refused
        self.arrived_ns, self.empty_ns = arrived_ns, empty_ns
        self.news()
        return True

    def take(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        """Take bytes of the body; see `OnBytes`."""
        on_bytes = self._on_bytes
        if on_bytes is not None:
            try:
                on_bytes(data, arrived_ns, empty_ns)
            except Exception as error:  # noqa: BLE001 - it ends this stream, and no other
                self._tell_end(error)
        elif self.is_open:
            self._kept.append((data, arrived_ns, empty_ns))
            self._kept_bytes += len(data)
            self.news()
        elif self.response.take_body(data):
            self.closed = self.closed or Closed("client", "refused")
            self.news()

    def give_back(self) -> int:
        """Return how many bytes of the window can be given back; what is kept cannot."""
        size = 0 if self._is_silent else max(self.unacknowledged - self._kept_bytes, 0)
        self.unacknowledged -= size
        return size

    def end(self, closed: Closed, error: Exception | None = None) -> None:
        """Take the end of the stream.

        Args:
            closed: how it has ended.
            error: what has broken the connection, if something has.
        """
        self.closed = self.closed or closed
        self.news()
        self._tell_end(error)

    # The session's side

    def next(self) -> bytes:
        """Return bytes of the body that were kept; empty if there are none."""
        if not self._kept:
            return b""
        data, self.arrived_ns, self.empty_ns = self._kept.popleft()
        self._kept_bytes -= len(data)
        return data

    def watch(self, on_bytes: OnBytes, on_end: OnEnd) -> None:
        """Hand over what was kept, and from now on all that arrives.

        Args:
            on_bytes: gets the bytes. If it raises, the watch ends with that error.
            on_end: called once, at the end of the stream.
        """
        self._on_end = on_end
        while self._kept and self._on_end is not None:
            data, arrived_ns, empty_ns = self._kept.popleft()
            self._kept_bytes -= len(data)
            try:
                on_bytes(data, arrived_ns, empty_ns)
            except Exception as error:  # noqa: BLE001 - as it would be from the hub
                self._tell_end(error)
        if self._on_end is None:
            return
        self._on_bytes = on_bytes
        if self.closed is not None:
            self._tell_end(None)

    def unwatch(self) -> None:
        """Drop what arrives from now on."""
        self._on_bytes, self._on_end = _drop, None

    def fall_silent(self) -> None:
        """Neither read nor give anything back to the window any more."""
        self.unwatch()
        self._is_silent = True

    def _tell_end(self, error: Exception | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            self._on_bytes = _drop
            on_end(error)


def _drop(data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
    """Take bytes that nobody wants any more."""
    del data, arrived_ns, empty_ns
