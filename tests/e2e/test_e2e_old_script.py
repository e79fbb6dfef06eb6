"""The failures of the script that sseload replaces: what it got wrong has its verdict here."""

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

#: Shares at which a seed can be found that loses as many deliveries as it doubles.
LOSE, DUPLICATE = 0.06, 0.06


def cancelling_seed() -> int:
    """A seed with which as many deliveries are doubled as are lost."""
    for seed in range(1000):
        plan = FaultPlan(Faults(lose=LOSE, duplicate=DUPLICATE), seed)
        all_of_them = [
            plan.delivery(code, connection)
            for code in range(1, CODES + 1)
            for connection in range(1, CONNECTIONS + 1)
        ]
        lost = sum(each.lost for each in all_of_them)
        if lost == sum(each.copies == 2 for each in all_of_them) > 2:
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
    """All runs, a few at a time."""
    folder = tmp_path_factory.mktemp("runs")

    def one(name: str, faults: tuple[str, ...], words: tuple[str, ...]) -> Played:
        return run_against_target(
            folder / name,
            str(CONNECTIONS), str(CODES), "1", *QUICK, "--target", "websocket", *words,
            faults=faults,
        )  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        yield {name: pool.submit(one, name, *how) for name, how in RUNS.items()}


def sentence(report: dict[str, Any], rule: str) -> str:
    """A rule's reason."""
    (found,) = (each["sentence"] for each in report["verdict"]["reasons"] if each["rule"] == rule)
    return str(found)


def test_a_server_killed_half_way_is_no_pass(runs: dict[str, Future[Played]]) -> None:
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


def test_a_loss_and_a_duplicate_do_not_cancel(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["cancelling"].result()
    deliveries = outcome.report["deliveries"]
    assert truth.sent + truth.duplicated == truth.subscribers == deliveries["owed"]
    assert deliveries["missing"] == deliveries["duplicate"] == truth.lost == truth.duplicated > 0
    assert {"codes_received", "duplicates"} <= outcome.reasons.keys()
    assert outcome.grade != "good"


def test_a_connection_once_made_does_not_count_for_ever(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["reset"].result()
    connections = outcome.report["connections"]
    assert connections["succeeded"] == connections["peak_open"] == CONNECTIONS
    assert connections["dropped"] == truth.dropped == CONNECTIONS // 4
    assert outcome.reasons["connections_dropped"] == "issues"
    dropped = [row for row in outcome.table("connections") if row["drops"] == "1"]
    assert len(dropped) == truth.dropped
    # They are owed what went out while they were there, and nothing after it.
    assert {(row["owed"], row["delivered"]) for row in dropped} == {("2", "2")}
    assert {row["last_cause"] for row in dropped} == {"session: connection reset"}


def test_a_silent_reconnect_hides_no_loss(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["reconnecting"].result()
    connections, deliveries = outcome.report["connections"], outcome.report["deliveries"]
    assert connections["dropped"] == truth.dropped > 0
    assert connections["reconnected"] == connections["succeeded"] - CONNECTIONS > 0
    # The second code was on its way to those who were dropped then.
    interrupted = [
        number for code in truth.codes.values() for number in code.failed
        if truth.connections[number].dropped
    ]  # fmt: skip
    # Who was dropped between the sending of a code and the server's look at it was owed it.
    between = deliveries["owed"] - truth.subscribers
    assert between >= 0
    assert deliveries["interrupted"] - between == len(interrupted) > 0
    assert {"connections_dropped", "codes_received"} <= outcome.reasons.keys()
    assert outcome.grade == "issues"


def test_slow_posts_do_not_push_later_codes_out(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["slow"].result()
    assert len(truth.ingests) == CODES
    assert outcome.grade == "good"
    # One every quarter of a second, though each answer takes longer than three of them.
    assert outcome.report["codes"]["ingest_ms"]["min"] >= 800
    sent = [datetime.fromisoformat(row["sent_at"]) for row in outcome.report["per_code"]]
    assert 0.5 < (sent[-1] - sent[0]).total_seconds() < 1.5
    assert outcome.report["codes"]["schedule_slip_ms"]["count"] == CODES
    assert outcome.report["deliveries"]["delivered"] == truth.sent == CODES * CONNECTIONS


def test_there_is_a_latency_and_it_is_true(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["delayed"].result()
    latency = outcome.report["delivery_ms"]
    assert latency["count"] == truth.total("delayed") == CODES * CONNECTIONS
    assert 200 <= latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"] < 1000
    for row in outcome.report["per_code"]:
        assert 200 <= row["first_ms"] <= row["p50_ms"] <= row["last_ms"]


def test_the_exit_status_says_that_it_failed(runs: dict[str, Future[Played]]) -> None:
    statuses = {name: future.result()[0].status for name, future in runs.items()}
    assert statuses == {
        "killed": 1, "rejected": 1, "0.94": 1, "cancelling": 1, "reset": 1, "reconnecting": 1,
        "slow": 0, "delayed": 0,
    }  # fmt: skip
