"""Searches against servers with known limits of different kinds."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.runs import LOCUST, Outcome, run, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: Options that keep a probe short.
BRIEF = ("--settle", "0", "--delivery-timeout", "2", "--warm-up", "10", "--target", "websocket")
#: The limit to be found, and the sizes at which searches for it start: far below it, at it and
#: above it. tests/core/test_plan.py has all others.
CAPACITY = 43
STARTS = (2, 43, 90)
#: Searches run at the same time: they mostly wait.
AT_ONCE = 9

Searches = dict[str, Future[Outcome]]


def search(folder: Path, server: str, start: int, *arguments: str) -> Outcome:
    """Run a search that starts with the given number of connections."""
    what = () if "--search" in arguments else ("--search", "connections")
    return run(folder, str(start), "2", "0", *BRIEF, *what, "--host", server, *arguments)


def against(folder: Path, options: tuple[str, ...], start: int, *arguments: str) -> Outcome:
    """Run a search against a new embedded target."""
    with target(folder, *options) as (server, _):
        return search(folder / "run", server.url, start, *arguments)


def found(outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = outcome.report["search"]
    return result


@contextlib.contextmanager
def supervised(folder: Path, *options: str) -> Iterator[str]:
    """Run the embedded target on one port, and restart it when it exits."""
    port = free_port()
    over = threading.Event()
    listening = threading.Event()
    lives = []

    def keep() -> None:
        command = [sys.executable, "-m", "sseload_users.demo", "--port", str(port), *options]
        while not over.is_set():
            with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
                lives.append(child)
                assert child.stdout is not None
                child.stdout.readline()
                listening.set()
                while child.poll() is None and not over.wait(0.02):
                    pass
                child.kill()

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        assert listening.wait(20)
        yield f"http://127.0.0.1:{port}"
    finally:
        over.set()
        thread.join()
    (folder / "lives").write_text(str(len(lives)))


#: A generator that is busy for long with each code.
BUSY = """
import time
from sseload_users import CodeBroadcaster, CodeListener

class Busy(CodeListener):
    def on_code(self, delivery):
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            pass
"""


def search_with_a_busy_generator(folder: Path) -> Outcome:
    (folder / "locustfile.py").write_text(BUSY)
    with target(folder) as (server, _):
        return run(
            folder / "run", "-f", str(folder / "locustfile.py"), "--headless", "-u", "2",
            "--codes", "3", "--duration", "0.9", *BRIEF, "--search", "connections",
            "--host", server.url, command=LOCUST,
        )  # fmt: skip


def search_with_a_supervisor(folder: Path) -> Outcome:
    with supervised(folder, "--memory-limit-connections", "31") as server:
        return search(folder / "run", server, 10)


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searches]:
    """Start all searches, several at a time."""

    def folder() -> Path:
        return tmp_path_factory.mktemp("search")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            # The n-th connection receives a code n × 12 ms later.
            "cost": pool.submit(
                against, folder(), ("--cost-per-delivery", "0.012"), 40, "--duration", "1.4",
                "--objective", "delivery>=99.9%, connect>=95%, p99<=600ms",
            ),
            # Each code takes 10 × 4 ms.
            "rate": pool.submit(
                against, folder(), ("--cost-per-delivery", "0.004"), 10, "--search", "rate",
                "--codes", "30", "--duration", "2", "--objective", "delivery>=99.9%, p99<=150ms",
            ),
            "memory": pool.submit(search_with_a_supervisor, folder()),
            **{
                str(start): pool.submit(
                    against, folder(), ("--max-connections", str(CAPACITY)), start
                )
                for start in STARTS
            },
            "generator": pool.submit(search_with_a_busy_generator, folder()),
            "dead": pool.submit(
                against, folder(), ("--memory-limit-connections", "31"), 10, "--warm-up", "1"
            ),
            "limit": pool.submit(against, folder(), (), 5, "--search-most", "12"),
        }  # fmt: skip


@pytest.mark.parametrize("start", STARTS)
def test_a_limit_is_found_from_any_start(searches: Searches, start: int) -> None:
    outcome = searches[str(start)].result()
    result = found(outcome)
    assert result["limited_by"] == "server"
    assert result["largest"] == pytest.approx(CAPACITY, rel=0.05)
    assert result["largest"] < result["broke_at"] <= result["largest"] + 2
    assert result["cause"] == "handshake: HTTP 503"
    assert any(each.startswith("errors ") for each in result["first_broken"])
    assert outcome.grade == "good"
    assert outcome.status == 0
    said = " ".join(outcome.stdout.split())
    assert f"The server holds {result['largest']} connections: that many met the objective" in said
    assert "most often handshake: HTTP 503" in said
    # No warning of Locust about the spawn rate, which the user did not choose.
    assert "spawn rate" not in outcome.stderr
    # The report's steps are the probes.
    steps = outcome.report["steps"]
    assert [each["connections"]["attempted"] for each in steps] == [
        probe["size"] for probe in result["probes"]
    ]
    for step in steps:
        connections = step["connections"]
        assert connections["succeeded"] == min(CAPACITY, connections["attempted"])
        deliveries = step["deliveries"]
        assert deliveries["owed"] == deliveries["delivered"] == 2 * connections["succeeded"]


def test_a_server_that_crashes_at_its_limit(searches: Searches) -> None:
    outcome = searches["memory"].result()
    result = found(outcome)
    # The thirty-first connection crashes it.
    assert result["limited_by"] == "server"
    assert result["largest"] == pytest.approx(30, rel=0.05)
    operation, _, cause = result["cause"].partition(": ")
    assert operation in ("session", "connect", "handshake")
    assert cause in (
        "connection reset",
        "connection refused",
        "connection closed",
        "no close frame",
    )
    deaths = sum(not probe["held"] for probe in result["probes"])
    assert int((outcome.folder.parents[1] / "lives").read_text()) > deaths
    assert outcome.status == 0


def test_a_server_that_crashes_and_does_not_return(searches: Searches) -> None:
    outcome = searches["dead"].result()
    result = found(outcome)
    assert result["limited_by"] == "end"
    assert (result["largest"], result["held"], result["broke_at"]) == (None, 20, 40)
    assert outcome.report["run"]["complete"] is False
    assert outcome.report["run"]["notes"][0] == (
        "The server did not come back within 1.0 s: connection refused. No further step was taken."
    )
    assert outcome.status == 3
    assert "The search ended before it had an answer." in " ".join(outcome.stdout.split())


def test_a_limit_of_latency(searches: Searches) -> None:
    outcome = searches["cost"].result()
    result = found(outcome)
    assert result["limited_by"] == "server"
    assert result["largest"] == pytest.approx(50, rel=0.05)
    (broken,) = result["first_broken"]
    assert broken.startswith("p99 6")
    assert broken.endswith("objective <= 600 ms")
    assert result["cause"] == ""


def test_a_limit_of_codes_per_second(searches: Searches) -> None:
    outcome = searches["rate"].result()
    result = found(outcome)
    assert result["over"] == "rate"
    assert result["limited_by"] == "server"
    # Above 25 per second, each code waits longer than the previous one.
    assert 23 <= result["largest"] <= 28
    assert f"The server holds {result['largest']} codes a second" in outcome.stdout
    assert all(each["connections"]["attempted"] == 10 for each in outcome.report["steps"])


def test_a_saturated_generator_gives_no_number_for_the_server(
    searches: Searches,
) -> None:
    outcome = searches["generator"].result()
    result = found(outcome)
    assert result["limited_by"] == "generator"
    assert result["largest"] is None
    assert result["broke_at"] is None
    assert all(probe["saturated"] for probe in result["probes"])
    assert outcome.grade == "warning"
    assert outcome.status == 3
    said = " ".join(outcome.stdout.split())
    assert "the server's limit is not known" in said
    assert "The server holds" not in said


def test_a_search_ends_at_its_largest_size(searches: Searches) -> None:
    outcome = searches["limit"].result()
    result = found(outcome)
    assert (result["largest"], result["limited_by"], result["broke_at"]) == (12, "limit", None)
    assert result["first_broken"] == []
    assert outcome.status == 0
