"""The user classes of a locustfile, and what they say in code about the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from locust import User
from locust.env import Environment

from sseload_users.core.errors import ConfigError
from sseload_users.options import Options
from sseload_users.targets.identities import Identity
from sseload_users.users.broadcaster import CodeBroadcaster
from sseload_users.users.listener import CodeListener

#: Class attributes of the users that say in code what an option says, for the whole run.
_ATTRIBUTES = (
    "target", "codes", "duration", "connect_timeout", "delivery_timeout", "ingest_timeout",
)  # fmt: skip


@dataclass(slots=True)
class UserClasses:
    """The classes of a locustfile that listen or broadcast."""

    listeners: list[type[User]]
    broadcasters: list[type[User]]

    @classmethod
    def of(cls, environment: Environment) -> UserClasses:
        """Those that Locust is going to run in this process."""
        classes = environment.user_classes
        # A class that somebody subclassed was imported for that alone.
        classes[:] = [
            each
            for each in classes
            if each not in (CodeListener, CodeBroadcaster)
            or not any(other is not each and issubclass(other, each) for other in classes)
        ]
        return cls(
            [each for each in classes if issubclass(each, CodeListener)],
            [each for each in classes if issubclass(each, CodeBroadcaster)],
        )

    def options(self, environment: Environment) -> Options:
        """The options, and what the classes say in code.

        Raises:
            ConfigError: one cannot be, or two classes disagree.
        """
        options = Options.read(environment.parsed_options)
        said: dict[str, Any] = {}
        for each in (*self.listeners, *self.broadcasters):
            for name in _ATTRIBUTES:
                value = getattr(each, name, None)
                if value is not None and said.setdefault(name, value) != value:
                    raise ConfigError(
                        f"{each.__name__}.{name} is {value!r}, but another user class says "
                        f"{said[name]!r}: a run has one."
                    )
        options = replace(options, **said)
        options.check()
        options.check_times()
        return options

    def identities(self) -> list[Identity]:
        """Return the identities that the classes set."""
        usernames = (
            getattr(each, "username", None) for each in (*self.listeners, *self.broadcasters)
        )
        return [Identity(each) for each in usernames if each]

    def host(self, environment: Environment) -> str | None:
        """The host that is given, by an option or in code."""
        own = (each.host for each in (*self.broadcasters, *self.listeners))
        return environment.host or next(filter(None, own), None)
