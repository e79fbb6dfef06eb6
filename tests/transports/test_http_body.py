"""Response heads and bodies: chunks against h11, on arbitrary reads."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sseload_users.transports import Closed, ConnectFailed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.event_stream import EventStream
from sseload_users.transports.frames import FrameDecoder
from sseload_users.transports.http_body import Body, ChunkedBody
from sseload_users.transports.reading import OnBytes
from sseload_users.transports.sse_handshake import StreamRequest
from tests.support.wire import chunk, cut_stream, frame, share

END = Closed("server", "end of stream")
CUT = Closed("network", "connection closed")
BAD_CHUNK = Closed("client", "protocol error: bad chunk")


@dataclass
class Outcome:
    messages: list[bytes] = field(default_factory=list)
    closed: Closed | None = None


def by_body(reads: list[bytes], length: int | None = None, *, chunked: bool = True) -> Outcome:
    outcome = Outcome()

    def on_close(closed: Closed) -> None:
        assert outcome.closed is None
        outcome.closed = closed

    events = EventStream(lambda block, _: outcome.messages.append(block), on_close, 1 << 20, share)
    body = ChunkedBody(events, on_close) if chunked else Body(events, on_close, length)
    for read in reads:
        body.feed(read, 0, None)
    return outcome


def by_h11(stream: bytes) -> Outcome:
    """Decode a chunked body by h11, and its content as an event stream."""
    outcome = Outcome()
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + stream)
    events = EventStream(lambda block, _: outcome.messages.append(block), print, 1 << 20, share)
    try:
        while (event := client.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Data):
                events.feed(bytes(event.data), 0, None)
            elif isinstance(event, h11.EndOfMessage):
                outcome.closed = END
                break
    except h11.RemoteProtocolError:
        outcome.closed = BAD_CHUNK
    return outcome


contents = st.sampled_from(
    [
        b"data: a\n\n",
        b"data: ab\n\n",
        b"id: 1\ndata: b\n\n",
        b"da",
        b"ta: c\n",
        b"\n",
        b": c\n\n",
        b"data: " + b"x" * 300 + b"\n\n",
        b"data: a\n\ndata: b\n\n",
        b"data: a\r\n\r\n",
    ]
)
chunks = st.builds(
    chunk,
    contents,
    st.sampled_from([b"", b"", b"", b";a=b", b" ", b"\t", b";"]),
    st.sampled_from(["x", "x", "X", "04x", "08X"]),
)
oddities = st.sampled_from(
    [
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"1_0\r\n" + b"x" * 16 + b"\r\n",
        b"-1\r\n",
        b"\r\n",
        b"5\r\nhelloX\n",
        b"5\r\nhelloworld\r\n",
        b"g\r\n",
        b" 5\r\nhello\r\n",
        b"5 5\r\n",
        b"5\n",
    ]
)
ends = st.sampled_from(
    [b"", b"", b"0\r\n\r\n", b"0\r\n\r\nmore", b"0\r\nA: b\r\n\r\n", b"000;x\r\n\r\n"]
)
bodies = st.builds(
    lambda parts, end: b"".join(parts) + end,
    st.lists(st.one_of(chunks, chunks, chunks, chunks, oddities), max_size=8),
    ends,
)


@settings(max_examples=300, deadline=None)
@given(cut_stream(bodies))
@example([chunk(b"data: a\n\n"), chunk(b"data: b\n\n"), chunk(b"data: a\n\n")[:-2], b"\r", b"\n"])
@example([chunk(b"data: a\n\n"), b"0x9\r\ndata: b\n\n\r\n"])
@example([chunk(b"data: a\n\n") + chunk(b"data: b\n\n"), b"0\r\n", b"A: b\r", b"\n\r\n", b"x"])
@example([chunk(b"data: a\n\n"), b"9\r\ndata: b\n\nX\n", chunk(b"data: c\n\n")])
def test_chunks_decode_as_by_h11(reads: list[bytes]) -> None:
    # A line without CR ends the body at its LF; for h11, only at the next CRLF.
    reads = [*reads, b"\r\n"]
    assert by_body(reads) == by_h11(b"".join(reads))


@settings(max_examples=200, deadline=None)
@given(cut_stream(st.lists(contents, max_size=8).map(b"".join)), st.integers(0, 60))
def test_a_body_ends_at_its_length(reads: list[bytes], length: int) -> None:
    stream = b"".join(reads)
    whole = by_body([stream[:length]] if stream[:length] else [], chunked=False)
    expected = Outcome(whole.messages, END if len(stream) >= length else None)
    if length == 0:
        reads = [b"", *reads]  # as with a head that came alone
    assert by_body(reads, length, chunked=False) == expected


def test_the_end_of_the_connection_ends_only_a_body_without_length() -> None:
    events = EventStream(print, print, 100, share)
    assert Body(events, print).at_end == END
    assert Body(events, print, 10).at_end == CUT
    assert ChunkedBody(events, print).at_end == CUT


def test_the_trailer_contains_no_messages() -> None:
    reads = [chunk(b"data: a\n\n"), b"0\r\n", chunk(b"data: b\n\n"), chunk(b"data: c\n\n")]
    assert by_body(reads).messages == [b"data: a"]


@pytest.mark.parametrize(
    "reads",
    [
        [b"1"] * 5000,
        [b"1;" + b"x" * 5000],
        [b"0\r\n", *[b"A: b\r\n"] * 5000],
        [b"0\r\nA: ", *[b"x" * 100] * 50],
    ],
)
def test_endless_lines_end_the_body(reads: list[bytes]) -> None:
    assert by_body(reads).closed == BAD_CHUNK


@pytest.mark.parametrize(
    ("data", "stamps"),
    [
        (chunk(b"data: a\n\n"), [7]),
        (chunk(b"data: a\n\n") + chunk(b": c\n\n"), [-7]),
        (chunk(b"data: a\n\n") + chunk(b"data: b\n\n"), [-7, 7]),
        (chunk(b"data: a\n\ndata: b\n\n"), [-7, 7]),
        (chunk(b"data: a\n\nda") + chunk(b"ta: b\n\ndata"), [-7, -7]),
        (chunk(b"data: a\n\n")[:-2], [7]),
        (chunk(b"data: a\n\n") + b"9", [-7]),
    ],
)
def test_only_a_reads_last_message_has_its_own_stamp(data: bytes, stamps: list[int]) -> None:
    found: list[int] = []
    events = EventStream(lambda _, stamp: found.append(stamp), print, 100, share)
    body = ChunkedBody(events, print)
    body.feed(chunk(b"data: 1\n\n"), 5, 4)
    body.feed(data, 7, 6)
    assert found == [5, *stamps]


# The head


def answer_to(head: bytes, *, then: bytes | None = None) -> StreamRequest:
    request = StreamRequest(Endpoint("http://h/"))
    if not request.feed(head) and then is not None:
        request.feed(then)
    return request


def test_the_request_has_a_browsers_and_the_endpoints_headers() -> None:
    endpoint = Endpoint(
        "https://user:secret@Codes.Test:444/ev ents/ä?user=a%20b&q=€#top",
        headers=(("X-User", "ann"), ("cookie", "a=1"), ("Cookie", "b=2"), ("ACCEPT", "*/*")),
        last_event_id="é7 ",
    )
    assert StreamRequest(endpoint).data.split(b"\r\n") == [
        b"GET /ev%20ents/%C3%A4?user=a%20b&q=%E2%82%AC HTTP/1.1",
        b"Host: codes.test:444",
        b"ACCEPT: */*",
        b"Accept-Encoding: gzip, deflate, br",
        b"Cache-Control: no-cache",
        b"Last-Event-ID: \xc3\xa97",
        b"X-User: ann",
        b"Cookie: a=1; b=2",
        b"",
        b"",
    ]
    plain = StreamRequest(Endpoint("http://[::1]?a", headers=(("Host", "h"),))).data
    assert plain.startswith(b"GET /?a HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n")
    assert b"Host: [::1]:81\r\n" in StreamRequest(Endpoint("http://[::1]:81/")).data


def test_an_invalid_header_is_refused_without_quoting_it() -> None:
    for header in (("Authorization", "Bearer s3cret\r\nX: y"), ("a b", "s3cret")):
        with pytest.raises(ConnectFailed) as failed:
            StreamRequest(Endpoint("http://h/", headers=(header,)))
        assert (failed.value.operation, failed.value.cause) == ("handshake", "bad request")
        assert "s3cret" not in str(failed.value)
        assert failed.value.__suppress_context__


STREAM = b"Content-Type: text/event-stream\r\n"


@pytest.mark.parametrize(
    ("head", "chunked", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n" + STREAM, True, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n" + STREAM, False, 7),
        (b"HTTP/1.0 200 OK\r\n" + STREAM, False, None),
        (b"HTTP/1.1 200 \r\ncontent-type: Text/Event-Stream ; charset=utf-8\r\n", False, None),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n" + STREAM, False, None),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: none\r\n" + STREAM, False, None),
        (b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\n" + STREAM, False, None),
    ],
)
def test_responses_that_open_a_stream(head: bytes, chunked: bool, length: int | None) -> None:
    request = StreamRequest(Endpoint("http://h/"))
    head += b"\r\n"
    assert not request.response.refused
    assert [request.feed(head[:9]), request.feed(head[9:] + b"data")] == [False, True]
    request.check()
    assert (request.chunked, request.length, request.rest) == (chunked, length, b"data")


@pytest.mark.parametrize(
    ("head", "cause", "detail"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nsleep", "HTTP 503", "sleep"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "HTTP 204", ""),
        (b"HTTP/1.1 500 E\r\n\r\n" + b"x" * 999, "HTTP 500", "x" * 300),
        (b"HTTP/1.1 307 F\r\nLocation: /b\r\n\r\n", "redirected: HTTP 307", "/b"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=x\r\n\r\n",
            "not an event stream: text/html",
            "",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n", "not an event stream: no content type", ""),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: compress\r\n" + STREAM + b"\r\n",
            "content encoding not supported: compress",
            "",
        ),
    ],
)
def test_responses_that_open_no_stream(head: bytes, cause: str, detail: str) -> None:
    request = answer_to(head, then=b"")
    with pytest.raises(ConnectFailed) as failed:
        request.check()
    assert (failed.value.operation, failed.value.cause) == ("handshake", cause)
    assert failed.value.detail == detail


@pytest.mark.parametrize(
    ("head", "then", "cause"),
    [
        (b"HTTP/1.1 20", b"", "connection closed"),
        (b"", None, "connection closed"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", None, "bad handshake answer"),
        (b"HTTP/1.1 101 S\r\n\r\n", None, "bad handshake answer"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, None, "bad handshake answer"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            None,
            "bad handshake answer",
        ),
    ],
)
def test_responses_that_are_not_http(head: bytes, then: bytes | None, cause: str) -> None:
    with pytest.raises(ConnectFailed) as failed:
        answer_to(head, then=then)
    assert (failed.value.operation, failed.value.cause) == ("handshake", cause)


# The cost


def test_a_usual_message_costs_about_what_a_frame_costs() -> None:
    text = b'{"code":"LT-1a2b3c4d-000123-1k2j3h4g5f6d","source":"load-test","type":"default"}'

    def websocket() -> OnBytes:
        return FrameDecoder(lambda *_: None, lambda *_: None, lambda _: None, 1 << 20, share).feed

    def stream() -> OnBytes:
        events = EventStream(lambda *_: None, lambda _: None, 1 << 20, share)
        return ChunkedBody(events, lambda _: None).feed

    def seconds(make: Callable[[], OnBytes], data: bytes) -> float:
        feeds = [make() for _ in range(1000)]
        best = 1.0
        gc.disable()
        try:
            for _ in range(10):
                reads = [bytes(bytearray(data)) for _ in feeds]
                began = time.process_time()
                for feed, read in zip(feeds, reads, strict=True):
                    feed(read, 1, 0)
                best = min(best, time.process_time() - began)
        finally:
            gc.enable()
        return best

    # It is two to three times as much; with h11 alone it would be a hundred times.
    by_chunk = seconds(stream, chunk(b"data: " + text + b"\n\n"))
    assert by_chunk < 8 * seconds(websocket, frame(0x81, text))
