"""Event streams over HTTP/2, from bytes cut anywhere; h2 plays the server."""

from __future__ import annotations

from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.transports import Closed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.event_stream import EventStream
from sseload_users.transports.http2 import BAD_FRAME, Http2Session
from sseload_users.transports.http2_stream import Http2Stream
from tests.support.wire import share

ENDPOINT = Endpoint("http://a.test/events?x=1", http="2")
HEAD = [(":status", "200"), ("content-type", "text/event-stream")]


class Server:
    """An h2 server that has accepted a stream's request."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.session = Http2Session(self.sent.append, share)
        self.stream = self.session.open(ENDPOINT, compression=True)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.events = self.h2.receive_data(b"".join(self.sent))
        self.h2.send_headers(1, HEAD)

    def data(self) -> bytes:
        """Return what it sends."""
        return self.h2.data_to_send()


@dataclass
class Watched:
    """What comes of a stream.

    Attributes:
        messages: its messages.
        ends: how it closed.
    """

    stream: Http2Stream
    messages: list[bytes] = field(default_factory=list)
    ends: list[Closed | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        events = EventStream(
            lambda message, _: self.messages.append(message), self.ends.append, 1 << 20, share
        )
        self.stream.watch(events.feed, lambda _: self.ends.append(self.stream.closed))


def decoded(server: Server, reads: list[bytes]) -> tuple[list[bytes], list[Closed | None]]:
    """Feed reads to a connection; return the messages of its first stream, and how it closed."""
    watched: Watched | None = None
    for read in reads:
        server.session.feed(read, 0, None)
        if watched is None and server.stream.response.head is not None:
            watched = Watched(server.stream)
    assert watched is not None
    return watched.messages, watched.ends


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return the bytes in pieces."""
    ends = sorted({each % len(data) for each in places} - {0})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=20), st.one_of(st.none(), st.integers(0, 200)))),
    st.booleans(),
    st.lists(st.integers(0, 1 << 20), max_size=30),
)
def test_events_are_the_same_however_frames_are_cut(
    pieces: list[tuple[bytes, int | None]], ends: bool, places: list[int]
) -> None:
    server = Server()
    body = b""
    for number, (piece, padding) in enumerate(pieces):
        event = b"data: " + piece.hex().encode() + b"\n\n"
        body += event
        middle = len(event) // 2
        server.h2.send_data(1, event[:middle], pad_length=padding)
        if number % 3 == 0:
            server.h2.ping(b"12345678")
        server.h2.send_data(1, event[middle:])
    if ends:
        server.h2.end_stream(1)
    messages, closed = decoded(server, cut(server.data(), places))
    assert messages == [each for each in body.split(b"\n\n") if each]
    assert closed == ([Closed("server", "end of stream")] if ends else [])
    # The server understands the answers to its pings and settings.
    server.h2.receive_data(b"".join(server.sent[1:]) if len(server.sent) > 1 else b"")


def test_the_request_is_a_browsers() -> None:
    server = Server()
    (request,) = (each for each in server.events if isinstance(each, h2.events.RequestReceived))
    headers = dict(request.headers or ())
    assert headers[b":method"] == b"GET"
    assert headers[b":path"] == b"/events?x=1"
    assert headers[b":authority"] == b"a.test"
    assert headers[b"accept"] == b"text/event-stream"
    assert b"host" not in headers


def test_windows_are_given_back_as_the_stream_is_read() -> None:
    server = Server()
    total = 0
    for _ in range(300):
        server.session.feed(server.data(), 0, None)
        if server.stream.response.head is not None and total == 0:
            Watched(server.stream)
        for each in server.sent:
            server.h2.receive_data(each) if total else None
        server.sent.clear()
        server.h2.send_data(1, b"data: " + b"x" * 16_000 + b"\n\n")
        total += 16_008
    assert total > 4 << 20


def test_what_is_not_http2_ends_the_stream() -> None:
    for data in (b"HTTP/1.1 400 Bad\r\n\r\n", b"\0\0\4\4\0\0\0\0\1abcd", b"\xff" * 20):
        server = Server()
        server.session.feed(data, 0, None)
        assert server.session.closed is server.stream.closed is BAD_FRAME
