"""The embedded target's capacity, and its capacity limits."""

from __future__ import annotations

import asyncio
import signal
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.demo_clients import (
    PATIENCE,
    Client,
    Target,
    clients,
    compare,
    open_websocket,
    target,
    wait_until,
)

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def open_sockets(server: Target, count: int) -> int:
    """Open WebSockets, send three codes, and return how many handshakes succeeded."""

    async def run() -> int:
        gate = asyncio.Semaphore(20)
        host, port = server.url.removeprefix("http://").split(":")

        async def one() -> asyncio.StreamWriter | None:
            async with gate:
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(HANDSHAKE)
                try:
                    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
                except (asyncio.IncompleteReadError, ConnectionError):
                    head = b""
                if b" 101 " not in head:
                    writer.close()
                    return None
                return writer

        writers = [each for each in await asyncio.gather(*(one() for _ in range(count))) if each]
        for code in ("C-1", "C-2", "C-3"):
            answer = await asyncio.to_thread(server.post, code)
            assert answer.status_code == 200
        truth = server.path
        while truth.read_text().count('"event":"code"') < 3:
            await asyncio.sleep(0.01)
        for writer in writers:
            writer.close()
        return len(writers)

    return asyncio.run(run())


def test_it_serves_500_connections(tmp_path: Path) -> None:
    with target(tmp_path) as server:
        began = time.monotonic()
        assert open_sockets(server, 500) == 500
        # Usually half a second; an overloaded server takes minutes.
        assert time.monotonic() - began < 20
        truth = server.stop()
    assert truth.sent == truth.subscribers == 1500
    for code in truth.codes.values():
        # Usually about 10 ms.
        assert code.end_ns - code.start_ns < 1e9


def test_connections_above_the_limit_are_refused(tmp_path: Path) -> None:
    with target(tmp_path, "--max-connections", "4") as server:
        listening = clients(server, 2)
        server.post("C-1")
        refused = [client.join() for client in listening if not client.seen.ordinal]
        assert [(each.ended, each.status) for each in refused] == [("refused", 503)] * 2
        wait_until(lambda: '"event":"code"' in server.path.read_text(), "the code")
        # Four of six were accepted, so at least two of these four.
        sockets = [client for client in listening if client.seen.transport != "sse"]
        next(client for client in sockets if client.seen.ordinal).leave()
        wait_until(lambda: '"closed"' in server.path.read_text(), "the end")
        another = Client(server, "sse")
        assert another.seen.subscribed.wait(PATIENCE)
        assert another.seen.ordinal == 7
        truth = server.stop()
        compare([client.join() for client in [*listening, another]], truth)
    assert truth.refused == 2
    assert {each.refused for each in truth.connections.values()} == {None, "too many connections"}


def test_with_mute_connections_reached_it_answers_no_request(tmp_path: Path) -> None:
    with target(tmp_path, "--mute-connections", "3") as server:
        listening = clients(server, 1)
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{server.url}/health", timeout=0.3)
        late = Client(server, "websocket", timeout=0.5)
        assert late.join().ended == "hang"
        listening[0].leave()
        wait_until(lambda: '"closed"' in server.path.read_text(), "the end")
        assert requests.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200
        server.stop()
        for client in listening:
            client.join()


def test_it_is_killed_at_the_memory_limit(tmp_path: Path) -> None:
    with target(tmp_path, "--memory-limit-connections", "6") as server:
        child = psutil.Process(server.process.pid)
        listening = [Client(server, "websocket") for _ in range(5)]
        for client in listening:
            assert client.seen.subscribed.wait(PATIENCE)
        server.post("C-1")
        wait_until(lambda: '"event":"code"' in server.path.read_text(), "the code")
        assert child.status() != psutil.STATUS_ZOMBIE
        listening.append(Client(server, "sse"))
        seen = [client.join() for client in listening]
        truth = server.stop()
        assert server.process._child.returncode == -signal.SIGKILL
    compare(seen, truth)
    assert truth.stopped == "memory limit"
    assert truth.sent == 5
    assert 1001 not in {each.ended for each in seen}


def test_deliveries_take_their_cost_and_codes_wait_for_each_other(tmp_path: Path) -> None:
    with target(tmp_path, "--cost-per-delivery", "0.01") as server:
        listening = clients(server, 5)
        busy = psutil.Process(server.process.pid)
        before = sum(busy.cpu_times()[:2])
        for number in range(1, 4):
            assert server.post(f"C-{number}").elapsed.total_seconds() < 1
        wait_until(lambda: server.path.read_text().count('"event":"code"') == 3, "the codes")
        # It sleeps instead of using the CPU.
        assert sum(busy.cpu_times()[:2]) - before < 0.3
        truth = server.stop()
        compare([client.join() for client in listening], truth)
    codes = list(truth.codes.values())
    for code in codes:
        assert code.end_ns - code.start_ns > 0.14e9
    for earlier, later in pairwise(codes):
        assert later.start_ns >= earlier.end_ns


def test_a_delivery_fails_if_the_client_or_the_server_ends_first(tmp_path: Path) -> None:
    with target(tmp_path, "--cost-per-delivery", "0.1") as server:
        listening = clients(server, 4)
        server.post("C-1")
        server.post("C-2")
        wait_until(lambda: any(client.seen.codes for client in listening), "the first delivery")
        sockets = [client for client in listening if client.seen.transport != "sse"]
        last = max(sockets, key=lambda client: client.seen.ordinal)
        last.leave()
        time.sleep(0.3)
        truth = server.stop()
        seen = [client.join() for client in listening]
    compare(seen, truth)
    assert truth.codes[1].failed.count(last.seen.ordinal) == 1
    assert 0 < truth.sent < 12
    # The second code was answered but reached no connection.
    assert len(truth.codes[2].failed) == truth.codes[2].subscribers == 11


def test_a_delivery_fails_if_the_client_leaves_the_namespace_first(tmp_path: Path) -> None:
    with target(tmp_path, "--cost-per-delivery", "0.5") as server:
        first = Client(server, "websocket")
        assert first.seen.subscribed.wait(PATIENCE)
        path = "/socket.io/?EIO=4&transport=websocket&username=loadtest"
        with open_websocket(server.websocket_url + path) as second:
            second.send("40/events,")
            while not str(second.recv(PATIENCE)).startswith("40/events,"):
                pass
            server.post("C-1")
            wait_until(lambda: first.seen.codes, "the first delivery")
            second.send("41/events,")
            wait_until(lambda: '"event":"code"' in server.path.read_text(), "the code")
            with pytest.raises(TimeoutError):
                second.recv(0.1)
        truth = server.stop()
        compare([first.join()], truth)
    assert (truth.codes[1].sent, truth.codes[1].failed) == ([1], [2])
