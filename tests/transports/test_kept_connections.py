"""HTTP connections that are kept: which are used again, and when they are closed."""

from __future__ import annotations

import http.client
import resource
import socket
import sys
from collections.abc import Iterator

import gevent
import pytest

from sseload_users.transports.kept_connections import KeptConnections, is_quiet


@pytest.fixture
def pairs() -> Iterator[list[tuple[http.client.HTTPConnection, socket.socket]]]:
    """Connections with their peers."""
    found = []
    for _ in range(4):
        mine, peer = socket.socketpair()
        connection = http.client.HTTPConnection("127.0.0.1")
        connection.sock = mine
        found.append((connection, peer))
    yield found
    for connection, peer in found:
        connection.close()
        peer.close()


Pairs = list[tuple[http.client.HTTPConnection, socket.socket]]


def test_a_connection_is_used_again_for_the_same_use_only(pairs: Pairs) -> None:
    kept: KeptConnections[http.client.HTTPConnection] = KeptConnections()
    first, second = pairs[0][0], pairs[1][0]
    kept.keep("ann", first)
    kept.keep("ann", second)
    assert kept.take("bob") is None
    assert kept.take("ann") is second
    assert kept.take("ann") is first
    assert kept.take("ann") is None


def test_a_connection_that_has_ended_or_has_unasked_bytes_is_not_used_again(pairs: Pairs) -> None:
    kept: KeptConnections[http.client.HTTPConnection] = KeptConnections()
    for connection, _ in pairs[:3]:
        kept.keep("ann", connection)
    pairs[2][1].close()
    pairs[1][1].sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert kept.take("ann") is pairs[0][0]
    assert [each.sock for each, _ in pairs[1:3]] == [None, None]
    assert len(kept) == 0


def test_the_number_is_bounded(pairs: Pairs) -> None:
    kept: KeptConnections[http.client.HTTPConnection] = KeptConnections(most=2)
    for index, (connection, _) in enumerate(pairs):
        kept.keep(index, connection)
    assert len(kept) == 2
    assert [connection.sock is None for connection, _ in pairs] == [True, True, False, False]


def test_unused_ones_are_closed_after_a_time(pairs: Pairs) -> None:
    kept: KeptConnections[http.client.HTTPConnection] = KeptConnections(idle_s=0.05)
    kept.keep("ann", pairs[0][0])
    with gevent.Timeout(10):
        while pairs[0][0].sock is not None:
            gevent.sleep(0.01)
    assert len(kept) == 0
    kept.keep("ann", pairs[1][0])
    assert kept.take("ann") is pairs[1][0]


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are no small numbers there")
def test_a_high_file_descriptor_can_be_asked() -> None:
    high = 1500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft <= high:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(high + 100, hard), hard))
    mine, peer = socket.socketpair()
    with mine, peer:
        import fcntl

        with socket.socket(fileno=fcntl.fcntl(mine, fcntl.F_DUPFD, high)) as copy:
            assert copy.fileno() >= high
            assert is_quiet(copy)
            peer.sendall(b"x")
            assert not is_quiet(copy)
