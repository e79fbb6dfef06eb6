"""Engine.IO: open packets, payloads of both revisions, errors; held to python-engineio."""

from __future__ import annotations

import contextlib

import pytest
from engineio.packet import Packet
from engineio.payload import Payload
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.transports import Malformed, Revision
from sseload_users.transports.engineio import (
    Opening,
    engine_refusal,
    is_revision_3,
    join_payload,
    parse_opening,
    split_payload,
    with_query,
)

#: Texts of messages: JSON has no control characters, and so no separator.
TEXTS = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), max_size=30)
MESSAGES = st.lists(st.one_of(TEXTS, st.binary(max_size=30)), min_size=1, max_size=8)


@given(MESSAGES)
def test_payloads_are_read_as_python_engineio_writes_them(messages: list[str | bytes]) -> None:
    packets = [Packet(4, each) for each in messages]
    payload = Payload(packets=packets).encode().encode()
    assert list(split_payload(payload, 4)) == [
        each if isinstance(each, bytes) else f"4{each}".encode() for each in messages
    ]


@given(MESSAGES)
def test_python_engineio_reads_payloads_as_they_were_written(messages: list[str | bytes]) -> None:
    # A text that is JSON would be parsed.
    messages = [f"~{each}" if isinstance(each, str) else each for each in messages]
    written = join_payload([f"4{each}" if isinstance(each, str) else each for each in messages], 4)
    read = Payload(encoded_payload=written.decode()).packets
    assert [each.data for each in read] == messages


@given(MESSAGES, st.sampled_from([3, 4]))
def test_a_payload_is_what_was_joined(messages: list[str | bytes], revision: Revision) -> None:
    packets = [f"4{each}" if isinstance(each, str) else each for each in messages]
    marked = {3: b"\x04", 4: b""}[revision]
    assert list(split_payload(join_payload(packets, revision), revision)) == [
        each.encode() if isinstance(each, str) else marked + each for each in packets
    ]


@pytest.mark.parametrize(
    ("payload", "packets"),
    [
        (b"96:", None),
        (b"2:40", [b"40"]),
        (b'85:0{"sid":"x"}', None),
        ("6:4é😀é2:40".encode(), None),
        ("5:4é😀é2:40".encode(), ["4é😀é".encode(), b"40"]),
        (b"6:b4AAEC2:40", [b"\4\0\1\2", b"40"]),
        (b"\0\2\xff40\1\3\xff\4\0\1", [b"40", b"\4\0\1"]),
        (b"\0\1\2\xff4" + b"x" * 11, [b"4" + b"x" * 11]),
        (b"\0\2\xff4", None),
        (b"\0\xff", None),
        (b"x", None),
        (b"\xff", None),
    ],
)
def test_payloads_of_revision_3(payload: bytes, packets: list[bytes] | None) -> None:
    if packets is None:
        with pytest.raises(Malformed, match="bad payload"):
            list(split_payload(payload, 3))
    else:
        assert list(split_payload(payload, 3)) == packets


@given(st.binary(max_size=60), st.sampled_from([3, 4]))
def test_any_payload_is_split_or_malformed(payload: bytes, revision: Revision) -> None:
    with contextlib.suppress(Malformed):
        assert all(isinstance(each, bytes) for each in split_payload(payload, revision))


def test_what_an_open_packet_says() -> None:
    packet = b'0{"sid":"x","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,'
    assert parse_opening(packet + b'"maxPayload":1000000}') == Opening(
        "x", ("websocket",), 25, 20, 1_000_000
    )
    assert parse_opening(packet + b'"maxPayload":0}') == Opening("x", ("websocket",), 25, 20)
    assert parse_opening(b'1{"pingInterval":1,"pingTimeout":1}') is None


@pytest.mark.parametrize(
    ("body", "is_old"),
    [
        (b'96:0{"sid":"x"}2:40', True),
        (b'\0\x09\x06\xff0{"sid":"x"}', True),
        (b'0{"sid":"x"}', False),
        (b"<html>", False),
    ],
)
def test_payloads_of_revision_3_are_known_by_their_beginning(body: bytes, *, is_old: bool) -> None:
    assert is_revision_3(body) is is_old


@pytest.mark.parametrize(
    ("body", "cause", "text"),
    [
        (
            b'{"code":1,"message":"Session ID unknown"}',
            "HTTP 400: session id unknown",
            "Session ID unknown",
        ),
        (b'"Invalid session abc"', "HTTP 400", '"Invalid session abc"'),
        (b'{"message":"no"}', "HTTP 400", '{"message":"no"}'),
        (b'{"code":1}', "HTTP 400", '{"code":1}'),
        (b"<h1>Bad Request</h1>", "HTTP 400", "Bad Request"),
        (b"", "HTTP 400", ""),
    ],
)
def test_refusals_in_the_servers_words(body: bytes, cause: str, text: str) -> None:
    assert engine_refusal(400, body) == (cause, text)


def test_parameters_are_added_where_they_are_missing() -> None:
    assert with_query("ws://h/x?a=%20", EIO="4", sid="s") == "ws://h/x?a=%20&EIO=4&sid=s"
    assert with_query("ws://h/x?EIO=", EIO="4") == "ws://h/x?EIO="
    assert with_query("ws://[", EIO="4") == "ws://["
