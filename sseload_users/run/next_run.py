"""The run that a web form describes and that has not begun."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from copy import copy
from typing import Any

from locust.env import Environment

from sseload_users.run.given_options import GivenOptions
from sseload_users.run.run_settings import RunSettings
from sseload_users.run.run_users import RunUsers
from sseload_users.run.server_sources import server_sources


class NextRun:
    """Knows what a run could be like that has not begun, and checks it without any effect.

    Args:
        environment: Locust's environment.
        users: the user classes.
        given: the options that a run keeps from the command line.
        is_local: whether this process holds all connections.
        embedded_pid: PID of the embedded target, if there is one.
    """

    def __init__(
        self,
        environment: Environment,
        users: RunUsers,
        given: GivenOptions,
        *,
        is_local: bool,
        embedded_pid: int | None = None,
    ) -> None:
        self._environment = environment
        self._users = users
        self._given = given
        self._is_local = is_local
        self._embedded_pid = embedded_pid

    def check(self, parsed: Namespace, host: str | None) -> None:
        """Check that a run with these options is possible, as far as that is known before it.

        Args:
            parsed: the options, as Locust's parser would return them.
            host: the server's URL; None for that which the user classes set.

        Raises:
            ConfigError: it is not.
        """
        environment = copy(self._environment)
        environment.parsed_options, environment.host = self._given.completed(parsed), host
        settings = RunSettings.read(environment, self._users)
        settings.check_identities(self._users)
        server_sources(settings.resources, self._embedded_pid)
        if self._is_local:
            settings.make_room(getattr(parsed, "num_users", None) or 0)

    def set_in_code(self) -> Mapping[str, Any]:
        """Return the options that the user classes set, by name."""
        return self._users.set_in_code()

    @property
    def host(self) -> str:
        """The server's URL, as the latest run, an option or a user class says; empty if none do."""
        return self._users.host(self._environment) or ""

    @property
    def fixed_users(self) -> int:
        """The number of Locust users that are not asked for as connections: the broadcaster."""
        return sum(each.fixed_count for each in self._environment.user_classes)

    @property
    def other_classes(self) -> list[str]:
        """The user classes that share the number of users with those that listen."""
        own = {*self._users.listeners, *self._users.broadcasters}
        classes = self._environment.user_classes
        return [each.__name__ for each in classes if each not in own and not each.fixed_count]
