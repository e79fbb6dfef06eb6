"""ClockSync that are wrong, drift, and are set: latencies stay within the error that is stated."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import pytest

from sseload_users.demo import record
from tests.support.distributed import check_workers, distributed
from tests.support.ground_truth import sequence_of
from tests.support.runs import LOCUST, QUICK, Outcome, run, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES, SECONDS = 12, 12, 3

WRONG = "from sseload_users.core import clock\nclock.set_offset({offset}, {drift})\n"
#: Once the codes are on their way, somebody sets the clock forward by a second.
SET = """
import gevent
from sseload_users.core import clock
from sseload_users.run.worker_run import WorkerRun
enter = WorkerRun._enter
def entered(self, phase, number):
    enter(self, phase, number)
    if phase == "broadcast":
        gevent.spawn_later(0.6, clock.set_offset, 1_000_000_000)
WorkerRun._enter = entered
"""
#: A clock of its own, which is not the leader's.
OWN = WRONG.format(offset=1, drift=0)

#: So long may it take, on a noisy machine, from the one program to the other.
SLACK_MS = 150.0

Played = tuple[Outcome, record.Record, dict[str, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Played]]]:
    """All runs at once."""
    # Made here, once: the factory is not meant for several threads.
    home = tmp_path_factory.mktemp("clocks")

    def several(name: str, code: dict[str, str]) -> Played:
        folder = home / name
        words = ("--codes", str(CODES), "--duration", str(SECONDS), "--delivery-timeout", "5")
        with (
            target(folder) as (server, path),
            distributed(
                folder, *words, host=server.url, connections=CONNECTIONS, code=code
            ) as swarm,
        ):
            outcome = swarm.finish()
            names = {name: swarm.label(name) for name in swarm.workers}
        return outcome, record.read(path), names

    def one() -> Played:
        folder = home / "one"
        folder.mkdir()
        locustfile = folder / "locustfile.py"
        locustfile.write_text(f"from sseload_users import CodeBroadcaster, CodeListener\n{SET}")
        words = (
            *("--headless", "-f", str(locustfile), "-u", str(CONNECTIONS + 1), "-r", "100"),
            *("--codes", str(CODES), "--duration", str(SECONDS), "--target", "websocket"),
            *(*QUICK, "--delivery-timeout", "5"),
        )
        with target(folder) as (server, path):
            outcome = run(folder, *words, "--host", server.url, command=LOCUST)
        return outcome, record.read(path), {}

    wrong = {
        # The broadcaster's is three seconds slow, and runs too fast.
        "a": WRONG.format(offset=-3_000_000_000, drift=200),
        "b": WRONG.format(offset=250_000_000, drift=0),
    }
    with ThreadPoolExecutor(3) as pool:
        yield {
            "wrong": pool.submit(several, "wrong", wrong),
            "set": pool.submit(several, "set", {"b": OWN + SET}),
            "one": pool.submit(one),
        }


def test_latencies_are_as_wrong_as_is_said_at_most(runs: dict[str, Future[Played]]) -> None:
    outcome, truth, names = runs["wrong"].result()
    report = outcome.report
    assert report["run"]["complete"] is True
    assert report["run"]["notes"] == []
    assert report["deliveries"]["delivered"] == truth.sent == CONNECTIONS * CODES
    check_workers(report)
    error_ms = report["generator"]["clock_error_ms"]
    assert 0 < error_ms < 50
    check_times(report["per_code"], truth, error_ms)
    workers = {worker["name"]: worker for worker in report["workers"]}
    # The third worker shares the leader's clock, by identity.
    assert workers[names["c"]]["clock_error_ms"] == 0
    errors = [workers[names[name]]["clock_error_ms"] for name in "ab"]
    assert min(errors) > 0
    assert error_ms == pytest.approx(sum(errors))
    for name in names.values():
        latency = workers[name]["delivery_ms"]
        # Locust gives the broadcaster to any of them.
        assert CONNECTIONS // 3 - 1 <= latency["count"] / CODES <= CONNECTIONS // 3 + 1
        assert latency["p50"] < SLACK_MS + error_ms
    assert "clocks within " in outcome.stdout


def test_a_clock_that_is_set_is_a_finding_and_is_followed(
    runs: dict[str, Future[Played]],
) -> None:
    outcome, truth, names = runs["set"].result()
    report = outcome.report
    assert report["deliveries"]["owed"] == truth.subscribers == CONNECTIONS * CODES
    (note,) = report["run"]["notes"]
    assert note.startswith(f"The clock of {names['b']} was set forward by 1.00")
    # Latencies that were measured over it can be wrong by as much.
    assert report["generator"]["clock_error_ms"] >= 995
    # What went out a second later is measured right again.
    check_times(report["per_code"][-4:], truth, 50)


def test_one_process_sees_that_its_clock_is_set(runs: dict[str, Future[Played]]) -> None:
    outcome, truth, _ = runs["one"].result()
    report = outcome.report
    assert report["deliveries"]["owed"] == truth.subscribers == CONNECTIONS * CODES
    (note,) = report["run"]["notes"]
    assert note.startswith("The clock was set forward by 1.00")
    assert note.endswith("s during the run: do not rely on the latencies of codes that were "
                         "in flight then.")  # fmt: skip
    assert report["generator"]["clock_error_ms"] >= 995
    assert note in " ".join(outcome.stdout.split())


def check_times(per_code: list[dict[str, object]], truth: record.Record, error_ms: float) -> None:
    """Codes were sent, and came, when the server says so, which keeps the leader's time."""
    written = {sequence_of(code.code): code for code in truth.codes.values()}
    for row in per_code:
        code = written[int(str(row["seq"]))]
        began_ms, ended_ms = code.start_ns / 1e6, code.end_ns / 1e6
        # The moment is told to the millisecond.
        sent_ms = datetime.fromisoformat(str(row["sent_at"])).timestamp() * 1000
        first, last = float(str(row["first_ms"])), float(str(row["last_ms"]))
        assert began_ms - SLACK_MS - error_ms < sent_ms < began_ms + error_ms + 1
        assert began_ms - error_ms - 1 < sent_ms + first
        assert sent_ms + last < ended_ms + error_ms + SLACK_MS
