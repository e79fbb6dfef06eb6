"""The way to a server: the addresses of its name in turn, given addresses, HTTP proxies."""

from __future__ import annotations

import socket
import sys
import time
from collections import Counter

import pytest

from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.dialer import Dialer
from sseload_users.transports.fetch import fetch
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.network import Network
from sseload_users.transports.proxies import Proxies, Proxy
from sseload_users.transports.resolver import Resolver, parse_given
from sseload_users.transports.turns import AddressTurns
from tests.support.relays import proxy, relays
from tests.support.socket_servers import CERTIFICATES, read_until, serving

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127/8 is local")
THREE = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def answering(connection: socket.socket) -> None:
    """Answer one HTTP request with its Host header."""
    head = read_until(connection, b"\r\n\r\n").decode()
    host = "".join(line[6:] for line in head.split("\r\n") if line.lower().startswith("host: "))
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(host)}\r\n\r\n{host}".encode())


def go(network: Network, port: int, turn: int | None = None) -> str:
    """Connect to app.test; return the address that was reached."""
    connection = network.open(f"ws://app.test:{port}/", time.monotonic() + 5, turn=turn)
    address = str(connection.sock.getpeername()[0])
    connection.close()
    return address


def request(network: Network, url: str) -> bytes:
    return fetch(HttpRequest("GET", url, (), b""), network, 5).body


@linux_only
def test_addresses_are_used_in_turn_and_counted() -> None:
    with (
        serving(lambda _: None) as server,
        relays(THREE, f"http://127.0.0.1:{server}") as (
            port,
            _,
        ),
    ):
        network = Network(dialer=Dialer(resolve=[f"app.test:{port}:{','.join(THREE)}"]))
        assert Counter(go(network, port) for _ in range(9)) == dict.fromkeys(THREE, 3)
        # A worker's connections begin with an address of its own, and a reconnect stays there.
        assert [go(network, port, turn) for turn in (1, 2, 3, 1)] == [
            THREE[1], THREE[2], THREE[0], THREE[1],
        ]  # fmt: skip
    counts = network.dialer.turns.drain()
    name = f"app.test:{port}"
    assert counts == {
        (name, THREE[0], "connected"): 4,
        (name, THREE[1], "connected"): 5,
        (name, THREE[2], "connected"): 4,
    }
    assert network.dialer.turns.drain() == {}


@linux_only
def test_a_pinned_dialer_reaches_one_address_only() -> None:
    with (
        serving(lambda _: None) as server,
        relays(THREE, f"http://127.0.0.1:{server}") as (port, _),
    ):
        network = Network(dialer=Dialer(resolve=[f"app.test:{port}:{','.join(THREE)}"]))
        origin = ("app.test", port, False)
        assert network.dialer.addresses(origin, time.monotonic() + 1) == [*THREE]
        pinned = [network.pinned(origin, each) for each in THREE]
        assert [go(each, port) for each in pinned for _ in range(2)] == [
            each for each in THREE for _ in range(2)
        ]
        with pytest.raises(ConnectFailed, match="connection refused"):
            go(network.pinned(origin, "127.0.0.5"), port)
    # They share what is counted, and what reads.
    assert sum(network.dialer.turns.drain().values()) == 7
    assert all(each.reader is network.reader for each in pinned)
    assert network.dialer.addresses(("::1", port, False), time.monotonic() + 1) == ["::1"]


@linux_only
def test_connections_leave_out_an_address_that_failed() -> None:
    given = ",".join(["127.0.0.5", *THREE[:2]])
    with (
        serving(lambda _: None) as server,
        relays(THREE[:2], f"http://127.0.0.1:{server}") as (
            port,
            _,
        ),
    ):
        network = Network(dialer=Dialer(resolve=[f"app.test:{port}:{given}"]))
        reached = Counter(go(network, port) for _ in range(12))
        assert set(reached) == set(THREE[:2])
    counts = network.dialer.turns.drain()
    # It is tried once, and last for the next few seconds.
    assert counts[f"app.test:{port}", "127.0.0.5", "failed"] == 1
    assert counts[f"app.test:{port}", "127.0.0.5", "connected"] == 0
    with pytest.raises(ConnectFailed, match="connection refused"):
        go(network, port)


def test_another_family_is_used_only_where_the_first_one_fails() -> None:
    turns = AddressTurns()
    six, four = (10, ("::1", 1, 0, 0)), (2, ("127.0.0.1", 1))
    assert turns.order("a:1", [six, four], 1) == [six, four]
    turns.note_failed("a:1", six)
    turns.note_accepted("a:1", four)
    assert turns.order("a:1", [six, four], None) == [four, six]
    assert turns.order("a:1", [four], 5) == [four]


def test_given_addresses_replace_the_resolver() -> None:
    assert parse_given(["App.test:443:192.0.2.1", "app.test:443:[2001:db8::1],192.0.2.2"]) == {
        ("app.test", 443): [
            (socket.AF_INET, ("192.0.2.1", 443)),
            (socket.AF_INET6, ("2001:db8::1", 443, 0, 0)),
            (socket.AF_INET, ("192.0.2.2", 443)),
        ]
    }
    assert parse_given(["[::1]:8000:127.0.0.1"]) == {
        ("::1", 8000): [(socket.AF_INET, ("127.0.0.1", 8000))]
    }
    wrong = "app.test app.test:443 app.test:x:192.0.2.1 app.test:0:192.0.2.1 :443:192.0.2.1"
    for each in (*wrong.split(), "app.test:70000:192.0.2.1", "app.test:443:nowhere"):
        with pytest.raises(ValueError, match=r"is not of the form HOST:PORT:ADDRESS; give"):
            Resolver([each])


def test_a_given_address_keeps_the_name_for_tls_and_host() -> None:
    # The certificate is for localhost, which no address of this dialer is.
    with serving(answering, certificate="server.pem") as port:
        ca = str(CERTIFICATES / "ca.pem")
        network = Network(ca_file=ca, dialer=Dialer(resolve=[f"localhost:{port}:127.0.0.1"]))
        assert request(network, f"https://localhost:{port}/") == f"localhost:{port}".encode()
        network.open(f"wss://localhost:{port}/", time.monotonic() + 5).close()


def test_a_proxy_gets_every_request_and_resolves_the_name() -> None:
    with (
        serving(answering) as server,
        proxy({"app.test:80": f"http://127.0.0.1:{server}"}, password="me:p@ss word") as (
            name,
            passed,
        ),
    ):
        url = f"http://me:p%40ss%20word@{name}"
        network = Network(dialer=Dialer(proxy=url))
        assert request(network, "http://app.test/") == b"app.test"
        connection = network.open("ws://app.test/", time.monotonic() + 5)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        if network.timestamps == "kernel":
            assert connection.arrived_ns <= time.time_ns()
        connection.close()
        assert passed.tunnels == ["app.test:80"] * 2
        assert network.dialer.turns.drain() == {("app.test:80", name, "proxied"): 1}


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"password": "me:secret"}, "HTTP 407"),
        ({"refuses": 403}, "HTTP 403"),
        ({}, "HTTP 502"),
    ],
)
def test_a_refusal_by_the_proxy_names_the_proxy(options: dict[str, str], cause: str) -> None:
    with proxy({}, **options) as (name, _):  # type: ignore[arg-type]
        network = Network(dialer=Dialer(proxy=f"http://me:wrong@{name}"))
        expected = f"proxy {name}: {cause}"
        with pytest.raises(ConnectFailed) as failed:
            network.open("wss://app.test/", time.monotonic() + 5)
        assert (failed.value.operation, failed.value.cause) == ("connect", expected)
        with pytest.raises(ConnectionError) as refused:
            request(network, "https://app.test/")
        assert cause_of(refused.value) == expected
        assert "wrong" not in str(failed.value) + str(refused.value)
    with pytest.raises(ConnectFailed, match=f"proxy {name}: connection refused"):
        network.open("ws://app.test/", time.monotonic() + 5)


@pytest.mark.parametrize(
    ("says", "cause"),
    [(b"", "connection closed"), (b"hello\r\n\r\n", "bad answer"), (b"x" * 20000, "bad answer"),
     (b"HTTP/1.1 2", "no answer in time")],
)  # fmt: skip
def test_a_proxy_that_is_none_is_no_fault_of_the_server(says: bytes, cause: str) -> None:
    def handle(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(says)
        if cause == "no answer in time":
            connection.recv(1)

    with serving(handle) as port:
        network = Network(dialer=Dialer(proxy=f"127.0.0.1:{port}"))
        with pytest.raises(ConnectFailed) as failed:
            network.open("ws://app.test/", time.monotonic() + 0.5)
        assert failed.value.cause == f"proxy 127.0.0.1:{port}: {cause}"


def test_the_environment_names_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://plain.test:3128")
    monkeypatch.setenv("https_proxy", "secure.test:8080")
    monkeypatch.setenv("NO_PROXY", ".inner.test, other.test:8000, 10.0.0.0/8")
    proxies = Proxies(None)

    def used(host: str, port: int = 80, *, secure: bool = False) -> str:
        found = proxies.of(host, port, secure=secure)
        return "" if found is None else found.name

    assert used("app.test") == "plain.test:3128"
    assert used("app.test", 443, secure=True) == "secure.test:8080"
    direct = ("localhost", "a.localhost", "127.0.0.9", "::1", "a.inner.test", "10.1.2.3")
    assert {used(host) for host in direct} == {""}
    assert (used("other.test", 8000), used("other.test", 9000)) == ("", "plain.test:3128")
    # What is asked for explicitly is used for every host.
    explicit = Proxies("http://mine.test").of("localhost", 80, secure=False)
    assert explicit == Proxy("mine.test", 80)
    monkeypatch.setenv("NO_PROXY", "*")
    assert Proxies(None).of("app.test", 80, secure=False) is None


def test_all_proxy_stands_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@socks.test:1080")
    with pytest.raises(ValueError, match=r"ALL_PROXY in the environment .*'socks5'") as failed:
        Proxies(None).of("app.test", 80, secure=True)
    assert "secret" not in str(failed.value)
    assert Proxies(None).of("localhost", 80, secure=True) is None
    with pytest.raises(ValueError, match="--proxy is not the URL of a proxy; give"):
        Proxies("http://:3128")
