"""Event streams: the decoder against a literal reading of the standard, on arbitrary reads."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sseload_users.transports import Closed, ParsedMessage
from sseload_users.transports.event_stream import EventStream, parse_event
from tests.support.wire import cut_stream, share

BOM = b"\xef\xbb\xbf"


@dataclass
class Reference:
    """HTML Standard §9.2.5 and §9.2.6, implemented sentence by sentence."""

    events: list[tuple[str, str, str]] = field(default_factory=list)
    last_event_id: str = ""
    reconnection_time: int | None = None
    data: str = ""
    event_type: str = ""
    id_buffer: str = ""

    def read(self, stream: bytes) -> Reference:
        # "Streams must be decoded using the UTF-8 decode algorithm", which strips a BOM.
        text = stream.removeprefix(BOM).decode(errors="replace")
        # "Once the end of the file is reached, any pending data must be discarded."
        for line in re.split("\r\n|\n|\r", text)[:-1]:
            if line == "":
                self.dispatch()
            elif line.startswith(":"):
                pass
            elif ":" in line:
                name, value = line.split(":", 1)
                self.process(name, value[1:] if value.startswith(" ") else value)
            else:
                self.process(line, "")
        return self

    def process(self, name: str, value: str) -> None:
        if name == "event":
            self.event_type = value
        elif name == "data":
            self.data += value + "\n"
        elif name == "id" and "\0" not in value:
            self.id_buffer = value
        elif name == "retry" and value and set(value) <= set("0123456789"):
            self.reconnection_time = int(value)

    def dispatch(self) -> None:
        self.last_event_id = self.id_buffer
        if self.data == "":
            self.event_type = ""
            return
        self.events.append((self.event_type or "message", self.data[:-1], self.last_event_id))
        self.data = self.event_type = ""


class Decoded:
    """The results of all reads so far."""

    def __init__(self, max_message: int = 1 << 20) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.payloads: list[bytes] = []
        self.stamps: list[int] = []
        self.closed: list[Closed] = []
        self.stream = EventStream(self.take, self.closed.append, max_message, share)

    def take(self, payload: bytes, stamp: int) -> None:
        event = parse_event(payload)
        assert event is not None
        assert isinstance(event.data, str)
        self.events.append((event.name, event.data, self.stream.last_event_id or ""))
        self.payloads.append(payload)
        self.stamps.append(stamp)

    def read(self, *reads: bytes) -> Decoded:
        for data in reads:
            self.stream.feed(data, 0, None)
        return self


line_ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"])
values = st.one_of(
    st.sampled_from([b"", b" ", b"  x", b"x", b":", b"7", b"15", b" 3000", b"a\0b", b"+1", b"1_0"]),
    st.text("ab :é€\U0001f600\u2028\ufeff", max_size=6).map(str.encode),
    st.sampled_from([b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f", BOM]),
)
names = st.sampled_from(
    [
        b"data",
        b"data",
        b"data",
        b"event",
        b"id",
        b"retry",
        b"",
        b"",
        b"dat",
        b"datax",
        b"Data",
        b" data",
        b"idx",
        b"retryx",
        b"\xef\xbb\xbfdata",
        b"da\xc3",
    ]
)
colons = st.sampled_from([b":", b":", b": ", b""])
lines = st.builds(lambda *parts: b"".join(parts), names, colons, values, line_ends)
blanks = st.builds(lambda one, two: one + two, line_ends, line_ends)
streams = st.builds(
    lambda bom, parts: bom + b"".join(parts),
    st.sampled_from([b"", b"", b"", BOM, BOM + BOM, b"\xef", b"\xef\xbb"]),
    st.lists(st.one_of(lines, lines, blanks), max_size=16),
)
rubbish = st.text("\r\n\n:dati e\0\ufeff\xff", max_size=40).map(lambda text: text.encode("utf-8"))


@settings(max_examples=300, deadline=None)
@given(cut_stream(st.one_of(streams, streams, rubbish)))
@example([b"data: a\n\ndata: b\n\n", b"data: c\n\n", b": hi\n\n", b"data: d\n\n"])
@example([b"data: a\r\n\r", b"\ndata: b\r\n\r\n"])
@example([b"\xef", b"\xbb", b"\xbfdata: a\n\n", BOM + b"data: b\n\n"])
@example([b"data\n\n", b"data", b"\n\n", b"data:\n", b"\n"])
@example([b"id: 1\ndata: a\n\n", b"id\n\n", b"data: b\n\n"])
@example([b"id: 1\ndata: a\n\n", b"id: 2\0\ndata: b\n\n", b"id: 3\0\n\n"])
@example([b"data: a\n\n", b"data: b\rdata: c\n\n", b"data: d\r\r\n\r\n"])
@example([b"data: a\n", b": comment\n", b"data: b\n\n"])
@example([b"\n", b"\ndata: x\n\n", b"\ndata: y\n\n"])
def test_events_follow_the_standard_after_every_read(reads: list[bytes]) -> None:
    decoded, stream = Decoded(), b""
    for data in reads:
        stream += data
        decoded.read(data)
        expected = Reference().read(stream)
        assert decoded.events == expected.events
        assert (decoded.stream.last_event_id or "") == expected.last_event_id
    # The reconnection time is set once its block is complete.
    assert (
        decoded.read(b"\n\n").stream.retry_ms
        == Reference().read(stream + b"\n\n").reconnection_time
    )
    assert not decoded.closed


@settings(max_examples=200, deadline=None)
@given(cut_stream(streams))
def test_payloads_do_not_depend_on_reads_or_line_ends(
    reads: list[bytes],
) -> None:
    stream = b"".join(reads).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    whole = Decoded().read(*([stream] if stream else []))
    assert Decoded().read(*reads).payloads == whole.payloads
    for end in (b"\r", b"\r\n"):
        other = stream.replace(b"\n", end)
        assert Decoded().read(*([other] if other else [])).payloads == whole.payloads
    assert not any(line.startswith(b":") for each in whole.payloads for line in each.split(b"\n"))


def test_the_payload_of_a_usual_message_is_its_lines() -> None:
    decoded = Decoded().read(b'data: {"code":"A"}\n\n', b"id: 5\ndata: b\n\nda", b"ta: c\n\n")
    assert decoded.payloads == [b'data: {"code":"A"}', b"id: 5\ndata: b", b"data: c"]
    assert decoded.stream.last_event_id == "5"


@pytest.mark.parametrize(
    ("block", "event"),
    [
        (b"data: a\ndata: b", ParsedMessage("message", "a\nb")),
        (b"event: code\ndata:  a", ParsedMessage("code", " a")),
        (b"event: code\nevent\ndata", ParsedMessage("message", "")),
        (b"data: \xff\xe2\x82", ParsedMessage("message", "��")),
        (b": only a comment", None),
        (b"event: no data", None),
    ],
)
def test_blocks_are_parsed(block: bytes, event: ParsedMessage | None) -> None:
    assert parse_event(block) == event


def test_an_event_has_the_stamp_of_the_read_that_completed_it() -> None:
    decoded = Decoded()
    for stamp, data in enumerate(
        [b"data: a\n", b"\n", b"data: b\n\ndata: c\r\n\r", b"\n", b"data: d\n\n"]
    ):
        decoded.stream.feed(data, stamp, stamp - 1 if stamp else None)
    assert decoded.stamps == [1, -2, 2, 4]


def test_events_before_a_reads_last_bytes_share_a_stamp() -> None:
    decoded = Decoded()
    decoded.stream.feed(b"data: a\n\ndata: b\n\n: comment\n\n", 1, 0)
    decoded.stream.feed(b"data: c\n\n", 2, 1, followed=True)
    decoded.stream.feed(b"data: d\n\ndata: e\n\n", 2, 1)
    decoded.stream.feed(b"data: f\n\ndata", 3, 2)
    decoded.stream.feed(b": g\n\n", 4, 3)
    assert decoded.stamps == [-1, -1, -2, -2, 2, -3, 4]


TOO_LARGE = [Closed("client", "message too large")]


@pytest.mark.parametrize(
    "reads",
    [
        [b"data: x\n\n", b"data: " + b"x" * 100 + b"\n\n"],
        [b"data: x\n\n" + b"data: " + b"x" * 100 + b"\n\n"],
        [b"data: x\n\n", *[b"x"] * 101],
        [b"data: x\n\n", *[b"data: y\n"] * 13],
        [b"data: x\n\n:", *[b"x"] * 100],
    ],
)
def test_a_block_over_the_limit_ends_the_stream_at_once(reads: list[bytes]) -> None:
    decoded = Decoded(max_message=100).read(*reads)
    assert decoded.closed == TOO_LARGE
    assert decoded.stream.ended
    decoded.read(b"data: more\n\n", b"data: more\n\n")
    assert decoded.closed == TOO_LARGE
    assert decoded.payloads == [b"data: x"]


def test_a_block_at_the_limit_is_accepted() -> None:
    data = b"data: " + b"x" * 94
    assert Decoded(max_message=100).read(data + b"\n\n", data, b"\n\n").payloads == [data, data]


def test_comments_are_not_kept_in_memory() -> None:
    decoded = Decoded(max_message=100)
    for _ in range(1000):
        decoded.read(b": keep", b"-alive\n", b":\r", b"\n:")
    assert not decoded.closed
    assert decoded.read(b"\n", b"data: x\n", b"\n").payloads == [b"data: x"]


def test_decoding_stops_in_the_middle_of_a_read() -> None:
    received: list[bytes] = []

    def take(message: bytes, _: int) -> None:
        received.append(message)
        stream.ended = True

    stream = EventStream(take, lambda _: None, 1000, share)
    stream.feed(b"data: 1\n\ndata: 2\n\n", 0, None)
    stream.feed(b"data: 3\n\n", 0, None)
    assert received == [b"data: 1"]


def test_absurd_reconnection_times_are_ignored() -> None:
    decoded = Decoded().read(b"retry: 5\n\n", b"retry: " + b"9" * 5000 + b"\n\n", b"retry:-1\n\n")
    assert decoded.stream.retry_ms == 5


def test_an_event_in_many_reads_costs_in_proportion_to_its_length() -> None:
    def seconds(length: int) -> float:
        data = b"data: " + b"x" * length + b"\n\n"
        reads = [data[i : i + 500] for i in range(0, len(data), 500)]
        best = 1.0
        for _ in range(3):
            began = time.process_time()
            decoded = Decoded(1 << 30).read(*reads)
            best = min(best, time.process_time() - began)
            assert [len(payload) for payload in decoded.payloads] == [length + 6]
        return best

    # Sixteen times the length; quadratic cost would be 256 times the time.
    assert seconds(16 << 20) < 80 * seconds(1 << 20)
