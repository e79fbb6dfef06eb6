"""A head that is known is judged as one that is not: a property of many answers in a row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.utilities import generate_accept_token

from sseload_users.transports import ConnectFailed, known_heads, sse_handshake, websocket_handshake
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.known_heads import KnownHeads
from sseload_users.transports.sse_handshake import StreamRequest
from sseload_users.transports.websocket_handshake import UpgradeRequest

#: Stands for the value that depends on the request's key.
ACCEPT = b"<accept>"

END = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])
STATUS = st.sampled_from(
    [b"HTTP/1.1 101 Switching Protocols"] * 6
    + [b"HTTP/1.1 101", b"HTTP/1.0 101 S", b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Busy", b"nonsense"]
)
UPGRADE_HEADERS = st.sampled_from(
    [
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Connection: keep-alive, upgrade",
        b"Sec-WebSocket-Accept: " + ACCEPT,
        b"sec-websocket-accept:" + ACCEPT,
        b"Sec-WebSocket-Accept: AAAA",
        b"X-Copy: " + ACCEPT,
        b"Sec-WebSocket-Extensions: permessage-deflate",
        b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
        b"Sec-WebSocket-Extensions: x-other",
        b"Sec-WebSocket-Protocol: a",
        b"Sec-WebSocket-Protocol: b",
        b"Date: Thu, 26 Nov 2026 10:00:00 GMT",
        b"Bad Header: x",
    ]
)
GOOD = [
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Accept: " + ACCEPT,
]
STREAM_HEADERS = st.sampled_from(
    [
        b"Content-Type: text/event-stream",
        b"Content-Type: text/html",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Content-Length: 7",
        b"Content-Length: 8",
        b"Content-Encoding: gzip",
        b"Content-Encoding: other",
        b"Connection: close",
        b"Bad Header: x",
    ]
)
STREAM_STATUS = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 6 + [b"HTTP/1.0 200", b"HTTP/1.1 204 N", b"HTTP/1.1 302 F", b"junk"]
)
INTERIM = st.sampled_from([b""] * 8 + [b"HTTP/1.1 103 Early Hints\r\n\r\n"])
REST = st.sampled_from([b"", b"\x81\x01x", b"data: x\n\n", b"\r\n\r\n"])


@st.composite
def answers(draw: st.DrawFn, status: st.SearchStrategy[bytes], header: object) -> bytes:
    """One answer: mostly a good one with one more header."""
    assert isinstance(header, st.SearchStrategy)
    end = draw(END)
    good = [b"Content-Type: text/event-stream"] if header is STREAM_HEADERS else GOOD
    headers = draw(st.sampled_from([good, [], good[:1]])) + draw(st.lists(header, max_size=3))
    lines = [draw(status), *headers, b"", b""]
    return draw(INTERIM) + end.join(lines) + draw(REST)


def judged(request: UpgradeRequest | StreamRequest, answer: bytes, at: Sequence[int]) -> object:
    """Return what is said of an answer that comes in pieces."""
    cuts = [0, *sorted(each for each in at if each < len(answer)), len(answer)]
    try:
        for begin, end in itertools.pairwise(cuts):
            if begin < end and request.feed(answer[begin:end]):
                # The next read's bytes are the decoder's.
                agreed = request.check()
                length = chunked = None
                if isinstance(request, StreamRequest):
                    length, chunked = request.length, request.chunked
                head = request.response.head
                assert head is not None
                status, version = head.status_code, head.http_version
                return status, version, agreed, request.rest, length, chunked
    except ConnectFailed as failed:
        return type(failed), failed.operation, failed.cause, failed.final, failed.server_text
    return request.response.refused


def upgrade(answer: bytes, at: Sequence[int]) -> object:
    endpoint = Endpoint("ws://h/", subprotocols=("a",) if b"Protocol" in answer else ())
    request = UpgradeRequest(endpoint, compression=True)
    key = request.data.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    return judged(request, answer.replace(ACCEPT, generate_accept_token(key)), at)


def stream(answer: bytes, at: Sequence[int]) -> object:
    return judged(StreamRequest(Endpoint("http://h/")), answer, at)


def check_all(judge: Callable[[bytes, Sequence[int]], object], sequence: list[bytes]) -> None:
    module = websocket_handshake if judge is upgrade else sse_handshake
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_known_heads", KnownHeads())
        warm = [judge(each, ()) for each in [*sequence, *sequence]]
        cold = []
        for each in sequence:
            patch.setattr(module, "_known_heads", KnownHeads())
            cold.append(judge(each, ()))
    assert warm == cold + cold


@given(st.lists(answers(STATUS, UPGRADE_HEADERS), min_size=1, max_size=4))
def test_an_answer_to_an_upgrade_is_judged_alike_when_it_is_known(sequence: list[bytes]) -> None:
    check_all(upgrade, sequence)


@given(st.lists(answers(STREAM_STATUS, STREAM_HEADERS), min_size=1, max_size=4))
def test_an_answer_that_opens_a_stream_is_judged_alike_when_it_is_known(
    sequence: list[bytes],
) -> None:
    check_all(stream, sequence)


@given(answers(STATUS, UPGRADE_HEADERS), st.lists(st.integers(1, 200), max_size=3))
def test_an_answer_in_pieces_is_judged_as_a_whole_one(answer: bytes, at: list[int]) -> None:
    whole, pieces = upgrade(answer, ()), upgrade(answer, at)
    if isinstance(whole, tuple) and isinstance(pieces, tuple) and whole[0] == 101:
        # What comes with a later piece is not part of the rest.
        assert whole[:3] == pieces[:3]
        assert whole[3].startswith(pieces[3])
    elif isinstance(whole, tuple):
        assert isinstance(pieces, tuple)
        assert whole[2] == pieces[2]


GOOD_ANSWER = b"\r\n".join([b"HTTP/1.1 101 S", *GOOD, b"", b""])


def test_another_requests_accept_value_is_never_accepted() -> None:
    assert upgrade(GOOD_ANSWER + b"x", ()) == (101, b"1.1", None, b"x", None, None)
    stale = GOOD_ANSWER.replace(ACCEPT, generate_accept_token(b"dGhlIHNhbXBsZSBub25jZQ=="))
    assert upgrade(stale, ())[2] == "bad handshake answer"  # type: ignore[index]
    assert upgrade(GOOD_ANSWER.replace(ACCEPT, b""), ())[2] == "bad handshake answer"  # type: ignore[index]


@pytest.mark.parametrize("judge", [upgrade, stream])
def test_a_known_head_is_not_parsed_again(
    judge: Callable[[bytes, Sequence[int]], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = websocket_handshake if judge is upgrade else sse_handshake
    monkeypatch.setattr(module, "_known_heads", KnownHeads())
    answer = GOOD_ANSWER
    if judge is stream:
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    first = judge(answer + b"rest", ())
    assert isinstance(first, tuple)
    monkeypatch.setattr(module.h11, "Connection", None)
    assert judge(answer + b"rest", ()) == first


def test_known_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known: KnownHeads[object] = KnownHeads()
    monkeypatch.setattr(sse_handshake, "_known_heads", known)
    for number in range(1000):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX: %d\r\n\r\n" % number
        assert stream(head, ())
    kept = [number for number in range(1000) if known.get(("GET", _head(number))) is not None]
    assert kept
    assert 999 in kept
    assert len(kept) <= 256
    long = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX: " + b"x" * 5000 + b"\r\n\r\n"
    assert stream(long, ())
    assert known.get(("GET", long)) is None
    assert len(long) > known_heads.MAX_KNOWN_BYTES


def _head(number: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX: %d\r\n\r\n" % number
