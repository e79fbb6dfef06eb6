"""Channels, resumption, nodes and publishers, with their faults: the report states the truth.

`make test-matrix` runs all combinations, `make test ALL=1` a sample of each kind. What is owed,
and what became of it, is worked out from the target's record alone.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from sseload_users.core.config_path import config_path
from sseload_users.demo import record
from sseload_users.demo.record import Record
from tests.matrix.audiences import CONNECTIONS, LENGTHS, NODES, Audience, Kind, audiences
from tests.matrix.test_matrix import GRADES, SEED, can_be_compared, grade_of
from tests.support.channel_truth import leaks, missed
from tests.support.ground_truth import expected_figures, listeners_of, reported_figures
from tests.support.parallel import selected_params
from tests.support.returning_clients import CONNECTING_NS, clients_of, pairs_of, users_file
from tests.support.runs import QUICK, Outcome, run, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

_S = 1_000_000_000
#: How far the two sides' times of one event may be apart on an idle machine.
SLACK_NS = _S // 20
#: What makes the clients of a profile say the offset of what they had last, as they return.
_RESUMED = (
    ('transport = "websocket"\n', 'transport = "websocket"\nguarantee = "resume"\n'),
    (
        "[code]\n",
        """[resume]
capture = { offset = { field = "offset" } }
query = { offset = "{offset}" }

[code]
""",
    ),
)


def _chosen() -> list[Audience]:
    every = list(audiences(SEED))
    if os.environ.get("MATRIX") == "all":
        return every
    chance = random.Random(SEED)
    return [chance.choice(list(each)) for _, each in groupby(every, lambda one: one.kind)]


def _perform(one: Audience, folder: Path) -> tuple[Outcome, Record]:
    """Carry out a run; return its outcome, and the target's record."""
    codes, duration = LENGTHS[one.kind]
    folder.mkdir(parents=True)
    text = config_path(f"targets/{one.profile}.toml").read_text("utf-8")
    if one.kind == "returning" and one.profile == "rooms":
        for old, new in _RESUMED:
            assert text.count(old) == 1
            text = text.replace(old, new)
    elif one.kind != "returning":
        text = text.replace('guarantee = "resume"', 'guarantee = "live"')
    profile = folder / "mine.toml"
    profile.write_text(text, "utf-8")
    users, known = users_file(folder, CONNECTIONS)
    arguments = (
        *map(str, (CONNECTIONS, codes, duration)), *QUICK, "--target", str(profile), *users,
        *one.arguments,
    )  # fmt: skip
    options = (*known, *one.target_options)
    if one.kind != "nodes":
        return run_against_target(folder / "run", *arguments, faults=options)
    path = folder / "record.jsonl"
    embedded = f"--nodes {NODES} --record '{path}' {' '.join(options)}"
    return run(folder / "run", *arguments, f"--embedded={embedded}"), record.read(path)


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Audience, Future[tuple[Outcome, Record]]]]:
    """Start the runs of all selected tests, a few at a time: they mostly wait."""
    folder = tmp_path_factory.mktemp("audiences")

    def one(number: int, which: Audience) -> tuple[Outcome, Record]:
        for attempt in range(3):
            played = _perform(which, folder / f"{number}-{attempt}")
            if can_be_compared(*played):
                break
        return played

    selected = [each["which"] for each in selected_params(request)]
    with ThreadPoolExecutor(4) as pool:
        played = {each: pool.submit(one, number, each) for number, each in enumerate(selected)}
        yield played
        for each in played.values():
            each.cancel()


def _check_fixed(one: Audience, outcome: Outcome, truth: Record) -> None:
    """Compare all figures: nobody moves, and who is gone stays away."""
    expected = expected_figures(outcome.report, truth, scheduled=one.codes)
    assert reported_figures(outcome.report, expected) == expected
    grade = "issues" if truth.leaked else grade_of(expected, 0)
    assert max(outcome.reasons.values(), key=GRADES.index, default="good") == grade


def _check_moving(one: Audience, outcome: Outcome, truth: Record) -> None:
    """Compare what was written, and what was owed as far as only the client knows when it moved."""
    deliveries = outcome.report["deliveries"]
    # Each copy that was written has one outcome.
    outcomes = ("delivered", "released", "leaked")
    assert sum(deliveries[each] for each in outcomes) == truth.sent + truth.leaked
    others = ("interrupted", "late", "recovered", "unexpected", "duplicate", "out_of_order")
    assert not any(deliveries[each] for each in others)
    generator = outcome.report["generator"]
    delay_ms = sum(generator[name]["max"] or 0.0 for name in ("lag_ms", "stall_ms"))
    slack_ns = SLACK_NS + round(delay_ms * 1e6)
    assert leaks(truth, slack_ns) <= deliveries["leaked"] <= leaks(truth, -slack_ns)
    # A connection that lacks a code waits for it until it has timed out, and leaves then.
    low, high = missed(truth, _S + 8 * slack_ns), missed(truth, -slack_ns)
    assert low <= deliveries["missing"] <= high
    assert ("isolation" in outcome.reasons) == bool(deliveries["leaked"])
    assert ("codes_received" in outcome.reasons) == bool(deliveries["missing"])
    errors = outcome.report["errors"]
    # They move on until they are closed, which is after the account is; and each may be moving.
    over = datetime.fromisoformat(outcome.report["phases"][-1]["started_at"])
    counted = sum(each.ns < over.timestamp() * _S for each in truth.changes)
    assert counted - CONNECTIONS <= errors["channel_changes"] <= len(truth.changes)
    assert errors["channel_changes_failed"] == 0


def _check_returning(one: Audience, outcome: Outcome, truth: Record) -> None:
    """Compare what each client was owed, over all its sessions."""
    assert len(clients_of(truth)) == CONNECTIONS
    report = outcome.report
    # On a busy machine, a client begins to connect long before the server lets it in.
    took_ms = sum(
        part["max"] or 0.0
        for part in (report["connections"]["connect_ms"], report["generator"]["lag_ms"])
    )
    pairs = pairs_of(truth, max(CONNECTING_NS, round(took_ms * 1e6)))
    deliveries = report["deliveries"]
    pairs.check(deliveries)
    others = ("interrupted", "late", "leaked", "unexpected", "duplicate")
    assert not any(deliveries[each] for each in others)
    assert report["connections"]["dropped"] == 0
    expected = {}
    if pairs.missing:
        received = 1 - pairs.missing / pairs.owed
        expected["codes_received"] = "warning" if received >= 0.95 else "issues"
    if pairs.replayed > 0.01 * pairs.owed:
        expected["replayed"] = "warning"
    assert outcome.reasons == expected


def _check_nodes(one: Audience, outcome: Outcome, truth: Record) -> None:
    """Compare the figures of each pair of nodes."""
    report = outcome.report
    numbers = {each.url: number for number, each in truth.nodes.items()}
    listeners = {
        number: each for number, each in listeners_of(truth).items() if each.opened_ns is not None
    }
    sources = {each.index: each.node for each in truth.ingests}
    found: dict[str, Counter[tuple[int, int]]] = {
        name: Counter() for name in ("owed", "delivered", "missing")
    }
    for code in truth.codes.values():
        for number, each in listeners.items():
            if code.channel in (each.channels or [""]):
                pair = sources[code.index], each.node
                found["owed"][pair] += 1
                found["delivered" if number in code.sent else "missing"][pair] += 1
    for pair in report["node_pairs"]:
        key = numbers[pair["sent_to"]], numbers[pair["received_at"]]
        for name, figures in found.items():
            assert pair[name] == figures[key], (key, name)
    for name, figures in found.items():
        assert report["deliveries"][name] == figures.total()
    assert report["deliveries"]["duplicate"] == truth.total("duplicated")
    opened = Counter(each.node for each in listeners.values())
    codes = Counter(each.node for each in truth.ingests)
    for node in report["nodes"]:
        number = numbers[node["url"]]
        assert (node["succeeded"], node["codes"]) == (opened[number], codes[number])
    if "no backplane" in one.fault:
        assert outcome.status == 1


_CHECKS: Mapping[Kind, Callable[[Audience, Outcome, Record], Any]] = {
    "fixed": _check_fixed,
    "moving": _check_moving,
    "returning": _check_returning,
    "nodes": _check_nodes,
}


@pytest.mark.parametrize("which", _chosen(), ids=str)
def test_the_report_equals_the_record_of_audiences(
    runs: dict[Audience, Future[tuple[Outcome, Record]]], which: Audience
) -> None:
    outcome, truth = runs[which].result()
    _CHECKS[which.kind](which, outcome, truth)
    report = outcome.report
    assert report["codes"]["scheduled"] == which.codes
    assert report["codes"]["sent"] == len(truth.ingests) == which.codes
    assert report["run"]["complete"]
    assert outcome.error_messages == []
    grade = max(outcome.reasons.values(), key=GRADES.index, default="good")
    assert outcome.status == int(grade == "issues")
