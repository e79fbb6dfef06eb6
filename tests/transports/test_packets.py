"""Socket.IO's packets: headers, parsing, countable causes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from socketio.packet import EVENT, Packet

from sseload_users.transports import Malformed, ParsedMessage
from sseload_users.transports.engineio import parse_opening
from sseload_users.transports.packets import (
    connect_packet,
    disconnect_packet,
    error_message,
    event_prefix,
    is_connect_acknowledgement,
    join_attachments,
    packet_data,
    parse_header,
    parse_packet,
    requested_acknowledgement,
)
from sseload_users.transports.server_text import countable_cause


def test_the_clients_packets() -> None:
    assert connect_packet("/", None) == "40"
    assert connect_packet("/events", None) == "40/events,"
    assert connect_packet("/events", {"token": "ä"}) == '40/events,{"token":"\\u00e4"}'
    assert connect_packet("/", {}) == "40{}"
    assert disconnect_packet("/") == "41"
    assert disconnect_packet("/events") == "41/events,"
    assert event_prefix("/") == b"42["
    assert event_prefix("/é") == "42/é,[".encode()


@pytest.mark.parametrize(
    ("event", "namespace", "answer"),
    [
        (b'4217["a"]', b"/", "4317[]"),
        (b'42/events,0["a"]', b"/events", "43/events,0[]"),
        (b'451-/events,12["a",{"_placeholder":true,"num":0}]', b"/events", "43/events,12[]"),
        (b'42["17[]"]', b"/", None),
        (b'42/events,["a"]', b"/events", None),
        (b'42/events,x["a"]', b"/events", None),
        (b"42" + b"9" * 30 + b"[]", b"/", None),
    ],
)
def test_an_event_may_request_an_acknowledgement(
    event: bytes, namespace: bytes, answer: str | None
) -> None:
    assert requested_acknowledgement(event, namespace) == answer


@pytest.mark.parametrize(
    ("payload", "parts"),
    [
        (b'42["a"]', (0, b"/")),
        (b'42/events,["a"]', (0, b"/events")),
        (b'42/events,12["a-b"]', (0, b"/events")),
        (b'4212["/a,b"]', (0, b"/")),
        (b'42["7-up"]', (0, b"/")),
        (b"40/events", (0, b"/events")),
        (b"41/events?token=x,", (0, b"/events")),
        (b'452-/events,["a",{}]', (2, b"/events")),
        (b'450-["a"]', (0, b"/")),
        (b"461-[]", (1, b"/")),
        (b'45["a"]', None),
        (b'45-["a"]', None),
        (b'4599999-["a"]', None),
        (b"421-[]", None),
        (b"47", None),
        (b"4", None),
        (b"", None),
        (b"\x04", None),
    ],
)
def test_packet_headers_are_parsed(payload: bytes, parts: tuple[int, bytes] | None) -> None:
    assert parse_header(payload) == parts


@pytest.mark.parametrize(
    ("payload", "seconds"),
    [
        (b'0{"sid":"x","pingTimeout":20000,"pingInterval":25000}', 45.0),
        (b'0{"pingTimeout":100,"pingInterval":0.5}', 0.1005),
        (b'0{"pingTimeout":20000}', None),
        (b'0{"pingTimeout":"1","pingInterval":"2"}', None),
        (b'0{"pingTimeout":null,"pingInterval":1}', None),
        (b'0{"pingTimeout":-5,"pingInterval":1}', None),
        (b'0{"pingTimeout":1e999,"pingInterval":1}', None),
        (b'0{"pingTimeout":NaN,"pingInterval":1}', None),
        (b'0{"pingTimeout":' + b"9" * 400 + b',"pingInterval":1}', None),
        (b"0" + b"[" * 100_000, None),
        (b"0[]", None),
        (b"0", None),
        (b"40", None),
        (b"\xff", None),
    ],
)
def test_the_open_packet_sets_the_heartbeat_timeout(payload: bytes, seconds: float | None) -> None:
    opening = parse_opening(payload)
    assert (opening is None) == (seconds is None)
    if opening is not None:
        assert opening.ping_interval_s + opening.ping_timeout_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b'42/events,["new_code",{"code":"1"},2]', ParsedMessage("new_code", [{"code": "1"}, 2])),
        ('42["ä"]'.encode(), ParsedMessage("ä", [])),
        (b'4212["a",null]', ParsedMessage("a", [None])),
        (b'42/events,7["a"]', ParsedMessage("a", [])),
        (b"42[5,6]", ParsedMessage("5", [6])),
        (b"43/events,1[]", None),
        (b"40/events,", None),
        (b'44{"message":"a"}', None),
        (b"2", None),
        (b"0{}", None),
    ],
)
def test_event_packets_are_parsed(payload: bytes, event: ParsedMessage | None) -> None:
    assert parse_packet(payload) == event


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "bad packet"),
        (b"hello", "bad packet"),
        (b"4", "bad packet"),
        (b"48[]", "bad packet"),
        (b"42", "bad packet"),
        (b"42[]", "bad packet"),
        (b"42[[1]]", "bad packet"),
        (b"42[true]", "bad packet"),
        (b'42{"a":1}', "bad packet"),
        (b"42/events", "bad packet"),
        (b'42["\xff"]', "bad packet"),
        (b"42" + b"1" * 101 + b'["a"]', "bad packet"),
        (b"42" + b"[" * 100_000, "bad packet"),
        (b'42["a"', "bad JSON"),
        (b'42/events,x["a"]', "bad JSON"),
        (b'42["a"]]', "bad JSON"),
        (join_attachments([b'451-["a",{"_placeholder":true,"num":7}]', b"x"]), "bad packet"),
        (join_attachments([b'451-["a",{"_placeholder":true,"num":"x"}]', b"x"]), "bad packet"),
        (join_attachments([b'451-["a"]', b"x", b"y"]), "bad packet"),
    ],
)
def test_malformed_packets_have_a_cause(payload: bytes, why: str) -> None:
    with pytest.raises(Malformed) as malformed:
        parse_packet(payload)
    assert malformed.value.cause == why
    assert packet_data(payload) is None or why == "bad packet"


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**9), 10**9),
        st.text(max_size=8),
        st.binary(max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=8),
    st.lists(json_values, max_size=3),
    st.sampled_from(["/", "/events", "/a-b"]),
    st.one_of(st.none(), st.integers(0, 10**6)),
)
@example("a", [b"\0\0\0\0\x05", b"", {"b": b"\0"}], "/events", 7)
def test_packets_round_trip_with_python_socketio(
    name: str, arguments: list[object], namespace: str, ack: int | None
) -> None:
    encoded: Any = Packet(EVENT, [name, *arguments], namespace, ack).encode()
    packet, *attachments = encoded if isinstance(encoded, list) else [encoded]
    frames = [f"4{packet}".encode(), *attachments]
    assert parse_header(frames[0]) == (len(attachments), namespace.encode())
    if not attachments and ack is None:
        assert frames[0].startswith(event_prefix(namespace))
    assert parse_packet(join_attachments(frames)) == ParsedMessage(name, arguments)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=40), st.binary(max_size=40).map(lambda rest: b"45" + rest)))
def test_any_bytes_are_an_event_or_none_or_malformed(payload: bytes) -> None:
    try:
        event = parse_packet(payload)
    except Malformed:
        return
    assert event is None or isinstance(event.data, list)


@pytest.mark.parametrize(
    ("payload", "is_one"),
    [
        (b'40/events,{"sid":"x"}', True),
        (b'40{"sid":"x"}', True),
        (b"40/events", False),
        (b"40{}", False),
        (b'40["sid"]', False),
        (b"40{", False),
    ],
)
def test_an_acknowledgement_contains_a_session_id(payload: bytes, is_one: bool) -> None:
    assert is_connect_acknowledgement(packet_data(payload)) is is_one


@pytest.mark.parametrize(
    ("data", "short"),
    [
        ("Unable to connect", "unable to connect"),
        ({"message": "Connection rejected by server"}, "connection rejected by server"),
        ({"error": "Forbidden."}, "forbidden"),
        ({"message": {"deep": 1}}, ""),
        (None, ""),
        ("HTTP 403: user loadtest17 unknown!", "http 403: user … unknown"),
        ("no  ann@codes.test\tat 10.0.0.1:5000\nhere", "no … at … here"),
        (f"bad token {'x' * 40}", "bad token …"),
        ("Bearer eyJhbGciOi1.x expired (code 17)", "bearer … expired (code 17)"),
        ("word " * 100, ("word " * 16).strip()),
    ],
)
def test_refusals_have_short_countable_causes(data: object, short: str) -> None:
    assert countable_cause(error_message(json.loads(json.dumps(data)))) == short
