"""Each fault of the embedded target: clients observe exactly what the record says."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from sseload_users.demo.record import Record
from tests.support.demo_clients import (
    PATIENCE,
    TRANSPORTS,
    Client,
    Seen,
    Target,
    clients,
    compare,
    target,
    wait_until,
)

CODES = 12
#: Clients per transport.
EACH = 4


def play(
    folder: Path, *options: str, codes: int = CODES, each: int = EACH
) -> tuple[list[Seen], Record]:
    """Send codes to clients of all transports; return what they saw, and the record."""
    with target(folder, *options) as server:
        listening = clients(server, each)
        for number in range(1, codes + 1):
            assert server.post(f"C-{number}").status_code == 200
        wait_until(lambda: settled(server, codes), "the last code")
        truth = server.stop()
        seen = [client.join() for client in listening]
    compare(seen, truth)
    return seen, truth


def settled(server: Target, codes: int) -> bool:
    """Whether all deliveries of these codes have an outcome."""
    return server.path.read_text().count('"event":"code"') == codes


def test_without_faults_every_delivery_is_sent(tmp_path: Path) -> None:
    seen, truth = play(tmp_path)
    assert truth.sent == truth.subscribers == CODES * EACH * 3
    for each in seen:
        assert each.codes == [f"C-{number}" for number in range(1, CODES + 1)]
        assert each.ended == ("end" if each.transport == "sse" else 1001)
    for connection in truth.connections.values():
        assert connection.closed_by == "server"
        assert connection.opened_ns is not None
        assert connection.closed_ns is not None
        (subscribed,) = connection.subscribed.values()
        assert connection.opened_ns <= subscribed <= connection.closed_ns
    for code in truth.codes.values():
        assert 0 < code.start_ns <= code.end_ns
    assert truth.stopped == "SIGTERM"


@pytest.mark.parametrize(
    ("options", "outcomes"),
    [
        (["--lose", "0.3"], {"lost"}),
        (["--delay", "0.3:0.05"], {"delayed"}),
        (["--duplicate", "0.3"], {"duplicated"}),
        (["--reorder", "0.3:0.3"], {"reordered", "out_of_order"}),
        (["--garbage", "0.3"], {"garbage"}),
        (["--foreign", "0.3"], {"foreign"}),
    ],
    ids=["lose", "delay", "duplicate", "reorder", "garbage", "foreign"],
)
def test_a_fault_affects_about_its_share(
    tmp_path: Path, options: list[str], outcomes: set[str]
) -> None:
    _, truth = play(tmp_path, "--seed", "1", *options)
    assert truth.subscribers == CODES * EACH * 3
    assert truth.sent + truth.lost == truth.subscribers
    for outcome in outcomes:
        # 144 draws at 0.3: fewer than 15 or more than 75 happen for one seed in a million.
        assert 15 <= truth.total(outcome) <= 75
    untouched = {"lost", "silenced", "failed", "duplicated", "garbage", "foreign"} - outcomes
    for outcome in untouched:
        assert truth.total(outcome) == 0


def test_a_reordered_code_is_written_without_a_further_code_too(tmp_path: Path) -> None:
    _, truth = play(tmp_path, "--reorder", "1:0.1", codes=3)
    # The first waits for the second; the third, also held, has none to wait for.
    assert [len(truth.codes[index].reordered) for index in (1, 2, 3)] == [12, 0, 0]
    assert [len(truth.codes[index].delayed) for index in (1, 2, 3)] == [0, 0, 12]


def test_all_delivery_faults_together(tmp_path: Path) -> None:
    share = ["--lose", "0.1", "--delay", "0.2:0.03", "--duplicate", "0.2", "--reorder", "0.2:0.1"]
    noise = ["--garbage", "0.2", "--foreign", "0.2"]
    _, truth = play(tmp_path, "--seed", "7", *share, *noise)
    for outcome in ("lost", "delayed", "duplicated", "reordered", "garbage", "foreign"):
        assert truth.total(outcome) > 0


def test_the_same_seed_gives_the_same_faults(tmp_path: Path) -> None:
    lost = []
    for seed in ("1", "1", "2"):
        _, truth = play(tmp_path, "--seed", seed, "--lose", "0.5", codes=4)
        lost.append([sorted(code.lost) for code in truth.codes.values()])
    assert lost[0] == lost[1] != lost[2]


def test_a_broken_frame_ends_the_connection(tmp_path: Path) -> None:
    with target(tmp_path, "--garbage", "1", "--garbage-how", "frame") as server:
        listening = clients(server, 2)
        server.post("C-1")
        seen = [client.join() for client in listening]
        wait_until(lambda: server.path.read_text().count('"closed"') == 6, "the ends")
        server.post("C-2")
        truth = server.stop()
    for each in seen:
        assert (each.codes, each.ended) == (["C-1"], "broken")
        kept = truth.connections[each.ordinal]
        # Protocol error (RFC 6455 §7.4.1), sent by the client.
        code = None if each.transport == "sse" else 1002
        assert (kept.closed_by, kept.closed_code) == ("client", code)
    assert sorted(truth.codes[1].garbage) == sorted(truth.codes[1].sent) == [1, 2, 3, 4, 5, 6]
    assert truth.codes[2].subscribers == 0


@pytest.mark.parametrize("how", ["close", "reset", "silent"])
def test_a_share_of_connections_is_dropped(tmp_path: Path, how: str) -> None:
    with target(
        tmp_path, "--drop", "0.5", "--drop-how", how, "--drop-code", "4001", "--drop-after", "2"
    ) as server:
        listening = clients(server, EACH)
        for number in range(1, 5):
            server.post(f"C-{number}")
            if how != "silent" and number == 2:
                wait_until(lambda: server.path.read_text().count('"closed"') == 6, "the ends")
        wait_until(lambda: settled(server, 4), "the last code")
        truth = server.stop()
        seen = [client.join() for client in listening]
    compare(seen, truth)
    assert truth.dropped == EACH * 3 / 2
    for each in seen:
        kept = truth.connections[each.ordinal]
        assert len(each.codes) == (4 if kept.dropped is None else 2)
        if kept.dropped is not None:
            assert kept.dropped == how
            end = "end" if each.transport == "sse" else 4001
            expected = {"close": end, "reset": "reset"}
            if how in expected:
                assert (each.ended, kept.closed_by) == (expected[how], "server")
    assert truth.silenced == (12 if how == "silent" else 0)


def test_waiting_deliveries_of_a_silenced_connection_are_not_sent(tmp_path: Path) -> None:
    faults = ["--delay", "0.5:0.2", "--reorder", "1:0.2"]
    seen, truth = play(tmp_path, "--drop", "1", "--drop-how", "silent", *faults, codes=2)
    assert truth.silenced == truth.subscribers == 24
    assert not any(each.codes for each in seen)


@pytest.mark.parametrize(
    ("how", "ended", "status"),
    [("503", "refused", 503), ("reset", "reset", None), ("hang", "hang", None)],
)
def test_a_share_of_handshakes_is_refused(
    tmp_path: Path, how: str, ended: str, status: int | None
) -> None:
    with target(tmp_path, "--refuse", "0.5", "--refuse-how", how) as server:
        listening = clients(server, 2, timeout=3 if how == "hang" else PATIENCE)
        server.post("C-1")
        wait_until(lambda: settled(server, 1), "the code")
        truth = server.stop()
        seen = [client.join() for client in listening]
    compare(seen, truth)
    refused = [each for each in seen if not each.ordinal]
    assert len(refused) == truth.refused == 3
    assert [(each.ended, each.status) for each in refused] == [(ended, status)] * 3
    assert truth.opened == 3
    kept = [each for each in truth.connections.values() if each.refused]
    assert [(each.refused, each.opened_ns) for each in kept] == [(how, None)] * 3


def test_replay_sends_earlier_codes_to_late_joiners(tmp_path: Path) -> None:
    with target(tmp_path, "--replay") as server:
        for number in (1, 2):
            server.post(f"C-{number}")
        wait_until(lambda: settled(server, 2), "the codes")
        listening = clients(server, 1)
        server.post("C-3")
        wait_until(lambda: settled(server, 3), "the last code")
        truth = server.stop()
        seen = [client.join() for client in listening]
    assert [each.codes for each in seen] == [["C-1", "C-2", "C-3"]] * 3
    assert (truth.replayed, truth.sent, truth.total("out_of_order")) == (6, 3, 0)


def test_a_client_that_has_left_is_not_counted_as_served(tmp_path: Path) -> None:
    """However it left, and however recently."""
    with target(tmp_path) as server, requests.Session() as session:
        session.get(f"{server.url}/health", timeout=PATIENCE)
        for number in range(1, 21):
            stays = Client(server, "sse")
            leaves = [raw_websocket(server) for _ in range(4)]
            assert stays.seen.subscribed.wait(PATIENCE)
            for index, connection in enumerate(leaves):
                if index % 2:
                    # Closing with unread bytes sends a reset.
                    connection.recv(1, socket.MSG_PEEK)
                connection.close()
            body = {"username": "loadtest", "code": f"C-{number}"}
            session.post(f"{server.url}/api/ingest", json=body, timeout=PATIENCE)
            while not settled(server, number):
                time.sleep(0.002)
        truth = server.stop()
    assert [len(code.sent) for code in truth.codes.values()] == list(range(1, 21))
    assert [code.subscribers for code in truth.codes.values()] == list(range(1, 21))
    assert truth.failed == 0


def test_a_client_that_left_while_the_server_was_busy_is_not_owed(tmp_path: Path) -> None:
    """The server finds the code and the ends of the connections at once."""
    with target(tmp_path) as server, ThreadPoolExecutor() as pool, requests.Session() as session:
        session.get(f"{server.url}/health", timeout=PATIENCE)
        leaves = [raw_websocket(server) for _ in range(8)]
        stays = Client(server, "websocket")
        assert stays.seen.subscribed.wait(PATIENCE)
        os.kill(server.process.pid, signal.SIGSTOP)
        body = {"username": "loadtest", "code": "C-1"}
        posting = pool.submit(session.post, f"{server.url}/api/ingest", json=body, timeout=PATIENCE)
        time.sleep(0.3)
        for connection in leaves:
            connection.close()
        os.kill(server.process.pid, signal.SIGCONT)
        assert posting.result().status_code == 200
        wait_until(lambda: settled(server, 1), "the code")
        truth = server.stop()
        compare([stays.join()], truth)
    assert (truth.subscribers, truth.sent) == (1, 1)


def raw_websocket(server: Target, path: str = "/ws", *, receive_buffer: int = 0) -> socket.socket:
    """Return the raw socket of a WebSocket after its handshake."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(PATIENCE)
    connection.connect((host, int(port)))
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert b" 101 " in head
    return connection


class Slow:
    """A Socket.IO client in the default namespace that does not read."""

    def __init__(self, server: Target) -> None:
        path = "/socket.io/?EIO=4&transport=websocket&username=loadtest"
        self.connection = raw_websocket(server, path, receive_buffer=65536)
        # "40" with a zero mask (RFC 6455 §5.3).
        self.connection.sendall(b"\x81\x82\x00\x00\x00\x0040")
        wait_until(lambda: '"subscribed"' in server.path.read_text(), "the subscription")
        self.server = server

    def flood(self, codes: int) -> None:
        """Broadcast codes of 400 kB."""
        for number in range(1, codes + 1):
            body = {"username": "loadtest", "code": f"C-{number}", "metadata": {"a": "x" * 400_000}}
            answer = requests.post(f"{self.server.url}/api/ingest", json=body, timeout=PATIENCE)
            assert answer.status_code == 200


def test_a_slow_reader_gets_all_codes_eventually(tmp_path: Path) -> None:
    with target(tmp_path) as server:
        slow = Slow(server)
        slow.flood(14)
        # The kernel buffers only part of it.
        assert not settled(server, 14)
        data = b""
        while data.count(b'"code"') < 14 or not settled(server, 14):
            data += slow.connection.recv(1 << 20)
        slow.connection.close()
        truth = server.stop()
    assert truth.sent == truth.subscribers == data.count(b'["new_code"') == 14


def test_codes_queued_for_a_slow_reader_that_leaves_are_not_sent(tmp_path: Path) -> None:
    with target(tmp_path) as server:
        slow = Slow(server)
        slow.flood(14)
        slow.connection.close()
        wait_until(lambda: settled(server, 14), "the end")
        truth = server.stop()
    # The last code may be broadcast only after the client has left.
    assert truth.sent + truth.failed == truth.subscribers >= 13
    assert truth.failed > 0
    failed = [len(code.failed) for code in truth.codes.values() if code.subscribers]
    assert failed == sorted(failed)


def test_a_reader_that_is_too_slow_is_disconnected(tmp_path: Path) -> None:
    with target(tmp_path) as server:
        slow = Slow(server)
        slow.flood(30)
        wait_until(lambda: '"closed"' in server.path.read_text(), "the end")
        slow.connection.close()
        truth = server.stop()
    assert truth.connections[1].dropped == "too far behind"
    assert truth.connections[1].closed_by == "server"
    assert truth.failed > 0


def test_a_server_that_is_killed_leaves_its_record(tmp_path: Path) -> None:
    with target(tmp_path) as server:
        listening = clients(server, 2)
        for number in range(1, 4):
            server.post(f"C-{number}")
        wait_until(lambda: settled(server, 3), "the codes")
        os.kill(server.process.pid, signal.SIGKILL)
        seen = [client.join() for client in listening]
        truth = server.stop()
    compare(seen, truth)
    assert truth.stopped == ""
    assert truth.sent == 18


def test_stop_after_kills_the_server(tmp_path: Path) -> None:
    with target(tmp_path, "--stop-after", "3", "--delay", "0.5:5") as server:
        listening = clients(server, 2)
        for number in range(1, 4):
            server.post(f"C-{number}")
        seen = [client.join() for client in listening]
        with pytest.raises(requests.ConnectionError):
            server.post("C-4")
        truth = server.stop()
    compare(seen, truth)
    assert truth.stopped == "codes"
    assert len(truth.codes) == 3
    # The delayed deliveries were not written.
    assert truth.sent + truth.failed == 18
    assert truth.failed > 0
    assert {each.ended for each in seen} <= {"reset", "broken", 1006}


def test_deliveries_that_wait_at_the_stop_are_not_sent(tmp_path: Path) -> None:
    with target(tmp_path, "--delay", "0.4:60", "--reorder", "0.4:60") as server:
        listening = clients(server, 2)
        for number in range(1, 4):
            server.post(f"C-{number}")
        began = time.monotonic()
        truth = server.stop()
        assert time.monotonic() - began < 2
        seen = [client.join() for client in listening]
    compare(seen, truth)
    assert truth.failed > 0
    assert truth.sent + truth.failed == truth.subscribers == 18


def test_each_line_of_the_record_is_json(tmp_path: Path) -> None:
    _, truth = play(tmp_path, codes=1, each=1)
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert lines[0]["event"] == "started"
    assert lines[-1] == {"event": "stopped", "why": "SIGTERM"}
    assert {line["transport"] for line in lines if line["event"] == "opened"} == set(TRANSPORTS)
    assert truth.options["seed"] == 0
