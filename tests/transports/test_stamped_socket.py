"""Connections, their stamps, and reading them in the hub."""

from __future__ import annotations

import itertools
import random
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.event
import gevent.socket
import pytest

from sseload_users.core import clock, timestamps
from sseload_users.transports import ConnectFailed, network, reader, tcp_connect
from sseload_users.transports.causes import cause_of
from sseload_users.transports.lag import LagRecorder
from sseload_users.transports.network import Network
from sseload_users.transports.reading import READ_BYTES
from sseload_users.transports.stamped_socket import StampedSocket
from tests.support.socket_servers import CERTIFICATES, Handler, read_until, serving

CA = str(CERTIFICATES / "ca.pem")
MS = 1_000_000

kernel_stamps = pytest.mark.skipif(
    Network().timestamps != "kernel", reason="this kernel does not stamp what TCP receives"
)


@pytest.fixture(autouse=True)
def _no_test_waits_for_ever() -> Iterator[None]:
    with gevent.Timeout(20):
        yield


@pytest.fixture(params=["epoll", "loop"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network with each of the readers."""
    if request.param == "loop":
        monkeypatch.setattr(network, "make_reader", lambda lag, stamped: reader.LoopReader(lag))
    return Network()


def open_to(shared: Network, port: int, scheme: str = "ws") -> StampedSocket:
    return shared.open(f"{scheme}://localhost:{port}/path", time.monotonic() + 5)


class Watched:
    """What a watch handed over."""

    def __init__(self, connection: StampedSocket) -> None:
        self.reads: list[tuple[bytes, int]] = []
        self.ended: gevent.event.AsyncResult[Exception | None] = gevent.event.AsyncResult()
        connection.watch(self.on_bytes, self.ended.set)

    def on_bytes(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        self.reads.append((data, arrived_ns))

    @property
    def data(self) -> bytes:
        return b"".join(data for data, _ in self.reads)


def when(told: threading.Event, data: bytes) -> Handler:
    """A server that sends as soon as it is told."""

    def server(connection: socket.socket) -> None:
        told.wait(5)
        connection.sendall(data)

    return server


# Stamps


@kernel_stamps
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_the_stamp_is_the_kernels_however_late_the_hub_reads(scheme: str) -> None:
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
    # The instrument's own delay is known, and nowhere in the stamp.
    assert max(shared.lag.drain()) > 200_000


class Lines:
    """Messages that are lines, with the bounds of their arrival, as decoders have them."""

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
def test_messages_that_are_read_together_came_within_their_bounds(seed: int) -> None:
    """A server says when it sent what; meanwhile the hub is busy, in turns, for a while."""
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
    assert len(errors) > people
    for line, (earliest_ns, latest_ns) in bounds.items():
        before, after = sent[line]
        assert earliest_ns <= after
        assert before <= latest_ns
        assert latest_ns - earliest_ns <= 1000 * max(errors) + 1000
    # Two turns of the hub, and a beat, with room for a busy machine.
    assert max(errors) / 1e6 < 2 * longest + 0.3


@kernel_stamps
def test_what_waits_while_nothing_else_comes_is_known_to_be_new() -> None:
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
    # It waited for them all the time; they did not.
    assert max(shared.lag.drain_errors()) / 1e6 < waited / 2


@kernel_stamps
def test_a_read_that_leaves_something_behind_is_not_taken_for_all() -> None:
    told = threading.Event()
    large = b"x" * (3 * READ_BYTES) + b"\n"

    def server(connection: socket.socket) -> None:
        connection.sendall(large)
        told.wait(5)
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

        time.sleep(0.2)  # by now all of it is there
        connection.watch(on_bytes, print)
        while sum(sizes) < len(large):
            gevent.sleep(0.01)
        told.set()
        connection.close()
    assert sizes[:3] == [READ_BYTES] * 3
    # What a later read finds may have come as early as what the first found.
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


def test_without_the_kernels_stamp_it_is_the_time_of_reading(
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
    assert list(shared.lag.drain()) == []


def test_stamps_are_on_the_clock_that_sends_are_on(shared: Network) -> None:
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
    assert list(lag.drain()) == [0, 0, 1, 2500, 0]
    lag.add(5_000)
    assert list(lag.drain()) == [5]
    assert list(lag.drain()) == []


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


def test_waiting_ends_at_the_deadline() -> None:
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


def test_waiting_lets_other_greenlets_run(shared: Network) -> None:
    told = threading.Event()
    with serving(when(told, b"x")) as port:
        connection = open_to(shared, port)
        gevent.spawn(told.set)
        assert connection.recv(1) == b"x"
        connection.close()


# In the hub


def test_a_watch_hands_over_what_came_before_it_and_after_it(shared: Network) -> None:
    told = threading.Event()

    def server(connection: socket.socket) -> None:
        connection.sendall(b"head|left over|")
        told.wait(5)
        connection.sendall(b"new")

    with serving(server) as port:
        connection = open_to(shared, port)
        assert connection.recv(5) == b"head|"
        stamp = connection.arrived_ns
        watched = Watched(connection)
        assert watched.reads[0] == (b"left over|", stamp)
        told.set()
        assert watched.ended.get() is None
        connection.close()
    assert watched.data == b"left over|new"


def test_a_reset_is_an_error_and_an_end_of_stream_is_none(shared: Network) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1)  # so that the other side is there to see it
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with serving(reset) as port:
        connection = open_to(shared, port)
        watched = Watched(connection)
        connection.send_now(b"1")
        error = watched.ended.get()
        connection.close()
    assert isinstance(error, ConnectionResetError)
    assert cause_of(error) == "connection reset"


def test_a_callback_that_raises_ends_its_own_watch_only(shared: Network) -> None:
    told = threading.Event()

    def server(connection: socket.socket) -> None:
        connection.sendall(b"1")
        told.wait(5)
        connection.sendall(b"2")

    def refuse(data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        raise KeyError(data)

    with serving(server) as port:
        good, bad = open_to(shared, port), open_to(shared, port)
        ended: gevent.event.AsyncResult[Exception | None] = gevent.event.AsyncResult()
        watched = Watched(good)
        bad.watch(refuse, ended.set)
        assert isinstance(ended.get(), KeyError)
        told.set()
        assert watched.ended.get() is None
        assert watched.data == b"12"
        good.close()
        bad.close()


def test_an_end_that_raises_does_not_reach_the_hub(
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
    told = threading.Event()
    connections: list[StampedSocket] = []
    seen: list[bytes] = []

    def close_all(data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        seen.append(data)
        for connection in connections:
            connection.close()

    with serving(when(told, b"x")) as port:
        connections += [open_to(shared, port) for _ in range(5)]
        for connection in connections:
            connection.watch(close_all, lambda _: pytest.fail("it was closed from this side"))
        told.set()
        time.sleep(0.1)  # all of them are readable in the same turn
        gevent.sleep(0.1)
    assert seen == [b"x"]


@pytest.mark.parametrize("stamped", [True, False])
def test_while_a_broadcast_rolls_in_reading_waits_only_for_what_is_stamped(stamped: bool) -> None:
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


def test_after_unwatch_nothing_is_handed_over(shared: Network) -> None:
    told = threading.Event()
    with serving(when(told, b"x")) as port:
        connection = open_to(shared, port)
        watched = Watched(connection)
        connection.unwatch()
        connection.unwatch()
        told.set()
        gevent.sleep(0.1)
        assert watched.reads == []
        assert not watched.ended.ready()
        connection.close()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_send_now_never_waits_and_loses_nothing_that_it_took(shared: Network, scheme: str) -> None:
    told = threading.Event()
    received = []

    def server(connection: socket.socket) -> None:
        told.wait(5)
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
        told.set()
        while connection.backlog:
            gevent.sleep(0.01)
        assert connection.send_now(b"end")
        assert watched.ended.get() is None
        connection.close()
        assert not connection.send_now(b"closed")
    assert received == [bytes(1000) * taken + b"end"]
    assert watched.data == b"thanks"


# Connecting


def test_each_failure_has_a_short_cause() -> None:
    shared = Network()
    with serving(lambda _: None) as port:
        pass
    late = time.monotonic() - 1
    soon = time.monotonic() + 5
    failures = [
        (f"ws://127.0.0.1:{port}/", soon, "connect", "connection refused"),
        (f"ws://127.0.0.1:{port}/", late, "connect", "timed out"),
        ("http:///nothing", soon, "resolve", "bad URL"),
        ("ws://localhost:99999/", soon, "resolve", "bad URL"),
        ("gopher://localhost/", soon, "resolve", "bad URL"),
        (f"ws://{'a' * 70}.test/", soon, "resolve", "no such host"),
    ]
    for url, deadline, operation, cause in failures:
        with pytest.raises(ConnectFailed) as failed:
            shared.open(url, deadline)
        assert (failed.value.operation, failed.value.cause) == (operation, cause)


def test_a_host_is_looked_up_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def look_up(host: str, port: int, *_: object) -> list[Any]:
        asked.append(host)
        gevent.sleep(0.05)
        if host == "nosuch.test":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        nowhere = (socket.AF_INET, 1, 6, "", ("127.0.0.1", dead))
        return [nowhere, (socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(gevent.socket, "getaddrinfo", look_up)
    with serving(lambda _: None) as dead:
        pass
    shared = Network()
    with serving(lambda connection: connection.recv(1)) as port:
        url = f"ws://target.test:{port}/"

        def come_and_go() -> None:
            shared.open(url, time.monotonic() + 5).close()

        gevent.joinall([gevent.spawn(come_and_go) for _ in range(20)], raise_error=True)
        assert asked == ["target.test"]
        # The second address answered, so it is the first one asked from now on.
        dialled = []

        def counted(family: int, address: Any, *others: Any) -> Any:
            dialled.append(address)
            return tcp_connect.connect_tcp(family, address, *others)

        monkeypatch.setattr(network, "connect_tcp", counted)
        come_and_go()
        assert dialled == [("127.0.0.1", port)]
    # A host that does not answer may have moved: it is looked up again.
    for _ in range(2):
        with pytest.raises(ConnectFailed, match="connection refused"):
            shared.open(url, time.monotonic() + 5)
    assert asked == ["target.test"] * 2
    with pytest.raises(ConnectFailed, match="no such host"):
        shared.open("ws://nosuch.test/", time.monotonic() + 5)
    with pytest.raises(ConnectFailed, match="timed out"):
        shared.open("ws://nosuch.test/", time.monotonic() + 0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127/8 is local")
def test_source_addresses_take_turns() -> None:
    peers = []
    shared = Network(source_addresses=["127.0.0.2", "127.0.0.3", "::1"])
    with serving(lambda connection: peers.append(connection.getpeername()[0])) as port:
        for _ in range(4):
            connection = shared.open(f"ws://127.0.0.1:{port}/", time.monotonic() + 5)
            assert connection.recv(1) == b""
            connection.close()
    assert peers == ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"]
    other = Network(source_addresses=["::1"])
    with pytest.raises(ConnectFailed, match="no source address of this family"):
        other.open(f"ws://127.0.0.1:{port}/", time.monotonic() + 5)
    with pytest.raises(ValueError, match=r"source address 'eth0' is not an IP address; give"):
        Network(source_addresses=["eth0"])


def test_the_file_limit_is_raised_as_far_as_it_goes() -> None:
    code = (
        "import resource\n"
        "from sseload_users.run.limits import raise_file_limit\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 300))\n"
        "print(raise_file_limit(200), raise_file_limit(1000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "(300, 200) (300, 300)"


# TLS


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def test_tls_carries_any_amount_both_ways() -> None:
    shared = Network(ca_file=CA)
    with serving(echo, certificate="server.pem") as port:
        connection = open_to(shared, port, "wss")
        data = bytes(range(256)) * 1200
        sending = gevent.spawn(connection.sendall, data)
        received = b""
        while len(received) < len(data):
            received += connection.recv(100_000)
        sending.get()
        assert received == data
        # Records that arrived together are handed over together.
        watched = Watched(connection)
        for part in (data[:20_000], data[20_000:60_000]):
            assert connection.send_now(part)
        while len(watched.data) < 60_000:
            gevent.sleep(0.01)
        assert watched.data == data[:60_000]
        connection.close()


def test_tls_says_when_the_stream_ends() -> None:
    shared = Network(ca_file=CA)

    def goodbye(connection: socket.socket) -> None:
        connection.sendall(b"bye")
        assert isinstance(connection, ssl.SSLSocket)
        connection.unwrap()

    with serving(goodbye, certificate="server.pem") as port:
        connection = open_to(shared, port, "wss")
        watched = Watched(connection)
        assert watched.ended.get() is None
        assert watched.data == b"bye"
        connection.close()


@pytest.mark.parametrize(
    ("certificate", "cause"),
    [
        ("server.pem", "certificate not trusted"),
        ("elsewhere.pem", "certificate for another host"),
        ("expired.pem", "certificate expired"),
        (None, "wrong version number"),
    ],
)
def test_a_tls_failure_has_a_short_cause(certificate: str | None, cause: str) -> None:
    trusting = certificate != "server.pem"

    def plain(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(echo if certificate else plain, certificate=certificate) as port:
        shared = Network(ca_file=CA if trusting else None)
        with pytest.raises(ConnectFailed) as failed:
            open_to(shared, port, "wss")
        assert (failed.value.operation, failed.value.cause) == ("tls", cause)
        if certificate:
            connection = open_to(Network(insecure=True), port, "wss")
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            connection.close()


def test_a_client_certificate_is_shown() -> None:
    names = []

    def who(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        names.append(connection.getpeercert())
        echo(connection)

    with serving(who, certificate="server.pem", client_ca="ca.pem") as port:
        shown = Network(ca_file=CA, client_certificate=str(CERTIFICATES / "client.pem"))
        connection = open_to(shown, port, "wss")
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        connection.close()
        connection = open_to(Network(ca_file=CA), port, "wss")
        # TLS 1.3 refuses after the client thinks that the handshake is done.
        with pytest.raises(ssl.SSLError) as refused:
            connection.recv(1)
        assert cause_of(refused.value) == "TLS: tlsv13 alert certificate required"
        connection.close()
    assert names[0] is not None
    assert names[0]["subject"] == ((("commonName", "listener"),),)


@pytest.mark.parametrize("resume", [True, False])
def test_tls_sessions_are_resumed_where_that_is_asked_for(resume: bool) -> None:
    reused = []

    def server(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        reused.append(connection.session_reused)
        echo(connection)

    shared = Network(ca_file=CA, resume_tls=resume)
    with serving(server, certificate="server.pem") as port:
        for _ in range(3):
            connection = open_to(shared, port, "wss")
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            shared.keep_tls_session(f"wss://localhost:{port}/", connection)
            connection.close()
    assert reused == [False, resume, resume]


def test_certificate_files_that_cannot_be_used_are_said_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"CA file '/nosuch' cannot be used: .*; give a PEM"):
        _ = Network(ca_file="/nosuch").ssl_context
    with pytest.raises(ValueError, match=r"client certificate '.*' cannot be used: "):
        _ = Network(ca_file=CA, client_certificate=CA).ssl_context
