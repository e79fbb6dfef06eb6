"""Locust's users, as the process that leads a run sees them: how many there are to be."""

from __future__ import annotations

from collections.abc import Iterable

from locust import User
from locust.env import Environment
from locust.runners import STATE_RUNNING

from sseload_users.run.resizing import resize


class Population:
    """How many users Locust is to keep, and whether it has begun them.

    Args:
        environment: Locust's.
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

    def spawned(self) -> None:
        """Locust says that it has begun them."""
        self._spawned = True

    def all_begun(self) -> bool:
        """Whether Locust has begun as many as it was last told, by whomever."""
        state = getattr(self._environment.runner, "state", "")
        return self._spawned and bool(state == STATE_RUNNING)

    def expected(self) -> int:
        """How many listeners there are to be."""
        runner = self._environment.runner
        counts: dict[str, int] = getattr(runner, "target_user_classes_count", {})
        if self.all_begun() and counts:
            return sum(counts.get(name, 0) for name in self._listeners)
        fixed = sum(each.fixed_count for each in self._environment.user_classes)
        return max(0, getattr(runner, "target_user_count", 0) - fixed)

    def broadcasts(self) -> bool:
        """Whether Locust is to start a broadcaster."""
        runner = self._environment.runner
        counts: dict[str, int] = getattr(runner, "target_user_classes_count", {})
        return any(counts.get(name) for name in self._broadcasters)

    def resize(self, connections: int) -> None:
        """Have Locust keep so many listeners, and the broadcaster."""
        self._spawned = False
        resize(self._environment, connections)
