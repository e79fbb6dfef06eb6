"""The end of a distributed run, however it comes, loses nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sseload_users.demo import record
from tests.support.consistency import OWED_OUTCOMES
from tests.support.distributed import Distributed, check_rows, check_workers, distributed
from tests.support.runs import PATIENCE, QUICK, Outcome, running, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: Codes so fast that some are always on their way.
CONNECTIONS, CODES, SECONDS = 8, 2000, 20
WORDS = ("--codes", str(CODES), "--duration", str(SECONDS))

#: From the middle of the broadcast to beyond its end, everything in the process waits.
BLOCKED = """
import gevent
from gevent import monkey
from sseload_users.run.worker_run import WorkerRun
block = monkey.get_original("time", "sleep")
enter = WorkerRun._enter
def entered(self, phase, number):
    enter(self, phase, number)
    if phase == "broadcast":
        gevent.spawn_later(0.7, block, 1.2)
WorkerRun._enter = entered
"""


def interrupt_master(swarm: Distributed) -> None:
    time.sleep(0.7)
    os.kill(swarm.master.child.pid, signal.SIGINT)


def interrupt_all(swarm: Distributed) -> None:
    time.sleep(0.7)
    # The workers first, as it may be in a terminal: they do not wait for the master.
    for each in (*swarm.workers.values(), swarm.master):
        os.kill(each.child.pid, signal.SIGINT)


ENDS: dict[str, tuple[Callable[[Distributed], None], tuple[str, ...], dict[str, str]]] = {
    "Ctrl-C for the master": (interrupt_master, (), {}),
    "Ctrl-C for all": (interrupt_all, (), {}),
    "Ctrl-C with a slow worker": (interrupt_master, (), {"b": BLOCKED}),
    "Ctrl-C with a slow broadcaster": (interrupt_master, (), {"a": BLOCKED}),
    "a limit of time": (lambda _: None, ("-t", "3"), {}),
}

Played = tuple[Outcome, record.Record]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Any]]]:
    """All runs, a few at a time."""
    # Made here, once: the factory is not meant for several threads.
    home = tmp_path_factory.mktemp("ends")

    def one(number: int, end: str) -> Played:
        folder = home / str(number)
        how, words, code = ENDS[end]
        with (
            target(folder) as (server, path),
            distributed(
                folder, *WORDS, *words,
                host=server.url, connections=CONNECTIONS, workers=2, code=code,
            ) as swarm,
        ):  # fmt: skip
            swarm.master.wait_for("\nbroadcast ")
            how(swarm)
            outcome = swarm.finish()
        return outcome, record.read(path)

    with ThreadPoolExecutor(4) as pool:
        yield {
            **{end: pool.submit(one, number, end) for number, end in enumerate(ENDS)},
            GROUP: pool.submit(group, home / "group"),
            SESSION: pool.submit(session, home / "session"),
        }


GROUP, SESSION = "Ctrl-C for a group of processes", "a session in the web UI"


def group(folder: Path) -> Played:
    """One command with two processes, and Ctrl-C in its terminal."""
    words = (str(CONNECTIONS), str(CODES), str(SECONDS), *QUICK, "--target", "websocket")
    with (
        target(folder) as (server, path),
        running(folder, *words, "--host", server.url, "--processes", "2") as run,
    ):
        run.wait_for("\nbroadcast ")
        time.sleep(0.7)
        run.interrupt()
        outcome = run.finish()
    return outcome, record.read(path)


def wait_for_more(text: Callable[[], str], words: str, than: int) -> None:
    """Wait until a text has some words more often than that."""
    deadline = time.monotonic() + PATIENCE
    while text().count(words) <= than:
        assert time.monotonic() < deadline, text()
        time.sleep(0.02)


def session(folder: Path) -> tuple[list[dict[str, Any]], list[record.Record]]:
    """Three runs after one another: one is stopped, one goes to its end, in one users change."""
    reports, truths = [], []
    words = ("--codes", "8", "--duration", "2")
    with (
        target(folder / "target") as (server, path),
        distributed(
            folder, *words, host=server.url, workers=2, connections=CONNECTIONS, headless=False
        ) as swarm,
    ):
        master = swarm.master
        master.wait_until(lambda: master.stderr.count("reported as ready") == 2, "the workers")
        for number in range(3):
            swarm.post("/swarm", user_count=CONNECTIONS + 1, spawn_rate=100)
            wait_for_more(lambda: master.stderr, "Broadcasting ", number)
            if number == 0:
                time.sleep(0.7)
                swarm.post("/stop")
            elif number == 2:
                # In the middle of the codes there are more users, then fewer.
                swarm.post("/swarm", user_count=CONNECTIONS + 7, spawn_rate=100)
                time.sleep(0.7)
                swarm.post("/swarm", user_count=CONNECTIONS - 3, spawn_rate=100)
            wait_for_more(lambda: master.stdout, "Verdict", number)
            reports.append(json.loads((master.folder / "report.json").read_text("utf-8")))
            time.sleep(1)
        os.kill(master.child.pid, signal.SIGINT)
        swarm.finish()
    truths.append(record.read(path))
    return reports, truths


def check_end(outcome: Outcome, truth: record.Record) -> None:
    """Whatever was on its way is accounted for: the record has the same, code by code."""
    report = outcome.report
    check_workers(report)
    check_rows(outcome)
    run = report["run"]
    assert run["complete"] is False
    first, *further = run["notes"]
    assert first == "The run was ended in the broadcast phase."
    # A limit of time that is too short is said before the run.
    assert all(note.startswith("-t ends the run") for note in further)
    # On a slow machine more codes are on their way when it ends, and have no answer.
    codes = report["codes"]
    too_many = codes["unanswered"] > 0.05 * codes["scheduled"]
    assert outcome.grade == ("issues" if too_many else "warning")
    assert not any(worker["lost"] for worker in report["workers"])
    deliveries = report["deliveries"]
    assert deliveries["missing"] == deliveries["interrupted"] == deliveries["late"] == 0
    assert deliveries["unexpected"] == deliveries["duplicate"] == 0
    assert report["connections"]["dropped"] == 0
    # A code whose answer was cut off was sent, and the server may have got it or not.
    sent = report["codes"]["sent"]
    assert 10 < len(truth.ingests) <= sent <= len(truth.ingests) + 1
    # What the server had written may have been on its way when the sessions were ended.
    assert deliveries["owed"] <= truth.sent <= deliveries["owed"] + deliveries["released"]
    assert deliveries["owed"] + deliveries["released"] == sent * CONNECTIONS


@pytest.mark.parametrize("end", [*ENDS, GROUP])
def test_the_end_loses_nothing(runs: dict[str, Future[Played]], end: str) -> None:
    outcome, truth = runs[end].result()
    check_end(outcome, truth)
    assert outcome.seconds < 45


def test_runs_after_one_another_each_have_their_own_account(
    runs: dict[str, Future[tuple[list[dict[str, Any]], list[record.Record]]]],
) -> None:
    reports, (truth,) = runs[SESSION].result()
    stopped, whole, changed = reports
    assert len({report["run"]["id"] for report in reports}) == 3
    for report in reports:
        check_workers(report)
        deliveries = report["deliveries"]
        assert deliveries["delivered"] == deliveries["owed"]
        assert not any(deliveries[name] for name in ("unexpected", "duplicate", *OWED_OUTCOMES[1:]))
        assert [worker["name"] for worker in report["workers"]] == [
            worker["name"] for worker in whole["workers"]
        ]
    assert stopped["run"]["notes"] == ["The run was ended in the broadcast phase."]
    assert stopped["run"]["complete"] is False
    assert 0 < stopped["codes"]["sent"] < 8
    for report in (whole, changed):
        assert report["run"]["notes"] == []
        assert report["codes"]["accepted"] == 8
    assert whole["run"]["complete"] is True
    assert whole["verdict"]["grade"] == "good"
    assert whole["deliveries"]["owed"] == 8 * CONNECTIONS
    assert changed["connections"]["attempted"] == CONNECTIONS + 6
    assert changed["connections"]["dropped"] == 0
    attempted = sum(report["connections"]["attempted"] for report in reports)
    assert attempted == len(truth.connections)
    # Those that were taken away owe nothing; the others had it all.
    owed = sum(report["deliveries"]["owed"] for report in reports)
    released = sum(report["deliveries"]["released"] for report in reports)
    assert owed <= truth.sent <= owed + released
