"""Real arrangements of servers, and what the diagnosis says of them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.relays import balancer
from tests.support.runs import QUICK, Outcome, run, run_against_target, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: By the name of a run: the options of each embedded target behind the balancer, and its own.
RUNS: dict[str, tuple[list[tuple[str, ...]], tuple[str, ...]]] = {
    "two instances": ([(), ()], ()),
    "two instances, two workers": ([(), ()], ("--processes", "2")),
    "one after the other": ([("--cost-per-delivery", "0.002")], ()),
    "silent": ([("--drop", "0.2", "--drop-how", "silent", "--drop-after", "5", "--seed", "3")], ()),
    "random loss": ([("--lose", "0.1")], ()),
    "twice": ([("--duplicate", "1")], ()),
    "healthy": ([()], ()),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """All runs, two at a time."""

    def play(name: str, folder: Path) -> Outcome:
        servers, options = RUNS[name]
        with contextlib.ExitStack() as stack:
            urls = [
                stack.enter_context(target(folder / str(at), *each))[0].url
                for at, each in enumerate(servers)
            ]
            url = stack.enter_context(balancer(urls)) if len(urls) > 1 else urls[0]
            arguments = ("24", "12", "3", *QUICK, "--target", "websocket", "--host", url)
            return run(folder, *arguments, *options)

    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(play, name, tmp_path_factory.mktemp("run")) for name in RUNS}


def findings(outcome: Outcome) -> dict[str, Any]:
    return {each["pattern"]: each for each in outcome.report["diagnosis"]}


@pytest.mark.parametrize("name", ["two instances", "two instances, two workers"])
def test_instances_without_a_broker_are_named(
    outcomes: dict[str, Future[Outcome]], name: str
) -> None:
    outcome = outcomes[name].result()
    found = findings(outcome)
    assert [*found] == ["isolated_instances"]
    assert found["isolated_instances"]["explains"] == 1.0
    assert found["isolated_instances"]["evidence"]["groups"] == 2
    assert "give it a shared broker" in " ".join(outcome.stdout.split())
    # The general hint has nothing to add.
    assert "look at the broadcast logic" not in " ".join(outcome.stdout.split())
    assert outcome.grade == "issues"


def test_serial_sending_is_named_with_its_cost(outcomes: dict[str, Future[Outcome]]) -> None:
    found = findings(outcomes["one after the other"].result())
    assert [*found] == ["serial_fanout"]
    assert 1900 < found["serial_fanout"]["evidence"]["us_per_connection"] < 4000


def test_connections_that_fell_silent_are_named(outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes["silent"].result()
    found = findings(outcome)
    assert [*found] == ["silent_cut"]
    cut = found["silent_cut"]["evidence"]["connections"]
    assert cut * 7 == outcome.report["deliveries"]["missing"]  # five of twelve codes came


def test_regular_duplicates_are_named(outcomes: dict[str, Future[Outcome]]) -> None:
    found = findings(outcomes["twice"].result())
    assert [*found] == ["duplicates_by_namespace"]
    assert found["duplicates_by_namespace"]["evidence"]["copies"] == 2


@pytest.mark.parametrize("name", ["random loss", "healthy"])
def test_what_has_no_pattern_gets_no_name(outcomes: dict[str, Future[Outcome]], name: str) -> None:
    assert findings(outcomes[name].result()) == {}


# deliveries.csv


def unusual(outcome: Outcome) -> list[dict[str, str]]:
    """The rows of deliveries.csv, compared with the account and with the other tables."""
    rows = outcome.table("deliveries")
    names = ("late", "recovered", "interrupted", "missing")
    connections = {each["connection"]: each for each in outcome.table("connections")}
    for table, key in (("connections", "connection"), ("codes", "seq")):
        for line in outcome.table(table):
            own = [each for each in rows if each[key.replace("seq", "code")] == line[key]]
            counts = Counter(each["outcome"] for each in own)
            assert {name: counts[name] for name in names} == {
                name: int(line[name]) for name in names
            }
    for each in rows:
        line = connections[each["connection"]]
        assert (each["worker"], each["username"]) == (line["worker"], line["username"])
        assert bool(each["latency_ms"]) == (each["outcome"] in ("late", "recovered"))
    return rows


@pytest.mark.parametrize("processes", ["1", "2"])
def test_each_delivery_that_was_not_made_is_listed(tmp_path: Path, processes: str) -> None:
    outcome, truth = run_against_target(
        tmp_path, "20", "10", "2", *QUICK, "--target", "websocket", "--deliveries-csv",
        *(("--processes", processes) if processes != "1" else ()), faults=("--lose", "0.2"),
    )  # fmt: skip
    rows = unusual(outcome)
    lost = {code.code.split("-")[2]: len(code.lost) for code in truth.codes.values() if code.lost}
    assert sum(lost.values()) > 10
    assert {row["outcome"] for row in rows} == {"missing"}
    assert Counter(row["code"] for row in rows) == lost
    # A connection of the record is one of the run, and has lost as many.
    per_connection = Counter(each for code in truth.codes.values() for each in code.lost)
    mine = Counter(row["connection"] for row in rows)
    assert sorted(mine.values()) == sorted(per_connection.values())


def test_each_outcome_is_listed(tmp_path: Path) -> None:
    faults = ("--lose", "0.2", "--delay", "0.2:1.3", "--drop", "0.3", "--drop-after", "4")
    outcome, _ = run_against_target(
        tmp_path, "20", "12", "3", *QUICK, "--target", "websocket", "--deliveries-csv",
        faults=faults,
    )  # fmt: skip
    rows = unusual(outcome)
    late = [float(row["latency_ms"]) for row in rows if row["outcome"] == "late"]
    assert {row["outcome"] for row in rows} == {"missing", "late", "interrupted"}
    assert min(late) > 1000


def test_deliveries_are_listed_with_their_channel(tmp_path: Path) -> None:
    outcome, _ = run_against_target(
        tmp_path, "8", "8", "1", *QUICK, "--target", "rooms", "--channels", "4",
        "--deliveries-csv", faults=("--lose", "0.5", "--seed", "2"),
    )  # fmt: skip
    rows = unusual(outcome)
    channel_of = {each["seq"]: each["channel"] for each in outcome.table("codes")}
    assert rows
    assert all(row["channel"] == channel_of[row["code"]] != "" for row in rows)


def test_a_list_of_deliveries_needs_a_directory(tmp_path: Path) -> None:
    outcome = run(tmp_path, "2", "1", "1", "--deliveries-csv", report=False)
    assert outcome.status == 2
    assert outcome.error_messages == [
        "sseload: --deliveries-csv needs a directory: give --delivery-report, too."
    ]
