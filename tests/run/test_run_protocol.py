"""The leader's exchange of messages with workers, over a link that records them."""

from __future__ import annotations

import io
from typing import cast

import gevent
import pytest

from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.report.account import Run
from sseload_users.report.progress import Progress
from sseload_users.run.link import Link
from sseload_users.run.messages import (
    AccountReport,
    BroadcastDone,
    BroadcastOrder,
    CancelBroadcast,
    ClockReply,
    ClockRequest,
    ClockStepped,
    CloseAccount,
    CodeOutcome,
    CodeSent,
    CodeStatus,
    Hello,
    Leaving,
    PublisherLost,
    PublishingFailed,
    PublishingStopped,
    StopPublishing,
    ToWorker,
    Welcome,
    WorkerFailed,
)
from sseload_users.run.run_log import RunLog
from sseload_users.run.run_protocol import RunProtocol
from sseload_users.run.worker_registry import WorkerRegistry


class RecordingLink:
    """A link that records what workers are sent."""

    role = "master"

    def __init__(self, *workers: str) -> None:
        self.alive = list(workers)
        self.sent: list[tuple[str, ToWorker]] = []

    def workers(self) -> list[str]:
        return list(self.alive)

    def label(self, worker: str) -> str:
        return f"worker {worker}"

    def forget_missing(self) -> None:
        """Nothing is remembered."""

    def to_workers(self, workers: list[str], run_id: str, message: ToWorker) -> None:
        assert run_id == "r1"
        self.sent += [(each, message) for each in workers]


class Fixture:
    """The protocol of a run with the workers a and b, which have said hello."""

    def __init__(self) -> None:
        self.link = RecordingLink("a", "b")
        self.totals = Totals()
        self.refusals: list[str] = []
        run = Run("r1", 0, "http://host", "websocket", "", {}, {})
        self.log = RunLog(run, self.totals, Progress(io.StringIO()))
        link = cast("Link", self.link)
        registry = WorkerRegistry(link, self.totals, self.log.mark_incomplete)
        self.protocol = RunProtocol(link, self.totals, registry, self.log, self.refusals.append)
        for worker in ("a", "b"):
            self.protocol.from_worker(worker, Hello(""))
        self.link.sent.clear()


@pytest.fixture
def run() -> Fixture:
    return Fixture()


SENT = CodeSent(1, 5_000_000_000, 0, None, 250)


def test_a_worker_that_says_hello_learns_of_the_phase(run: Fixture) -> None:
    run.log.enter("connect", "Connecting.")
    run.protocol.from_worker("b", Hello("eu"))
    ((worker, message),) = run.link.sent
    assert worker == "b"
    assert isinstance(message, Welcome)
    assert (message.phase, message.number) == ("connect", 1)
    assert run.log.complete


@pytest.mark.parametrize("phase", ["settle", "broadcast", "drain"])
def test_a_worker_that_joins_after_connecting_makes_the_run_incomplete(
    run: Fixture, phase: str
) -> None:
    run.log.enter(phase, "")
    run.protocol.from_worker("c", Hello(""))
    assert not run.log.complete


def test_a_code_is_announced_to_all_others_and_its_outcome_too(run: Fixture) -> None:
    run.protocol.from_worker("a", SENT)
    run.protocol.from_worker("a", CodeOutcome(1, "accepted", 900, None))
    assert run.link.sent == [("b", SENT), ("b", CodeStatus(1, "accepted", 0))]
    assert run.totals.sent == 1
    assert run.totals.statuses["accepted"] == 1


def test_what_became_of_a_lost_workers_codes_is_unknown_until_it_reports(run: Fixture) -> None:
    run.protocol.from_worker("a", SENT)
    run.protocol.abandon_broadcast("a")
    assert run.totals.statuses["unknown"] == 1
    # The worker itself is told only to stop: it learns the outcome from the server.
    assert run.link.sent[1:] == [("a", CancelBroadcast()), ("b", CodeStatus(1, "unknown", 0))]
    run.protocol.from_worker("a", CodeOutcome(1, "accepted", 900, None, overtakable_by=1))
    assert run.totals.statuses["unknown"] == 0
    assert run.totals.statuses["accepted"] == 1
    assert run.link.sent[-1] == ("b", CodeStatus(1, "accepted", 1))


def test_a_code_that_could_not_be_sent_has_an_outcome_without_an_announcement(run: Fixture) -> None:
    run.protocol.from_worker("a", CodeOutcome(4, "unsent", 10, "connection refused"))
    assert run.totals.statuses["unsent"] == 1
    assert run.totals.sent == 0


def test_a_clock_request_is_answered_to_the_worker_alone(run: Fixture) -> None:
    run.protocol.from_worker("b", ClockRequest(77))
    ((worker, message),) = run.link.sent
    assert worker == "b"
    assert isinstance(message, ClockReply)
    assert message.asked_ns == 77
    assert message.leader_ns > 10**18


def test_failures_end_the_run_with_their_reason(run: Fixture) -> None:
    run.protocol.from_worker("a", PublishingFailed("No way in."))
    run.protocol.from_worker("b", WorkerFailed("users.csv: no such file."))
    assert run.refusals == ["No way in.", "Worker b: users.csv: no such file."]
    assert run.totals.worker("b").final


def test_losses_of_the_publisher_are_counted_by_cause(run: Fixture) -> None:
    for cause in ("closed", "closed", "reset"):
        run.protocol.from_worker("a", PublisherLost(cause))
    assert run.protocol.publisher_losses == {"closed": 2, "reset": 1}


def test_a_clock_step_is_noted_once_for_each_host(run: Fixture) -> None:
    for worker in ("a", "b"):
        run.protocol.from_worker(worker, ClockStepped("host", 1_000_000_000))
    (note,) = run.log.run.notes
    assert "The clock of worker a was set forward by 1.000 s" in note
    assert run.log.clock_error_ms() == pytest.approx(1000)


def test_a_broadcast_is_done_when_the_worker_says_so(run: Fixture) -> None:
    assert not run.protocol.broadcast_done
    run.protocol.order_broadcast("a", BroadcastOrder(11, 10, 1.0))
    # A worker that was lost during the previous order is done with that.
    run.protocol.from_worker("b", BroadcastDone(1))
    assert not run.protocol.broadcast_done
    run.protocol.from_worker("a", BroadcastDone(11))
    assert run.protocol.broadcast_done


def test_accounts_are_closed_when_all_final_reports_are_here(run: Fixture) -> None:
    closing = gevent.spawn(run.protocol.close_accounts)
    gevent.sleep(0)
    assert run.link.sent == [("a", CloseAccount(0)), ("b", CloseAccount(0))]
    for worker in ("a", "b"):
        assert not closing.ready()
        final = WorkerReport(Tally(), {}, Gauges(), final=True)
        run.protocol.from_worker(worker, AccountReport(final))
    closing.get(timeout=5)
    assert run.log.complete


def test_a_lost_worker_is_not_waited_for(run: Fixture) -> None:
    run.protocol.from_worker("a", AccountReport(WorkerReport(Tally(), {}, Gauges(), final=True)))
    run.link.alive.remove("b")
    gevent.spawn(run.protocol.close_accounts).get(timeout=5)
    assert not run.log.complete


def test_a_worker_that_joins_while_accounts_are_closed_closes_its_own(run: Fixture) -> None:
    for worker in ("a", "b"):
        final = WorkerReport(Tally(), {}, Gauges(), final=True)
        run.protocol.from_worker(worker, AccountReport(final))
    run.protocol.close_accounts()
    run.link.sent.clear()
    run.protocol.from_worker("c", Hello(""))
    assert [type(message) for _, message in run.link.sent] == [Welcome, CloseAccount]


def test_the_broadcaster_is_stopped_before_the_accounts_are_closed(run: Fixture) -> None:
    run.protocol.from_worker("a", AccountReport(WorkerReport(Tally(), {}, Gauges(broadcasters=1))))
    stopping = gevent.spawn(run.protocol.stop_publishing, "a")
    gevent.sleep(0)
    assert run.link.sent == [("a", StopPublishing())]
    assert not stopping.ready()
    run.protocol.from_worker("a", PublishingStopped())
    stopping.get(timeout=5)


def test_a_worker_that_leaves_is_told_to_close_its_account(run: Fixture) -> None:
    run.protocol.from_worker("b", Leaving())
    assert run.link.sent == []
    with gevent.Timeout(5):
        while not run.link.sent:
            gevent.sleep(0.01)
    assert run.link.sent == [("b", CloseAccount(0))]
