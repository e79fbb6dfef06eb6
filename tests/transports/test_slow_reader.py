"""Slow connections: their rate, their stamps, and no effect on others."""

from __future__ import annotations

import socket
import threading
import time

import gevent
import gevent.event
import pytest

from sseload_users.transports.network import Network
from sseload_users.transports.slow_reader import SlowReader
from sseload_users.transports.stamped_socket import StampedSocket
from tests.support.socket_servers import CERTIFICATES, read_until, serving

MS = 1_000_000
RATE = 20_000


class Watched:
    """Everything that a watched connection hands over, and when."""

    def __init__(self, connection: StampedSocket) -> None:
        self.sizes: list[int] = []
        self.stamps: list[int] = []
        self.at: list[float] = []
        self.ended: gevent.event.AsyncResult[Exception | None] = gevent.event.AsyncResult()
        self.connection = connection
        connection.watch(self.on_bytes, self.ended.set)

    def on_bytes(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        self.sizes.append(len(data))
        self.stamps.append(arrived_ns)
        self.at.append(time.monotonic())

    def end(self) -> Exception | None:
        """Wait for the end; return its error."""
        error = self.ended.get()
        self.connection.close()
        return error

    @property
    def size(self) -> int:
        return sum(self.sizes)


def network(rate: float = RATE) -> Network:
    return Network(ca_file=str(CERTIFICATES / "ca.pem"), slow_rate=rate)


def slow(shared: Network, port: int, scheme: str = "ws") -> StampedSocket:
    return shared.open(f"{scheme}://localhost:{port}/", time.monotonic() + 5, slow=True)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_the_rate_is_kept_and_the_server_must_wait(scheme: str) -> None:
    written = []

    def server(connection: socket.socket) -> None:
        # The smallest buffer, so that unsent data stays in the server.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.settimeout(5)
        try:
            for _ in range(100):
                connection.sendall(b"x" * 2000)
                written.append(time.monotonic())
        except OSError:
            pass

    certificate = "server.pem" if scheme == "wss" else None
    with serving(server, certificate=certificate) as port:
        connection = slow(network(), port, scheme)
        began = time.monotonic()
        watched = Watched(connection)
        gevent.sleep(2)
        passed = time.monotonic() - began
        connection.close()
    # Never faster; slower only because the machine is busy.
    assert watched.size <= RATE * passed
    assert watched.size >= RATE * passed / 3
    assert max(watched.sizes) <= RATE
    # The server has sent only what was read and what the kernels buffer: it had to wait.
    assert 2000 * len(written) < 100 * 2000
    assert 2000 * len(written) < watched.size + 100_000


def test_stamps_are_the_kernels_and_late_reads_are_no_lag() -> None:
    shared = network(rate=2000)
    if shared.timestamps != "kernel":
        pytest.skip("this kernel does not stamp what TCP receives")
    sent = []

    def server(connection: socket.socket) -> None:
        connection.recv(1)
        sent.append(time.time_ns())
        connection.sendall(b"x" * 3000)  # all of it fits into the receive buffer
        connection.recv(1)

    with serving(server) as port:
        connection = slow(shared, port)
        connection.sendall(b"!")
        shared.lag.drain()
        watched = Watched(connection)
        while watched.size < 3000:
            gevent.sleep(0.05)
        read = time.time_ns()
        connection.close()
    assert read - sent[0] > 1000 * MS
    assert all(0 <= each - sent[0] < 500 * MS for each in watched.stamps)
    assert not shared.lag.drain()


def test_other_connections_are_read_at_once() -> None:
    shared = network(rate=100)
    with serving(lambda connection: connection.sendall(b"x" * 100_000)) as port:
        lame = Watched(slow(shared, port))
        quick = Watched(shared.open(f"ws://localhost:{port}/", time.monotonic() + 5))
        assert quick.end() is None
        assert quick.size == 100_000
        assert lame.size <= 1000
        assert not lame.ended.ready()
        lame.connection.close()


def test_the_end_is_reported_after_all_bytes() -> None:
    with serving(lambda connection: connection.sendall(b"x" * 4000)) as port:
        watched = Watched(slow(network(), port))
        assert watched.end() is None
        assert watched.size == 4000


def test_a_callback_may_close_any_slow_connection() -> None:
    go = threading.Event()

    def server(connection: socket.socket) -> None:
        try:
            connection.sendall(b"x" * 10_000)
            read_until(connection, b"never")
        finally:
            go.set()

    shared = network()
    with serving(server) as port:
        connections = [slow(shared, port) for _ in range(3)]
        reads = []

        def leave(data: bytes, *_: int | None) -> None:
            reads.append(len(data))
            for each in connections:
                each.close()

        for each in connections:
            each.watch(leave, reads.append)  # type: ignore[arg-type]
        gevent.sleep(0.4)
        assert len(reads) == 1
        assert go.wait(5)
    # The timer has stopped; the next connection starts it again.
    with serving(lambda connection: connection.sendall(b"more")) as port:
        watched = Watched(slow(shared, port))
        assert watched.end() is None
        assert watched.size == 4


def test_the_backlog_is_written_in_turn() -> None:
    go = threading.Event()
    got = []

    def server(connection: socket.socket) -> None:
        go.wait(5)
        while data := connection.recv(1 << 20):
            got.append(len(data))

    with serving(server) as port:
        connection = slow(network(), port)
        Watched(connection)
        sent = 0
        while not connection.backlog:
            assert connection.send_now(b"y" * 100_000)
            sent += 100_000
        go.set()
        while connection.backlog:
            gevent.sleep(0.05)
        connection.shutdown()
        connection.close()
    assert sum(got) == sent


def test_the_buffer_grows_with_the_rate_and_the_smallest_rate_reads() -> None:
    assert SlowReader(Network().lag, 1).receive_buffer == 4096
    assert SlowReader(Network().lag, 1_000_000).receive_buffer == 200_000
    with serving(lambda connection: connection.sendall(b"xyz")) as port:
        watched = Watched(slow(network(rate=5), port))
        began = time.monotonic()
        assert watched.end() is None
        assert time.monotonic() - began > 0.3
        assert watched.sizes == [1, 1, 1]
