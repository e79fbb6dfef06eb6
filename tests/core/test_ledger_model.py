"""The ledger against a reference model, with any order of events."""

from __future__ import annotations

import random
from collections.abc import Sequence
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core import settled_codes
from sseload_users.core.channels import ChannelPlan
from sseload_users.core.code_tally import CodeTally
from sseload_users.core.streams import StreamPlan
from sseload_users.core.tally import PackedTally, Tally
from tests.support.ledger_model import (
    CHANNEL_KINDS,
    KINDS,
    OUTCOMES,
    STEP_NS,
    Event,
    Kind,
    World,
    channel_events,
    events,
    total_of,
)

#: Outcomes at servers that promise more than live codes.
RESUMED = {"recovered", "replayed", "history"}

LIVE = [outcome for outcome in OUTCOMES if outcome not in {"leaked", *RESUMED}]

slowest = st.sampled_from([0, STEP_NS, 3 * STEP_NS, 9 * STEP_NS])


@settings(max_examples=250, deadline=None)
@given(events, st.booleans(), st.sampled_from([0, 1, 256]), slowest)
def test_the_ledger_agrees_with_the_model(
    history: list[Event], release: bool, recent: int, slowest_ns: int
) -> None:
    world = World([1], slowest_ns)
    with mock.patch.object(settled_codes, "_MAX_RECENT", recent):
        world.run(history)
        world.end(release=release)
    (group,) = world.groups
    world.check(group, group.total(0))


@settings(max_examples=150, deadline=None)
@given(events, st.booleans(), st.integers(2, 4), st.integers(), slowest)
def test_several_workers_have_the_same_account_as_one(
    history: list[Event], release: bool, workers: int, seed: int, slowest_ns: int
) -> None:
    world = World([1, workers], slowest_ns)
    world.run(history)
    world.end(release=release)
    alone, divided = world.groups
    one, sum_of_all = alone.total(0), divided.total(seed)
    world.check(divided, sum_of_all)
    assert comparable(one) == comparable(sum_of_all)


CHANNELS = st.builds(
    ChannelPlan,
    st.sampled_from([["a"], ["a", "b"], ["a", "b", "c", "d"]]),
    st.sampled_from(["turn", "random"]),
)


@settings(max_examples=250, deadline=None)
@given(channel_events, CHANNELS, st.booleans(), st.integers(2, 4), st.integers(), slowest)
def test_the_ledger_agrees_with_the_model_about_channels(
    history: list[Event],
    channels: ChannelPlan,
    release: bool,
    workers: int,
    seed: int,
    slowest_ns: int,
) -> None:
    world = World([1, workers], slowest_ns, channels)
    world.run(history)
    world.end(release=release)
    for group in world.groups:
        world.check(group, group.total(seed))


STREAMS = st.builds(StreamPlan, st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=150, deadline=None)
@given(
    channel_events,
    st.none() | CHANNELS,
    STREAMS,
    st.integers(0, 3),
    st.booleans(),
    st.integers(2, 4),
    slowest,
)
def test_the_ledger_agrees_with_the_model_about_publishers_and_nodes(
    history: list[Event],
    channels: ChannelPlan | None,
    streams: StreamPlan,
    nodes: int,
    release: bool,
    workers: int,
    slowest_ns: int,
) -> None:
    world = World([1, workers], slowest_ns, channels, streams, nodes)
    world.run(history)
    world.end(release=release)
    for group in world.groups:
        world.check(group, group.total(0))


@pytest.mark.parametrize("seed", range(4))
def test_long_histories_with_channels_agree_with_the_model(seed: int) -> None:
    world = World([1, 3], seed % 4 * STEP_NS, ChannelPlan(["a", "b", "c"], "random"))
    world.run(long_history(seed, CHANNEL_KINDS))
    world.end(release=seed % 2 == 0)
    for group in world.groups:
        world.check(group, group.total(seed))
    total = world.groups[0].total(seed)
    assert all(
        total_of(total, outcome) > 0 for outcome in OUTCOMES if outcome not in {"late", *RESUMED}
    )
    assert len(total.leaks) == 10


@pytest.mark.parametrize("seed", range(8))
def test_long_histories_agree_with_the_model(seed: int) -> None:
    world = World([1, 3], seed % 4 * STEP_NS)
    world.run(long_history(seed, KINDS))
    world.end(release=seed % 2 == 0)
    for group in world.groups:
        world.check(group, group.total(seed))
    total = world.groups[0].total(seed)
    assert all(
        total_of(total, outcome) > 0 for outcome in OUTCOMES if outcome not in {"leaked", *RESUMED}
    )
    assert total.counters.out_of_order > 0


def test_long_histories_of_several_publishers_agree_with_the_model() -> None:
    history = long_history(1, KINDS)
    out_of_order = []
    for streams in (StreamPlan(), StreamPlan(3, 2)):
        world = World([1, 3], 0, streams=streams, nodes=2)
        world.run(history)
        world.end(release=True)
        for group in world.groups:
            world.check(group, group.total(1))
        out_of_order.append(world.groups[0].total(1).counters.out_of_order)
    assert 0 < out_of_order[1] < out_of_order[0]


def long_history(seed: int, kinds: Sequence[Kind]) -> list[Event]:
    """Return a history in which every kind of event occurs; Hypothesis finds short ones."""
    draw = random.Random(seed)
    return [
        (kind, draw.randrange(31), draw.randrange(15), draw.randrange(8))
        for kind in draw.choices(kinds, k=800)
    ]


def comparable(tally: Tally) -> PackedTally:
    packed = tally.pack()
    packed["codes"] = {k: row for k, row in packed["codes"].items() if row != CodeTally().pack()}
    return packed
