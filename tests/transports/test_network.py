"""Connecting: causes, addresses, source addresses."""

from __future__ import annotations

import socket
import sys
import time
from typing import Any

import gevent
import gevent.event
import gevent.socket
import pytest

from sseload_users.transports import ConnectFailed, dialer, tcp_connect
from sseload_users.transports.dialer import Dialer
from sseload_users.transports.network import Network
from tests.support.socket_servers import serving


def test_connect_failures_have_short_causes() -> None:
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


def test_a_host_is_looked_up_once_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
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
        # The second address accepted, so it is tried first from now on.
        dialled = []

        def counted(family: int, address: Any, *others: Any) -> Any:
            dialled.append(address)
            return tcp_connect.connect_tcp(family, address, *others)

        monkeypatch.setattr(dialer, "connect_tcp", counted)
        come_and_go()
        assert dialled == [("127.0.0.1", port)]
    # A host that refuses may have moved: it is looked up again.
    for _ in range(2):
        with pytest.raises(ConnectFailed, match="connection refused"):
            shared.open(url, time.monotonic() + 5)
    assert asked == ["target.test"] * 2
    with pytest.raises(ConnectFailed, match="no such host"):
        shared.open("ws://nosuch.test/", time.monotonic() + 5)
    with pytest.raises(ConnectFailed, match="timed out"):
        shared.open("ws://nosuch.test/", time.monotonic() + 0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127/8 is local")
def test_source_addresses_are_used_in_turn() -> None:
    peers = []
    shared = Network(dialer=Dialer(source_addresses=["127.0.0.2", "127.0.0.3", "::1"]))
    with serving(lambda connection: peers.append(connection.getpeername()[0])) as port:
        for _ in range(4):
            connection = shared.open(f"ws://127.0.0.1:{port}/", time.monotonic() + 5)
            assert connection.recv(1) == b""
            connection.close()
    assert peers == ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"]
    other = Network(dialer=Dialer(source_addresses=["::1"]))
    with pytest.raises(ConnectFailed, match="no source address of this family"):
        other.open(f"ws://127.0.0.1:{port}/", time.monotonic() + 5)
    with pytest.raises(ValueError, match=r"source address 'eth0' is not an IP address; give"):
        Dialer(source_addresses=["eth0"])
