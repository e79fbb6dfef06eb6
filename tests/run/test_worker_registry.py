"""The workers of a run: who takes part, who is lost, and what the report says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.run.link import Link
from sseload_users.run.worker_registry import WorkerRegistry


class FakeLink:
    """A link to workers that come and go.

    Attributes:
        alive: ids of the workers that are alive.
        forgotten: how often Locust was made to forget missing workers.
    """

    def __init__(self, *alive: str) -> None:
        self.alive = list(alive)
        self.forgotten = 0

    def workers(self) -> list[str]:
        return list(self.alive)

    def label(self, worker: str) -> str:
        return f"worker {worker}"

    def forget_missing(self) -> None:
        self.forgotten += 1


class Fixture:
    """A registry of the workers a and b, its account, and the reasons it gave."""

    def __init__(self) -> None:
        self.link = FakeLink("a", "b")
        self.totals = Totals()
        self.reasons: list[str] = []
        self.registry = WorkerRegistry(cast("Link", self.link), self.totals, self.reasons.append)

    def report(self, worker: str, *, final: bool = False, **gauges: int) -> None:
        self.totals.add_report(
            worker,
            WorkerReport(Tally(), {}, Gauges(**gauges), final=final),  # type: ignore[arg-type]
        )


@pytest.fixture
def run() -> Fixture:
    return Fixture()


def test_a_worker_gets_messages_once_it_has_said_hello(run: Fixture) -> None:
    assert run.registry.recipients() == []
    run.registry.add("a", "eu")
    run.registry.add("b", "")
    assert run.registry.recipients() == ["a", "b"]
    assert run.registry.recipients(but="a") == ["b"]
    assert run.totals.worker("a").region == "eu"


@pytest.mark.parametrize(
    ("worker", "late", "when"),
    [
        ("c", "settle", "after all connections had been made, before the first code was sent"),
        ("c", "broadcast", "while codes were being sent"),
        ("c", "drain", "after the last code had been sent"),
        ("c", "disconnect", "when the run was ending"),
        ("c", "", ""),
        ("a", "broadcast", ""),
    ],
)
def test_a_new_worker_is_late_once_all_connections_have_been_made(
    run: Fixture, worker: str, late: str, when: str
) -> None:
    run.registry.add(worker, "", late=late)
    assert run.reasons == (
        [f"Worker c joined {when}: Locust moved connections to it."] if when else []
    )


def test_a_lost_worker_is_reported_once_and_its_gauges_are_reset(run: Fixture) -> None:
    run.report("b", listeners=4, open=4, owed=8, delivered=7, peak_open=4)
    run.link.alive.remove("b")
    run.registry.update(ending=False)
    run.registry.update(ending=False)
    (reason,) = run.reasons
    assert reason.startswith("Worker b was lost with 4 connections: ")
    gauges = run.totals.worker("b").gauges
    assert gauges is not None
    assert (gauges.open, gauges.owed, gauges.delivered, gauges.peak_open) == (0, 0, 0, 4)
    assert run.registry.present() == [run.totals.worker("a")]
    assert run.link.forgotten == 2


def test_a_worker_can_be_lost_before_its_first_report(run: Fixture) -> None:
    run.link.alive.remove("a")
    run.registry.update(ending=True)
    assert run.reasons == ["Worker a was lost before it reported anything."]
    assert run.link.forgotten == 0


def test_a_lost_worker_can_come_back(run: Fixture) -> None:
    run.report("b", listeners=1)
    run.link.alive.remove("b")
    run.registry.update(ending=False)
    run.registry.note_message("b")
    assert run.totals.worker("b").lost, "a message from before it was lost"
    run.link.alive.append("b")
    run.registry.note_message("b")
    assert not run.totals.worker("b").lost
    assert run.reasons[1].startswith("Worker b is back")


@pytest.mark.parametrize("ending", [False, True])
def test_a_worker_may_leave_with_a_final_report_only_at_the_end(run: Fixture, ending: bool) -> None:
    run.report("b", final=True)
    run.link.alive.remove("b")
    run.registry.update(ending=ending)
    assert run.totals.worker("b").left is not ending
    assert len(run.reasons) == (not ending)
    assert run.registry.is_closed() is False
    run.report("a", final=True)
    assert run.registry.is_closed()
    assert run.registry.is_complete()


def test_giving_up_closes_the_registry_and_leaves_it_incomplete(run: Fixture) -> None:
    run.report("a", final=True)
    assert not run.registry.is_closed()
    run.registry.give_up()
    assert run.registry.is_closed()
    assert not run.registry.is_complete()


@pytest.mark.parametrize(
    "leave",
    [
        lambda run: setattr(run.totals.worker("b"), "lost", True),
        lambda run: setattr(run.totals.worker("b"), "left", True),
        lambda run: run.report("b", broadcasters=0),
    ],
)
def test_the_broadcaster_is_on_a_present_worker(
    run: Fixture, leave: Callable[[Fixture], None]
) -> None:
    assert run.registry.broadcaster() is None
    run.report("b", broadcasters=1)
    assert run.registry.broadcaster() == "b"
    leave(run)
    assert run.registry.broadcaster() is None
