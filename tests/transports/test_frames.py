"""WebSocket frames: the decoder against wsproto alone, on arbitrary reads."""

from __future__ import annotations

import itertools
import struct
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from sseload_users.transports import Closed
from sseload_users.transports.client_frames import close_frame, message_frame, ping_frame
from sseload_users.transports.frame_memo import FrameMemo
from sseload_users.transports.frames import (
    FrameDecoder,
    FrameError,
)
from tests.support.wire import frame, share, unmask

NO_LIMIT = 1 << 64


@dataclass
class Outcome:
    messages: list[bytes] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    closed: tuple[int | None, str] | None = None
    error: int | None = None


def by_wsproto(reads: list[bytes]) -> Outcome:
    outcome = Outcome()
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(readable(b"".join(reads)))
    parts: list[bytes] = []
    try:
        for each in protocol.received_frames():
            payload: Any = each.payload
            if each.opcode is Opcode.PING:
                outcome.answers.append((0x8A, payload))
            elif each.opcode is Opcode.CLOSE:
                code = None if payload[0] == 1005 else int(payload[0])
                outcome.closed = (code, payload[1])
                answer = b"" if code is None else struct.pack("!H", code)
                outcome.answers.append((0x88, answer))
            elif each.opcode is not Opcode.PONG:
                parts.append(payload.encode() if isinstance(payload, str) else payload)
                if each.message_finished:
                    outcome.messages.append(b"".join(parts))
                    parts.clear()
    except ParseFailed as error:
        outcome.error = int(error.code)
    return outcome


def readable(stream: bytes) -> bytes:
    """Return a stream without the payload or the header of its last frame, if incomplete.

    wsproto looks at each byte; the decoder waits for whole frames.
    """
    at = 0
    while len(stream) - at >= 2:
        short = stream[at + 1] & 0x7F
        start = at + 2 + {126: 2, 127: 8}.get(short, 0)
        length = int.from_bytes(stream[at + 2 : start], "big") if short > 125 else short
        if start > len(stream):
            break
        if start + length > len(stream):
            return stream[:start]
        at = start + length
    return stream[:at]


def by_decoder(reads: list[bytes], max_message: int = NO_LIMIT) -> Outcome:
    outcome, decoder = new_decoder(max_message)
    for read in reads:
        decoder.feed(read, 0, None)
    return outcome


def new_decoder(
    max_message: int = NO_LIMIT, memo: FrameMemo | None = None
) -> tuple[Outcome, FrameDecoder]:
    """Return a decoder, and what comes out of it."""
    outcome = Outcome()

    def on_close(closed: Closed, error: FrameError | None) -> None:
        assert outcome.closed is None
        assert outcome.error is None
        if error is None:
            assert closed.by == "server"
            outcome.closed = (closed.code, closed.reason)
        else:
            assert closed.by == "client"
            outcome.error = error.status

    decoder = FrameDecoder(
        lambda message, _: outcome.messages.append(message),
        on_close,
        lambda answer: outcome.answers.append(unmask(answer)),
        max_message,
        share,
        memo=memo,
    )
    return outcome, decoder


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
        st.one_of(
            # wsproto does not know 1014, which was registered after RFC 6455.
            st.integers(990, 1020).filter(lambda code: code != 1014),
            st.integers(0, 999),
            st.integers(1021, 0xFFFF),
            st.sampled_from([3000, 4999]),
        ),
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
def test_frames_decode_as_by_wsproto_alone(reads: list[bytes]) -> None:
    assert by_decoder(reads) == by_wsproto(reads)


@settings(max_examples=200, deadline=None)
@given(cut(streams), cut(streams))
@example([frame(0x81, b"one")] * 2, [frame(0x01, b"fo"), frame(0x81, b"one")])
@example([frame(0x81, b"one")], [frame(0x81, b"one")[:3], frame(0x81, b"one")[3:]])
def test_connections_that_share_a_memo_decode_as_if_alone(
    one: list[bytes], other: list[bytes]
) -> None:
    memo = FrameMemo()
    both = [(*new_decoder(memo=memo), reads) for reads in (one, other, one)]
    for each in itertools.zip_longest(*(reads for _, _, reads in both)):
        for (_, decoder, _), read in zip(both, each, strict=True):
            if read is not None:
                decoder.feed(read, 0, None)
    for outcome, _, reads in both:
        assert outcome == by_wsproto(reads)


@settings(max_examples=200, deadline=None)
@given(cut(st.binary(max_size=120)))
def test_any_bytes_decode_as_by_wsproto_alone(reads: list[bytes]) -> None:
    assert by_decoder(reads) == by_wsproto(reads)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(whole_data, fragmented(), control, endless), max_size=6),
    st.integers(1, 40),
    st.integers(130, 500),
)
def test_a_size_limit_changes_nothing_before_it(frames: list[bytes], step: int, limit: int) -> None:
    stream = b"".join(frames)
    allowed, end = within(stream, limit)
    reads = [stream[i : i + step] for i in range(0, len(stream), step)]
    expected = [by_wsproto([stream[:allowed]] if allowed else [])]
    if end and expected[0].error is None and expected[0].closed is None:
        expected[0].error = 1009
        # A frame that breaks the protocol as well may be refused for either.
        both = by_wsproto([stream[:end]])
        expected += [both] if both.error == 1002 else []
    assert by_decoder(reads, limit) in expected


def within(stream: bytes, limit: int) -> tuple[int, int]:
    """Return how many bytes come before the first payload over the limit, and where it ends.

    The end is 0 if there is none.
    """
    at = message = 0
    while len(stream) - at >= 2:
        first, short = stream[at], stream[at + 1] & 0x7F
        start = at + 2 + {126: 2, 127: 8}.get(short, 0)
        if len(stream) < start:
            break
        length = int.from_bytes(stream[at + 2 : start], "big") if short > 125 else short
        end = start + length + (4 if stream[at + 1] & 0x80 else 0)
        if length > limit:
            return start, end
        if end > len(stream):
            break
        if first & 0x0F < 3:
            message += length
            if message > limit:
                return at, end
            if first & 0x80:
                message = 0
        at = end
    return len(stream), 0


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
        (frame(0x88, b"\x03\xe7"), "protocol error: bad close code"),
        (frame(0x88, b"\x0b\xb7"), "protocol error: bad close code"),
        (frame(0x88, b"\x13\x88"), "protocol error: bad close code"),
        (frame(0x88, b"\x03\xe8\xff"), "protocol error: invalid UTF-8"),
        (frame(0x88, b"\x03\xe8" + b"x" * 124), "protocol error: oversized control frame"),
        (frame(0x89, b"x" * 126), "protocol error: oversized control frame"),
        (frame(0x8A, b"x" * 126), "protocol error: oversized control frame"),
        (frame(0x8A, b"x", form=126), "protocol error: oversized control frame"),
        (frame(0x09, b"x"), "protocol error: fragmented control frame"),
        (frame(0x0A, b"x"), "protocol error: fragmented control frame"),
        (frame(0x08, b""), "protocol error: fragmented control frame"),
        (frame(0x8B, b""), "protocol error: unknown opcode"),
        (frame(0xA1, b"x"), "protocol error: reserved bits"),
        (frame(0x91, b"x"), "protocol error: reserved bits"),
        (frame(0xC9, b"x"), "protocol error: reserved bits"),
        (frame(0x81, b"x", mask=b"abcd"), "protocol error: masked frame"),
        (frame(0x89, b"x", mask=b"abcd"), "protocol error: masked frame"),
        (frame(0x82, b"x" * 125, form=126), "protocol error: length not minimal"),
        (frame(0x82, b"x" * 126, form=127), "protocol error: length not minimal"),
        (frame(0x01, b"x", form=126), "protocol error: length not minimal"),
        (frame(0x81, b"", length=1 << 63), "protocol error: length out of range"),
        (frame(0x81, b"\xc3"), "protocol error: invalid UTF-8"),
        (frame(0x81, b"\xed\xa0\x80"), "protocol error: invalid UTF-8"),
        (frame(0x01, b"\xc3") + frame(0x80, b""), "protocol error: invalid UTF-8"),
        (frame(0x01, b"x") + frame(0x81, b"y"), "protocol error: bad fragment order"),
        (frame(0x81, b"x" * 1001), "message too large"),
        (frame(0x01, b"x" * 600) + frame(0x00, b"x" * 600), "message too large"),
        (frame(0x81, b"", length=1 << 62), "message too large"),
        (frame(0x88, b"\x03\xf3full"), "closed by server: 1011"),
        (frame(0x88, b"\x03\xf6"), "closed by server: 1014"),
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
    assert unmask(message_frame("grüße")) == (0x81, "grüße".encode())
    assert unmask(message_frame(b"\xff\0")) == (0x82, b"\xff\0")
    assert unmask(ping_frame()) == (0x89, b"")
