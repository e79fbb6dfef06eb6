"""How many users Locust should have, and whether it has spawned them."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from locust import User
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING

from sseload_users.run.population import Population


class Listener(User):
    abstract = True


class Broadcaster(User):
    abstract = True
    fixed_count = 1


class FakeRunner:
    """A runner that records how it is started, and warns as Locust's does."""

    def __init__(self) -> None:
        self.state = STATE_SPAWNING
        self.target_user_count = 9
        self.target_user_classes_count: dict[str, int] = {}
        self.started: list[tuple[int, float]] = []

    def start(self, user_count: int, spawn_rate: float) -> None:
        self.started.append((user_count, spawn_rate))
        logger = logging.getLogger("locust.runners")
        logger.warning("Your selected spawn rate is very high (>100), and this may cause issues.")
        logger.warning("Another warning")


def population(runner: FakeRunner, **options: Any) -> Population:
    environment = SimpleNamespace(
        runner=runner,
        user_classes=[Listener, Broadcaster],
        parsed_options=SimpleNamespace(**options),
    )
    return Population(cast("Environment", environment), [Listener], [Broadcaster])


def test_users_are_spawned_once_locust_says_so_and_runs() -> None:
    runner = FakeRunner()
    users = population(runner)
    assert not users.is_spawned()
    users.on_spawned()
    assert not users.is_spawned()
    runner.state = STATE_RUNNING
    assert users.is_spawned()


def test_expected_listeners_leave_out_the_broadcaster() -> None:
    runner = FakeRunner()
    users = population(runner)
    assert users.expected() == 8
    # Once all are spawned, Locust knows how many there are of each class.
    runner.state, runner.target_user_classes_count = (
        STATE_RUNNING,
        {"Listener": 5, "Broadcaster": 1},
    )
    users.on_spawned()
    assert users.expected() == 5
    runner.target_user_count = 0
    runner.target_user_classes_count = {}
    assert users.expected() == 0


@pytest.mark.parametrize(
    ("counts", "there"), [({}, False), ({"Broadcaster": 1}, True), ({"Broadcaster": 0}, False)]
)
def test_a_broadcaster_is_expected_if_locust_should_have_one(
    counts: dict[str, int], there: bool
) -> None:
    runner = FakeRunner()
    runner.target_user_classes_count = counts
    assert population(runner).has_broadcaster() is there


@pytest.mark.parametrize(
    ("connections", "rate", "started"),
    [(20, None, (21, 500)), (20, 7.0, (21, 7.0)), (0, 7.0, (1, 100_000))],
)
def test_resizing_keeps_the_broadcaster_and_waits_for_a_new_spawn(
    connections: int,
    rate: float | None,
    started: tuple[int, float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = FakeRunner()
    runner.state = STATE_RUNNING
    users = population(runner, spawn_rate=rate)
    users.on_spawned()
    users.resize(connections)
    assert runner.started == [started]
    assert not users.is_spawned()
    assert [each.getMessage() for each in caplog.records] == ["Another warning"]
