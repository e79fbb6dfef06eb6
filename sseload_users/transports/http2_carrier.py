"""HTTP/2 over a socket: connections of one event stream, and connections that several share."""

from __future__ import annotations

import time

from gevent.event import Event

from sseload_users.transports import Closed, ConnectFailed, NotConnected, OnMessage
from sseload_users.transports.causes import cause_of
from sseload_users.transports.decoded_events import DecodedEvents
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.event_stream import EventStream
from sseload_users.transports.http2 import Http2Session
from sseload_users.transports.http2_stream import Http2Stream
from sseload_users.transports.lag import ShareStamp
from sseload_users.transports.reading import READ_BYTES, OnBytes, OnEnd
from sseload_users.transports.stamped_socket import StampedSocket

_CUT = Closed("network", "connection closed")
_FULL = Closed("client", "too much waits to be sent")


class Http2Connection:
    """A socket that speaks HTTP/2, and the event streams that it carries.

    Args:
        sock: connected; with TLS, HTTP/2 is negotiated.
        share: makes the stamp of what lies before the last bytes of a read.
        compression: whether to offer content codings, as a browser does.
        shared: whether it may carry several streams. It is then read in the hub from now on;
            otherwise its only stream reads it.

    Attributes:
        sock: as given.
        shared: as given.
        session: its streams.
        known: set once the server has said how many streams it takes, or the connection has ended.
    """

    def __init__(
        self, sock: StampedSocket, share: ShareStamp, *, compression: bool, shared: bool
    ) -> None:
        self.sock = sock
        self.shared = shared
        self.known = Event()
        self._compression = compression
        self.session = Http2Session(self._send, share)
        self.session.on_ready = self.known.set
        if shared:
            self.watch()

    def open(self, endpoint: Endpoint, deadline: float) -> Http2Carrier:
        """Request an event stream.

        Args:
            endpoint: the request.
            deadline: end of all blocking calls for this stream, on ``time.monotonic``'s clock.

        Raises:
            ConnectFailed: see `Http2Session.open`.
        """
        # What this process took to connect is the delay of the first stream.
        late_ns = self.sock.late_ns if self.session.streams else 0
        try:
            stream = self.session.open(endpoint, compression=self._compression)
        except BaseException:
            self._close_if_unused()
            raise
        return Http2Carrier(self, stream, deadline, late_ns)

    def watch(self) -> None:
        """Read the socket in the hub from now on."""
        self.sock.watch(self.session.feed, self._on_end)

    def read(self) -> None:
        """Read the socket once; wait until there is something.

        Raises:
            OSError: the connection is broken, or the deadline has passed.
        """
        data = self.sock.recv(READ_BYTES)
        if data:
            self.session.feed(data, self.sock.arrived_ns, self.sock.emptied_ns)
        else:
            self.session.end(_CUT)

    def release(self, stream: Http2Stream) -> None:
        """End a stream; with the last one, the connection."""
        self.session.cancel(stream)
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if not self.session.streams:
            self.session.end(_CUT)
            self.sock.shutdown()
            self.sock.close()

    def _send(self, data: bytes) -> None:
        # If the connection is broken, the next read says so.
        if not self.sock.send_now(data) and self.sock.backlog:
            self.session.end(_FULL)

    def _on_end(self, error: Exception | None) -> None:
        if isinstance(error, OSError):
            self.session.end(Closed("network", cause_of(error)), error)
        else:
            self.session.end(_CUT, error)


class Http2Carrier:
    """One event stream of an HTTP/2 connection as what carries a session; see `Carrier`.

    Args:
        connection: carries the stream.
        stream: has been requested.
        deadline: end of all blocking calls, on ``time.monotonic``'s clock.
        late_ns: what the connection's delays were before.

    Attributes:
        stream: as given.
    """

    def __init__(
        self, connection: Http2Connection, stream: Http2Stream, deadline: float, late_ns: int
    ) -> None:
        self.stream = stream
        self._connection = connection
        self._deadline = deadline
        self._late_before_ns = late_ns
        self._news = Event()
        stream.news = self._news.set

    @property
    def arrived_ns(self) -> int:
        """When what was read last arrived (wall clock, ns)."""
        return self.stream.arrived_ns or self._connection.sock.arrived_ns

    @property
    def late_ns(self) -> int:
        """Total time that this process took from each arrival to the next write."""
        return self._connection.sock.late_ns - self._late_before_ns

    @property
    def network_ns(self) -> int:
        """The newest arrival less all delays of this process."""
        return self.arrived_ns - self.late_ns

    @property
    def emptied_ns(self) -> int:
        """When a blocking read last found nothing to read (wall clock, ns)."""
        return self.stream.empty_ns or self.arrived_ns

    @property
    def backlog(self) -> bytes:
        """What waits to be written to the socket."""
        return self._connection.sock.backlog

    def latest_arrival_ns(self, *, data: bool) -> int:
        """Return a time by which all that has come had arrived (wall clock, ns).

        Args:
            data: whether only bytes count, and not the end of the stream.
        """
        return self._connection.sock.latest_arrival_ns(data=data)

    def settimeout(self, seconds: float) -> None:
        """Limit all further blocking calls together to this many seconds."""
        self._deadline = time.monotonic() + seconds
        if not self._connection.shared:
            self._connection.sock.settimeout(seconds)

    def gettimeout(self) -> float:
        """Return the seconds left until the deadline."""
        return max(self._deadline - time.monotonic(), 0.001)

    def wait(self) -> None:
        """Wait until something has arrived.

        Raises:
            OSError: the connection is broken, or the deadline has passed.
        """
        if not self._connection.shared:
            self._connection.read()
            return
        if not self._news.wait(self.gettimeout()):
            raise TimeoutError("timed out")
        self._news.clear()

    def recv(self, size: int) -> bytes:
        """Return bytes of the body; waits for them.

        Raises:
            NotConnected: the stream has ended.
            OSError: see `wait`.
        """
        del size  # what a frame carries is never much
        while not (data := self.stream.next()):
            if self.stream.closed is not None:
                raise NotConnected(self.stream.closed.cause)
            self.wait()
        return data

    def watch(self, on_bytes: OnBytes, on_end: OnEnd) -> None:
        """Hand over everything that arrives, in the hub."""
        self.stream.watch(on_bytes, on_end)
        if not self._connection.shared and self.stream.closed is None:
            self._connection.watch()

    def unwatch(self) -> None:
        """Stop handing over."""
        self.stream.unwatch()

    def send_now(self, data: bytes) -> bool:
        """Return False: clients cannot send on an event stream."""
        del data
        return False

    def shutdown(self) -> None:
        """End the stream, and wake up whoever waits for it; the others go on."""
        self.stream.end(_CUT)
        self._connection.release(self.stream)

    def close(self) -> None:
        """End the stream; with the last one, close the connection."""
        self.shutdown()

    def reset(self) -> None:
        """Reset the connection if nothing else uses it, or else the stream alone."""
        if self._connection.session.streams == 1 and self.stream.closed is None:
            self._connection.session.end(_CUT)
            self._connection.sock.reset()
        self.close()

    def fall_silent(self) -> None:
        """Neither read nor write any more; the stream stays open until `close`."""
        self.stream.fall_silent()
        if not self._connection.shared:
            self._connection.sock.fall_silent()


class Http2Body:
    """Decodes the body of an event stream; see `StreamDecoder`.

    Args:
        stream: says how it has ended.
        content: gets the bytes.
    """

    __slots__ = ("_content", "_stream", "feed")

    def __init__(self, stream: Http2Stream, content: EventStream | DecodedEvents) -> None:
        self._stream = stream
        self._content = content
        self.feed = content.feed

    @property
    def on_message(self) -> OnMessage:
        """Gets each message."""
        return self._content.on_message

    @on_message.setter
    def on_message(self, on_message: OnMessage) -> None:
        self._content.on_message = on_message

    @property
    def ended(self) -> bool:
        """Whether decoding has stopped."""
        return self._content.ended

    @ended.setter
    def ended(self, ended: bool) -> None:
        self._content.ended = ended

    @property
    def at_end(self) -> Closed:
        """How the session has closed if the stream has ended."""
        return self._stream.closed or _CUT


def read_head(carrier: Http2Carrier, refusal_seconds: float) -> None:
    """Wait for the head of a response and, if it refuses, for its body.

    Args:
        carrier: its request was sent.
        refusal_seconds: how long the body of a refusal may take.

    Raises:
        ConnectFailed: at "handshake": there is no valid response.
    """
    stream = carrier.stream
    try:
        while stream.response.head is None and stream.closed is None:
            carrier.wait()
    except OSError as error:
        raise ConnectFailed("handshake", cause_of(error), str(error)) from error
    if stream.response.head is None:
        cause = _CUT if stream.closed is None else stream.closed
        raise ConnectFailed("handshake", cause.cause)
    if stream.response.refused:
        carrier.settimeout(min(carrier.gettimeout(), refusal_seconds))
        try:
            while stream.closed is None:
                carrier.wait()
        except OSError:
            return  # the part that has arrived will do
