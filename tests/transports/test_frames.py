"""WebSocket frames: the decoder against websocket-client alone, on arbitrary reads."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websocket import (
    ABNF,
    WebSocket,
    WebSocketConnectionClosedException,
    WebSocketException,
)
from websocket._utils import validate_utf8

from sseload_users.transports import Closed
from sseload_users.transports.frames import (
    FrameDecoder,
    MessageTooLarge,
    close_frame,
    is_text,
    text_frame,
)
from tests.support.wire import frame, share, unmask

NO_LIMIT = 1 << 64


@dataclass
class Outcome:
    messages: list[bytes] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    closed: tuple[int | None, str] | None = None
    error: str | None = None


class Script:
    """A socket that returns these reads, then the end of the stream."""

    def __init__(self, reads: list[bytes], answers: list[tuple[int, bytes]]) -> None:
        self.data = b""
        self.reads = iter(reads)
        self.answers = answers

    def recv(self, size: int) -> bytes:
        if not self.data:
            self.data = next(self.reads, b"")
        data, self.data = self.data[:size], self.data[size:]
        return data

    def send(self, data: bytes) -> int:
        self.answers.append(unmask(data))
        return len(data)

    def gettimeout(self) -> float:
        return 0

    def close(self) -> None:
        pass


def by_websocket_client(reads: list[bytes]) -> Outcome:
    outcome = Outcome()
    client: Any = WebSocket()
    client.sock = Script(reads, outcome.answers)
    while True:
        try:
            opcode, frame = client.recv_data_frame(control_frame=True)
        except WebSocketConnectionClosedException:
            return outcome
        except WebSocketException as error:
            outcome.error = describe(error)
            return outcome
        if opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY):
            outcome.messages.append(frame.data)
        elif opcode == ABNF.OPCODE_CLOSE:
            code = struct.unpack("!H", frame.data[:2])[0] if frame.data else None
            outcome.closed = (code, frame.data[2:].decode(errors="replace"))
            return outcome


def by_decoder(reads: list[bytes], max_message: int = NO_LIMIT) -> Outcome:
    outcome = Outcome()

    def on_close(closed: Closed, error: WebSocketException | None) -> None:
        assert outcome.closed is None
        assert outcome.error is None
        if error is None:
            assert closed.by == "server"
            outcome.closed = (closed.code, closed.reason)
        else:
            assert closed.by == "client"
            outcome.error = describe(error)

    decoder = FrameDecoder(
        lambda message, _: outcome.messages.append(message),
        on_close,
        lambda answer: outcome.answers.append(unmask(answer)),
        max_message,
        share,
    )
    for read in reads:
        decoder.feed(read, 0, None)
    return outcome


def describe(error: WebSocketException) -> str:
    # websocket-client quotes the whole payload that it cannot decode.
    return f"{type(error).__name__}: {str(error)[:13]}"


payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.sampled_from(
        [b"", b"a" * 125, b"a" * 126, b"a" * 300, b"\xc3", b"\xed\xa0\x80", b"\xe2\x82"]
    ),
    st.text(min_size=120, max_size=130).map(str.encode),
)
close_bodies = st.one_of(
    st.just(b""),
    st.just(b"\x03"),
    st.builds(
        lambda code, reason: struct.pack("!H", code) + reason,
        st.one_of(st.integers(990, 1020), st.integers(0, 0xFFFF), st.sampled_from([3000, 4999])),
        st.one_of(st.text(max_size=20).map(str.encode), st.binary(max_size=3), st.just(b"r" * 124)),
    ),
)
masks = st.one_of(st.none(), st.none(), st.binary(min_size=4, max_size=4))
forms = st.sampled_from([0, 0, 126, 127])
whole_data = st.builds(frame, st.sampled_from([0x81, 0x82]), payloads, mask=masks, form=forms)
control = st.builds(frame, st.sampled_from([0x89, 0x8A]), payloads, mask=masks, form=forms)
close = st.builds(frame, st.just(0x88), close_bodies, mask=masks)
odd = st.builds(frame, st.integers(0, 255), payloads, mask=masks, form=forms)
endless = st.builds(
    frame, st.sampled_from([0x81, 0xF2]), payloads, length=st.integers(400, 1 << 64 - 1)
)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """Draw one message in several frames, with control frames between them."""
    parts = draw(st.lists(payloads, min_size=2, max_size=5))
    if draw(st.booleans()):
        text = "".join(draw(st.lists(st.text(max_size=10), min_size=2, max_size=4))).encode()
        at = draw(st.integers(0, len(text)))
        parts = [text[:at], text[at:]]
    frames = []
    for i, part in enumerate(parts):
        first = draw(st.sampled_from([1, 2])) if i == 0 else 0
        frames.append(frame(first | (0x80 if i == len(parts) - 1 else 0), part, mask=draw(masks)))
        frames.extend(draw(st.lists(control, max_size=1)))
    return b"".join(frames)


streams = st.lists(
    st.one_of(whole_data, whole_data, fragmented(), fragmented(), control, close, odd, endless),
    max_size=8,
).map(b"".join)


@st.composite
def cut(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> list[bytes]:
    """Draw a stream, split into reads."""
    stream = draw(data)
    if draw(st.booleans()) and len(stream) < 400:
        return [stream[i : i + 1] for i in range(len(stream))]
    places = sorted(draw(st.sets(st.integers(1, max(len(stream) - 1, 1)), max_size=10)))
    ends = [*places, len(stream)]
    reads = [stream[at:end] for at, end in zip([0, *places], ends, strict=True)]
    return [read for read in reads if read]


@settings(max_examples=400, deadline=None)
@given(cut(streams))
@example([frame(0x01, b"\xc3"), frame(0x80, b"\xa9"), frame(0x81, b"\xc3")])
@example([frame(0x81, b"one") + frame(0x82, b"two") + frame(0x88, b"\x03\xf3gone") + b"\x81\x01x"])
@example([frame(0x89, b"p" * 126)])
def test_frames_decode_as_by_websocket_client_alone(reads: list[bytes]) -> None:
    assert by_decoder(reads) == by_websocket_client(reads)


@settings(max_examples=200, deadline=None)
@given(cut(st.binary(max_size=120)))
def test_any_bytes_decode_as_by_websocket_client_alone(reads: list[bytes]) -> None:
    assert by_decoder(reads) == by_websocket_client(reads)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(whole_data, fragmented(), control, endless), max_size=6),
    st.integers(1, 40),
    st.integers(130, 500),
)
def test_a_size_limit_changes_nothing_before_it(frames: list[bytes], step: int, limit: int) -> None:
    stream = b"".join(frames)
    allowed = within(stream, limit)
    reads = [stream[i : i + step] for i in range(0, len(stream), step)]
    expected = by_websocket_client([stream[:allowed]] if allowed else [])
    if allowed < len(stream) and expected.error is None and expected.closed is None:
        expected.error = describe(MessageTooLarge("message too large"))
    assert by_decoder(reads, limit) == expected


def within(stream: bytes, limit: int) -> int:
    """Return the number of bytes before the first frame whose header exceeds the limit."""
    at = message = 0
    while len(stream) - at >= 2:
        first, short = stream[at], stream[at + 1] & 0x7F
        start = at + 2 + {126: 2, 127: 8}.get(short, 0)
        if len(stream) < start:
            break
        length = int.from_bytes(stream[at + 2 : start], "big") if short > 125 else short
        end = start + length + (4 if stream[at + 1] & 0x80 else 0)
        if length > limit:
            return at
        if end > len(stream):
            break
        if first & 0x0F < 3:
            message += length
            if message > limit:
                return at
            if first & 0x80:
                message = 0
        at = end
    return len(stream)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=8), payloads))
@example(b"\xe0\x80")
@example(b"\xf4\x90")
@example(b"\xed\xa0")
def test_utf8_is_checked_as_by_websocket_client(payload: bytes) -> None:
    assert is_text(payload) == validate_utf8(payload)


def test_incomplete_utf8_is_checked_as_by_websocket_client() -> None:
    pairs = [bytes([a, b]) for a in range(0xC0, 0x100) for b in range(0x70, 0x100)]
    edges = [0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0]
    triples = [pair + bytes([edge]) for pair in pairs for edge in edges]
    texts = pairs + triples
    assert [is_text(text) for text in texts] == [validate_utf8(text) for text in texts]


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (frame(0xC1, b"x"), "protocol error: reserved bits"),
        (frame(0x83, b"x"), "protocol error: unknown opcode"),
        (frame(0x80, b"x"), "protocol error: bad fragment order"),
        (frame(0x81, b"\xff"), "protocol error: invalid UTF-8"),
        (frame(0x01, b"\xff") + frame(0x80, b""), "protocol error: invalid UTF-8"),
        (frame(0x88, b"\x03"), "protocol error: bad close frame"),
        (frame(0x88, b"\x03\xed"), "protocol error: bad close code"),
        (frame(0x89, b"x" * 126), "protocol error: oversized ping"),
        (frame(0x09, b"x"), "protocol error: fragmented ping"),
        (frame(0x81, b"x" * 1001), "message too large"),
        (frame(0x01, b"x" * 600) + frame(0x00, b"x" * 600), "message too large"),
        (frame(0x81, b"", length=1 << 63), "message too large"),
        (frame(0x88, b"\x03\xf3full"), "closed by server: 1011"),
        (frame(0x88, b""), "closed by server: no code"),
    ],
)
def test_each_end_has_a_countable_cause(data: bytes, cause: str) -> None:
    ends: list[Closed] = []
    decoder = FrameDecoder(
        lambda *_: None, lambda closed, _: ends.append(closed), lambda _: None, 1000, share
    )
    decoder.feed(data + frame(0x81, b"after the end"), 0, None)
    decoder.feed(frame(0x81, b"long after the end"), 0, None)
    assert [closed.cause for closed in ends] == [cause]


def test_a_message_has_the_stamp_of_the_read_that_completed_it() -> None:
    received: list[tuple[bytes, int]] = []
    decoder = FrameDecoder(
        lambda *message: received.append(message),
        lambda *_: pytest.fail("no end"),
        lambda _: None,
        1000,
        share,
    )
    decoder.feed(frame(0x81, b"one") + frame(0x81, b"two") + frame(0x81, b"three")[:4], 5, 4)
    decoder.feed(frame(0x81, b"three")[4:], 6, 5)
    decoder.feed(frame(0x01, b"fo"), 7, 6)
    decoder.feed(frame(0x80, b"ur"), 8, 7)
    assert received == [(b"one", -5), (b"two", -5), (b"three", 6), (b"four", 8)]
    del received[:]
    decoder.feed(frame(0x81, b"five") + frame(0x81, b"six"), 9, 8)
    decoder.feed(frame(0x81, b"seven") + frame(0x81, b"eight")[:4], 10, 9)
    decoder.feed(frame(0x81, b"eight")[4:] + frame(0x89, b""), 11, 10)
    assert received == [(b"five", -9), (b"six", 9), (b"seven", -10), (b"eight", -11)]


def test_decoding_stops_in_the_middle_of_a_read() -> None:
    received: list[bytes] = []

    def take(message: bytes, _: int) -> None:
        received.append(message)
        decoder.ended = True

    decoder = FrameDecoder(take, lambda *_: None, lambda _: None, 1000, share)
    decoder.feed(frame(0x81, b"one") + frame(0x81, b"two"), 0, None)
    assert received == [b"one"]


def test_what_the_callback_raises_is_not_swallowed() -> None:
    def refuse(message: bytes, _: int) -> None:
        raise KeyError(message)

    decoder = FrameDecoder(refuse, lambda *_: None, lambda _: None, 1000, share)
    with pytest.raises(KeyError):
        decoder.feed(frame(0x81, b"one"), 0, None)


def test_a_frame_in_many_reads_costs_in_proportion_to_its_length() -> None:
    def seconds(length: int) -> float:
        data = frame(0x82, bytes(length))
        reads = [data[i : i + 500] for i in range(0, len(data), 500)]
        best = 1.0
        for _ in range(3):
            began = time.process_time()
            outcome = by_decoder(reads)
            best = min(best, time.process_time() - began)
            assert [len(message) for message in outcome.messages] == [length]
        return best

    # Sixteen times the length; quadratic cost would be 256 times the time.
    assert seconds(16 << 20) < 80 * seconds(1 << 20)


def test_client_frames_are_masked_and_whole() -> None:
    assert unmask(close_frame(1000)) == (0x88, b"\x03\xe8")
    assert unmask(text_frame("grüße")) == (0x81, "grüße".encode())
