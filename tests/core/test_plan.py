"""Ladders and searches, played against servers of which everything is known."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.objective import Objective
from sseload_users.core.plan import Ladder, RunPlan, RunStep, SingleStep, StepResult
from sseload_users.core.run_figures import SearchResult
from sseload_users.core.schedule import Schedule
from sseload_users.core.search import Search
from tests.support.reports import causes_of, sample

OBJECTIVE = Objective.parse("delivery>=99.9%, connect>=95%, p99<=500ms")
SCHEDULE = Schedule(3, 0.5)
#: What a step is changed from.
ACCOUNT = sample(10, 1)
#: More probes than any search may take.
MANY = 60


def outcome(
    step: RunStep,
    *,
    held: bool = True,
    slow: bool = False,
    saturated: bool = False,
    cause: tuple[str, str] | None = None,
) -> StepResult:
    """A step's outcome, of which a plan reads the figures that are changed here."""
    account = replace(
        ACCOUNT,
        connections=replace(ACCOUNT.connections, success_rate=1.0 if held or slow else 0.5),
        delivery_ms=replace(ACCOUNT.delivery_ms, p99=900.0 if slow else 5.0),
        errors=replace(ACCOUNT.errors, causes=causes_of([(*cause, 1)] if cause else [])),
        generator=replace(ACCOUNT.generator, saturated=saturated),
    )
    return StepResult(step, account)


@dataclass
class World:
    """A server and a generator with limits that are known, and noise.

    Attributes:
        capacity: sizes up to it hold.
        blur: within this share of the capacity it is a matter of chance.
        flips: this share of all probes ends the other way, wherever they are.
        generator: beyond this size it is saturated.
        busy: this share of all probes finds it saturated anyway.
    """

    capacity: float
    blur: float = 0.0
    flips: float = 0.0
    generator: float = float("inf")
    busy: float = 0.0
    seed: int = 0
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def take(self, step: RunStep, size: int) -> StepResult:
        held = size <= self.capacity * (1 + self.random.uniform(-self.blur, self.blur))
        if self.random.random() < self.flips:
            held = not held
        saturated = size > self.generator or self.random.random() < self.busy
        return outcome(
            step, held=held, saturated=saturated, cause=None if held else ("handshake", "HTTP 503")
        )


def play(plan: RunPlan, take: Callable[[RunStep], StepResult]) -> list[RunStep]:
    """Take all steps of a plan."""
    steps: list[RunStep] = []
    step = plan.next(None)
    while step is not None:
        steps.append(step)
        assert len(steps) <= MANY
        step = plan.next(take(step))
    return steps


def bracketed(found: SearchResult, capacity: float) -> bool:
    """Whether a search's answer is the capacity, as closely as it has to be."""
    assert found.largest is not None
    assert found.broke_at is not None
    close = found.broke_at - found.largest <= max(1, 0.03 * found.largest)
    return close and found.largest <= capacity < found.broke_at


def search(world: World, start: int, most: int = 1_000_000) -> SearchResult:
    """A whole search over connections; its result, with what must always be true of it."""
    plan = Search(OBJECTIVE, "connections", start=start, max_size=most)
    steps = play(plan, lambda step: world.take(step, step.connections or 0))
    found = plan.result()
    sizes = [step.connections for step in steps]
    assert [probe.size for probe in found.probes] == sizes
    assert all(size is not None and 1 <= size <= most for size in sizes)
    assert found.limited_by != "end"
    if found.broke_at is not None:
        assert found.held < found.broke_at
    if found.limited_by == "server":
        assert found.largest == found.held
        for end in filter(None, (found.held, found.broke_at)):
            own = [each for each in found.probes if each.size == end]
            kept = sum(each.held for each in own if not each.saturated)
            lost = sum(not each.held for each in own if not each.saturated)
            # Two of them agree, and they are most.
            assert (kept if end == found.held else lost) >= 2
            assert (kept > lost) == (end == found.held)
    return found


def test_a_single_step_is_taken_once() -> None:
    plan = SingleStep(SCHEDULE)
    assert play(plan, outcome) == [RunStep("", SCHEDULE)]


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=8), st.booleans())
def test_a_ladder_takes_every_size(sizes: list[int], held: bool) -> None:
    steps = play(Ladder(sizes, SCHEDULE), lambda step: outcome(step, held=held))
    assert [step.connections for step in steps] == sizes
    assert [step.name for step in steps] == [f"{size:,} connections" for size in sizes]
    assert all(step.schedule == SCHEDULE for step in steps)


@settings(max_examples=400)
@given(capacity=st.integers(1, 50_000), start=st.integers(1, 100_000))
def test_a_search_finds_any_capacity_from_anywhere(capacity: int, start: int) -> None:
    found = search(World(capacity), start)
    assert found.limited_by == "server"
    assert bracketed(found, capacity)
    assert found.first_broken == ["connect 50 %, objective >= 95 %"]
    assert found.cause == "handshake: HTTP 503"


@pytest.mark.parametrize("start", [1, 2, 5, 17, 50, 100, 136, 137, 138, 300, 1000, 10_000])
def test_the_answer_does_not_depend_on_the_start(start: int) -> None:
    found = search(World(137), start)
    assert found.largest == pytest.approx(137, rel=0.03)
    assert len(found.probes) <= 25


@settings(max_examples=300)
@given(capacity=st.integers(20, 20_000), start=st.integers(1, 50_000), seed=st.integers(0, 10**6))
def test_random_results_near_the_limit_keep_the_answer_near_it(
    capacity: int, start: int, seed: int
) -> None:
    found = search(World(capacity, blur=0.015, seed=seed), start)
    assert found.limited_by == "server"
    assert found.largest == pytest.approx(capacity, rel=0.05, abs=1)


@settings(max_examples=300)
@given(capacity=st.integers(1, 20_000), start=st.integers(1, 50_000), wrong=st.integers(0, 40))
def test_a_single_wrong_probe_does_not_change_the_answer(
    capacity: int, start: int, wrong: int
) -> None:
    plan = Search(OBJECTIVE, "connections", start=start, max_size=1_000_000)
    world = World(capacity)

    def take(step: RunStep) -> StepResult:
        world.flips = float(len(plan.probes) == wrong)
        return world.take(step, step.connections or 0)

    play(plan, take)
    found = plan.result()
    assert found.limited_by == "server"
    assert bracketed(found, capacity)


def test_random_noise_rarely_changes_the_answer() -> None:
    searches = 500
    off = 0
    for seed in range(searches):
        chance = random.Random(seed)
        capacity, start = int(10 ** chance.uniform(1, 4)), int(10 ** chance.uniform(0, 4))
        found = search(World(capacity, blur=0.015, flips=0.02, busy=0.05, seed=seed), start)
        off += abs(found.held - capacity) > max(1, 0.05 * capacity)
    assert off / searches < 0.03


@settings(max_examples=200)
@given(
    capacity=st.integers(1, 100_000), generator=st.integers(1, 100_000), start=st.integers(1, 10**5)
)
def test_a_limit_above_the_generators_has_no_answer(
    capacity: int, generator: int, start: int
) -> None:
    found = search(World(capacity, generator=generator), start)
    if found.limited_by == "generator":
        # It is not known what the server would have done.
        assert found.largest is None
        assert found.held <= min(generator, capacity)
        assert generator < 4 * max(1, found.held)
    else:
        # The server's limit lay below the generator's.
        assert bracketed(found, capacity)
        assert (found.broke_at or 0) <= generator


def test_a_generator_that_is_always_saturated_gives_no_result() -> None:
    found = search(World(1000, generator=0), 8)
    assert (found.largest, found.held, found.broke_at) == (None, 0, None)
    assert found.limited_by == "generator"
    assert found.first_broken == []


def test_a_local_shortage_does_not_count_as_the_servers_limit() -> None:
    plan = Search(OBJECTIVE, "connections", start=100, max_size=1000)
    play(
        plan,
        lambda step: outcome(
            step, held=step.connections == 25, cause=("connect", "too many open files")
        ),
    )
    found = plan.result()
    assert found.limited_by == "generator"
    assert found.broke_at is None


@given(most=st.integers(1, 5000), start=st.integers(1, 5000))
def test_the_largest_size_that_holds_is_not_the_servers_limit(most: int, start: int) -> None:
    found = search(World(5001), start, most)
    assert (found.largest, found.limited_by, found.broke_at) == (most, "limit", None)
    assert [each.size for each in found.probes].count(most) == 2


def test_a_server_that_holds_no_size() -> None:
    found = search(World(0), 100)
    assert (found.largest, found.held, found.broke_at) == (0, 0, 1)
    assert found.limited_by == "server"


def test_a_slow_step_has_no_failure_cause() -> None:
    plan = Search(OBJECTIVE, "connections", start=3, max_size=1000)
    play(
        plan,
        lambda step: outcome(
            step, slow=(step.connections or 0) > 20, cause=("handshake", "HTTP 503")
        ),
    )
    found = plan.result()
    assert found.largest == 20
    assert found.first_broken == ["p99 900 ms, objective <= 500 ms"]
    assert found.cause == ""


@given(capacity=st.integers(1, 2000), start=st.integers(1, 2000), codes=st.integers(1, 20))
def test_probes_over_the_rate_have_the_same_length(capacity: int, start: int, codes: int) -> None:
    plan = Search(
        OBJECTIVE, "rate", start=start, max_size=10_000, codes=codes, interval_s=0.5, connections=7
    )
    world = World(capacity)
    steps = play(plan, lambda step: world.take(step, round(1 / step.schedule.interval_s)))
    found = plan.result()
    assert found.over == "rate"
    assert bracketed(found, capacity)
    for step in steps:
        assert step.connections == 7
        assert step.schedule.codes >= 2
        length = step.schedule.codes * step.schedule.interval_s
        assert length == pytest.approx(codes * 0.5, abs=2 * step.schedule.interval_s)


def test_an_interrupted_search_reports_what_it_found() -> None:
    plan = Search(OBJECTIVE, "connections", start=10, max_size=1000)
    world = World(25)
    step = plan.next(None)
    for _ in range(3):
        assert step is not None
        step = plan.next(world.take(step, step.connections or 0))
    found = plan.result()
    assert found.limited_by == "end"
    assert (found.largest, found.held, found.broke_at) == (None, 20, 40)
    assert plan.probes
