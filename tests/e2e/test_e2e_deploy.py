"""Rolling restarts of the embedded target's nodes, compared with its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sseload_users.demo import record
from sseload_users.demo.record import NodeRecord, Record
from sseload_users.report.moments import moments
from sseload_users.report.serialization import parse
from tests.support.ports import free_port
from tests.support.returning_clients import clients_of, pairs_of, users_file
from tests.support.runs import QUICK, Outcome, run, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

NODES, CLIENTS, CODES, DURATION = 3, 9, 40, 4
AFTER, AWAY = 0.3, 0.4


def deploy(folder: Path, *arguments: str, target: str = "") -> tuple[Outcome, Record]:
    """Run config/deploy.conf, and compare each node's figures with the record.

    Args:
        folder: for the run and the record.
        *arguments: further ones of the run.
        target: further options of the embedded target.
    """
    users, known = users_file(folder, CLIENTS)
    path = folder / "record.jsonl"
    embedded = (
        f"--nodes {NODES} --restart-after {AFTER} --restart-away {AWAY} --record '{path}' "
        f"{' '.join(known)} {target}"
    )
    outcome = run(
        folder, *map(str, (CLIENTS, CODES, DURATION)), *QUICK, "--config", "config/deploy.conf",
        *users, f"--embedded={embedded}", *arguments,
    )  # fmt: skip
    truth = record.read(path)
    assert [len(truth.nodes[number].stopped_ns) for number in (1, 2, 3)] == [1] * NODES
    compare(outcome.report, truth)
    return outcome, truth


def compare(report: Mapping[str, Any], truth: Record) -> None:
    """Compare a report's nodes, and its pairs of nodes, with the record."""
    pairs_of(truth).check(report["deliveries"])
    opened = Counter(each.node for each in truth.connections.values() if each.opened_ns)
    codes = Counter(each.node for each in truth.ingests)
    restarted = Counter(each.node for each in truth.connections.values() if each.dropped)
    for node in report["nodes"]:
        number = node["node"]
        assert node["url"] == truth.nodes[number].url
        assert (node["succeeded"], node["codes"]) == (opened[number], codes[number])
        assert node["planned_ends"] + node["dropped"] == restarted[number] == CLIENTS / NODES
        assert node["returned"] == restarted[number]
        assert AWAY * 1000 <= node["gap_p50_ms"] <= node["gap_max_ms"]
        (outage,) = node["outages"]
        check_outage(outage["from_s"], outage["to_s"], report, truth.nodes[number])
    assert sum(node["diverted"] for node in report["nodes"]) == sum(
        (int(each.code.split("-")[2]) - 1) % NODES + 1 != each.node for each in truth.ingests
    )
    numbers = {each.url: number for number, each in truth.nodes.items()}
    lacking = _missing(truth)
    for pair in report["node_pairs"]:
        source, to = numbers[pair["sent_to"]], numbers[pair["received_at"]]
        assert pair["owed"] == codes[source] * CLIENTS / NODES
        assert pair["missing"] == lacking[source, to]


def check_outage(from_s: float, to_s: float, report: Mapping[str, Any], node: NodeRecord) -> None:
    """Compare an outage with the restart of its node."""
    began_ns = datetime.fromisoformat(report["run"]["started_at"]).timestamp() * 1e9
    stopped_s, again_s = (
        (at_ns - began_ns) / 1e9 for at_ns in (node.stopped_ns[0], node.started_ns[1])
    )
    # It names whole seconds of the clock.
    assert stopped_s - 1.5 <= from_s <= stopped_s + 0.5
    assert again_s <= to_s <= again_s + 3


def _missing(truth: Record) -> Counter[tuple[int, int]]:
    """Count the pairs of client and code that no session brought, by both nodes."""
    sources = {each.index: each.node for each in truth.ingests}
    found: Counter[tuple[int, int]] = Counter()
    for sessions in clients_of(truth).values():
        for code in truth.codes.values():
            brought = any(
                each.connection in code.sent or code.index in each.replayed for each in sessions
            )
            found[sources[code.index], sessions[0].node] += not brought
    return found


@pytest.mark.parametrize("processes", ["1", "2"])
def test_nodes_that_share_their_history_lose_nothing(tmp_path: Path, processes: str) -> None:
    more = ["--processes", processes] if processes != "1" else []
    outcome, truth = deploy(tmp_path, *more)
    deliveries, connections = outcome.report["deliveries"], outcome.report["connections"]
    assert outcome.reasons == {}
    assert (outcome.grade, outcome.status) == ("good", 0)
    assert deliveries["recovered"] > 0
    assert deliveries["missing"] == truth.withheld == 0
    assert (connections["planned_ends"], connections["dropped"]) == (CLIENTS, 0)
    assert outcome.report["codes"]["accepted"] == CODES
    assert outcome.report["nodes"][0]["diverted"] > 0
    rows = outcome.table("nodes")
    assert [int(row["recovered"]) for row in rows] == [
        node["recovered"] for node in outcome.report["nodes"]
    ]
    assert [int(row["node"]) for row in outcome.table("connections")].count(2) == CLIENTS / NODES
    assert sum(int(row["owed"]) for row in outcome.table("node_pairs")) == deliveries["owed"]


@pytest.mark.parametrize("backplane", ["live", "none"])
def test_nodes_without_a_shared_history_lose_the_gap(tmp_path: Path, backplane: str) -> None:
    outcome, truth = deploy(tmp_path, target=f"--backplane {backplane}")
    deliveries = outcome.report["deliveries"]
    assert deliveries["missing"] == sum(_missing(truth).values()) > 0
    assert outcome.reasons["codes_received"] == outcome.grade == "issues"
    assert outcome.status == 1
    if backplane == "live":
        # A node replays only what was sent since its return.
        assert deliveries["missing"] == truth.withheld


def test_nodes_that_reset_their_sessions_drop_them(tmp_path: Path) -> None:
    outcome, _ = deploy(tmp_path, "--reconnect", target="--restart-how reset")
    connections = outcome.report["connections"]
    assert (connections["planned_ends"], connections["dropped"]) == (0, CLIENTS)
    assert outcome.report["deliveries"]["missing"] == 0
    assert outcome.report["deliveries"]["recovered"] > 0
    assert outcome.reasons["connections_dropped"] == "issues"


def test_the_restart_of_a_single_server_is_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    outcome = run(
        tmp_path, "6", "12", "3", *QUICK, "--target", "restarting-sse",
        f"--embedded=--restart-after {AFTER} --restart-away {AWAY} --record '{path}'",
    )  # fmt: skip
    connections = outcome.report["connections"]
    assert (connections["planned_ends"], connections["dropped"]) == (6, 0)
    (found,) = moments(parse(outcome.report, "report.json"))
    assert found.name == "most sessions away"
    assert " Outages " in outcome.stdout
    check_outage(found.start_s, found.end_s, outcome.report, record.read(path).nodes[1])


@pytest.mark.parametrize(
    ("embedded", "sentence"),
    [
        ("--nodes 'x", 'Invalid --embedded "--nodes \'x": a quotation mark is missing.'),
        (
            "--lose x",
            "The embedded target did not start: Argument --lose: 'x' is not a number; see --help.",
        ),
    ],
)
def test_invalid_options_of_the_target_are_refused(
    tmp_path: Path, embedded: str, sentence: str
) -> None:
    outcome = run(tmp_path, "2", "2", "1", f"--embedded={embedded}")
    assert outcome.status == 2
    assert outcome.error_messages == [f"sseload: {sentence}"]


def test_a_node_that_never_took_a_code_is_not_spared(tmp_path: Path) -> None:
    users, known = users_file(tmp_path, 2)
    away = f"http://127.0.0.1:{free_port()}"
    with target(tmp_path / "target", *known) as (server, path):
        outcome = run(
            tmp_path, "2", "6", "1", *QUICK, "--target", "restarting-sse", *users,
            "--nodes", f"{server.url},{away}",
        )  # fmt: skip
    assert len(record.read(path).ingests) == outcome.report["codes"]["accepted"] == 3
    assert outcome.report["codes"]["unsent"] == 3
    assert outcome.grade == "issues"


def test_a_node_that_does_not_come_back_is_named(tmp_path: Path) -> None:
    users, known = users_file(tmp_path, CLIENTS)
    path = tmp_path / "record.jsonl"
    embedded = (
        f"--nodes 2 --restart-after 0.5 --restart-away 60 --record '{path}' {' '.join(known)}"
    )
    outcome = run(
        tmp_path, "4", "20", "2", *QUICK, "--target", "restarting-sse", *users,
        f"--embedded={embedded}",
    )  # fmt: skip
    truth = record.read(path)
    first, second = outcome.report["nodes"]
    assert (first["returned"], first["diverted"]) == (0, 10 - first["codes"])
    assert first["codes"] == sum(each.node == 1 for each in truth.ingests)
    assert second["codes"] == 20 - first["codes"]
    (note,) = (each for each in outcome.report["run"]["notes"] if "turn it was" in each)
    assert note.startswith(f"{first['url']} accepted no connection for codes at the end of the run")
    # Its clients have been told to wait, but for longer than this run lasts.
    assert (first["planned_ends"], first["dropped"]) == (0, 2)
    assert [each["to_s"] for each in first["outages"]] == [None]
    assert second["outages"] == []
    assert outcome.causes == {("session", "away at the end of the run"): 2}
    assert outcome.report["connections"]["planned_ends"] == 0
    assert outcome.grade == "issues"
