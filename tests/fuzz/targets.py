"""Fuzz targets: each accepts any bytes, and raises only if the code under test is wrong.

Fuzzers call them, and a test calls them with seeds and earlier findings. Each checks more than
that nothing is raised: splitting the bytes differently changes nothing, limits hold, and
encoded data can be decoded again.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

from sseload_users.core.codes import CodeShape, to_base36
from sseload_users.core.formatting import clean
from sseload_users.targets import Target, load
from sseload_users.targets.identities import Identity
from sseload_users.targets.ingest import HttpIngestSpec
from sseload_users.targets.requests import refusal
from sseload_users.targets.schema import ExpectedAnswer
from sseload_users.transports import Closed, ConnectFailed, Malformed, ParsedMessage
from sseload_users.transports.content_coding import BadContent, decoder_for
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.engineio import engine_refusal, parse_opening, split_payload
from sseload_users.transports.event_stream import EventStream, parse_event
from sseload_users.transports.frames import FrameDecoder
from sseload_users.transports.http2 import Http2Session
from sseload_users.transports.http2_stream import Http2Stream
from sseload_users.transports.http_body import Body, ChunkedBody
from sseload_users.transports.inflation import Inflation
from sseload_users.transports.msgpack_parser import unpack
from sseload_users.transports.packets import (
    error_message,
    is_connect_acknowledgement,
    join_attachments,
    packet_data,
    parse_header,
    parse_packet,
)
from sseload_users.transports.permessage_deflate import (
    OFFER,
    DeflateParameters,
    InvalidExtensions,
    MessageInflater,
    read_answer,
)
from sseload_users.transports.server_text import countable_cause
from sseload_users.transports.sse_handshake import StreamRequest
from tests.support.ingest_answers import ingest_failure

#: Size limit of a message, in bytes: small, so that a fuzzer reaches it.
_MAX_MESSAGE = 200


def _share(arrived_ns: int, empty_ns: int | None) -> int:
    del empty_ns
    return arrived_ns


def _pieces(data: bytes) -> Iterator[bytes]:
    """Split the bytes into pieces, whose size depends on the first byte."""
    size = (data[0] if data else 0) % 7 + 1
    return (data[at : at + size] for at in range(0, len(data), size))


def _whole(data: bytes) -> Iterator[bytes]:
    return iter([data] if data else [])


Cut = Callable[[bytes], Iterator[bytes]]


def frames(data: bytes) -> None:
    """WebSocket frames: messages and end do not depend on how the bytes are split."""
    _decode_frames(data, None)


def deflated(data: bytes) -> None:
    """The same with permessage-deflate; the first byte says with which parameters."""
    first = data[0] if data else 0
    agreed = DeflateParameters(bool(first & 1), server_max_window_bits=8 + (first >> 1) % 8)
    _decode_frames(data[1:], agreed)


def extensions(data: bytes) -> None:
    """Answers about extensions: what is agreed can be read again."""
    with contextlib.suppress(InvalidExtensions):
        agreed = read_answer(data.decode("latin-1"), OFFER)
        assert agreed is None or read_answer(str(agreed), OFFER) == agreed


def _decode_frames(data: bytes, agreed: DeflateParameters | None) -> None:
    def inflate() -> Callable[[bytes], bytes] | None:
        if agreed is None:
            return None
        return MessageInflater(agreed, _MAX_MESSAGE, Inflation()).inflate

    def decode(cut: Cut) -> tuple[list[bytes], list[Closed], bytes]:
        messages: list[bytes] = []
        ends: list[Closed] = []
        answers: list[bytes] = []
        decoder = FrameDecoder(
            lambda payload, _: messages.append(payload),
            lambda closed, _: ends.append(closed),
            answers.append,
            _MAX_MESSAGE,
            _share,
            inflate(),
        )
        for piece in cut(data):
            decoder.feed(piece, 1, None)
        assert len(ends) <= 1
        assert decoder.ended == bool(ends)
        assert all(len(each) <= _MAX_MESSAGE for each in messages)
        # Pongs and close frames have random masks: compare only their lengths.
        return messages, ends, bytes(len(each) for each in answers)

    assert decode(_whole) == decode(_pieces)


def events(data: bytes) -> None:
    """Event streams: messages do not depend on how the bytes are split, and can be parsed."""

    def decode(cut: Cut) -> tuple[list[bytes], list[Closed], str | None, int | None]:
        messages: list[bytes] = []
        ends: list[Closed] = []
        stream = EventStream(
            lambda block, _: messages.append(block), ends.append, _MAX_MESSAGE, _share
        )
        for piece in cut(data):
            stream.feed(piece, 1, None)
        return messages, ends, stream.last_event_id, stream.retry_ms

    found = decode(_whole)
    assert found == decode(_pieces)
    for block in found[0]:
        assert len(block) <= _MAX_MESSAGE
        event = parse_event(block)
        assert event is not None
        assert event.name


def bodies(data: bytes) -> None:
    """HTTP bodies, chunked and not: messages and end do not depend on how they are split."""

    def decode(cut: Cut, *, chunked: bool) -> tuple[list[bytes], list[str]]:
        messages: list[bytes] = []
        ends: list[str] = []

        def on_close(closed: Closed) -> None:
            ends.append(closed.cause)

        stream = EventStream(
            lambda block, _: messages.append(block), on_close, _MAX_MESSAGE, _share
        )
        body = ChunkedBody(stream, on_close) if chunked else Body(stream, on_close, len(data) // 2)
        for piece in cut(data):
            if not body.ended:
                body.feed(piece, 1, None)
        assert len(ends) <= 1
        return messages, ends

    for chunked in (True, False):
        assert decode(_whole, chunked=chunked) == decode(_pieces, chunked=chunked)


def streams(data: bytes) -> None:
    """HTTP/2: messages and end do not depend on how the bytes are split."""

    def decode(cut: Cut) -> list[tuple[list[bytes], list[Closed | None]]]:
        session = Http2Session(lambda _: None, _share)
        endpoint = Endpoint("http://a.test/", http="2")
        waiting = [session.open(endpoint, compression=False) for _ in range(2)]
        found = []
        for piece in cut(data):
            session.feed(piece, 1, None)
            for stream in [each for each in waiting if each.is_open]:
                waiting.remove(stream)
                found.append((stream.number, _watched(stream)))
        return [each for _, each in sorted(found)]

    assert decode(_whole) == decode(_pieces)


def _watched(stream: Http2Stream) -> tuple[list[bytes], list[Closed | None]]:
    """Watch a stream; return what will come of it: its messages, and how it closes."""
    messages: list[bytes] = []
    ends: list[Closed | None] = []
    events = EventStream(lambda block, _: messages.append(block), ends.append, _MAX_MESSAGE, _share)

    def end(_: Exception | None) -> None:
        if not events.ended:
            ends.append(stream.closed)

    stream.watch(events.feed, end)
    return messages, ends


def contents(data: bytes) -> None:
    """Content codings: what is decoded does not depend on how the bytes are split."""

    def decode(cut: Cut, coding: str) -> tuple[bytes, bool]:
        decoder, decoded = decoder_for(coding), b""
        assert decoder is not None
        try:
            for piece in cut(data):
                decoded += b"".join(decoder.decode(piece))
        except BadContent:
            return decoded, True
        return decoded, False

    for coding in ("gzip", "deflate", "br"):
        whole, pieces = decode(_whole, coding), decode(_pieces, coding)
        assert whole[1] == pieces[1]
        # The libraries give nothing of a piece that ends badly.
        assert whole[0] == pieces[0] or whole[1]


def heads(data: bytes) -> None:
    """Responses to the request for an event stream: a stream, or a short cause."""
    request = StreamRequest(Endpoint("http://127.0.0.1/"))
    failed: ConnectFailed | None = None
    try:
        for piece in (*_pieces(data), b""):
            if request.feed(piece):
                break
        request.check()
    except ConnectFailed as error:
        failed = error
    if failed is not None:
        assert failed.operation == "handshake"
        assert 0 < len(failed.cause) < 100
    else:
        assert request.length is None or request.length >= 0
        assert isinstance(request.chunked, bool)
        assert isinstance(request.rest, bytes)


def packets(data: bytes) -> None:
    """Socket.IO packets, with attachments after blank lines."""
    opening = parse_opening(data)
    assert opening is None or opening.ping_interval_s + opening.ping_timeout_s > 0
    assert isinstance(is_connect_acknowledgement(packet_data(data)), bool)
    text = error_message(packet_data(data))
    assert len(countable_cause(text)) <= 80
    assert countable_cause(text).isprintable()
    packet, *attachments = data.split(b"\n\n")
    parts = parse_header(packet)
    payload = packet
    if parts is not None and 0 < parts[0] == len(attachments):
        payload = join_attachments([packet, *attachments])
    with contextlib.suppress(Malformed):
        event = parse_packet(payload)
        assert event is None or isinstance(event.data, list)


def payloads(data: bytes) -> None:
    """Long polling's payloads in both revisions, and the msgpack parser's packets."""
    for revision in (3, 4):
        with contextlib.suppress(Malformed):
            packets = list(split_payload(data, revision))
            assert all(isinstance(each, bytes) for each in packets)
    cause, text = engine_refusal(400, data)
    assert cause.isprintable()
    assert len(text) <= len(data) + 1
    with contextlib.suppress(Malformed):
        assert unpack(data)[0].startswith(b"4")


def codes(data: bytes) -> None:
    """Code texts: a code that is read could have been minted."""
    text = data.decode(errors="replace")
    for template in ("LT-{run}-{seq}-{sent}", "{seq:06}", "a{sent}b{seq}", "{run}:{seq:03}"):
        shape = CodeShape("abc123", template)
        reading = shape.parse(text)
        if reading is not None:
            assert shape.mint(reading.sequence, reading.sent_ns or 0) == text
            assert 0 < reading.sequence < 10**18
    number = int.from_bytes(data[:7], "big")
    assert int(to_base36(number), 36) == number
    assert not {"\x1b", "\x9b", "\u202e"} & set(clean(text))


#: Profiles of each kind: plain JSON, lines, text in JSON, regular expressions, arguments.
_PROFILES = ("websocket", "action-cable", "centrifugo", "phoenix", "pusher", "stomp", "socketio")


@functools.cache
def _targets() -> list[Target]:
    return [Target(load(name), "http://127.0.0.1:1") for name in _PROFILES]


def profiles(data: bytes) -> None:
    """Messages and responses as profiles read them: codes, or a short cause."""
    text = data.decode(errors="replace")
    for target in _targets():
        events: list[ParsedMessage] = [
            ParsedMessage("", text),
            ParsedMessage("", data),
            ParsedMessage("x", [text]),
        ]
        with contextlib.suppress(Malformed):
            event = parse_packet(data)
            events += [event] if event is not None else []
        for each in events:
            assert all(isinstance(code, str) for code in target.reader.codes_in(each))
        captured: dict[str, str] = {}
        endpoint = target.endpoint(
            Identity("x", {"token": "t", "app_key": "k", "pin": "p"}),
            {"token": "t", "connection": "c"},
            on_captured=captured.update,
        )
        if endpoint.confirm is not None:
            assert endpoint.confirm(data, 1, _must_be_text) in (None, 1)
            assert all(isinstance(value, str) for value in captured.values())
        if endpoint.refuse is not None:
            refused = endpoint.refuse(data)
            assert refused is None or len(refused) < 200
        if endpoint.reply is not None:
            endpoint.reply(data, _must_be_text)
        if isinstance(target.profile.spec.ingest, HttpIngestSpec):
            why = ingest_failure(target, 200, data)
            assert why is None or len(why) < 200
    status = data[0] if data else 0
    assert (refusal(ExpectedAnswer(), status, data) is None) == (status >= 200)


def _must_be_text(reply: object) -> None:
    assert isinstance(reply, str)


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        frames,
        deflated,
        extensions,
        events,
        bodies,
        streams,
        contents,
        heads,
        packets,
        payloads,
        codes,
        profiles,
    )
}
