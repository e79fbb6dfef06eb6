"""Event streams that share an HTTP/2 connection; h2 plays the server."""

from __future__ import annotations

from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
from hyperframe.frame import GoAwayFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.timestamps import SharedStamp
from sseload_users.transports import Closed, ConnectFailed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.event_stream import EventStream
from sseload_users.transports.http2 import BAD_FRAME, Http2Session
from sseload_users.transports.http2_stream import Http2Stream
from sseload_users.transports.lag import LagRecorder
from tests.transports.test_http2 import HEAD, cut

ENDPOINT = Endpoint("http://a.test/events", http="2")
ENDED = Closed("server", "end of stream")


@dataclass
class Watched:
    """A stream, and what has come of it.

    Attributes:
        messages: its messages with their stamps.
        ends: how it closed.
    """

    stream: Http2Stream
    share: LagRecorder
    messages: list[tuple[bytes, int]] = field(default_factory=list)
    ends: list[Closed | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events = EventStream(
            lambda *message: self.messages.append(message), self.ends.append, 1 << 20,
            self.share.share,
        )  # fmt: skip
        self.stream.watch(self.events.feed, lambda _: self.ends.append(self.stream.closed))

    @property
    def payloads(self) -> list[bytes]:
        return [each for each, _ in self.messages]


class Pair:
    """A client with some open streams, and its h2 server."""

    def __init__(self, streams: int = 3, **server_settings: int) -> None:
        self.sent: list[bytes] = []
        self.lag = LagRecorder()
        self.session = Http2Session(self.sent.append, self.lag.share)
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        codes = h2.settings.SettingCodes
        given = {getattr(codes, name.upper()): value for name, value in server_settings.items()}
        self.server.initiate_connection()
        self.server.update_settings(given)
        self.streams = [self.session.open(ENDPOINT, compression=False) for _ in range(streams)]
        self.answer()
        for each in self.streams:
            self.server.send_headers(each.number, HEAD)
        self.deliver()
        self.watched = [Watched(each, self.lag) for each in self.streams]

    def deliver(self, arrived_ns: int = 1, empty_ns: int | None = None) -> None:
        """Have the client read all that the server has to send, at once."""
        if data := self.server.data_to_send():
            self.session.feed(data, arrived_ns, empty_ns)

    def answer(self) -> list[h2.events.Event]:
        """Have the server read all that the client has sent; return its events."""
        data, self.sent[:] = b"".join(self.sent), []
        return self.server.receive_data(data)

    def send(self, index: int, payload: bytes) -> None:
        """Send an event on a stream."""
        self.server.send_data(self.streams[index].number, b"data: " + payload + b"\n\n")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.binary(max_size=20), st.none() | st.integers(0, 99)),
        max_size=20,
    ),
    st.lists(st.integers(0, 1 << 20), max_size=30),
)
def test_each_stream_gets_its_own_events_however_frames_are_cut(
    sent: list[tuple[int, bytes, int | None]], places: list[int]
) -> None:
    pair = Pair()
    for index, payload, padding in sent:
        event = b"data: " + payload.hex().encode() + b"\n\n"
        number = pair.streams[index].number
        pair.server.send_data(number, event[:4], pad_length=padding)
        pair.server.ping(b"12345678")
        pair.server.send_data(number, event[4:])
    data = pair.server.data_to_send()
    for piece in cut(data, places) if data else []:
        pair.session.feed(piece, 1, None)
    for index, watched in enumerate(pair.watched):
        own = [payload for at, payload, _ in sent if at == index]
        assert watched.payloads == [b"data: " + each.hex().encode() for each in own]
    events = pair.answer()
    answered = [each for each in events if isinstance(each, h2.events.PingAckReceived)]
    assert len(answered) == len(sent)


def test_only_what_ends_a_read_has_its_stamp_alone() -> None:
    pair = Pair()
    for index in (0, 1, 0, 2):
        pair.send(index, b"%d" % index)
    pair.deliver(arrived_ns=9_000, empty_ns=2_000)
    stamps = [[stamp for _, stamp in each.messages] for each in pair.watched]
    assert stamps == [[9_000, 9_000], [9_000], [9_000]]
    shared = [[isinstance(each, SharedStamp) for each in own] for own in stamps]
    assert shared == [[True, True], [True], [False]]
    # A read has one error, however many streams share it.
    assert list(pair.lag.drain_errors()) == [7]


def test_a_stream_ends_without_the_others() -> None:
    pair = Pair(4)
    pair.server.end_stream(pair.streams[0].number)
    pair.server.reset_stream(pair.streams[1].number, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
    pair.watched[2].stream.unwatch()
    pair.session.cancel(pair.streams[2])
    pair.deliver()
    reset = [each for each in pair.answer() if isinstance(each, h2.events.StreamReset)]
    assert [(each.stream_id, each.error_code) for each in reset] == [
        (pair.streams[2].number, h2.errors.ErrorCodes.CANCEL)
    ]
    pair.send(3, b"still here")
    pair.deliver()
    assert [each.ends for each in pair.watched] == [
        [ENDED], [Closed("server", "stream reset: ENHANCE_YOUR_CALM")], [], [],
    ]  # fmt: skip
    assert pair.watched[3].payloads == [b"data: still here"]
    assert pair.session.streams == 1


def test_an_announced_end_drops_refused_streams_first_and_names_itself() -> None:
    pair = Pair(3)
    last = pair.streams[1].number
    # h2's own server would take nothing after it; real servers go on.
    goaway = GoAwayFrame(0, last_stream_id=last, error_code=h2.errors.ErrorCodes.NO_ERROR)
    pair.session.feed(goaway.serialize(), 1, None)
    gone = Closed("server", "connection ended by HTTP/2: NO_ERROR")
    assert [each.ends for each in pair.watched] == [[], [], [gone]]
    assert pair.session.room == 0
    pair.send(0, b"more")
    pair.server.ping(b"12345678")
    pair.server.end_stream(pair.streams[0].number)
    pair.deliver()
    assert pair.watched[0].payloads == [b"data: more"]
    pair.session.end(Closed("network", "connection closed"))
    assert [each.ends for each in pair.watched] == [[ENDED], [gone], [gone]]


def test_the_servers_limit_of_streams_is_known_once_it_says_so() -> None:
    pair = Pair(2, max_concurrent_streams=3)
    assert pair.session.ready
    assert pair.session.room == 1
    pair.server.end_stream(pair.streams[0].number)
    pair.deliver()
    assert pair.session.room == 2


def test_what_nobody_reads_yet_is_not_given_back() -> None:
    pair = Pair(1)
    late = pair.session.open(ENDPOINT, compression=False)
    pair.answer()
    pair.server.send_headers(late.number, HEAD)
    total = 0
    while pair.server.local_flow_control_window(late.number) > 16_384:
        size = min(pair.server.local_flow_control_window(late.number), 16_000) - 8
        pair.server.send_data(late.number, b"data: " + b"x" * size + b"\n\n")
        total += 1
        pair.deliver()
        pair.answer()
        assert total < 100
    assert total > 50
    # The connection's window is given back, so that the other stream goes on.
    for _ in range(100):
        pair.send(0, b"y" * 16_000)
        pair.deliver()
        pair.answer()
    assert len(pair.watched[0].messages) == 100
    watched = Watched(late, pair.lag)
    assert len(watched.messages) == total
    pair.server.send_data(late.number, b"data: z\n\n")
    pair.deliver()
    pair.answer()
    assert pair.server.local_flow_control_window(late.number) > 1 << 19


def test_a_callback_that_fails_ends_its_own_stream_only() -> None:
    pair = Pair(2)
    errors: list[Exception | None] = []

    def fail(*_: object) -> None:
        raise ValueError("no")

    pair.streams[0].watch(fail, errors.append)
    pair.send(0, b"a")
    pair.send(1, b"b")
    pair.deliver()
    assert [type(each) for each in errors] == [ValueError]
    assert pair.watched[1].payloads == [b"data: b"]


def test_an_invalid_frame_ends_all_streams_and_is_one_malformed_frame() -> None:
    pair = Pair(3)
    pair.session.feed(b"\xff" * 20, 1, None)
    ends = [each.ends[0] for each in pair.watched]
    assert ends == [BAD_FRAME] * 3
    assert [each is BAD_FRAME for each in ends] == [True, False, False]


def test_an_invalid_request_is_refused_and_the_others_go_on() -> None:
    pair = Pair(1)
    bad = Endpoint("http://a.test/events", http="2", headers=(("TE", "gzip"),))
    with pytest.raises(ConnectFailed, match="bad request"):
        pair.session.open(bad, compression=False)
    pair.send(0, b"still here")
    pair.deliver()
    assert pair.watched[0].payloads == [b"data: still here"]
    assert pair.session.open(ENDPOINT, compression=False).number == 5
    pair.answer()
