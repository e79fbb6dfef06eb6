"""The fault plan: pure, seeded, and in the configured shares."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.demo.faults import PLAIN, DeliveryFaults, FaultPlan, Faults

SHARES = st.floats(0, 1)
SEEDS = st.integers()
#: Each systematically sampled fault, as a function of the plan and an index.
SAMPLED: dict[str, Callable[[FaultPlan, int], bool]] = {
    "drop": lambda plan, index: plan.drops(index),
    "refuse": lambda plan, index: plan.refuses(index),
    "ingest_share": lambda plan, index: plan.rejects(index) is not None,
    "ingest_hang": lambda plan, index: plan.hangs(index),
    "ingest_lose": lambda plan, index: plan.forgets(index),
    "ingest_reset": lambda plan, index: plan.resets(index),
    "wrong_room": lambda plan, index: plan.misroutes(index),
}
#: Each delivery fault, as a function of a delivery's faults.
DRAWN: dict[str, Callable[[DeliveryFaults], bool]] = {
    "lose": lambda delivery: delivery.lost,
    "delay": lambda delivery: delivery.delay > 0,
    "duplicate": lambda delivery: delivery.copies == 2,
    "reorder": lambda delivery: delivery.held,
    "garbage": lambda delivery: delivery.garbage,
    "foreign": lambda delivery: delivery.foreign,
}


def plan(name: str, share: float, seed: int = 0) -> FaultPlan:
    options: dict[str, Any] = {"delay_seconds": 1.0, "ingest_status": 410, name: share}
    return FaultPlan(Faults(**options), seed)


@pytest.mark.parametrize("name", SAMPLED)
@settings(max_examples=60, deadline=None)
@given(share=SHARES, seed=SEEDS, first=st.integers(0, 10_000), count=st.integers(1, 300))
def test_any_run_of_indices_has_the_share(
    name: str, share: float, seed: int, first: int, count: int
) -> None:
    drawn = plan(name, share, seed)
    affected = sum(SAMPLED[name](drawn, index) for index in range(first, first + count))
    # Slightly more than one, for rounding errors.
    assert abs(affected - share * count) < 1 + 1e-6
    if share in {0.0, 1.0}:
        assert affected == share * count


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("seed", [0, 1, -5, 2**80])
def test_deliveries_have_the_share_on_average(name: str, share: float, seed: int) -> None:
    drawn = plan(name, share, seed)
    codes, connections = 40, 100
    hit = [
        DRAWN[name](drawn.delivery(code, connection))
        for code in range(1, codes + 1)
        for connection in range(1, connections + 1)
    ]
    spread = math.sqrt(len(hit) * share * (1 - share))
    assert abs(sum(hit) - len(hit) * share) < 5 * spread


@pytest.mark.parametrize("name", DRAWN)
def test_faults_are_even_over_codes_and_connections(name: str) -> None:
    drawn = plan(name, 0.5)
    hits = [
        [DRAWN[name](drawn.delivery(code, connection)) for connection in range(200)]
        for code in range(200)
    ]
    for row in (*hits, *zip(*hits, strict=True)):
        assert abs(sum(row) - 100) < 5 * math.sqrt(50)


@given(
    seed=SEEDS,
    shares=st.tuples(SHARES, SHARES, SHARES, SHARES, SHARES, SHARES),
    pairs=st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), max_size=20),
)
def test_the_seed_alone_decides_in_any_order_of_lookups(
    seed: int, shares: tuple[float, ...], pairs: list[tuple[int, int]]
) -> None:
    options: dict[str, Any] = dict(zip(DRAWN, shares, strict=True))
    faults = Faults(**options, delay_seconds=2.0)
    forwards, backwards = FaultPlan(faults, seed), FaultPlan(faults, seed)
    first = {pair: forwards.delivery(*pair) for pair in pairs}
    second = {pair: backwards.delivery(*pair) for pair in reversed(pairs)}
    assert first == second
    for delivery in first.values():
        if delivery.lost:
            # A lost delivery has no other fault.
            assert delivery == dataclasses.replace(PLAIN, lost=True, copies=0)
        assert not (delivery.held and delivery.delay)


def test_faults_are_independent_of_each_other() -> None:
    faults = FaultPlan(Faults(duplicate=0.5, garbage=0.5, foreign=0.5))
    drawn = [faults.delivery(code, connection) for code in range(50) for connection in range(50)]
    for both in (
        sum(each.copies == 2 and each.garbage for each in drawn),
        sum(each.garbage and each.foreign for each in drawn),
        sum(each.copies == 2 and each.foreign for each in drawn),
    ):
        assert abs(both - len(drawn) / 4) < 5 * math.sqrt(len(drawn) * 3 / 16)


def test_without_faults_every_delivery_is_plain() -> None:
    drawn = FaultPlan(Faults())
    assert all(drawn.delivery(code, 1) is PLAIN for code in range(100))
    assert not any(decide(drawn, index) for decide in SAMPLED.values() for index in range(100))


def test_ingests_are_rejected_only_with_a_configured_status() -> None:
    assert FaultPlan(Faults(ingest_status=410)).rejects(1) == 410
    assert FaultPlan(Faults()).rejects(1) is None
