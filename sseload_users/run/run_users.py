"""What a run needs to know of the Locust users that take part in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from locust import User
from locust.env import Environment

from sseload_users.options import Options
from sseload_users.targets.identities import Identity


class RunUsers(Protocol):
    """The user classes of a locustfile, and what they set for the run."""

    @property
    def listeners(self) -> Sequence[type[User]]:
        """The classes that listen."""

    @property
    def broadcasters(self) -> Sequence[type[User]]:
        """The classes that broadcast."""

    def options(self, environment: Environment) -> Options:
        """Return the run's options, with what the classes set.

        Raises:
            ConfigError: an option is invalid, or two classes disagree.
        """

    def set_in_code(self) -> Mapping[str, Any]:
        """Return the options that the classes set, by name.

        Raises:
            ConfigError: two classes disagree.
        """

    def identities(self) -> Sequence[Identity]:
        """Return the identities that the classes set."""

    def host(self, environment: Environment) -> str | None:
        """Return the host that an option or a class sets."""


class EmbeddedTarget(Protocol):
    """A running embedded target."""

    @property
    def urls(self) -> Sequence[str]:
        """The URLs of its nodes."""

    @property
    def pid(self) -> int:
        """Its process ID."""

    def stop(self) -> None:
        """Stop it."""


class StartEmbedded(Protocol):
    """Starts the embedded target."""

    def __call__(self, *options: str) -> EmbeddedTarget:
        """Start it with these options, and return once it listens.

        Raises:
            ConfigError: it does not start; one sentence with its own error.
        """
