"""Real arrangements of servers, and what the diagnosis says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.relays import balancer
from tests.support.runs import QUICK, Outcome, run, target

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
