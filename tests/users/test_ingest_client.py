"""The HTTP client that codes go in by: its connections, its stamps, and what it sends again."""

from __future__ import annotations

import pytest
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from sseload_users.core.clock import wall_ns
from sseload_users.transports import ConnectFailed, NotConnected
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.network import Network
from sseload_users.users.ingest_client import IngestClient
from tests.support.recording_server import EMPTY, OK, RecordingServer


class Code:
    """A code whose request has the time of its sending in the path.

    Args:
        server: takes it.
        method: of the request.

    Attributes:
        built: the times for which its request was built (wall clock, ns).
        written: the time with which it was written (wall clock, ns).
    """

    def __init__(self, server: RecordingServer, method: str = "POST") -> None:
        self.built: list[int] = []
        self.written: list[int] = []
        self._server = server
        self._method = method

    def send(self, client: IngestClient) -> int:
        """Send it; return the status of the answer."""
        return client.request(self._request, self.written.append).answer.status

    def _request(self, at_ns: int) -> HttpRequest:
        self.built.append(at_ns)
        return self._server.request(f"/{at_ns}", self._method, b"code")


def test_codes_go_over_one_connection() -> None:
    with RecordingServer().running() as server:
        client = IngestClient(Network(), 5)
        codes = [Code(server) for _ in range(3)]
        assert [each.send(client) for each in codes] == [200, 200, 200]
        client.close()
    assert server.connections == [[f"/{each.written[0]}" for each in codes]]


def test_a_code_that_waited_for_a_connection_has_the_time_of_its_writing() -> None:
    with RecordingServer().running() as server:
        client = IngestClient(Network(), 5)
        first, second = Code(server), Code(server)
        before_ns = wall_ns()
        first.send(client)
        second.send(client)
        client.close()
    assert before_ns <= first.built[0] <= first.built[1] <= wall_ns()
    assert first.written == first.built[1:]
    assert second.written == second.built


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_code_that_may_have_been_taken_is_not_sent_again(method: str) -> None:
    with RecordingServer([EMPTY, b""]).running() as server:
        client = IngestClient(Network(), 5)
        Code(server).send(client)
        lost = Code(server, method)
        with pytest.raises(HTTPConnectionClosed):
            lost.send(client)
    assert [len(each) for each in server.connections] == [2]
    assert len(lost.written) == 1


def test_an_idempotent_request_is_sent_again_with_the_same_code() -> None:
    with RecordingServer([EMPTY, b""]).running() as server:
        client = IngestClient(Network(), 5)
        Code(server).send(client)
        code = Code(server, "PUT")
        assert code.send(client) == 200
        client.close()
    target = f"/{code.written[0]}"
    assert len(code.written) == 1
    assert [each[-1] for each in server.connections] == [target, target]


def test_a_new_connection_that_ends_without_an_answer_is_a_failure() -> None:
    with RecordingServer([b""]).running() as server:
        code = Code(server, "PUT")
        with pytest.raises(HTTPConnectionClosed):
            code.send(IngestClient(Network(), 5))
    assert len(server.connections) == 1


def test_redirects_are_followed_with_the_same_code() -> None:
    answer = b"HTTP/1.1 307 Again\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"
    with RecordingServer([answer, EMPTY]).running() as server:
        client = IngestClient(Network(), 5)
        code = Code(server)
        answered = client.request(code._request, code.written.append)
        client.close()
    assert (answered.answer.status, answered.url) == (200, server.request("/next").url)
    assert [each.status for each in answered.redirects] == [307]
    assert server.connections == [[f"/{code.written[0]}", "/next"]]
    assert len(code.written) == 1


def test_a_redirect_that_is_the_answer_is_not_followed() -> None:
    answer = b"HTTP/1.1 303 See\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"
    with RecordingServer([answer]).running() as server:
        request = HttpRequest("POST", server.request("/").url, (), b"code", frozenset({303}))
        client = IngestClient(Network(), 5)
        answered = client.request(lambda _: request, lambda _: None)
        client.close()
    assert answered.answer.status == 303


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
        EMPTY + EMPTY,
        EMPTY + b"more",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["close", "a second answer", "further bytes", "HTTP/1.0"],
)
def test_a_connection_that_cannot_be_used_again_is_closed(answer: bytes) -> None:
    with RecordingServer([answer, EMPTY]).running() as server:
        client = IngestClient(Network(), 5)
        assert [Code(server).send(client) for _ in range(2)] == [200, 200]
        client.close()
    assert [len(each) for each in server.connections] == [1, 1]


def test_an_answer_that_ends_too_early_is_a_failure() -> None:
    with (
        RecordingServer([OK + b"Content-Length: 5\r\n\r\n{}"]).running() as server,
        pytest.raises(HTTPParseError),
    ):
        Code(server).send(IngestClient(Network(), 5))


def test_what_cannot_be_sent_is_not_written() -> None:
    code = Code(RecordingServer(port=1))
    with pytest.raises(NotConnected):
        code.send(IngestClient(Network(), 5))
    request = HttpRequest("POST", "http://127.0.0.1:1/", (("X", "a\nb"),), b"code")
    with pytest.raises((ConnectFailed, NotConnected)):
        IngestClient(Network(), 5).request(lambda _: request, code.written.append)
    assert code.written == []


def test_cookies_go_with_later_codes() -> None:
    cookie = OK + b"Set-Cookie: session=1\r\nContent-Length: 2\r\n\r\n{}"
    with RecordingServer([cookie, EMPTY]).running() as server:
        client = IngestClient(Network(), 5)
        for _ in range(2):
            Code(server).send(client)
        client.close()
    assert [b"session=1" in each for each in server.heads] == [False, True]
