"""Locust's users, as the leader of a run sees them: how many there should be."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from locust import User
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.runners import STATE_RUNNING, WorkerNode

#: Users that Locust spawns per second, unless --spawn-rate says otherwise.
_SPAWN_RATE = 500
#: Rate for stopping users: all at once.
_STOP_RATE = 100_000


class Population:
    """How many users Locust should have, and whether it has spawned them.

    Args:
        environment: Locust's environment.
        listeners: the user classes that listen.
        broadcasters: the user classes that broadcast.
    """

    def __init__(
        self,
        environment: Environment,
        listeners: Iterable[type[User]],
        broadcasters: Iterable[type[User]],
    ) -> None:
        self._environment = environment
        self._listeners = [each.__name__ for each in listeners]
        self._broadcasters = [each.__name__ for each in broadcasters]
        self._spawned = False

    def on_spawned(self) -> None:
        """Note that Locust has spawned all users."""
        self._spawned = True

    def is_spawned(self) -> bool:
        """Whether Locust has reached the target user count."""
        state = getattr(self._environment.runner, "state", "")
        return self._spawned and bool(state == STATE_RUNNING)

    def expected(self) -> int:
        """Return how many listeners there should be."""
        runner = self._environment.runner
        counts: dict[str, int] = getattr(runner, "target_user_classes_count", {})
        if self.is_spawned() and counts:
            return sum(counts.get(name, 0) for name in self._listeners)
        return max(0, getattr(runner, "target_user_count", 0) - self._fixed())

    def has_broadcaster(self) -> bool:
        """Whether Locust should have a broadcaster."""
        counts: dict[str, int] = getattr(self._environment.runner, "target_user_classes_count", {})
        return any(counts.get(name) for name in self._broadcasters)

    def listeners_among(self, users: int) -> int:
        """Return how many listen among a number of users, as Locust chooses their classes.

        Args:
            users: the number of users of all classes.
        """
        classes = self._environment.user_classes
        dispatcher = UsersDispatcher([WorkerNode("")], list(classes))
        dispatcher.new_dispatch(users, max(users, 1))
        counts: dict[str, int] = {}
        for each in dispatcher:
            counts = each[""]
        return sum(counts.get(name, 0) for name in self._listeners)

    @property
    def rate(self) -> float:
        """Users that Locust starts per second; 0 if a load shape decides that."""
        if getattr(self._environment, "shape_class", None) is not None:
            return 0.0
        given = getattr(self._environment.parsed_options, "spawn_rate", None)
        return float(given or _SPAWN_RATE)

    def resize(self, connections: int) -> None:
        """Make Locust change the number of listeners; the broadcaster stays.

        Args:
            connections: how many there should be; the newest are stopped first.
        """
        self._spawned = False
        environment = self._environment
        runner = environment.runner
        assert runner is not None  # noqa: S101
        with _without_rate_warning():
            runner.start(connections + self._fixed(), self.rate if connections else _STOP_RATE)

    def _fixed(self) -> int:
        """Return the number of users of classes with a fixed count."""
        return sum(each.fixed_count for each in self._environment.user_classes)


@contextmanager
def _without_rate_warning() -> Iterator[None]:
    """Suppress Locust's warning about a high spawn rate, which the user did not choose."""
    logger = logging.getLogger("locust.runners")
    logger.addFilter(_is_other_message)
    try:
        yield
    finally:
        logger.removeFilter(_is_other_message)


def _is_other_message(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Your selected spawn rate is very high")
