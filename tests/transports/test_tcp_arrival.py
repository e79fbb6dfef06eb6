"""When segments of a TCP connection arrived, as known afterwards."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable

import gevent
import pytest

from sseload_users.core.clock import wall_ns
from sseload_users.transports.tcp_arrival import (
    earliest_arrival_ns,
    has_input_since,
    latest_arrival_ns,
    latest_data_arrival_ns,
)
from tests.support.listener import Listener
from tests.support.socket_servers import serving
from tests.support.wire import accept_websocket, frame

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's TCP_INFO")


@pytest.mark.parametrize(
    "act",
    [
        lambda peer: peer.sendall(b"x"),
        lambda peer: peer.shutdown(socket.SHUT_WR),
        lambda peer: (peer.sendall(b"bye"), peer.close()),
    ],
    ids=["data", "end", "data and end"],
)
def test_the_time_of_arrival_is_known_long_after(act: Callable[[socket.socket], object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    with mine, peer:
        peer.sendall(b"hello")
        time.sleep(0.1)
        before_ns = wall_ns()
        act(peer)
        after_ns = wall_ns()
        time.sleep(0.3)
        assert before_ns <= latest_arrival_ns(mine) <= after_ns + 100_000_000


def test_bytes_did_not_arrive_before_they_were_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    with mine, peer:
        time.sleep(0.1)
        peer.sendall(b"x")
        after_ns = wall_ns()
        time.sleep(0.2)
        assert after_ns - 100_000_000 <= earliest_arrival_ns(mine) <= after_ns


def test_acknowledgements_of_an_answer_are_not_data() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    with mine, peer:
        peer.sendall(b"x")
        sent_ns = wall_ns()
        time.sleep(0.3)
        mine.sendall(b"answer")
        # Whoever reads an answer acknowledges it at once.
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        assert peer.recv(10) == b"answer"
        time.sleep(0.05)
        assert latest_arrival_ns(mine) > sent_ns + 200_000_000
        assert sent_ns - 1_000_000 <= latest_data_arrival_ns(mine) <= sent_ns + 150_000_000


def test_input_may_have_arrived_before_a_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    with mine, peer:
        mine.setblocking(False)
        before = time.monotonic()
        assert not has_input_since(mine, before + 10)
        time.sleep(0.1)
        peer.sendall(b"x")
        sent = time.monotonic()
        time.sleep(0.2)
        assert has_input_since(mine, sent)
        assert not has_input_since(mine, before)
        assert mine.recv(10) == b"x"


def test_the_end_of_a_session_has_the_time_of_its_arrival() -> None:
    sent: list[int] = []
    for last in (frame(0x88, b"\x03\xe8"), b""):
        del sent[:]

        def close(connection: socket.socket, last: bytes = last) -> None:
            connection.sendall(accept_websocket(connection))
            time.sleep(0.2)
            connection.sendall(last)
            connection.shutdown(socket.SHUT_WR)
            sent.append(wall_ns())
            connection.recv(100)

        with serving(close) as port:
            listener = Listener("websocket", f"ws://127.0.0.1:{port}/")
            listener.transport.connect()
            gevent.spawn_later(0.05, time.sleep, 0.6)
            listener.transport.listen()
            assert wall_ns() - sent[0] > 300_000_000
        assert abs(listener.transport.ended_ns - sent[0]) < 150_000_000


def test_without_a_connection_the_time_is_now() -> None:
    before_ns = wall_ns()
    with socket.socket(socket.AF_UNIX) as other:
        assert latest_arrival_ns(other) >= before_ns
        assert earliest_arrival_ns(other) >= before_ns
