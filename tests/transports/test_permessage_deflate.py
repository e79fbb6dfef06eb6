"""permessage-deflate: what is agreed, and messages held to wsproto's, on arbitrary reads."""

from __future__ import annotations

import itertools
import random
import zlib
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode

from sseload_users.transports import Closed
from sseload_users.transports.frames import FrameDecoder, FrameError
from sseload_users.transports.inflation import Inflation
from sseload_users.transports.permessage_deflate import (
    OFFER,
    DeflateParameters,
    InflatedTooLarge,
    InvalidExtensions,
    MessageInflater,
    read_answer,
)
from tests.support.deflating import MessageDeflater
from tests.support.wire import cut_stream, frame, share

NO_LIMIT = 1 << 40


# What is agreed


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        ("", None),
        (" , ", None),
        ("permessage-deflate", DeflateParameters()),
        (
            "permessage-deflate; server_no_context_takeover",
            DeflateParameters(server_no_context_takeover=True),
        ),
        (
            "permessage-deflate;client_no_context_takeover ;  client_max_window_bits=8",
            DeflateParameters(client_no_context_takeover=True, client_max_window_bits=8),
        ),
        (
            'permessage-deflate; server_max_window_bits="10"',
            DeflateParameters(server_max_window_bits=10),
        ),
    ],
)
def test_valid_answers_are_read(answer: str, agreed: DeflateParameters | None) -> None:
    assert read_answer(answer, OFFER) == agreed
    if agreed is not None:
        assert read_answer(str(agreed), OFFER) == agreed


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("x-webkit-deflate-frame", "x-webkit-deflate-frame was not offered"),
        ("Permessage-Deflate", "Permessage-Deflate was not offered"),
        ("permessage-deflate, permessage-deflate", "permessage-deflate is accepted twice"),
        ("permessage-deflate; mux", "there is no parameter mux"),
        ("permessage-deflate; Server_No_Context_Takeover", "there is no parameter Server_"),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "server_no_context_takeover is given twice",
        ),
        ("permessage-deflate; server_no_context_takeover=1", "_takeover has a value"),
        ("permessage-deflate; client_max_window_bits", "is not a number from 8 to 15"),
        ("permessage-deflate; server_max_window_bits", "is not a number from 8 to 15"),
        ("permessage-deflate; server_max_window_bits=7", "is not a number from 8 to 15"),
        ("permessage-deflate; server_max_window_bits=16", "is not a number from 8 to 15"),
        ("permessage-deflate; server_max_window_bits=09", "is not a number from 8 to 15"),
        ("permessage-deflate; server_max_window_bits=+9", "is not a number from 8 to 15"),
        ("permessage-deflate; server_max_window_bits=", "the header is invalid"),
        ("permessage-deflate server_no_context_takeover", "the header is invalid"),
        ("permessage-deflate; ", "the header is invalid"),
        ('permessage-deflate; server_max_window_bits="', "the header is invalid"),
    ],
)
def test_answers_that_rfc_7692_forbids_are_refused(answer: str, why: str) -> None:
    with pytest.raises(InvalidExtensions, match=why):
        read_answer(answer, OFFER)


def test_nothing_may_be_accepted_that_was_not_offered() -> None:
    with pytest.raises(InvalidExtensions, match="permessage-deflate was not offered"):
        read_answer("permessage-deflate", "")
    with pytest.raises(InvalidExtensions, match="client_max_window_bits was not offered"):
        read_answer("permessage-deflate; client_max_window_bits=9", "permessage-deflate")
    with pytest.raises(InvalidExtensions, match="mux is not supported"):
        read_answer("mux", "mux, permessage-deflate")


# Messages


@dataclass
class Outcome:
    messages: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    end: str = ""


def by_decoder(
    reads: list[bytes], agreed: DeflateParameters, max_message: int = NO_LIMIT
) -> Outcome:
    outcome = Outcome()

    def on_close(closed: Closed, error: FrameError | None) -> None:
        assert not outcome.end
        outcome.end = closed.cause

    decoder = FrameDecoder(
        lambda message, _: outcome.messages.append(message),
        on_close,
        outcome.answers.append,
        max_message,
        share,
        MessageInflater(agreed, max_message, Inflation()).inflate,
    )
    for read in reads:
        decoder.feed(read, 0, None)
    return outcome


def by_wsproto(reads: list[bytes], agreed: DeflateParameters) -> list[bytes]:
    extension = PerMessageDeflate()
    extension.finalize(str(agreed))
    protocol = FrameProtocol(client=True, extensions=[extension])
    messages, parts = [], b""
    for read in reads:
        protocol.receive_bytes(read)
        for each in protocol.received_frames():
            if each.opcode in (Opcode.TEXT, Opcode.BINARY):
                part: Any = each.payload
                parts += part.encode() if isinstance(part, str) else part
                if each.message_finished:
                    messages.append(parts)
                    parts = b""
    return messages


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


agreements = st.builds(
    DeflateParameters,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.integers(9, 15),
    client_max_window_bits=st.integers(9, 15),
)
# Few words, so that messages refer to earlier ones, and some that fill a window of 512 bytes.
texts = st.lists(st.sampled_from(["code", "LT-1", "é", "€uro", "x" * 300]), max_size=9).map(
    lambda words: " ".join(words).encode()
)
blobs = st.one_of(st.binary(max_size=40), st.integers(0, 1500).map(noise))
controls = st.sampled_from([b"", frame(0x89, b"ping"), frame(0x8A, b"")])


@dataclass
class Deflated:
    """What is agreed, messages, the reads that carry them, and their frames alone."""

    agreed: DeflateParameters
    messages: list[bytes]
    reads: list[bytes]
    frames: bytes


@st.composite
def deflated(draw: st.DrawFn) -> Deflated:
    agreed = draw(agreements)
    deflater = MessageDeflater(agreed.server_no_context_takeover, agreed.server_max_window_bits)
    messages, stream, frames = [], b"", b""
    for _ in range(draw(st.integers(1, 6))):
        opcode = draw(st.sampled_from([1, 2]))
        message = draw(texts if opcode == 1 else blobs)
        compressed = draw(st.sampled_from([True, True, True, False]))
        data = deflater.deflate(message) if compressed else message
        places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=3)))
        if not compressed and opcode == 1:
            places = []  # wsproto decodes text by frames
        parts = [data[a:b] for a, b in itertools.pairwise([0, *places, len(data)])]
        for number, part in enumerate(parts):
            first = opcode | (0x40 if compressed else 0) if number == 0 else 0
            data_frame = frame(first | (0x80 if number == len(parts) - 1 else 0), part)
            frames += data_frame
            stream += data_frame + draw(controls)
        messages.append(message)
    return Deflated(agreed, messages, draw(cut_stream(st.just(stream))), frames)


@settings(max_examples=300, deadline=None)
@given(deflated())
def test_messages_inflate_as_by_wsproto(drawn: Deflated) -> None:
    outcome = by_decoder(drawn.reads, drawn.agreed)
    assert outcome.messages == drawn.messages
    assert outcome.end == ""
    # wsproto 1.3 forgets at a control frame that the message around it is compressed.
    assert by_wsproto([drawn.frames], drawn.agreed) == drawn.messages


@settings(max_examples=300, deadline=None)
@given(deflated(), st.data())
def test_damaged_streams_end_or_differ_alike_however_they_are_cut(
    drawn: Deflated, data: st.DataObject
) -> None:
    agreed, stream = drawn.agreed, bytearray(b"".join(drawn.reads))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    whole = by_decoder([bytes(stream)], agreed, 2000)
    single = by_decoder([bytes([byte]) for byte in stream], agreed, 2000)
    assert (whole.messages, whole.end) == (single.messages, single.end)
    assert all(len(message) <= 2000 for message in whole.messages)


PLAIN = DeflateParameters()
FRESH = DeflateParameters(server_no_context_takeover=True)


def compressed(message: bytes) -> bytes:
    return MessageDeflater().deflate(message)


@pytest.mark.parametrize("agreed", [PLAIN, FRESH], ids=["takeover", "no takeover"])
@pytest.mark.parametrize(
    ("stream", "end"),
    [
        # Reserved bits elsewhere than on the first frame of a message
        (frame(0x41, compressed(b"ab")[:2]) + frame(0xC0, compressed(b"ab")[2:]), "reserved bits"),
        (frame(0xC9, b""), "reserved bits"),
        (frame(0xC8, b""), "reserved bits"),
        (frame(0xA1, b"x"), "reserved bits"),
        (frame(0xE1, compressed(b"x")), "reserved bits"),
        (frame(0x01, b"x") + frame(0xC1, compressed(b"y")), "bad fragment order"),
        (frame(0x41, compressed(b"x")) + frame(0xC1, compressed(b"y")), "bad fragment order"),
        (frame(0xC3, compressed(b"y")), "unknown opcode"),
        # Data that is not deflated
        (frame(0xC1, b"\xff\xff"), "bad compressed data"),
        (frame(0x41, b"\xff") + frame(0x80, b"\xff"), "bad compressed data"),
        (frame(0xC1, compressed(b"\xff\xfe")), "invalid UTF-8"),
        (
            frame(0x41, compressed(b"\xff\xfe")[:1]) + frame(0x80, compressed(b"\xff\xfe")[1:]),
            "invalid UTF-8",
        ),
    ],
)
def test_what_the_rfcs_forbid_ends_the_session(
    stream: bytes, end: str, agreed: DeflateParameters
) -> None:
    outcome = by_decoder([stream + frame(0x81, b"after the end")], agreed)
    assert (outcome.messages, outcome.end) == ([], f"protocol error: {end}")


@pytest.mark.parametrize(("bits", "end"), [(10, ""), (9, "protocol error: bad compressed data")])
def test_only_the_agreed_window_is_kept(bits: int, end: str) -> None:
    deflater, message = MessageDeflater(window_bits=15), noise(1000)
    stream = deflater.frame(message, 2) + deflater.frame(message, 2)
    outcome = by_decoder([stream], DeflateParameters(server_max_window_bits=bits))
    assert (len(outcome.messages), outcome.end) == (1 if end else 2, end)


@pytest.mark.parametrize("size", [999, 1000, 1001])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_the_size_limit_applies_to_the_inflated_message(size: int, before: int) -> None:
    deflater = MessageDeflater()
    small = [deflater.frame(b"small") for _ in range(before)]
    outcome = by_decoder([*small, deflater.frame(bytes(size), 2)], PLAIN, 1000)
    assert outcome.messages[:before] == [b"small"] * before
    assert len(outcome.messages) == before + (size <= 1000)
    assert outcome.end == ("" if size <= 1000 else "inflated message too large")


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    bomb = MessageDeflater().frame(bytes(64 << 20), 2)
    assert len(bomb) < 70_000
    outcome = by_decoder([bomb], FRESH, 100_000)
    assert outcome.end == "inflated message too large"


def final_blocks(message: bytes, ending: bytes) -> bytes:
    """Compress by a stream that ends with each message (RFC 7692 §7.2.3.4)."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(message) + compressor.flush() + ending


@pytest.mark.parametrize("ending", [b"\x00", b""], ids=["padded", "bare"])
@pytest.mark.parametrize("agreed", [PLAIN, FRESH], ids=["takeover", "no takeover"])
def test_final_blocks_end_a_message_and_not_the_connection(
    agreed: DeflateParameters, ending: bytes
) -> None:
    messages = [b"one", b"two" * 9, b"", b"three"]
    stream = b"".join(frame(0xC1, final_blocks(message, ending)) for message in messages)
    outcome = by_decoder([stream], agreed)
    assert (outcome.messages, outcome.end) == (messages, "")


def test_the_examples_of_rfc_7692() -> None:
    hello = bytes.fromhex("f248cdc9c90700")
    examples = [
        frame(0xC1, hello),
        frame(0x41, hello[:3]) + frame(0x80, hello[3:]),
        frame(0xC1, bytes.fromhex("000500faff48656c6c6f00")),  # without compression
        frame(0xC1, bytes.fromhex("f348cdc9c9070000")),  # with a final block
        frame(0xC1, bytes.fromhex("f248050000 00ffff cac9c90700".replace(" ", ""))),  # two blocks
    ]
    for example in examples:
        assert by_decoder([example], PLAIN) == Outcome([b"Hello"])
    # The second message refers to the first (§7.2.3.2).
    second = bytes.fromhex("f200110000")
    twice = frame(0xC1, hello) + frame(0xC1, second)
    assert by_decoder([twice], PLAIN) == Outcome([b"Hello", b"Hello"])
    assert by_decoder([twice], FRESH) == Outcome(
        [b"Hello"], end="protocol error: bad compressed data"
    )


# What connections share


def test_a_broadcast_is_inflated_once_and_counted_for_each() -> None:
    inflation = Inflation()
    inflaters = [MessageInflater(FRESH, 1000, inflation) for _ in range(3)]
    data = compressed(b"LT-1" * 20)
    # Each connection reads bytes of its own.
    messages = [each.inflate(bytes(bytearray(data))) for each in inflaters]
    assert messages[0] == b"LT-1" * 20
    assert all(message is messages[0] for message in messages)
    assert inflation.drain() == (3 * len(data), 3 * 80, 0)
    assert inflation.drain() == (0, 0, 0)


def test_the_memo_keeps_each_connections_own_limit() -> None:
    inflation = Inflation()
    data = compressed(bytes(2000))
    assert MessageInflater(FRESH, 2000, inflation).inflate(data) == bytes(2000)
    with pytest.raises(InflatedTooLarge):
        MessageInflater(FRESH, 1999, inflation).inflate(data)


def test_the_memo_does_not_mix_contexts() -> None:
    inflation = Inflation()
    early, late = (MessageInflater(PLAIN, 1000, inflation) for _ in range(2))
    deflater, other = MessageDeflater(), MessageDeflater()
    one, two = deflater.deflate(b"first"), deflater.deflate(b"second, first")
    assert [early.inflate(one), early.inflate(two)] == [b"first", b"second, first"]
    third = other.deflate(b"third")
    assert [late.inflate(third), late.inflate(other.deflate(b"third"))] == [b"third"] * 2
    assert early.inflate(deflater.deflate(b"third")) == b"third"
