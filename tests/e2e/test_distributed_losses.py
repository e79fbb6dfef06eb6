"""Workers and masters that are killed, hang, leave, come late, or are cut off the network."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sseload_users.demo import record
from tests.support.distributed import Distributed, Hosts, distributed, incomplete, no_namespaces
from tests.support.runs import Outcome, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES = 12, 16

#: A worker misses its master sooner than it otherwise does.
IMPATIENT = "from sseload_users.run import worker\nworker.SILENCE_S = 3\n"
#: Locust gives a missing worker up sooner than it otherwise does, and begins its users anew
#: on the others, unless sseload has had it forgotten before.
RESTARTED = """
import locust.runners
from sseload_users.run import link
locust.runners.HEARTBEAT_DEAD_INTERNAL = -4
link._FORGOTTEN_AT = -2
"""


def kill(*names: str) -> Callable[[Distributed], None]:
    def do(swarm: Distributed) -> None:
        for name in names:
            os.kill(swarm.workers[name].child.pid, signal.SIGKILL)

    return do


def hang(name: str) -> Callable[[Distributed], None]:
    def do(swarm: Distributed) -> None:
        os.kill(swarm.workers[name].child.pid, signal.SIGSTOP)
        swarm.master.wait_for(" was lost with ")
        os.kill(swarm.workers[name].child.pid, signal.SIGCONT)

    return do


def hang_briefly(name: str) -> Callable[[Distributed], None]:
    """Stop a worker in the middle of a request, and let it go on soon after it is missed."""

    def do(swarm: Distributed) -> None:
        os.kill(swarm.workers[name].child.pid, signal.SIGSTOP)
        swarm.master.wait_for("the broadcast ended there")
        os.kill(swarm.workers[name].child.pid, signal.SIGCONT)

    return do


def leave(name: str) -> Callable[[Distributed], None]:
    def do(swarm: Distributed) -> None:
        os.kill(swarm.workers[name].child.pid, signal.SIGINT)

    return do


def let_in(swarm: Distributed) -> None:
    (swarm.folder / "let in").touch()


#: This worker has begun, but comes to the master only when it is let in.
WAITING = """
import pathlib, time
while not pathlib.Path(__file__).with_name("let in").exists():
    time.sleep(0.02)
"""


@dataclass(frozen=True)
class Mishap:
    """Something that befalls a run in the middle of its codes.

    Attributes:
        name: of the test.
        what: does it.
        notes: patterns of what the report says of it; `a`, `b` and so on stand for workers.
        seconds: in which the codes go out.
        lost: the workers that do not come back.
        late: one that comes then.
        options: further options of the run.
        server: options of the target.
        code: further code in the locustfiles.
    """

    name: str
    what: Callable[[Distributed], None]
    notes: tuple[str, ...]
    seconds: int = 4
    lost: tuple[str, ...] = ()
    late: str = ""
    options: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    code: dict[str, str] = field(default_factory=dict)


_LOST = r"{} was lost with 4 connections: what they received after its last report is not counted."
_MOVED = r"{}, which broadcast, was lost, or its user was moved: the broadcast ended there."
_LATE = r"{} joined while codes were being sent: Locust moved connections to it."
# The broadcast ends when its user is moved, which may be before the worker says hello.
_LATE_FOR_ITSELF = (
    r"{} joined (while codes were being sent|after the last code had been sent|"
    r"when the run was ending): Locust moved connections to it."
)

#: Options of a target that answers late, so that a code is unanswered at any time.
SLOW = ("--ingest-delay", "0.6")

MISHAPS = [
    Mishap(
        "a worker is killed",
        kill("b"),
        (_LOST.format("b"),),
        12,
        ("b",),
        code={"master": RESTARTED},
    ),
    Mishap(
        "the broadcaster's worker is killed",
        kill("a"),
        (_LOST.format("a"), _MOVED.format("a")),
        lost=("a",),
        server=SLOW,
    ),
    Mishap(
        "the broadcaster's worker hangs and goes on",
        hang_briefly("a"),
        (_LOST.format("a"), _MOVED.format("a"), "a is back and reports its connections again, .*"),
        10,
        options=("--delivery-timeout", "8"),
        server=SLOW,
    ),
    Mishap(
        "all workers are killed",
        kill("a", "b", "c"),
        (
            "The run was ended in the (broadcast|drain) phase.",
            *(_LOST.format(".*") for _ in range(3)),
        ),
        30,
        ("a", "b", "c"),
    ),
    Mishap(
        "a worker hangs and goes on",
        hang("b"),
        (_LOST.format("b"), "b is back and reports its connections again, .*"),
        8,
    ),
    Mishap("a worker leaves", leave("b"), ("b ended before the run did: .*",)),
    Mishap("a worker comes late", let_in, (_LATE.format("d"),), 6, late="d"),
    # By its name, it is the one to which Locust moves the broadcaster.
    Mishap(
        "a late worker takes the broadcaster",
        let_in,
        (_LATE_FOR_ITSELF.format("0"), _MOVED.format("a")),
        30,
        late="0",
    ),
]  # fmt: skip

Played = tuple[Outcome, record.Record, dict[str, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Any]]]:
    """All runs, a few at a time."""

    # Made here, once: the factory is not meant for several threads.
    home = tmp_path_factory.mktemp("losses")

    def one(number: int, mishap: Mishap) -> Played:
        folder = home / str(number)
        words = ("--codes", str(CODES), "--duration", str(mishap.seconds), *mishap.options)
        with (
            target(folder, *mishap.server) as (server, path),
            distributed(
                folder, *words,
                host=server.url, connections=CONNECTIONS,
                code={mishap.late: WAITING, **mishap.code},
            ) as swarm,
        ):  # fmt: skip
            if mishap.late:
                swarm.workers[mishap.late] = swarm.join(mishap.late)
            swarm.master.wait_for("\nbroadcast ")
            time.sleep(0.8)
            mishap.what(swarm)
            outcome = swarm.finish(lost=mishap.lost)
            names = {name: swarm.label(name) for name in swarm.workers}
        return outcome, record.read(path), names

    with ThreadPoolExecutor(4) as pool:
        futures: dict[str, Future[Any]] = {
            mishap.name: pool.submit(one, number, mishap) for number, mishap in enumerate(MISHAPS)
        }
        futures["no master"] = pool.submit(without_master, home / "master")
        if not no_namespaces():
            futures["hosts"] = pool.submit(on_hosts, home / "hosts")
        yield futures


def without_master(folder: Path) -> list[Outcome]:
    """What becomes of workers whose master is killed in the middle of the codes."""
    with (
        target(folder) as (server, _),
        distributed(
            folder, "--codes", "90", "--duration", "90",
            host=server.url, workers=2, code={"all": IMPATIENT},
        ) as swarm,
    ):  # fmt: skip
        swarm.master.wait_for("\nbroadcast ")
        os.kill(swarm.master.child.pid, signal.SIGKILL)
        return [worker.finish() for worker in swarm.workers.values()]


def on_hosts(folder: Path) -> Played:
    """A master and workers at addresses of their own; one of these is cut off."""
    folder.mkdir()
    with (
        Hosts("a", "b", "c") as hosts,
        hosts.target(folder / "record") as url,
        distributed(
            folder,
            *("--codes", "32", "--duration", "8"),
            host=url,
            connections=CONNECTIONS,
            code={"all": IMPATIENT},
            master=Hosts.HUB,
            within={"master": hosts.space("hub"), **{name: hosts.space(name) for name in "abc"}},
        ) as swarm,
    ):
        swarm.master.wait_for("\nbroadcast ")
        time.sleep(0.8)
        hosts.cut_off("b")
        outcome = swarm.finish()
        names = {name: swarm.label(name) for name in swarm.workers}
    return outcome, record.read(folder / "record"), names


@pytest.mark.parametrize("mishap", MISHAPS, ids=[mishap.name for mishap in MISHAPS])
def test_the_run_is_incomplete_and_says_why(
    runs: dict[str, Future[Played]], mishap: Mishap
) -> None:
    outcome, truth, names = runs[mishap.name].result()
    # If all workers are lost one after the other, the broadcaster's own loss is noted, too.
    maybe = _MOVED.format(".*") if len(mishap.lost) > 1 else ""
    check_incomplete(outcome, names, mishap.notes, maybe)
    check_survivors(outcome, truth, names, mishap.lost)


def test_nobody_is_begun_anew_for_a_lost_worker(runs: dict[str, Future[Played]]) -> None:
    outcome, truth, _ = runs["a worker is killed"].result()
    connections = incomplete(outcome)["connections"]
    assert connections["attempted"] == len(truth.connections) == CONNECTIONS
    assert incomplete(outcome)["deliveries"]["released"] == 0
    assert incomplete(outcome)["codes"]["accepted"] == CODES


def test_the_fate_of_a_killed_workers_codes_is_unknown(runs: dict[str, Future[Played]]) -> None:
    outcome, truth, _ = runs["the broadcaster's worker is killed"].result()
    report = incomplete(outcome)
    codes = report["codes"]
    assert codes["unknown"] > 0
    assert codes["accepted"] + codes["unknown"] == codes["sent"] < CODES
    assert codes["accepted"] <= len(truth.ingests) <= codes["sent"]
    rows = {row["seq"]: row for row in report["per_code"]}
    assert sorted(rows) == list(range(1, codes["sent"] + 1))
    assert all(row["sent_at"] is not None for row in rows.values())
    check_not_blamed(report)


def test_true_answers_are_taken_from_a_worker_that_comes_back(
    runs: dict[str, Future[Played]],
) -> None:
    outcome, truth, _ = runs["the broadcaster's worker hangs and goes on"].result()
    report = incomplete(outcome)
    codes, deliveries = report["codes"], report["deliveries"]
    assert 0 < codes["accepted"] == codes["sent"] == len(truth.ingests) < CODES
    assert deliveries["delivered"] == deliveries["owed"] == truth.sent
    check_not_blamed(report)


def check_not_blamed(report: dict[str, Any]) -> None:
    """The server did everything right, and no rule says otherwise."""
    assert report["errors"]["failed"] == 0
    grades = {each["rule"]: each["grade"] for each in report["verdict"]["reasons"]}
    # A worker that stands still cannot tell when its messages arrived.
    bad = {rule for rule, grade in grades.items() if grade != "good"} - {"generator", "latency"}
    assert bad == {"run_complete"}
    deliveries = report["deliveries"]
    assert deliveries["unexpected"] == deliveries["duplicate"] == deliveries["out_of_order"] == 0


def test_the_account_of_a_worker_that_hung_is_whole(runs: dict[str, Future[Played]]) -> None:
    outcome, truth, _ = runs["a worker hangs and goes on"].result()
    deliveries = incomplete(outcome)["deliveries"]
    assert deliveries["owed"] == truth.subscribers == CONNECTIONS * CODES
    # They all came. What had waited in one socket bears the stamp of what came last.
    assert deliveries["delivered"] + deliveries["late"] == truth.sent == deliveries["owed"]
    assert deliveries["duplicate"] == deliveries["unexpected"] == 0


@pytest.mark.parametrize("name", ["a worker leaves", "a worker comes late"])
def test_whoever_is_moved_owes_nothing(runs: dict[str, Future[Played]], name: str) -> None:
    outcome, truth, _ = runs[name].result()
    report = incomplete(outcome)
    assert report["connections"]["attempted"] == len(truth.connections) > CONNECTIONS
    assert report["connections"]["dropped"] == 0
    assert report["codes"]["accepted"] == CODES
    deliveries = report["deliveries"]
    assert deliveries["delivered"] == deliveries["owed"]
    assert deliveries["unexpected"] == deliveries["duplicate"] == 0


def test_workers_end_without_their_master(runs: dict[str, Future[list[Outcome]]]) -> None:
    for outcome in runs["no master"].result():
        assert "No heartbeat from the master for " in outcome.stderr


@pytest.mark.skipif(
    bool(no_namespaces()) and os.environ.get("CI") != "true", reason=no_namespaces()
)
def test_a_worker_that_is_cut_off_is_lost(runs: dict[str, Future[Played]]) -> None:
    outcome, truth, names = runs["hosts"].result()
    check_incomplete(outcome, names, (_LOST.format("b"),))
    check_survivors(outcome, truth, names, ("b",))
    assert len(truth.connections) == CONNECTIONS
    assert incomplete(outcome)["generator"]["clock_error_ms"] == 0


def check_incomplete(
    outcome: Outcome, names: dict[str, str], notes: tuple[str, ...], maybe: str = ""
) -> None:
    """The run is said to be incomplete, and why.

    Args:
        outcome: of the run.
        names: the workers' names.
        notes: patterns of what is said.
        maybe: pattern of what may be said besides.
    """
    said = [note for note in incomplete(outcome)["run"]["notes"] if not re.fullmatch(maybe, note)]
    assert len(said) == len(notes), said
    for pattern in notes:
        who, rest = pattern[0], pattern[1:]
        if who in names and rest[0] in ", ":
            who = re.escape(names[who][0].upper() + names[who][1:])
        # What happens at the same time is noted in any order.
        (note, *_) = [note for note in said if re.fullmatch(who + rest, note)]
        said.remove(note)


def check_survivors(
    outcome: Outcome, truth: record.Record, names: dict[str, str], lost: tuple[str, ...]
) -> None:
    """The books balance; and those of the workers that were not lost have all that was sent."""
    report = incomplete(outcome)
    workers = {worker["name"]: worker for worker in report["workers"]}
    assert {name for name, worker in workers.items() if worker["lost"]} == {
        names[name] for name in lost
    }
    assert report["deliveries"]["missing"] == 0
    assert report["deliveries"]["owed"] <= truth.subscribers
    for name, worker in workers.items():
        rows = [row for row in outcome.table("connections") if row["worker"] == name]
        if worker["lost"]:
            assert rows == []
        else:
            assert sum(int(row["owed"]) for row in rows) == worker["owed"]
