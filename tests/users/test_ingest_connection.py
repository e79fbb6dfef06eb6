"""The publisher's connection on its own, against a server in a thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest

from sseload_users import targets as target
from sseload_users.core.clock import wall_ns
from sseload_users.options import Options
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.targets import Publishing, Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.network import Network
from sseload_users.users.publishers.answers import PublishOutcome
from sseload_users.users.publishers.ingest_connection import IngestConnection
from tests.servers.broadcast import Peer, Server
from tests.support.publishing_profiles import OWN, REFUSE, plain
from tests.support.socket_servers import read_until, serving

LOADTEST = Identity("loadtest")


class Observer:
    """Records its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_connected(self, took_ms: float) -> None:
        self.calls.append("connected")

    def on_connect_failed(self, error: ConnectFailed, took_ms: float) -> None:
        self.calls.append(f"failed: {error.operation}: {error.cause}")

    def on_lost(self, cause: str) -> None:
        self.calls.append(f"lost: {cause}")

    def on_upkeep(self, cause: str | None, server_text: str) -> None:
        self.calls.append(f"upkeep: {cause}")

    def on_malformed(self, cause: str) -> None:
        self.calls.append(f"malformed: {cause}")


class Publisher:
    """A connection, and the codes that were sent over it."""

    def __init__(self, folder: Path, port: int, profile: str, timeout_s: float = 5) -> None:
        path = folder / "mine.toml"
        path.write_text(profile)
        publishing = Publishing.of(Target(target.load(str(path)), f"http://127.0.0.1:{port}"))
        assert publishing is not None
        self.observer = Observer()
        self.written: list[int] = []
        options = Options(ingest_timeout=timeout_s)
        before = BeforeRequests(Network(connect_timeout=2), 2)
        self.connection = IngestConnection(publishing, before, options, LOADTEST, self.observer)

    def send(self, code: str) -> PublishOutcome:
        return self.connection.publish(lambda _: code, self.written.append)

    def wait_for(self, call: str) -> None:
        with gevent.Timeout(5):
            while call not in self.observer.calls:
                gevent.sleep(0.005)


@contextmanager
def publishing(
    folder: Path, server: Server, profile: str = "", timeout_s: float = 5
) -> Iterator[Publisher]:
    with server.running():
        publisher = Publisher(folder, server.port, profile or plain(), timeout_s)
        publisher.connection.open(1)
        try:
            yield publisher
        finally:
            publisher.connection.close()
            gevent.sleep(0.01)


def test_a_code_is_stamped_before_it_arrives_and_answered_after(tmp_path: Path) -> None:
    with publishing(tmp_path, Server()) as publisher:
        before_ns = wall_ns()
        outcome = publisher.send("C-1")
        assert outcome.status == "accepted"
        assert outcome.at_ns is not None
        (written,) = publisher.written
        assert before_ns <= written <= outcome.at_ns <= wall_ns()
        assert publisher.observer.calls == ["connected"]


def test_a_failed_connection_is_reported_and_raised(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    publisher = Publisher(tmp_path, port, plain())
    with pytest.raises(ConnectFailed, match="connect: connection refused"):
        publisher.connection.open(1)
    assert publisher.observer.calls == ["failed: connect: connection refused"]
    assert publisher.send("C-1") == PublishOutcome("unsent", "connection refused")
    assert publisher.written == []


def test_without_a_connection_codes_are_unsent_with_the_cause_of_its_end(
    tmp_path: Path,
) -> None:
    server = Server(lambda _, code: code.peer.close(1012))
    with publishing(tmp_path, server) as publisher:
        outcome = publisher.send("C-1")
        assert (outcome.status, outcome.cause) == ("unanswered", "closed by server: 1012")
        assert publisher.send("C-2") == PublishOutcome("unsent", "closed by server: 1012")
        assert len(publisher.written) == 1
        publisher.observer.calls.clear()
        publisher.wait_for("connected")
        # The server counts a session once it has accepted it.
        with gevent.Timeout(5):
            while server.sessions < 2:
                gevent.sleep(0.005)
        assert server.sessions == 2


def test_codes_are_not_sent_behind_a_backlog(tmp_path: Path) -> None:
    """A code that waits in this process's backlog has no send time."""
    big, let_go = "C" * 60_000, threading.Event()

    def deaf(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        key = read_until(sock, b"\r\n\r\n").split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        sock.sendall(Peer.accepting(key.decode()))
        let_go.wait(20)

    with serving(deaf) as port:
        publisher = Publisher(tmp_path, port, plain('"none"'), timeout_s=0.3)
        publisher.connection.open(1)
        outcomes: list[PublishOutcome] = []
        while not outcomes or outcomes[-1].status == "accepted":
            outcomes.append(publisher.send(big))
            assert len(outcomes) < 2000
        assert outcomes[-1] == PublishOutcome("unsent", "timed out")
        assert len(publisher.written) == len(outcomes) - 1
        publisher.connection.close()
        gevent.sleep(0.01)
        let_go.set()


def test_a_slow_answer_does_not_delay_other_codes(tmp_path: Path) -> None:
    def slow(server: Server, code: object) -> None:
        time.sleep(0.2)
        server.take(code)  # type: ignore[arg-type]

    with publishing(tmp_path, Server(slow)) as publisher:
        began_ns = wall_ns()
        codes = [gevent.spawn(publisher.send, f"C-{number}") for number in range(5)]
        gevent.joinall(codes, timeout=5)
        assert [each.value.status for each in codes if each.value] == ["accepted"] * 5
        assert publisher.written[-1] - began_ns < 150e6


def test_killing_a_waiting_publisher_does_not_affect_other_codes(tmp_path: Path) -> None:
    server = Server(lambda server, code: server.take(code) if code.text != "C-1" else None)
    with publishing(tmp_path, server) as publisher:
        given_up = gevent.spawn(publisher.send, "C-1")
        with gevent.Timeout(5):
            while not server.codes:
                gevent.sleep(0.005)
        given_up.kill()
        assert publisher.send("C-2").status == "accepted"


def test_the_servers_text_is_kept_whole(tmp_path: Path) -> None:
    server = Server(lambda server, code: server.complain(code, f"{code.text} came before"))
    with publishing(tmp_path, server, plain(more=OWN + REFUSE)) as publisher:
        outcome = publisher.send("C-7")
        assert (outcome.status, outcome.cause) == ("rejected", "… came before")
        assert outcome.server_text == "C-7 came before"
