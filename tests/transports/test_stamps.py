"""When bytes have arrived: the kernel's stamps and their bounds."""

from __future__ import annotations

import itertools
import random
import socket
import threading
import time

import gevent
import gevent.event
import gevent.socket
import pytest

from sseload_users.core import clock, timestamps
from sseload_users.transports import tcp_connect
from sseload_users.transports.lag import LagRecorder
from sseload_users.transports.network import Network
from sseload_users.transports.reading import READ_BYTES
from tests.support.socket_servers import serving
from tests.support.sockets import CA, MS, Watched, kernel_stamps, open_to


@kernel_stamps
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_the_stamp_is_the_kernels_even_if_the_hub_reads_late(scheme: str) -> None:
    sent = []

    def server(connection: socket.socket) -> None:
        connection.recv(10)
        time.sleep(0.1)  # the hub is busy by now
        sent.append(time.time_ns())
        connection.sendall(b"late")

    shared = Network(ca_file=CA)
    with serving(server, certificate="server.pem" if scheme == "wss" else None) as port:
        connection = open_to(shared, port, scheme)
        connection.sendall(b"go")
        watched = Watched(connection)
        shared.lag.drain()
        time.sleep(0.4)  # blocks the whole hub
        read_at = time.time_ns()
        assert watched.ended.get() is None
        connection.close()
    assert watched.data == b"late"
    arrived = watched.reads[-1][1]
    assert 0 <= arrived - sent[0] < 100 * MS
    assert read_at - arrived > 200 * MS
    # The generator's own delay is recorded, and not part of the stamp.
    assert max(shared.lag.drain()) > 200_000


class Lines:
    """A decoder of lines that keeps the bounds of each line's arrival."""

    def __init__(self, lag: LagRecorder) -> None:
        self.found: dict[bytes, tuple[int, int]] = {}
        self._lag = lag

    def on_bytes(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        *before, last, rest = data.split(b"\n")
        assert rest == b""
        if before:
            shared = self._lag.share(arrived_ns, empty_ns)
            self.found |= dict.fromkeys(before, (timestamps.earliest(shared), shared))
        self.found[last] = timestamps.earliest(arrived_ns), arrived_ns


@kernel_stamps
@pytest.mark.parametrize("seed", range(3))
def test_messages_read_together_arrived_within_their_bounds(seed: int) -> None:
    """The server records when it sends each line while the hub is busy from time to time."""
    chance = random.Random(seed)
    people, lines = 6, 60
    sent: dict[bytes, tuple[int, int]] = {}
    over = threading.Barrier(people + 1)
    names = itertools.count()
    pauses = [[chance.choice((0, 0, 0, 0.001, 0.02)) for _ in range(lines)] for _ in range(people)]

    def server(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = next(names)
        connection.recv(2)
        for number, pause in enumerate(pauses[name]):
            line = b"%d %d" % (name, number)
            before = time.time_ns()
            connection.sendall(line + b"\n")
            sent[line] = before, time.time_ns()
            time.sleep(pause)
        over.wait(10)

    shared = Network()
    with serving(server) as port:
        found = [Lines(shared.lag) for _ in range(people)]
        connections = []
        for each in found:
            connection = open_to(shared, port)
            connections.append(connection)
            connection.sendall(b"go")
            connection.watch(each.on_bytes, print)
        longest, looked = 0.0, time.monotonic()
        while over.n_waiting < people:
            time.sleep(chance.choice((0, 0.004, 0.05)))  # blocks the whole hub
            gevent.sleep(chance.choice((0, 0, 0.003)))
            before_s, looked = looked, time.monotonic()
            longest = max(longest, looked - before_s)
        over.wait(10)
        gevent.sleep(0.2)
        for connection in connections:
            connection.close()
    bounds = {line: between for each in found for line, between in each.found.items()}
    assert bounds.keys() == sent.keys()
    errors = shared.lag.drain_errors()
    assert errors.total() > people
    for line, (earliest_ns, latest_ns) in bounds.items():
        before, after = sent[line]
        assert earliest_ns <= after
        assert before <= latest_ns
        assert latest_ns - earliest_ns <= 1000 * max(errors) + 1000
    # Two turns of the hub, and a beat, with room for a busy machine.
    assert max(errors) / 1e6 < 2 * longest + 0.3


@kernel_stamps
def test_the_bounds_are_narrow_after_a_quiet_time() -> None:
    def server(connection: socket.socket) -> None:
        time.sleep(0.5)
        connection.sendall(b"a\nb\n")
        time.sleep(0.1)

    shared = Network()
    with serving(server) as port:
        connection = open_to(shared, port)
        lines = Lines(shared.lag)
        connection.watch(lines.on_bytes, print)
        began = time.monotonic()
        while lines.found.keys() != {b"a", b"b"}:
            gevent.sleep(0.01)
        waited = time.monotonic() - began
        connection.close()
    # The client had waited much longer than the bounds are apart.
    assert max(shared.lag.drain_errors()) / 1e6 < waited / 2


@kernel_stamps
def test_reads_of_one_backlog_keep_its_lower_bound() -> None:
    go = threading.Event()
    large = b"x" * (3 * READ_BYTES) + b"\n"

    def server(connection: socket.socket) -> None:
        connection.sendall(large)
        go.wait(5)
        time.sleep(0.1)

    shared = Network()
    with serving(server) as port:
        connection = open_to(shared, port)
        bounds: list[int | None] = []
        sizes: list[int] = []

        def on_bytes(data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
            del arrived_ns
            bounds.append(empty_ns)
            sizes.append(len(data))
            time.sleep(0.05)

        time.sleep(0.2)  # all of it has arrived by now
        connection.watch(on_bytes, print)
        while sum(sizes) < len(large):
            gevent.sleep(0.01)
        go.set()
        connection.close()
    assert sizes[:3] == [READ_BYTES] * 3
    # Bytes of a later read may have arrived as early as those of the first.
    assert len(set(bounds)) == 1


@kernel_stamps
def test_even_the_first_read_of_a_connection_is_stamped() -> None:
    shared = Network()
    with serving(lambda connection: connection.sendall(b"first")) as port:
        for _ in range(5):
            connection = open_to(shared, port)
            time.sleep(0.03)
            assert connection.recv(100) == b"first"
            assert time.time_ns() - connection.arrived_ns > 15 * MS
            connection.close()


def test_without_kernel_stamps_the_stamp_is_the_time_of_reading(
    shared: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_connect, "_stamp", lambda sock: None)
    assert tcp_connect.stamps_arrivals.__wrapped__() is False
    with serving(lambda connection: connection.sendall(b"hello")) as port:
        connection = open_to(shared, port)
        time.sleep(0.05)
        before = time.time_ns()
        watched = Watched(connection)
        watched.ended.get()
        connection.close()
    assert watched.data == b"hello"
    assert before <= watched.reads[0][1] <= time.time_ns()
    assert shared.lag.drain() == {}


def test_arrivals_and_sends_are_on_the_same_clock(shared: Network) -> None:
    with serving(lambda connection: connection.sendall(b"hello")) as port:
        clock.set_offset(3600 * 1000 * MS)
        try:
            connection = open_to(shared, port)
            assert connection.recv(1) == b"h"
            assert abs(connection.arrived_ns - clock.wall_ns()) < 5000 * MS
            watched = Watched(connection)
            watched.ended.get()
            connection.close()
        finally:
            clock.set_offset(0)
    assert watched.reads[0][1] - time.time_ns() > 3590 * 1000 * MS


def test_lag_is_drained_in_whole_microseconds() -> None:
    lag = LagRecorder()
    for nanoseconds in (0, 999, 1_000, 2_500_000, -7):
        lag.add(nanoseconds)
    assert lag.drain() == {0: 2, 1: 1, 2500: 1, -1: 1}
    lag.add(5_000)
    assert lag.drain() == {5: 1}
    assert lag.drain() == {}
