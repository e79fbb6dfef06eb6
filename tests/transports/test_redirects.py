"""Redirects, as browsers follow them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from sseload_users.transports.cookies import Cookies
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.network import Network
from sseload_users.transports.redirects import MAX_REDIRECTS, BadRedirect, redirected
from sseload_users.transports.request_client import RequestClient
from tests.support.listener import Listener
from tests.support.socket_servers import read_until, serving
from tests.support.stream_server import END, STREAM, status
from tests.support.wire import chunk

HEADERS = (
    ("Authorization", "Bearer secret"),
    ("Cookie", "a=1"),
    ("Content-Type", "application/json"),
    ("X-User", "ann"),
)
POST = HttpRequest("POST", "http://a.test:81/x/y?z=1", HEADERS, b"{}")
GET = HttpRequest("GET", "https://a.test/x/y", HEADERS, b"")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b", "http://a.test:81/b"),
        ("b/", "http://a.test:81/x/b/"),
        ("?c=2", "http://a.test:81/x/y?c=2"),
        ("//b.test/", "http://b.test/"),
        (" https://a.test:81/b#top ", "https://a.test:81/b"),
        ("../../../b", "http://a.test:81/b"),
    ],
)
def test_a_location_is_relative_to_the_request(location: str, url: str) -> None:
    assert redirected(POST, 307, location).url == url


@pytest.mark.parametrize(
    ("request_", "code", "method"),
    [
        *((POST, code, "GET") for code in (301, 302, 303)),
        *((POST, code, "POST") for code in (307, 308)),
        *((GET, code, "GET") for code in (301, 302, 303, 307, 308)),
        *((HttpRequest("PUT", POST.url, (), b"x"), code, "PUT") for code in (301, 302, 307, 308)),
        (HttpRequest("PUT", POST.url, (), b"x"), 303, "GET"),
        (HttpRequest("HEAD", POST.url, (), b""), 303, "HEAD"),
    ],
)
def test_the_status_decides_on_method_and_body(
    request_: HttpRequest, code: int, method: str
) -> None:
    found = redirected(request_, code, "/b")
    same = method == request_.method
    assert found.method == method
    assert found.body == (request_.body if same else b"")
    assert ("Content-Type" in dict(found.headers)) == (
        same and "Content-Type" in dict(request_.headers)
    )


@pytest.mark.parametrize(
    ("location", "same"),
    [
        ("/b", True),
        ("http://A.test:81/b", True),
        ("http://a.test/b", False),
        ("https://a.test:81/b", False),
        ("http://b.test:81/b", False),
    ],
)
def test_another_origin_gets_no_credentials(location: str, same: bool) -> None:
    names = {name for name, _ in redirected(POST, 307, location).headers}
    assert names == {"X-User", "Content-Type", *(("Authorization", "Cookie") if same else ())}


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        ("file:///etc/passwd", "redirected to another scheme"),
        ("ws://a.test/", "redirected to another scheme"),
        ("http://a.test/", "redirected from https to http"),
        ("https://[::1/", "redirected to an invalid URL"),
        ("https://a.test:99999/", "redirected to an invalid URL"),
    ],
)
def test_what_a_browser_does_not_follow_has_a_cause(location: str, cause: str) -> None:
    with pytest.raises(BadRedirect) as failed:
        redirected(GET, 302, location)
    assert failed.value.cause == cause


@contextlib.contextmanager
def maze(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Serve these answers in turn, the last one for ever; yield the URL and all requests."""
    requests: list[bytes] = []

    def server(connection: socket.socket) -> None:
        head = read_until(connection, b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        requests.append(head + connection.recv(int(length or 0), socket.MSG_WAITALL))
        connection.sendall(answers[min(len(requests), len(answers)) - 1])

    with serving(server) as port:
        yield f"http://127.0.0.1:{port}/events", requests


STREAMED = STREAM + chunk(b"data: one\n\n") + END


def lines(requests: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the first line and the body of each request."""
    return [(each.partition(b" HTTP")[0], each.partition(b"\r\n\r\n")[2]) for each in requests]


def test_an_event_stream_follows_redirects() -> None:
    answers = (
        status("307 Slash", "Location: /events/"),
        status("301 Moved", "Location: ../b?c=d"),
        STREAMED,
    )
    with maze(*answers) as (url, requests):
        listener = Listener("sse", url)
        assert listener.run().cause == "end of stream"
    assert listener.payloads == [b"data: one"]
    assert [line for line, _ in lines(requests)] == [b"GET /events", b"GET /events/", b"GET /b?c=d"]


def test_cookies_of_a_stream_and_of_its_redirects_are_kept() -> None:
    answers = (
        status("307 Route", "Location: /events", "Set-Cookie: route=b"),
        STREAM.replace(b"\r\n\r\n", b"\r\nSet-Cookie: sid=7\r\n\r\n")
        + chunk(b"data: one\n\n")
        + END,
    )
    jar = Cookies()
    with maze(*answers) as (url, requests):
        listener = Listener("sse", Endpoint(url, jar=jar))
        assert listener.run().cause == "end of stream"
    assert listener.payloads == [b"data: one"]
    assert [b"route=b" in each for each in requests] == [False, True]
    assert jar.add_to(url, ()) == (("Cookie", "route=b; sid=7"),)


def test_an_event_stream_can_be_requested_by_post() -> None:
    with maze(status("308 Slash", "Location: /events/"), STREAMED) as (url, requests):
        headers = (("Content-Type", "application/json"),)
        listener = Listener("sse", Endpoint(url, "POST", b'{"topics":["x"]}', headers=headers))
        listener.run()
    assert lines(requests) == [
        (b"POST /events", b'{"topics":["x"]}'),
        (b"POST /events/", b'{"topics":["x"]}'),
    ]
    assert all(b"Content-Type: application/json\r\n" in each for each in requests)
    assert listener.payloads == [b"data: one"]


@pytest.mark.parametrize(
    ("answer", "cause", "count"),
    [
        (status("302 Found", "Location: /events"), "too many redirects", MAX_REDIRECTS + 1),
        (status("302 Found", "Location: ftp://a.test/"), "redirected to another scheme", 1),
        (status("302 Found"), "redirected: HTTP 302", 1),
    ],
)
def test_a_stream_that_redirects_lead_nowhere_fails(answer: bytes, cause: str, count: int) -> None:
    with maze(answer) as (url, requests):
        failed = Listener("sse", url).fails()
    assert (failed.operation, failed.cause, len(requests)) == ("handshake", cause, count)
    # EventSource takes a redirect without a Location for the answer, and all else for a network
    # error, after which it tries again.
    assert failed.final == (cause == "redirected: HTTP 302")


def test_websocket_follows_none_and_names_the_place() -> None:
    with maze(status("301 Moved", "Location: https://b.test/ws")) as (url, requests):
        failed = Listener("websocket", url.replace("http", "ws")).fails()
    assert (failed.cause, failed.server_text) == ("redirected: HTTP 301", "https://b.test/ws")
    assert len(requests) == 1


def test_single_requests_follow_redirects_unless_they_are_the_answer() -> None:
    network = Network()
    with maze(status("302 Found", "Location: /b"), status("204 No Content")) as (url, requests):
        request = HttpRequest("POST", url, (), b"x")
        assert RequestClient(network, 5).answer(request).status == 204
        assert lines(requests) == [(b"POST /events", b"x"), (b"GET /b", b"")]
    with maze(status("302 Found", "Location: /b"), status("204 No Content")) as (url, requests):
        wanted = HttpRequest("POST", url, (), b"x", frozenset({302}))
        assert RequestClient(network, 5).answer(wanted).status == 302
