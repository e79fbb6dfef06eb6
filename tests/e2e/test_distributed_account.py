"""One account over several processes: the same figures as one process for the same faults."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sseload_users.demo import record
from tests.support.distributed import check_rows, check_workers, distributed
from tests.support.ground_truth import expected_figures, reported_figures
from tests.support.runs import QUICK, Outcome, run, run_against_target, target

pytestmark = pytest.mark.e2e

CONNECTIONS, CODES = 20, 8
WORDS = ("--codes", str(CODES), "--duration", "2")
FAULTS = (
    "--lose", "0.1", "--duplicate", "0.1", "--foreign", "0.1",
    "--refuse", "0.1", "--drop", "0.2", "--drop-after", "4",
    "--ingest-status", "410", "--ingest-share", "0.25", "--seed", "4",
)  # fmt: skip
ALONE, PROCESSES, MASTER = "one process", "two processes", "a master and three workers"
ALL_CORES, NO_HOST, NO_USERS = "as many as there are cores", "no host", "no users"
REGIONS = {"a": ("--region", "eu"), "b": ("--region", "us"), "c": ("--region", "eu")}

#: This worker takes its time to connect.
SLOW = """
import gevent
from sseload_users.users.connector import Connector
connect = Connector._try_to_connect
Connector._try_to_connect = lambda self: gevent.sleep(1.5) or connect(self)
"""

#: On this worker's machine there is no file of users.
WITHOUT_USERS = """
from sseload_users.run import resources
from sseload_users.core.errors import ConfigError

def nobody(*_):
    raise ConfigError("users.csv: there is no such file.")

resources.load_identities = nobody
"""

Played = tuple[Outcome, record.Record]


def local(folder: Path, *words: str) -> Played:
    numbers = (str(CONNECTIONS), str(CODES), "2")
    return run_against_target(
        folder, *numbers, *QUICK, "--target", "websocket", *words, faults=FAULTS
    )


def with_master(folder: Path) -> Played:
    with (
        target(folder, *FAULTS) as (server, path),
        distributed(
            folder, *WORDS,
            host=server.url, connections=CONNECTIONS, options=REGIONS, code={"c": SLOW},
        ) as swarm,
    ):  # fmt: skip
        outcome = swarm.finish()
    return outcome, record.read(path)


def on_all_cores(folder: Path) -> Outcome:
    words = ("6", "3", "1", *QUICK, "--target", "websocket", "--processes", "-1")
    return run(folder, *words)


def without_host(folder: Path) -> Outcome:
    with distributed(folder, host=None, workers=2) as swarm:
        return swarm.finish()


def without_users(folder: Path) -> tuple[Outcome, str]:
    with (
        target(folder) as (server, _),
        distributed(folder, host=server.url, workers=2, code={"b": WITHOUT_USERS}) as swarm,
    ):
        return swarm.finish(), swarm.label("b")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Any]]]:
    """All runs, a few at a time."""
    folder = tmp_path_factory.mktemp("account")
    with ThreadPoolExecutor(3) as pool:
        yield {
            MASTER: pool.submit(with_master, folder / "master"),
            ALONE: pool.submit(local, folder / "alone"),
            PROCESSES: pool.submit(local, folder / "processes", "--processes", "2"),
            ALL_CORES: pool.submit(on_all_cores, folder / "cores"),
            NO_HOST: pool.submit(without_host, folder / "host"),
            NO_USERS: pool.submit(without_users, folder / "users"),
        }


@pytest.mark.parametrize("how", [ALONE, PROCESSES, MASTER])
def test_the_account_is_the_truth(runs: dict[str, Future[Played]], how: str) -> None:
    outcome, truth = runs[how].result()
    report = outcome.report
    expected = expected_figures(report, truth, scheduled=CODES)
    assert reported_figures(report, expected) == expected
    assert report["run"]["complete"] is True
    assert outcome.grade == "issues"
    assert outcome.status == 1


def test_codes_go_out_when_all_workers_have_connected(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs[MASTER].result()
    opened = [each.opened_ns for each in truth.connections.values() if each.opened_ns]
    assert max(opened) - min(opened) > 1e9
    assert min(each.ns for each in truth.ingests) > max(opened)
    assert {worker["region"] for worker in outcome.report["workers"]} == {"eu", "us"}


@pytest.mark.parametrize("how", [PROCESSES, MASTER])
def test_the_account_is_that_of_one_process(runs: dict[str, Future[Played]], how: str) -> None:
    def counts(report: dict[str, Any]) -> dict[str, Any]:
        timed = {"connect_parts", "ramp"}
        return {
            "received": report["received_per_connection"],
            "errors": {name: report["errors"][name] for name in ("operations", "failed", "causes")},
            **{
                part: {
                    name: each
                    for name, each in report[part].items()
                    if name[-3:] != "_ms" and name not in timed
                }
                for part in ("connections", "codes", "deliveries")
            },
            "per_code": [
                {
                    name: each
                    for name, each in row.items()
                    if name != "sent_at" and "_ms" not in name
                }
                for row in report["per_code"]
            ],
        }

    alone, several = runs[ALONE].result()[0], runs[how].result()[0]
    assert counts(several.report) == counts(alone.report)
    assert several.reasons == alone.reasons


@pytest.mark.parametrize(("how", "many"), [(ALONE, 1), (PROCESSES, 2), (MASTER, 3)])
def test_every_worker_has_its_part(runs: dict[str, Future[Played]], how: str, many: int) -> None:
    outcome, _ = runs[how].result()
    workers = outcome.report["workers"]
    assert outcome.report["run"]["workers"] == len(workers) == many
    assert all(worker["attempted"] > 0 for worker in workers)
    assert not any(worker["lost"] for worker in workers)
    assert all(worker["clock_error_ms"] == 0 for worker in workers)
    check_workers(outcome.report)
    check_rows(outcome)


def test_regions_are_told_apart(runs: dict[str, Future[Played]]) -> None:
    outcome, _ = runs[MASTER].result()
    regions = outcome.report["regions"]
    assert [(row["name"], row["workers"]) for row in regions] == [("eu", 2), ("us", 1)]
    for row in regions:
        own = [each for each in outcome.report["workers"] if each["region"] == row["name"]]
        assert row["owed"] == sum(each["owed"] for each in own) > 0
    assert "\n Region " in outcome.stdout
    alone, _ = runs[ALONE].result()
    assert alone.report["regions"] == []
    assert "\n Worker " not in alone.stdout


def test_as_many_processes_as_there_are_cores_test_the_embedded_target(
    runs: dict[str, Future[Outcome]],
) -> None:
    outcome = runs[ALL_CORES].result()
    assert outcome.grade == "good"
    assert outcome.report["run"]["workers"] == os.cpu_count()
    assert outcome.report["deliveries"]["delivered"] == 6 * 3
    check_workers(outcome.report)


def test_workers_on_other_machines_cannot_test_the_embedded_target(
    runs: dict[str, Future[Outcome]],
) -> None:
    # That the workers end, too, has been seen.
    outcome = runs[NO_HOST].result()
    assert outcome.status == 2
    (complaint,) = outcome.error_messages
    assert "--host is missing" in complaint


def test_a_worker_that_cannot_take_part_says_why(
    runs: dict[str, Future[tuple[Outcome, str]]],
) -> None:
    outcome, label = runs[NO_USERS].result()
    assert outcome.status == 2
    assert outcome.error_messages == [
        f"sseload: {label[0].upper()}{label[1:]}: users.csv: there is no such file."
    ]
