"""The embedded target as several nodes: what each backplane shares, and a rolling restart."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
import requests

from sseload_users.demo import record
from sseload_users.demo.record import Record
from tests.support.demo_clients import (
    PATIENCE,
    TRANSPORTS,
    Client,
    Stream,
    Target,
    compare,
    target,
    wait_until,
)
from tests.support.ports import free_pair

RESTART = ("--restart-after", "0.2", "--restart-away", "0.4")


def node_codes(truth: Record, number: int) -> list[str]:
    """Return the codes that were handed in at a node."""
    return [each.code for each in truth.ingests if each.node == number]


def stops(server: Target) -> int:
    truth = record.read(server.path)
    return sum(len(each.stopped_ns) for each in truth.nodes.values())


def starts(server: Target) -> int:
    truth = record.read(server.path)
    return sum(len(each.started_ns) for each in truth.nodes.values())


@pytest.mark.parametrize("backplane", ["history", "live", "none"])
def test_a_backplane_passes_codes_on_to_the_clients_of_all_nodes(
    tmp_path: Path, backplane: str
) -> None:
    with target(tmp_path, "--nodes", "3", "--backplane", backplane) as server:
        clients = [[Client(node, each) for each in TRANSPORTS] for node in server.nodes]
        for each in chain.from_iterable(clients):
            assert each.seen.subscribed.wait(PATIENCE)
        for number in range(1, 7):
            node = server.nodes[(number - 1) % 3]
            assert node.post(f"C-{number}").status_code == 200
        wait_until(lambda: record.read(server.path).sent == (18 if backplane == "none" else 54), "")
        truth = server.stop()
        seen = [[each.join() for each in group] for group in clients]
    compare(list(chain.from_iterable(seen)), truth)
    everything = [f"C-{number}" for number in range(1, 7)]
    for number, group in enumerate(seen, 1):
        wanted = node_codes(truth, number) if backplane == "none" else everything
        assert all(each.codes == wanted for each in group)
        assert all(truth.connections[each.ordinal].node == number for each in group)
    assert node_codes(truth, 2) == ["C-2", "C-5"]
    assert [truth.nodes[number].url for number in (1, 2, 3)] == [*server.process.urls]
    assert truth.subscribers == truth.sent
    assert [*truth.codes] == [1, 2, 3, 4, 5, 6]


def test_nodes_listen_at_successive_ports(tmp_path: Path) -> None:
    port = free_pair()
    with target(tmp_path, "--nodes", "2", "--port", str(port)) as server:
        assert [each.url for each in server.nodes] == [
            f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}",
        ]  # fmt: skip


@pytest.mark.parametrize("how", ["close", "reset"])
def test_nodes_restart_in_turn(tmp_path: Path, how: str) -> None:
    options = ("--nodes", "2", *RESTART, "--restart-how", how)
    with target(tmp_path, *options) as server, requests.Session() as kept:
        clients = [[Client(node, each) for each in TRANSPORTS] for node in server.nodes]
        for each in chain.from_iterable(clients):
            assert each.seen.subscribed.wait(PATIENCE)
        kept.get(f"{server.url}/health", timeout=PATIENCE)
        first, second = server.nodes
        assert first.post("C-1").status_code == 200
        wait_until(lambda: stops(server) == 1, "the first node's stop")
        # It is away, for new connections and for those that it had; the other one goes on.
        for get in (kept.get, requests.get):
            with pytest.raises(requests.ConnectionError):
                get(f"{server.url}/health", timeout=PATIENCE)
        assert second.post("C-2").status_code == 200
        ended = [each.join() for each in clients[0]]
        wait_until(lambda: starts(server) == 4, "the second node's return")
        assert kept.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200
        ended += [each.join() for each in clients[1]]
        truth = server.stop()
    compare(ended, truth)
    closed = ["reset"] * 3 if how == "reset" else [1001, 1001, "end"]
    assert [each.ended for each in ended] == closed * 2
    assert all(each.dropped == "restart" for each in truth.connections.values())
    one, two = truth.nodes[1], truth.nodes[2]
    for node in (one, two):
        assert (len(node.started_ns), len(node.stopped_ns)) == (2, 1)
        assert node.started_ns[1] - node.stopped_ns[0] >= 0.4e9
    assert two.stopped_ns[0] > one.started_ns[1] + 0.2e9
    assert [each.codes for each in ended] == [["C-1"]] * 3 + [["C-1", "C-2"]] * 3


@pytest.mark.parametrize(
    ("backplane", "replayed", "withheld"),
    [("history", [2, 3], []), ("live", [], [2, 3]), ("none", [], [2, 3])],
)
def test_only_a_shared_history_has_what_a_node_missed(
    tmp_path: Path, backplane: str, replayed: list[int], withheld: list[int]
) -> None:
    with target(tmp_path, "--nodes", "2", "--backplane", backplane, *RESTART) as server:
        first, second = server.nodes
        assert first.post("C-1").status_code == 200
        wait_until(lambda: stops(server) == 1, "the first node's stop")
        for number in (2, 3):
            assert second.post(f"C-{number}").status_code == 200
        wait_until(lambda: starts(server) == 3, "the first node's return")
        headers = {"Last-Event-ID": "1"}
        with Stream(f"{first.url}/stream?username=loadtest", **headers) as stream:
            assert stream.block() == "retry: 900"
            assert stream.data()["type"] == "connected"
            codes = [stream.data()["offset"] for _ in replayed]
            assert first.post("C-4").status_code == 200
            assert stream.data()["offset"] == 4
        truth = server.stop()
    (connection,) = truth.connections.values()
    assert codes == connection.replayed == replayed
    assert connection.withheld == withheld
    assert connection.node == 1


def test_a_stop_during_a_restart_is_in_order(tmp_path: Path) -> None:
    away = ("--restart-after", "0.1", "--restart-away", "60")
    with target(tmp_path, "--nodes", "2", *away) as server:
        server.post("C-1")
        wait_until(lambda: stops(server) == 1, "the first node's stop")
        assert server.stop().stopped == "SIGTERM"
