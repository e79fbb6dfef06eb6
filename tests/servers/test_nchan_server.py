"""nginx with nchan as used by the tests and the bench: every subscriber gets a code."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from websocket import WebSocket, WebSocketBadStatusException

from tests.servers.nchan import Nchan, Publisher, missing, nchan
from tests.support.socket_servers import CERTIFICATES

pytestmark = pytest.mark.skipif(
    missing() is not None and not os.environ.get("CI"), reason=str(missing())
)

#: One that this process may use.
CORE = min(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def server() -> Iterator[Nchan]:
    with nchan(connections=1000, core=CORE) as running:
        yield running


@contextlib.contextmanager
def websockets(server: Nchan, channel: str, count: int, *, tls: bool) -> Iterator[list[Any]]:
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
    with contextlib.ExitStack() as stack:
        clients: list[Any] = []
        for _ in range(count):
            client: Any = WebSocket(sslopt={"context": context})
            stack.callback(client.shutdown)
            client.connect(server.subscriber(channel, tls=tls), timeout=5)
            clients.append(client)
        yield clients


@contextlib.contextmanager
def event_stream(server: Nchan, channel: str, *, tls: bool) -> Iterator[http.client.HTTPResponse]:
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
    connection = (
        http.client.HTTPSConnection("127.0.0.1", server.tls_port, timeout=5, context=context)
        if tls
        else http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    )
    with contextlib.closing(connection):
        connection.request("GET", f"/sub?id={channel}", headers={"Accept": "text/event-stream"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.headers.get_content_type() == "text/event-stream"
        yield answer


def data_of(stream: http.client.HTTPResponse) -> str:
    while not (line := stream.readline().decode()).startswith("data: "):
        assert line, "the stream ended"
    return line.removeprefix("data: ").rstrip("\n")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_every_subscriber_of_the_channel_gets_the_code(server: Nchan, tls: bool) -> None:
    channel = f"everybody-{tls}"
    publisher = Publisher(server)
    publisher.publish(channel, "LT-before")
    with (
        websockets(server, channel, 200, tls=tls) as clients,
        websockets(server, "another", 1, tls=tls) as others,
        event_stream(server, channel, tls=tls) as stream,
        contextlib.closing(publisher),
    ):
        publisher.publish(channel, "LT-now")
        publisher.publish("another", "LT-other")
        # "newest": messages published earlier are not sent.
        assert [client.recv() for client in clients] == ["LT-now"] * 200
        assert data_of(stream) == "LT-now"
        assert [other.recv() for other in others] == ["LT-other"]


def test_an_unknown_location_is_refused(server: Nchan) -> None:
    client: Any = WebSocket()
    with pytest.raises(WebSocketBadStatusException, match="404"):
        client.connect(server.subscriber("x").replace("/sub", "/nothing"), timeout=5)
    client.shutdown()


def test_the_worker_runs_on_its_core(server: Nchan) -> None:
    (worker,) = psutil.Process(server.pid).children()
    assert worker.cpu_affinity() == [CORE]


def test_nothing_is_left_behind() -> None:
    with nchan(connections=10) as running:
        master = psutil.Process(running.pid)
        by = time.monotonic() + 5
        while not master.children() and time.monotonic() < by:
            time.sleep(0.01)
        processes = [master, *master.children()]
        assert len(processes) == 2
        assert running.folder.is_dir()
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert not alive
    assert not running.folder.exists()
    with pytest.raises(OSError, match="refused"):
        Publisher(running).publish("x", "nobody hears it")
