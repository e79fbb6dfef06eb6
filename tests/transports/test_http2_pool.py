"""Event streams that share HTTP/2 connections, over sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from sseload_users.transports import Closed, ConnectFailed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from tests.support.http2_server import Http2Server
from tests.support.listener import LEFT, Listener
from tests.support.ports import free_port
from tests.support.socket_servers import serving


class Tabs:
    """Listeners of one process, each in its greenlet.

    Attributes:
        listeners: all of them.
        ends: how each has ended.
    """

    def __init__(self, url: str, most: int = 10) -> None:
        self.listeners: list[Listener] = []
        self.ends: dict[int, Closed | ConnectFailed] = {}
        self._endpoint = Endpoint(url, http="2", multiplex=most)
        self._network = Network(connect_timeout=5)
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def open(self, many: int, **more: Any) -> list[Listener]:
        """Open listeners at the same time; return them."""
        new = [Listener("sse", self._endpoint, self._network, **more) for _ in range(many)]
        self.listeners += new
        for each in new:
            self._greenlets.append(gevent.spawn(self._run, each))
        return new

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait for a condition."""
        while not until():
            gevent.sleep(0.005)

    def close(self) -> None:
        """Leave all."""
        for each in self.listeners:
            each.transport.leave()
        gevent.joinall(self._greenlets)

    def _run(self, listener: Listener) -> None:
        number = self.listeners.index(listener)
        try:
            self.ends[number] = listener.run()
        except ConnectFailed as error:
            self.ends[number] = error


@contextlib.contextmanager
def tabs(server: Http2Server, most: int = 10) -> Iterator[Tabs]:
    with server.serving() as url:
        found = Tabs(url, most)
        try:
            yield found
        finally:
            found.close()


def open_streams(server: Http2Server) -> list[int]:
    return [len(each.streams) for each in server.connections]


@pytest.mark.parametrize(
    ("many", "most", "limit", "expected"),
    [(7, 3, 100, [3, 3, 1]), (7, 10, 3, [3, 3, 1]), (4, 10, 100, [4]), (2, 10, 1, [1, 1])],
    ids=["the profile's limit", "the server's limit", "room for all", "one at a time"],
)
def test_a_connection_has_as_many_streams_as_both_sides_want(
    many: int, most: int, limit: int, expected: list[int]
) -> None:
    server = Http2Server(limit)
    with tabs(server, most) as opened:
        opened.open(many)
        opened.wait(lambda: sum(open_streams(server)) == many)
        assert sorted(open_streams(server), reverse=True) == expected
        for each in server.connections:
            each.send(b"hello")
        opened.wait(lambda: all(each.messages for each in opened.listeners))
    assert [each.payloads for each in opened.listeners] == [[b"data: hello"]] * many
    assert [*opened.ends.values()] == [LEFT] * many


def test_a_stream_that_leaves_is_cancelled_and_its_place_is_taken_again() -> None:
    server = Http2Server()
    with tabs(server, 3) as opened:
        first, *_ = opened.open(3)
        opened.wait(lambda: open_streams(server) == [3])
        first.transport.leave()
        (connection,) = server.connections
        opened.wait(lambda: len(connection.cancelled) == 1)
        opened.open(1)
        opened.wait(lambda: open_streams(server) == [3])
        connection.send(b"x")
        opened.wait(lambda: sum(len(each.messages) for each in opened.listeners) == 3)
        assert first.messages == []
    opened.wait(lambda: len(connection.cancelled) + len(connection.streams) == 4)


def test_a_stream_that_the_server_resets_drops_alone() -> None:
    server = Http2Server()
    with tabs(server) as opened:
        opened.open(3)
        opened.wait(lambda: open_streams(server) == [3])
        (connection,) = server.connections
        connection.reset(connection.streams[0])
        opened.wait(lambda: len(opened.ends) == 1)
        assert [*opened.ends.values()] == [Closed("server", "stream reset: INTERNAL_ERROR")]
        connection.send(b"x")
        opened.wait(lambda: sum(len(each.messages) for each in opened.listeners) == 2)


def test_after_an_announced_end_new_streams_go_to_a_new_connection() -> None:
    server = Http2Server()
    with tabs(server) as opened:
        opened.open(3)
        opened.wait(lambda: open_streams(server) == [3])
        old = server.connections[0]
        old.go_away(max(old.streams))
        opened.open(1)
        opened.wait(lambda: len(server.connections) == 2 and open_streams(server)[1] == 1)
        assert opened.ends == {}
        old.send(b"last words")
        old.sock.shutdown(socket.SHUT_RDWR)
        opened.wait(lambda: len(opened.ends) == 3)
    gone = Closed("server", "connection ended by HTTP/2: NO_ERROR")
    assert [opened.ends[each] for each in range(3)] == [gone] * 3
    assert [each.payloads for each in opened.listeners[:3]] == [[b"data: last words"]] * 3


def test_a_connection_that_breaks_drops_all_its_streams_and_no_other() -> None:
    server = Http2Server()
    with tabs(server, 2) as opened:
        opened.open(4)
        opened.wait(lambda: sorted(open_streams(server)) == [2, 2])
        server.connections[0].sock.shutdown(socket.SHUT_RDWR)
        opened.wait(lambda: len(opened.ends) == 2)
        assert [*opened.ends.values()] == [Closed("network", "connection closed")] * 2
        opened.open(2)
        opened.wait(lambda: len(server.connections) == 3 and open_streams(server)[2] == 2)


def test_losing_one_of_several_streams_spares_the_others() -> None:
    server = Http2Server()
    with tabs(server) as opened:
        one, two, *others = opened.open(4)
        opened.wait(lambda: open_streams(server) == [4])
        (connection,) = server.connections
        one.transport.lose("rst")
        two.transport.lose("silent")
        opened.wait(lambda: len(connection.cancelled) == 1)
        # The server does not notice the loss of a silent one.
        assert len(connection.streams) == 3
        connection.send(b"x")
        opened.wait(lambda: all(each.messages for each in others))
        assert one.messages == two.messages == []
        opened._network.close_silent()
        opened.wait(lambda: len(connection.cancelled) == 2)


def test_what_a_failed_connection_says_is_said_to_all_that_wait_for_it() -> None:
    opened = Tabs(f"http://127.0.0.1:{free_port()}/events")
    opened.open(3)
    opened.wait(lambda: len(opened.ends) == 3)
    assert {str(each).partition(" (")[0] for each in opened.ends.values()} == {
        "connect: connection refused"
    }


def test_a_refusal_is_each_streams_own() -> None:
    server = Http2Server(status="503")
    with tabs(server) as opened:
        opened.open(3)
        opened.wait(lambda: len(opened.ends) == 3)
    causes = [each.cause for each in opened.ends.values()]
    assert causes == ["HTTP 503"] * 3


def test_a_server_that_says_nothing_times_out_for_all() -> None:
    def keep(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    with serving(keep) as port:
        opened = Tabs(f"http://127.0.0.1:{port}/events")
        opened._network.connect_timeout = 0.3
        opened.open(3)
        opened.wait(lambda: len(opened.ends) == 3)
        opened.close()
    assert {each.cause for each in opened.ends.values()} == {"timed out"}
