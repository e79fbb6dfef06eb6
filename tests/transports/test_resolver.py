"""Name resolution with a resolver that fails, recovers, or never answers."""

from __future__ import annotations

import errno
import socket
import time
from typing import Any

import gevent
import gevent.socket
import pytest

from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.network import Network

HOST = "server.example"


class Resolver:
    """Replaces the system's resolver; knows one name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.port = 0
        self.asked = 0
        self.fails: OSError | None = None
        self.takes_s = 0.0
        monkeypatch.setattr(gevent.socket, "getaddrinfo", self)

    def __call__(self, host: str, port: int, *_: object) -> list[Any]:
        assert host == HOST
        self.asked += 1
        gevent.sleep(self.takes_s)
        if self.fails is not None:
            raise self.fails
        address = ("127.0.0.1", self.port)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    return Resolver(monkeypatch)


def connect(network: Network, seconds: float = 2.0) -> str:
    """Connect and close; return the operation and cause of a failure, or an empty text."""
    try:
        network.open(f"ws://{HOST}/", time.monotonic() + seconds).close()
    except ConnectFailed as failed:
        return f"{failed.operation}: {failed.cause}"
    return ""


GONE = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_known_hosts_need_no_resolver(resolver: Resolver) -> None:
    network = Network()
    with socket.create_server(("127.0.0.1", 0)) as server:
        resolver.port = server.getsockname()[1]
        assert connect(network) == ""
        resolver.fails = GONE
        assert [connect(network) for _ in range(3)] == [""] * 3
    assert resolver.asked == 1


def test_a_failing_resolver_is_asked_again(resolver: Resolver) -> None:
    network = Network()
    with socket.create_server(("127.0.0.1", 0)) as server:
        resolver.port = server.getsockname()[1]
        assert connect(network) == ""
    # The server moves, and the resolver fails meanwhile.
    assert connect(network) == "connect: connection refused"
    resolver.fails = GONE
    assert connect(network) == "resolve: no such host"
    resolver.fails = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert connect(network) == "resolve: no such host"
    resolver.fails = None
    with socket.create_server(("127.0.0.1", 0)) as server:
        resolver.port = server.getsockname()[1]
        assert connect(network) == ""


def test_a_resolver_without_files_has_that_cause(resolver: Resolver) -> None:
    resolver.fails = OSError(errno.EMFILE, "Too many open files")
    assert connect(Network()) == "resolve: too many open files"


def test_a_silent_resolver_times_out(resolver: Resolver) -> None:
    network = Network()
    resolver.takes_s = 5
    began = time.monotonic()
    waiting = [gevent.spawn(connect, network, 0.2) for _ in range(10)]
    gevent.joinall(waiting)
    assert {each.value for each in waiting} == {"resolve: timed out"}
    assert time.monotonic() - began < 2
    assert resolver.asked == 1


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EADDRINUSE])
def test_exhausted_local_ports_have_one_cause(number: int) -> None:
    assert cause_of(OSError(number, "whatever")) == "no free local port"
