"""Event streams against real servers: what the contract of all transports leaves open."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sseload_users.transports import Closed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from tests.support.listener import Listener
from tests.support.replies import confirmed_by
from tests.support.socket_servers import Handler, read_until, serving
from tests.support.wire import chunk

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def says(*parts: bytes, stays: bool = False, reset: bool = False) -> Handler:
    """A server that responds with these parts, shortly after each other."""

    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)
        if stays:
            connection.recv(1)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return server


@contextlib.contextmanager
def listener_to(handler: Handler, *, tls: bool = False, **endpoint: Any) -> Iterator[Listener]:
    with serving(handler, certificate="server.pem" if tls else None) as port:
        url = f"http{'s' if tls else ''}://127.0.0.1:{port}/events?user=ann"
        yield Listener("sse", Endpoint(url, **endpoint))


def test_events_of_all_shapes_arrive() -> None:
    long = b"data: " + "é".encode() * 100_000
    parts = (
        CHUNKED + chunk(b": hello\n\n") + chunk(b"data: one\n\n"),
        chunk(b"data: two\n\n"),
        chunk(b": keep-alive\n\n"),
        chunk(b"id: 7\r\nevent: code\r\nda"),
        chunk(b"ta: three\r\n\r\n")[:-1],
        b"\n" + chunk(long + b"\n\n"),
        chunk(b"retry: 1500\n\n") + chunk(b"data: cut off"),
        b"0\r\n\r\n",
    )
    with listener_to(says(*parts, stays=True)) as listener:
        closed = listener.run()
    transport = listener.transport
    assert closed == Closed("server", "end of stream")
    assert listener.payloads == [
        b"data: one",
        b"data: two",
        b"id: 7\nevent: code\ndata: three",
        long,
    ]
    assert (transport.last_event_id, transport.retry_ms) == ("7", 1500)
    assert not listener.malformed


DATA = b"data: one\n\n"


def test_interim_responses_and_odd_headers_do_not_matter() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    head = HEAD + b'Set-Cookie: a:b="; Expires=never\r\nContent-Length: 11\r\n\r\n'
    second = b"HTTP/1.1 404 Not Found\r\n\r\ndata: not of this stream\n\n"
    with listener_to(says(interim + interim + head + DATA + second)) as listener:
        assert listener.run() == Closed("server", "end of stream")
    assert listener.payloads == [b"data: one"]


@pytest.mark.parametrize(
    ("server", "closed"),
    [
        (says(HEAD + b"\r\n" + DATA), Closed("server", "end of stream")),
        (says(HEAD + b"Content-Length: 11\r\n\r\n", DATA), Closed("server", "end of stream")),
        (says(HEAD + b"Content-Length: 12\r\n\r\n" + DATA), Closed("network", "connection closed")),
        (
            says(HEAD.replace(b"1.1", b"1.0") + b"\r\n" + DATA[:4], DATA[4:]),
            Closed("server", "end of stream"),
        ),
    ],
)
def test_the_body_ends_by_its_length_or_with_the_connection(
    server: Handler, closed: Closed
) -> None:
    with listener_to(server) as listener:
        assert listener.run() == closed
    assert listener.payloads == [b"data: one"]


def test_an_empty_body_ends_the_session() -> None:
    with listener_to(says(HEAD + b"Content-Length: 0\r\n\r\n", stays=True)) as listener:
        assert listener.run() == Closed("server", "end of stream")


@pytest.mark.parametrize(
    ("parts", "cause", "malformed"),
    [
        ([chunk(DATA), b"zz\r\n"], "protocol error: bad chunk", ["bad chunk"]),
        ([chunk(DATA) + b"0x5\r\nhello\r\n"], "protocol error: bad chunk", ["bad chunk"]),
        ([chunk(DATA)] + [b"5" * 1000] * 5, "protocol error: bad chunk", ["bad chunk"]),
        ([chunk(DATA), chunk(b"data: " + b"x" * 2000 + b"\n\n")], "message too large", []),
        ([chunk(DATA)] + [chunk(b"x" * 600)] * 2, "message too large", []),
    ],
)
def test_an_invalid_chunk_or_a_large_event_ends_the_session(
    parts: list[bytes], cause: str, malformed: list[str]
) -> None:
    for together in (False, True):
        said = [CHUNKED + b"".join(parts)] if together else [CHUNKED, *parts]
        with listener_to(says(*said, stays=True), max_message=1000) as listener:
            assert listener.run() == Closed("client", cause)
        assert listener.payloads == [b"data: one"]
        assert listener.malformed == malformed


# Connecting


@pytest.mark.parametrize(
    ("server", "cause"),
    [
        (says(CHUNKED + b"0\r\n\r\n", stays=True), "end of stream"),
        (says(CHUNKED, b"zz\r\n", stays=True), "protocol error: bad chunk"),
    ],
)
def test_a_stream_that_ends_before_the_confirmation_fails(server: Handler, cause: str) -> None:
    with listener_to(server, confirm=confirmed_by(b"data: joined")) as listener:
        failed = listener.fails()
    assert (failed.operation, failed.cause) == ("subscribe", cause)


@pytest.mark.parametrize(
    ("server", "cause", "detail"),
    [
        (says(b"HTTP/1.1 500 Oh\r\n\r\nnever ends", stays=True), "HTTP 500", "never ends"),
        (
            says(
                b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nno\r\n", stays=True
            ),
            "HTTP 401",
            "no",
        ),
        (says(b"HTTP/1.1 404 Not Found\r\n\r\n"), "HTTP 404", "Not Found"),
        (says(b"HTTP/1.1 302 F\r\n\r\n"), "redirected: HTTP 302", ""),
        (
            says(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>"),
            "not an event stream: text/html",
            "",
        ),
        (
            says(HEAD + b"Content-Encoding: compress\r\n\r\n"),
            "content encoding not supported: compress",
            "",
        ),
        (says(HEAD), "connection closed", ""),
    ],
)
def test_a_response_that_opens_no_stream_has_a_short_cause(
    server: Handler, cause: str, detail: str
) -> None:
    with listener_to(server) as listener:
        began = time.monotonic()
        failed = listener.fails()
        assert time.monotonic() - began < 3
    assert (failed.operation, failed.cause, failed.detail) == ("handshake", cause, detail)


def test_a_reset_during_the_handshake_has_its_cause() -> None:
    with listener_to(says(reset=True)) as listener:
        failed = listener.fails()
    assert (failed.operation, failed.cause) == ("handshake", "connection reset")


def test_a_session_resumes_from_the_last_event_id() -> None:
    heads: list[bytes] = []

    def server(connection: socket.socket) -> None:
        heads.append(read_until(connection, b"\r\n\r\n"))
        event = [b"id: a\xc3\xa9\ndata: 1\n\n", b"data: 2\n\n", b"id\ndata: 3\n\n"][len(heads) - 1]
        connection.sendall(CHUNKED + chunk(event) + b"0\r\n\r\n")

    last = ""
    with serving(server) as port:
        for expected in ("aé", "aé", ""):
            endpoint = Endpoint(f"http://localhost:{port}/", last_event_id=last)
            listener = Listener("sse", endpoint)
            listener.run()
            last = listener.transport.last_event_id
            assert last == expected
    assert [b"Last-Event-ID: a\xc3\xa9\r\n" in head for head in heads] == [False, True, True]


def test_only_reads_with_several_events_share_stamps() -> None:
    network = Network()
    parts = (CHUNKED, chunk(DATA), chunk(DATA) + chunk(DATA), chunk(DATA + DATA), b"0\r\n\r\n")
    with serving(says(*parts)) as port:
        listener = Listener("sse", f"http://127.0.0.1:{port}/", network)
        listener.run()
    assert len(listener.messages) == 5
    assert len(network.lag.drain_errors()) == 2
