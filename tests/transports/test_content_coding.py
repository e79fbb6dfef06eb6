"""Content codings: event streams held to the uncompressed ones, on arbitrary reads."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.transports import Closed
from sseload_users.transports.content_coding import (
    BadContent,
    accepted_codings,
    decoded_content,
    decoder_for,
)
from sseload_users.transports.decoded_events import DecodedEvents
from sseload_users.transports.event_stream import EventStream
from sseload_users.transports.inflation import Inflation
from tests.support.deflating import ContentEncoder
from tests.support.wire import cut_stream, share

CODINGS = ("gzip", "x-gzip", "deflate", "bare deflate", "br")


@dataclass
class Outcome:
    messages: list[bytes] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    counts: tuple[int, int, int] = (0, 0, 0)


def decode(reads: list[bytes], coding: str, max_message: int = 1 << 20) -> Outcome:
    outcome, inflation = Outcome(), Inflation()

    def on_close(closed: Closed) -> None:
        outcome.ends.append(closed.cause)

    decoder = decoder_for(coding.removeprefix("bare "))
    assert decoder is not None
    events = DecodedEvents(
        EventStream(
            lambda block, _: outcome.messages.append(block),
            on_close,
            max_message,
            share,
        ),
        decoder,
        on_close=on_close,
        on_malformed=outcome.malformed.append,
        inflation=inflation,
    )
    for read in reads:
        if not events.ended:
            events.feed(read, 0, None)
    outcome.counts = inflation.drain()
    return outcome


texts = st.sampled_from(["LT-1", "LT-2", "é", "x" * 400, "a\ndata: b"])
streams = st.lists(texts, max_size=8).map(
    lambda each: [f"data: {text}\n\n".encode() for text in each]
)


@settings(max_examples=200, deadline=None)
@given(streams, st.sampled_from(CODINGS), st.booleans(), st.data())
def test_compressed_events_are_the_uncompressed_ones(
    events: list[bytes], coding: str, finish: bool, data: st.DataObject
) -> None:
    encoder = ContentEncoder(coding)
    stream = b"".join(map(encoder.encode, events)) + (encoder.finish() if finish else b"")
    outcome = decode(data.draw(cut_stream(st.just(stream))), coding)
    assert outcome.messages == [event.removesuffix(b"\n\n") for event in events]
    assert (outcome.ends, outcome.malformed) == ([], [])
    # Brotli's flushes cannot be told from its other blocks.
    flushes = 0 if coding == "br" else len(events)
    assert outcome.counts == (len(stream), sum(map(len, events)), flushes)


@pytest.mark.parametrize("coding", CODINGS)
def test_an_event_comes_once_the_compressor_is_flushed(coding: str) -> None:
    encoder = ContentEncoder(coding)
    reads = [
        encoder.encode(b"data: one\n\n"),
        encoder.encode(b"data: two\n\n", flush=False),
        encoder.encode(b"data: three\n\n"),
    ]
    counts = [len(decode(reads[:many], coding).messages) for many in (1, 2, 3)]
    assert counts == [1, 1, 3]


def test_events_of_one_read_share_a_stamp_but_for_the_last() -> None:
    received: list[tuple[bytes, int]] = []
    encoder = ContentEncoder("gzip")
    events = DecodedEvents(
        EventStream(lambda *each: received.append(each), print, 1 << 20, share),
        decoder_for("gzip"),  # type: ignore[arg-type]
        on_close=print,
        on_malformed=print,
        inflation=Inflation(),
    )
    long = b"data: " + b"x" * 99_994 + b"\n\n"  # more than one piece
    events.feed(encoder.encode(b"data: one\n\n" + long + b"data: three\n\n"), 7, 6)
    events.feed(encoder.encode(b"data: four\n\n"), 8, 7, followed=True)
    assert [stamp for _, stamp in received] == [-7, -7, 7, -8]


def bomb(coding: str) -> bytes:
    encoder = ContentEncoder(coding)
    return encoder.encode(b"data: LT-1\n\n") + encoder.encode(b": x\n" * (16 << 20))


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_ends_the_stream(coding: str) -> None:
    data = bomb(coding)
    assert len(data) < 300_000
    outcome = decode([data], coding)
    assert outcome.messages == [b"data: LT-1"]
    assert outcome.ends == ["inflated stream too large"]
    assert outcome.counts[1] < 9 << 20


def test_the_size_limit_of_events_applies_to_what_is_decoded() -> None:
    data = ContentEncoder("gzip").encode(b"data: one\n\ndata: " + b"x" * 2000 + b"\n\n")
    outcome = decode([data], "gzip", max_message=1000)
    assert (outcome.messages, outcome.ends) == ([b"data: one"], ["message too large"])


@pytest.mark.parametrize("coding", CODINGS)
def test_data_that_is_not_in_the_coding_ends_the_stream(coding: str) -> None:
    encoder = ContentEncoder(coding)
    good = encoder.encode(b"data: LT-1\n\n")
    for reads in ([good, b"\xff" * 99], [good + b"\xff" * 99]):
        outcome = decode(reads, coding)
        # The libraries give nothing of a piece that ends badly.
        assert outcome.messages == [b"data: LT-1"][: len(reads) - 1]
        assert outcome.ends == ["protocol error: bad compressed data"]
        assert outcome.malformed == ["bad compressed data"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_follows_the_end_is_ignored_as_by_browsers_and_said(coding: str) -> None:
    encoder, other = ContentEncoder(coding), ContentEncoder(coding)
    first = encoder.encode(b"data: one\n\n") + encoder.finish()
    second = other.encode(b"data: two\n\n") + other.finish()
    for reads in ([first, second, second], [first + second, second]):
        outcome = decode(reads, coding)
        assert outcome.messages == [b"data: one"]
        assert (outcome.ends, outcome.malformed) == ([], ["data after the compressed stream"])


def test_brotli_is_offered_over_tls_only() -> None:
    assert accepted_codings("http://h/", compression=True) == "gzip, deflate"
    assert accepted_codings("https://h/", compression=True) == "gzip, deflate, br"
    assert accepted_codings("https://h/", compression=False) == "identity"


def test_whole_contents_are_decoded_up_to_a_limit() -> None:
    text = b"x" * 200_000
    encoded = {"gzip": gzip.compress(text), "deflate": zlib.compress(text)}
    encoded |= {"br": brotli.compress(text), "": text, "Identity": text}
    for coding, data in encoded.items():
        assert decoded_content(data, coding, 1 << 20) == text
        assert decoded_content(data, coding, 1000) == text[:1000]
    assert decoded_content(encoded["gzip"][:-20], "gzip", 100) == text[:100]
    for coding, data in (("gzip", b"no"), ("zstd", text), ("gzip, br", text)):
        with pytest.raises(BadContent):
            decoded_content(data * 9, coding, 1 << 20)
