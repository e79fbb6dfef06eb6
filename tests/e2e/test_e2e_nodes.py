"""Whole runs against several embedded targets as the nodes of one server.

The targets have no backplane: what is sent to one of them reaches only its own connections.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sseload_users.demo import process, record
from tests.support.ground_truth import listeners_of, sequence_of
from tests.support.ports import free_port
from tests.support.runs import QUICK, SSELOAD, Run, run, running, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

Nodes = list[tuple[process.DemoProcess, Path]]


@contextlib.contextmanager
def nodes(folder: Path, count: int, *options: str) -> Iterator[Nodes]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(target(folder / f"node{at}", *options)) for at in range(count)]


def urls(servers: Nodes) -> str:
    return ",".join(server.url for server, _ in servers)


def matrix(report: Mapping[str, Any], name: str) -> list[list[int]]:
    """Return a figure of each pair of nodes, by publishing and by receiving node."""
    names = [each["url"] for each in report["nodes"]]
    found = {(each["sent_to"], each["received_at"]): each[name] for each in report["node_pairs"]}
    return [[found[source, to] for to in names] for source in names]


def check_against_records(report: Mapping[str, Any], truths: list[record.Record]) -> None:
    """Compare each node's figures with what it recorded itself."""
    for node, truth in zip(report["nodes"], truths, strict=True):
        opened = [each for each in listeners_of(truth).values() if each.opened_ns is not None]
        assert (node["attempted"], node["succeeded"]) == (len(opened), len(opened))
        assert node["codes"] == len(truth.ingests)
    delivered = matrix(report, "delivered")
    for at, truth in enumerate(truths):
        assert delivered[at][at] == sum(len(code.sent) for code in truth.codes.values())


@pytest.mark.parametrize("processes", ["1", "2"])
def test_without_a_backplane_codes_reach_their_own_node_alone(
    tmp_path: Path, processes: str
) -> None:
    with nodes(tmp_path, 3) as servers:
        outcome = run(
            tmp_path, "7", "9", "1", *QUICK, "--nodes", urls(servers),
            *(["--processes", processes] if processes != "1" else []),
        )  # fmt: skip
    report, truths = outcome.report, [record.read(path) for _, path in servers]
    assert [each["url"] for each in report["nodes"]] == [server.url for server, _ in servers]
    assert [each["succeeded"] for each in report["nodes"]] == [3, 2, 2]
    assert matrix(report, "owed") == [[9, 6, 6]] * 3
    assert matrix(report, "delivered") == [[9, 0, 0], [0, 6, 0], [0, 0, 6]]
    assert matrix(report, "missing") == [[0, 6, 6], [9, 0, 6], [9, 6, 0]]
    check_against_records(report, truths)
    sequences = [sorted(sequence_of(each.code) for each in truth.ingests) for truth in truths]
    assert sequences == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]
    assert outcome.grade == "issues"
    assert [each["pattern"] for each in report["diagnosis"]] == ["by_node"]
    assert re.search(r"from 2 +0 % +100 % +0 %\n", outcome.stdout)
    html = (outcome.folder / "report.html").read_text("utf-8")
    assert "From node to node" in html


def test_channels_and_publishers_are_spread_over_all_nodes(tmp_path: Path) -> None:
    profile = tmp_path / "rooms.toml"
    profile.write_text(ROOMS, "utf-8")
    with nodes(tmp_path, 2) as servers:
        outcome = run(
            tmp_path, "8", "4", "1", *QUICK, "--nodes", urls(servers), "--target", str(profile),
            "--channels", "2", "--publishers", "2",
        )  # fmt: skip
    truths = [record.read(path) for _, path in servers]
    for truth in truths:
        assert {each.channel for each in truth.codes.values()} == {"c1", "c2"}
        channels = [each.channels for each in listeners_of(truth).values()]
        assert sorted(channels) == [["c1"], ["c1"], ["c2"], ["c2"]]
    assert matrix(outcome.report, "owed") == [[8, 8], [8, 8]]
    assert matrix(outcome.report, "delivered") == [[8, 0], [0, 8]]


def test_each_publisher_has_a_connection_to_each_of_its_nodes(tmp_path: Path) -> None:
    token = "nodes"
    with nodes(tmp_path, 2, "--ingest-token", token) as servers:
        outcome = run(
            tmp_path, "2", "4", "1", *QUICK, "--nodes", urls(servers), "--publishers", "3",
            "--target", "code-server-socket", "--value", f"ingest_token={token}",
        )  # fmt: skip
    assert f"Connecting to {len(servers)} nodes." in outcome.stderr
    assert outcome.report["codes"]["accepted"] == 12
    sent: list[set[int]] = []
    for _, path in servers:
        truth, by_connection = record.read(path), dict[int | None, set[int]]()
        for each in truth.ingests:
            by_connection.setdefault(each.connection, set()).add(sequence_of(each.code))
        assert len(by_connection) == 3
        sent += by_connection.values()
    assert sorted(map(sorted, sent)) == [[each, each + 6] for each in range(1, 7)]


def test_a_node_that_is_killed_is_the_only_one_that_loses(tmp_path: Path) -> None:
    with (
        nodes(tmp_path, 2) as servers,
        running(
            tmp_path, "6", "20", "4", *QUICK, "--nodes", urls(servers), "--reconnect"
        ) as started,
    ):
        _await_codes(started, servers[1][1])
        os.kill(servers[1][0].pid, signal.SIGKILL)
        outcome = started.finish()
    report = outcome.report
    alive, killed = report["nodes"]
    assert (alive["succeeded"], alive["failed"], alive["dropped"]) == (3, 0, 0)
    assert (killed["succeeded"], killed["dropped"]) == (3, 3)
    assert killed["failed"] > 0
    owed, delivered = matrix(report, "owed"), matrix(report, "delivered")
    assert delivered[0][0] == owed[0][0] == 10 * 3
    for at, (_, path) in enumerate(servers):
        truth = record.read(path)
        assert delivered[at][at] == truth.sent
        assert report["nodes"][at]["succeeded"] == len(listeners_of(truth))
    # A code may have been written to the node, and never read by it.
    read = len(record.read(servers[1][1]).ingests)
    assert 0 <= killed["codes"] - read <= 1
    assert report["codes"]["unsent"] + report["codes"]["unanswered"] == 10 - read
    assert outcome.grade == "issues"


def test_a_node_that_is_added_later_is_used_from_then_on(tmp_path: Path) -> None:
    port = free_port()
    with nodes(tmp_path, 1) as servers, contextlib.ExitStack() as stack:
        added = f"http://127.0.0.1:{port}"
        with running(
            tmp_path, "6", "20", "2", *QUICK, "--nodes", f"{urls(servers)},{added}",
            "--connect-attempts", "20",
        ) as started:  # fmt: skip
            first = servers[0][1]
            started.wait_until(lambda: len(record.read(first).connections) == 3, "connections")
            servers.append(stack.enter_context(target(tmp_path / "added", "--port", str(port))))
            outcome = started.finish()
    report, truths = outcome.report, [record.read(path) for _, path in servers]
    here, later = report["nodes"]
    assert (here["attempted"], here["failed"]) == (3, 0)
    assert (later["succeeded"], later["dropped"]) == (3, 0)
    assert later["failed"] > 0
    assert matrix(report, "delivered") == [[30, 0], [0, 30]]
    for node, truth in zip(report["nodes"], truths, strict=True):
        assert node["succeeded"] == len(listeners_of(truth)) == 3
        assert node["codes"] == len(truth.ingests) == 10
        assert truth.sent == 30


def named(folder: Path, stack: contextlib.ExitStack, *options: Sequence[str]) -> tuple[str, ...]:
    """Start targets at several addresses with one port; return the options that name them."""
    addresses = [f"127.0.0.{number}" for number in range(2, 2 + len(options))]
    port = free_port(addresses[0])
    for address, own in zip(addresses, options, strict=True):
        listen = ("--host", address, "--port", str(port))
        stack.enter_context(target(folder / address, *listen, *own))
    resolved = f"app.test:{port}:{','.join(addresses)}"
    return ("--nodes", f"http://app.test:{port}", "--resolve", resolved)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_each_address_of_a_name_is_a_node(tmp_path: Path, processes: str) -> None:
    with contextlib.ExitStack() as stack:
        where = named(tmp_path, stack, (), ())
        outcome = run(
            tmp_path, "6", "8", "1", *QUICK, *where,
            *(["--processes", processes] if processes != "1" else []),
        )  # fmt: skip
    report, (_, url, *_) = outcome.report, where
    assert [each["url"] for each in report["nodes"]] == [f"{url}=127.0.0.2", f"{url}=127.0.0.3"]
    truths = [record.read(tmp_path / f"127.0.0.{at}" / "record.jsonl") for at in (2, 3)]
    check_against_records(report, truths)
    assert matrix(report, "delivered") == [[12, 0], [0, 12]]
    assert sorted(row["node"] for row in outcome.table("connections")) == [*"111222"]


def test_check_tries_each_node_and_names_those_that_fail(tmp_path: Path) -> None:
    quick = ("--settle", "0", "--delivery-timeout", "0.5", "--connections", "2")
    with contextlib.ExitStack() as stack:
        where = named(tmp_path, stack, (), ("--lose", "1"), ())
        outcome = run(
            tmp_path, *where, *quick, "--target", "websocket", command=(*SSELOAD, "check"),
            report=False,
        )  # fmt: skip
    url = where[1]
    lines = outcome.stdout.splitlines()
    for number in (1, 2, 3):
        assert f"node {number} of 3: {url}=127.0.0.{number + 1}" in lines
    assert outcome.status == 1
    assert lines[-1] == f"FAILED: 1 of 3 nodes: {url}=127.0.0.3"
    assert outcome.stdout.count("all 3 codes reached all 2 connections") == 2
    for at in (2, 4):
        assert len(record.read(tmp_path / f"127.0.0.{at}" / "record.jsonl").ingests) == 3


def test_a_node_that_comes_back_is_used_again(tmp_path: Path) -> None:
    with nodes(tmp_path, 1) as servers, contextlib.ExitStack() as stack:
        first = stack.enter_context(target(tmp_path / "first"))
        port = first[0].url.rpartition(":")[2]
        with running(
            tmp_path, "4", "30", "6", *QUICK, "--nodes", f"{urls(servers)},{first[0].url}",
            "--reconnect",
        ) as started:  # fmt: skip
            _await_codes(started, first[1])
            os.kill(first[0].pid, signal.SIGKILL)
            second = stack.enter_context(target(tmp_path / "second", "--port", port))
            outcome = started.finish()
    truth = record.read(second[1])
    came_back = [each for each in listeners_of(truth).values() if each.opened_ns is not None]
    assert len(came_back) == 2
    node = outcome.report["nodes"][1]
    assert (node["succeeded"], node["dropped"]) == (4, 2)
    assert node["codes"] >= len(truth.ingests) > 0


def _await_codes(started: Run, path: Path) -> None:
    started.wait_until(lambda: len(record.read(path).ingests) >= 2, "two codes at the node")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            "http://127.0.0.1:9,http://127.0.0.1:9/",
            "--nodes: http://127.0.0.1:9 is given twice; give each node once.",
        ),
        (
            "http://app.test=127.0.0.2,http://app.test=127.0.0.2",
            "--nodes: http://app.test=127.0.0.2 is given twice; give each node once.",
        ),
        (
            "http://127.0.0.1:9,nowhere",
            "Invalid host 'nowhere': use a URL such as http://127.0.0.1:8000.",
        ),
    ],
)
def test_invalid_nodes_are_refused(tmp_path: Path, given: str, sentence: str) -> None:
    outcome = run(tmp_path, "2", "2", "1", "--nodes", given)
    assert outcome.status == 2
    assert outcome.error_messages == [f"sseload: {sentence}"]


ROOMS = """\
transport = "websocket"

[connect]
path = "/ws"
query = { channel = "{channel}" }

[code]
field = "code"

[ingest]
method = "POST"
path = "/api/ingest"
body = { "username" = "{username}", "code" = "{code}", "channel" = "{channel}" }
"""
