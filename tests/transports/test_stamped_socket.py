"""Connections, used like sockets and watched in the hub."""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
import time

import gevent
import gevent.event
import gevent.socket
import pytest

from sseload_users.transports.causes import cause_of
from sseload_users.transports.network import Network
from sseload_users.transports.stamped_socket import StampedSocket
from tests.support.socket_servers import read_until, serving
from tests.support.sockets import CA, Watched, open_to, sends_when

# As a socket


def test_reads_and_writes_like_a_socket(shared: Network) -> None:
    def server(connection: socket.socket) -> None:
        connection.sendall(read_until(connection, b"\n").upper())

    with serving(server) as port:
        connection = open_to(shared, port)
        assert connection.send(b"hel") == 3
        connection.sendall(b"lo\n")
        assert connection.recv(1) == b"H"
        assert connection.recv(100) == b"ELLO\n"
        assert connection.recv(100) == b""
        connection.close()
        connection.close()
        assert connection.fileno() == -1


def test_blocking_calls_end_at_the_deadline() -> None:
    release = threading.Event()
    with serving(lambda _: release.wait(5)) as port:
        connection = Network().open(f"ws://127.0.0.1:{port}/", time.monotonic() + 0.1)
        left = connection.gettimeout()
        assert left is not None
        assert 0 < left <= 0.1
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            connection.recv(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert time.monotonic() - began < 2
        connection.settimeout(None)
        assert connection.gettimeout() is None
        connection.close()
        release.set()


def test_blocking_calls_let_other_greenlets_run(shared: Network) -> None:
    go = threading.Event()
    with serving(sends_when(go, b"x")) as port:
        connection = open_to(shared, port)
        gevent.spawn(go.set)
        assert connection.recv(1) == b"x"
        connection.close()


class _Preempted:
    """A socket of a process that loses its core just before it sends."""

    def __init__(self, sock: socket.socket, for_s: float) -> None:
        self._sock = sock
        self._for_s = for_s

    def send(self, data: bytes) -> int:
        time.sleep(self._for_s)
        return self._sock.send(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's TCP_INFO")
def test_a_write_that_left_late_is_not_the_networks_delay(shared: Network) -> None:
    def server(connection: socket.socket) -> None:
        read_until(connection, b"\n")
        time.sleep(0.1)
        connection.sendall(b"x")

    with serving(server) as port:
        connection = open_to(shared, port)
        began_ns = connection.network_ns
        connection.sock = _Preempted(connection.sock, 0.4)  # type: ignore[arg-type, assignment]
        connection.sendall(b"a\n")
        assert connection.recv(1) == b"x"
        assert 0.09 < (connection.network_ns - began_ns) / 1e9 < 0.3
        connection.close()


# In the hub


def test_a_watch_hands_over_earlier_and_later_bytes(shared: Network) -> None:
    go = threading.Event()

    def server(connection: socket.socket) -> None:
        connection.sendall(b"head|left over|")
        go.wait(5)
        connection.sendall(b"new")

    with serving(server) as port:
        connection = open_to(shared, port)
        assert connection.recv(5) == b"head|"
        stamp = connection.arrived_ns
        watched = Watched(connection)
        assert watched.reads[0] == (b"left over|", stamp)
        go.set()
        assert watched.ended.get() is None
        connection.close()
    assert watched.data == b"left over|new"


def test_a_watch_ends_with_none_or_the_error(shared: Network) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1)  # so that the client is reading already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with serving(reset) as port:
        connection = open_to(shared, port)
        watched = Watched(connection)
        connection.send_now(b"1")
        error = watched.ended.get()
        connection.close()
    assert isinstance(error, ConnectionResetError)
    assert cause_of(error) == "connection reset"


def test_a_callback_that_raises_ends_only_its_own_watch(shared: Network) -> None:
    go = threading.Event()

    def server(connection: socket.socket) -> None:
        connection.sendall(b"1")
        go.wait(5)
        connection.sendall(b"2")

    def refuse(data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        raise KeyError(data)

    with serving(server) as port:
        good, bad = open_to(shared, port), open_to(shared, port)
        ended: gevent.event.AsyncResult[Exception | None] = gevent.event.AsyncResult()
        watched = Watched(good)
        bad.watch(refuse, ended.set)
        assert isinstance(ended.get(), KeyError)
        go.set()
        assert watched.ended.get() is None
        assert watched.data == b"12"
        good.close()
        bad.close()


def test_an_error_in_on_end_does_not_reach_the_hub(
    shared: Network, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(error: Exception | None) -> None:
        raise KeyError("end")

    with serving(lambda connection: None) as port:
        connection = open_to(shared, port)
        connection.watch(lambda *_: None, fail)
        while "could not be handled" not in caplog.text:
            gevent.sleep(0.01)
        connection.close()
    assert "Traceback" not in capfd.readouterr().err


def test_a_callback_may_close_any_connection(shared: Network) -> None:
    go = threading.Event()
    connections: list[StampedSocket] = []
    seen: list[bytes] = []

    def close_all(data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        seen.append(data)
        for connection in connections:
            connection.close()

    with serving(sends_when(go, b"x")) as port:
        connections += [open_to(shared, port) for _ in range(5)]
        for connection in connections:
            connection.watch(close_all, lambda _: pytest.fail("it was closed from this side"))
        go.set()
        time.sleep(0.1)  # all of them are readable in the same turn
        gevent.sleep(0.1)
    assert seen == [b"x"]


@pytest.mark.parametrize("stamped", [True, False])
def test_only_stamped_reading_is_put_off_during_a_burst(stamped: bool) -> None:
    people, rounds = 50, 20
    everyone = threading.Barrier(people + 1)

    def server(connection: socket.socket) -> None:
        everyone.wait(5)
        for number in range(rounds):
            connection.sendall(b"%d|" % number)
            time.sleep(0.002)
        everyone.wait(5)  # silence
        connection.sendall(b"end")

    shared = Network()
    shared.timestamps = "kernel" if stamped else "userspace"
    if not hasattr(select, "epoll"):
        pytest.skip("no epoll here")
    waiting = shared.reader._timer  # type: ignore[attr-defined]
    with serving(server) as port:
        connections = [open_to(shared, port) for _ in range(people)]
        watched = [Watched(connection) for connection in connections]
        everyone.wait(5)
        waited = False
        expected = b"".join(b"%d|" % number for number in range(rounds))
        while not all(one.data == expected for one in watched):
            gevent.sleep(0.001)
            waited |= waiting.active
        assert waited == stamped
        while waiting.active:
            gevent.sleep(0.001)
        everyone.wait(5)
        for one in watched:
            assert one.ended.get() is None
            assert one.data == expected + b"end"
        for connection in connections:
            connection.close()
    assert not waiting.active


def test_nothing_is_handed_over_after_unwatch(shared: Network) -> None:
    go = threading.Event()
    with serving(sends_when(go, b"x")) as port:
        connection = open_to(shared, port)
        watched = Watched(connection)
        connection.unwatch()
        connection.unwatch()
        go.set()
        gevent.sleep(0.1)
        assert watched.reads == []
        assert not watched.ended.ready()
        connection.close()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_send_now_never_waits_and_sends_all_it_accepted(shared: Network, scheme: str) -> None:
    go = threading.Event()
    received = []

    def server(connection: socket.socket) -> None:
        go.wait(5)
        received.append(read_until(connection, b"end"))
        connection.sendall(b"thanks")

    shared = Network(ca_file=CA)
    with serving(server, certificate="server.pem" if scheme == "wss" else None) as port:
        connection = open_to(shared, port, scheme)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        watched = Watched(connection)
        began = time.monotonic()
        taken = 0
        while connection.send_now(bytes(1000)):
            taken += 1
            assert taken < 100_000
        assert time.monotonic() - began < 5
        assert connection.backlog
        go.set()
        while connection.backlog:
            gevent.sleep(0.01)
        assert connection.send_now(b"end")
        assert watched.ended.get() is None
        connection.close()
        assert not connection.send_now(b"closed")
    assert received == [bytes(1000) * taken + b"end"]
    assert watched.data == b"thanks"
