"""Failures that a simple load script reports as success: each one has a verdict here."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from sseload_users.demo.faults import FaultPlan, Faults
from sseload_users.demo.record import Record
from tests.support.runs import QUICK, Outcome, run_against_target

pytestmark = pytest.mark.e2e

CONNECTIONS, CODES = 32, 4

#: Shares for which some seed loses as many deliveries as it duplicates.
LOSE, DUPLICATE = 0.06, 0.06


def cancelling_seed() -> int:
    """Return a seed with as many duplicated deliveries as lost ones."""
    for seed in range(1000):
        plan = FaultPlan(Faults(lose=LOSE, duplicate=DUPLICATE), seed)
        deliveries = [
            plan.delivery(code, connection)
            for code in range(1, CODES + 1)
            for connection in range(1, CONNECTIONS + 1)
        ]
        lost = sum(each.lost for each in deliveries)
        if lost == sum(each.copies == 2 for each in deliveries) > 2:
            return seed
    raise AssertionError("no such seed")


RUNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "killed": (("--stop-after", "2"), ()),
    "rejected": (("--ingest-status", "410"), ()),
    "0.94": (("--lose", "0.06"), ()),
    "cancelling": (
        ("--lose", str(LOSE), "--duplicate", str(DUPLICATE), "--seed", str(cancelling_seed())),
        (),
    ),
    "reset": (("--drop", "0.25", "--drop-how", "reset", "--drop-after", "2"), ()),
    "reconnecting": (
        ("--drop", "0.25", "--delay", "1:0.1", "--drop-after", "2"),
        ("--reconnect", "--duration", "2"),
    ),
    "slow": (("--ingest-delay", "0.8"), ()),
    "delayed": (("--delay", "1:0.2"), ()),
}

Played = tuple[Outcome, Record]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Played]]]:
    """Start all runs, a few at a time."""
    folder = tmp_path_factory.mktemp("runs")

    def one(name: str, faults: tuple[str, ...], arguments: tuple[str, ...]) -> Played:
        return run_against_target(
            folder / name,
            str(CONNECTIONS), str(CODES), "1", *QUICK, "--target", "websocket", *arguments,
            faults=faults,
        )  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        yield {name: pool.submit(one, name, *how) for name, how in RUNS.items()}


def sentence(report: dict[str, Any], rule: str) -> str:
    """Return the reason that a rule gives."""
    (found,) = (each["sentence"] for each in report["verdict"]["reasons"] if each["rule"] == rule)
    return str(found)


def test_a_server_killed_halfway_is_no_pass(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["killed"].result()
    assert truth.stopped == "codes"
    assert outcome.grade == "issues"
    assert outcome.report["codes"]["unsent"] == 2
    assert outcome.report["connections"]["dropped"] == CONNECTIONS
    assert outcome.report["deliveries"]["delivered"] == truth.sent == 2 * CONNECTIONS


def test_410_for_every_code_is_no_pass(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["rejected"].result()
    assert [each.status for each in truth.ingests] == [410] * CODES
    assert outcome.grade == "issues"
    assert outcome.report["codes"]["rejected"] == CODES
    assert "4 rejected" in sentence(outcome.report, "codes_accepted")


def test_094_codes_received_per_connection_is_no_pass(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["0.94"].result()
    deliveries = outcome.report["deliveries"]
    assert outcome.grade == "issues"
    assert deliveries["missing"] == truth.lost > 0
    assert deliveries["delivery_rate"] == truth.sent / truth.subscribers < 0.95


def test_losses_and_duplicates_do_not_cancel_out(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["cancelling"].result()
    deliveries = outcome.report["deliveries"]
    assert truth.sent + truth.duplicated == truth.subscribers == deliveries["owed"]
    assert deliveries["missing"] == deliveries["duplicate"] == truth.lost == truth.duplicated > 0
    assert {"codes_received", "duplicates"} <= outcome.reasons.keys()
    assert outcome.grade != "good"


def test_a_dropped_connection_no_longer_counts_as_open(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["reset"].result()
    connections = outcome.report["connections"]
    assert connections["succeeded"] == connections["peak_open"] == CONNECTIONS
    assert connections["dropped"] == truth.dropped == CONNECTIONS // 4
    assert outcome.reasons["connections_dropped"] == "issues"
    dropped = [row for row in outcome.table("connections") if row["drops"] == "1"]
    assert len(dropped) == truth.dropped
    # They are owed what was sent while they were subscribed, and nothing after it.
    assert {(row["owed"], row["delivered"]) for row in dropped} == {("2", "2")}
    assert {row["last_cause"] for row in dropped} == {"session: connection reset"}


def test_a_reconnect_hides_no_loss(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["reconnecting"].result()
    connections, deliveries = outcome.report["connections"], outcome.report["deliveries"]
    assert connections["dropped"] == truth.dropped > 0
    assert connections["reconnected"] == connections["succeeded"] - CONNECTIONS > 0
    # The second code was in flight to the connections that were dropped then.
    interrupted = [
        number for code in truth.codes.values() for number in code.failed
        if truth.connections[number].dropped
    ]  # fmt: skip
    # A session dropped after a code was sent, but before the server handled it, was owed it.
    between = deliveries["owed"] - truth.subscribers
    assert between >= 0
    assert deliveries["interrupted"] - between == len(interrupted) > 0
    assert {"connections_dropped", "codes_received"} <= outcome.reasons.keys()
    assert outcome.grade == "issues"


def test_slow_ingest_responses_do_not_delay_later_codes(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["slow"].result()
    assert len(truth.ingests) == CODES
    assert outcome.grade == "good"
    # One every quarter of a second, although each response takes longer than three intervals.
    assert outcome.report["codes"]["ingest_ms"]["min"] >= 800
    sent = [datetime.fromisoformat(row["sent_at"]) for row in outcome.report["per_code"]]
    assert 0.5 < (sent[-1] - sent[0]).total_seconds() < 1.5
    assert outcome.report["codes"]["schedule_slip_ms"]["count"] == CODES
    assert outcome.report["deliveries"]["delivered"] == truth.sent == CODES * CONNECTIONS


def test_the_delivery_latency_is_measured(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["delayed"].result()
    latency = outcome.report["delivery_ms"]
    assert latency["count"] == truth.total("delayed") == CODES * CONNECTIONS
    assert 200 <= latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"] < 1000
    for row in outcome.report["per_code"]:
        assert 200 <= row["first_ms"] <= row["p50_ms"] <= row["last_ms"]


def test_exit_status(runs: dict[str, Future[Played]]) -> None:
    statuses = {name: future.result()[0].status for name, future in runs.items()}
    assert statuses == {
        "killed": 1, "rejected": 1, "0.94": 1, "cancelling": 1, "reset": 1, "reconnecting": 1,
        "slow": 0, "delayed": 0,
    }  # fmt: skip
