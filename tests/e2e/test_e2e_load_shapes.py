"""Runs whose number of users changes while they go on, beside users of other classes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from sseload_users.demo import record
from tests.support.runs import LOCUST, QUICK, run, run_against_target, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: Two listeners to one visitor, and a broadcaster.
USERS = """
import gevent
from locust import HttpUser, LoadTestShape, constant, events, task
from sseload_users import CodeBroadcaster, CodeListener


class Subscriber(CodeListener):
    weight = 2


class Sender(CodeBroadcaster):
    pass


class Visitor(HttpUser):
    wait_time = constant(0.2)

    @task
    def look(self):
        self.client.get("/health")
"""

#: 4, 8, 20 and again 8 listeners.
SHAPE = """

class Steps(LoadTestShape):
    stages = ((1.5, 7), (3, 13), (4.5, 31), (60, 13))

    def tick(self):
        now = self.get_run_time()
        return next(((users, 100) for end, users in self.stages if now < end), None)
"""

#: 4 listeners, and 10 as soon as some codes have been sent.
GROWTH = """

class Growth:
    codes = 0
    runner = None


@events.init.add_listener
def on_init(environment, **_):
    Growth.runner = environment.runner


@events.request.add_listener
def on_request(name, **_):
    Growth.codes += name == "ingest"
    if Growth.codes == 10 and name == "ingest":
        gevent.spawn(Growth.runner.start, 16, 100)
"""


def locustfile(folder: Path, *parts: str) -> tuple[str, ...]:
    path = folder / "locustfile.py"
    path.write_text("".join((USERS, *parts)), "utf-8")
    return "-f", str(path), "--headless", "--only-summary"


def test_a_load_shape_with_channels_resume_nodes_and_publishers(tmp_path: Path) -> None:
    with ExitStack() as stack:
        nodes = [stack.enter_context(target(tmp_path / f"node{at}")) for at in range(2)]
        outcome = run(
            tmp_path / "run", *locustfile(tmp_path, SHAPE), *QUICK, "--codes", "30", "--duration",
            "5", "--target", "rooms-sse", "--channels", "2", "--publishers", "2",
            "--nodes", ",".join(server.url for server, _ in nodes), command=LOCUST,
        )  # fmt: skip
    report, truths = outcome.report, [record.read(path) for _, path in nodes]
    assert report["run"]["complete"] is True
    assert sum(truth.opened for truth in truths) == report["connections"]["succeeded"] == 20
    assert report["connections"]["dropped"] == report["connections"]["failed"] == 0
    assert report["codes"]["accepted"] == sum(len(truth.ingests) for truth in truths) == 60
    # The nodes have no backplane: codes come from a connection's own node, and from no other.
    for pair in report["node_pairs"]:
        own = pair["sent_to"] == pair["received_at"]
        assert pair["delivered"] == (pair["owed"] if own else 0)
        assert pair["owed"] > 0
    sent = sum(truth.sent for truth in truths)
    assert report["deliveries"]["delivered"] == sent
    assert report["deliveries"]["unexpected"] == report["deliveries"]["interrupted"] == 0


def test_joiners_of_a_load_shape_are_owed_codes_in_all_channels(tmp_path: Path) -> None:
    outcome, truth = run_against_target(
        tmp_path / "run", *locustfile(tmp_path, SHAPE), *QUICK, "--codes", "60", "--duration", "5",
        "--target", "rooms", "--channels", "6", command=LOCUST,
    )  # fmt: skip
    report = outcome.report
    # The first four listeners are in four of the six channels.
    assert {code.channel for code in truth.codes.values()} == {f"c{n}" for n in range(1, 7)}
    unowed = sum(not code.sent for code in truth.codes.values())
    assert report["codes"]["unowed"] == unowed > 0
    assert outcome.reasons == {"codes_owed": "warning"}
    assert report["deliveries"]["owed"] == report["deliveries"]["delivered"] == truth.sent


def test_users_that_are_added_in_mid_run_are_owed_what_comes_from_then_on(tmp_path: Path) -> None:
    outcome, truth = run_against_target(
        tmp_path / "run", *locustfile(tmp_path, GROWTH), *QUICK, "-u", "7", "-r", "100",
        "--codes", "60", "--duration", "2", "--target", "rooms", "--channels", "6", command=LOCUST,
    )  # fmt: skip
    report = outcome.report
    assert outcome.reasons == {}
    assert {code.channel for code in truth.codes.values()} == {"c1", "c2", "c3", "c4"}
    assert report["connections"]["succeeded"] == truth.opened == 10
    assert report["deliveries"]["owed"] == report["deliveries"]["delivered"] == truth.sent > 60
    (note,) = report["run"]["notes"]
    assert note.startswith("2 connections joined 2 channels that had no connection when the run")


@pytest.mark.parametrize("option", [("--ladder", "2,4"), ("--search", "connections")])
def test_a_load_shape_with_steps_of_its_own_is_refused(
    tmp_path: Path, option: tuple[str, str]
) -> None:
    outcome = run(
        tmp_path / "run", *locustfile(tmp_path, SHAPE), *option, "--host", "http://127.0.0.1:9",
        command=LOCUST,
    )  # fmt: skip
    assert outcome.status == 2
    (sentence,) = outcome.error_messages
    assert sentence == (
        f"sseload: Steps: a LoadTestShape sets the number of users, and so does {option[0]}; use "
        "one of them."
    )
