"""The HTTP/2 connections that event streams of one process share, as tabs of a browser do."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeAlias

from gevent.event import Event

from sseload_users.transports import ConnectFailed
from sseload_users.transports.endpoint import Endpoint, parse_origin
from sseload_users.transports.http2_carrier import Http2Carrier, Http2Connection
from sseload_users.transports.lag import ShareStamp
from sseload_users.transports.stamped_socket import StampedSocket

#: Host, port, and whether TLS is used.
_Origin: TypeAlias = tuple[str, int, bool]


class _Place:
    """A connection, or one that is being made.

    Attributes:
        connection: None while it is being made.
        known: set once it is known how many streams it takes, or that there is no connection.
        error: why there is none; None if another attempt may be made.
        waiting: how many streams wait for it.
    """

    def __init__(self) -> None:
        self.connection: Http2Connection | None = None
        self.known = Event()
        self.error: ConnectFailed | None = None
        self.waiting = 0

    def takes(self, most: int) -> bool:
        """Whether one more stream can be on it, or wait for it."""
        if self.connection is None or not self.known.is_set():
            return self.waiting + 1 < most
        session = self.connection.session
        return session.streams < most and session.room > 0


class Http2Pool:
    """Event streams that share HTTP/2 connections.

    The first stream of a connection makes it; further ones wait until the server has said how many
    streams it takes at a time. Where there is no room, another connection is made.

    Args:
        share: makes the stamp of what lies before the last bytes of a read.
        compression: whether to offer content codings, as a browser does.
    """

    def __init__(self, share: ShareStamp, *, compression: bool) -> None:
        self._share = share
        self._compression = compression
        self._places: dict[_Origin, list[_Place]] = defaultdict(list)
        # Servers that do not speak HTTP/2.
        self._others: set[_Origin] = set()

    def open(
        self,
        endpoint: Endpoint,
        dial: Callable[[], StampedSocket],
        deadline: float,
    ) -> Http2Carrier | StampedSocket:
        """Request an event stream on a connection with room for it.

        Args:
            endpoint: the request, and how many streams share a connection.
            dial: connects to the endpoint's host, and offers HTTP/2.
            deadline: when to give up, on ``time.monotonic``'s clock.

        Returns:
            What carries the stream; or a new connection, if the server does not speak HTTP/2.

        Raises:
            ConnectFailed: there is no connection.
        """
        origin, most = parse_origin(endpoint.url), endpoint.multiplex
        while origin not in self._others:
            places = self._places[origin]
            places[:] = [each for each in places if not _has_ended(each)]
            place = next((each for each in places if each.takes(most)), None)
            if place is None:
                return self._connect(origin, endpoint, dial, deadline)
            if place.connection is not None and place.known.is_set():
                return place.connection.open(endpoint, deadline)
            self._wait(place, deadline)
        return dial()

    def _connect(
        self,
        origin: _Origin,
        endpoint: Endpoint,
        dial: Callable[[], StampedSocket],
        deadline: float,
    ) -> Http2Carrier | StampedSocket:
        """Make a connection, and request its first stream."""
        place = _Place()
        self._places[origin].append(place)
        try:
            sock = dial()
            if not sock.speaks_http2 and (endpoint.http != "2" or origin[2]):
                self._others.add(origin)
                place.known.set()
                return sock
            place.connection = connection = Http2Connection(
                sock, self._share, compression=self._compression, shared=True
            )
        except BaseException as error:
            place.error = error if isinstance(error, ConnectFailed) else None
            self._places[origin].remove(place)
            place.known.set()
            raise
        place.known, before = connection.known, place.known
        before.set()
        return connection.open(endpoint, deadline)

    @staticmethod
    def _wait(place: _Place, deadline: float) -> None:
        """Wait until more is known of a connection that is being made."""
        place.waiting += 1
        try:
            if not place.known.wait(max(deadline - time.monotonic(), 0.001)):
                raise ConnectFailed("connect", "timed out")
        finally:
            place.waiting -= 1
        if place.error is not None:
            error = place.error
            raise ConnectFailed(
                error.operation, error.cause, error.detail, server_text=error.server_text
            )


def _has_ended(place: _Place) -> bool:
    return place.connection is not None and place.connection.session.closed is not None
