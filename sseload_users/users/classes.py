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

#: What Locust's user classes can set and would have no effect, and what to do instead.
_INEFFECTIVE = {
    "wait_time": "codes are sent on a schedule (codes, duration) and listeners only wait; "
    "remove it",
    "insecure": "use --insecure",
    "network_timeout": "set ingest_timeout",
    "connection_timeout": "set ingest_timeout",
    "max_redirects": "redirects are followed as browsers do; remove it",
    "max_retries": "no code is sent twice; remove it",
    "concurrency": "256 codes may be in flight; remove it",
    "ssl_context_factory": "use --ca-file, --client-certificate or --insecure",
    "client_pool": "the publisher has its own connections; remove it",
    "proxy_host": "use --proxy",
    "proxy_port": "use --proxy",
    "default_headers": "use --ingest-header or the profile's [ingest] headers",
}


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
        said = self.set_in_code()
        for each in self.broadcasters:
            if options.nodes and getattr(each, "ingest_way", str)():
                raise ConfigError(
                    f"--nodes: {each.__name__}.publish hands codes in at no known node; leave "
                    "--nodes out, or have the target profile hand codes in."
                )
            if sender := getattr(each, "username", None):
                said["sender"] = sender
        options = replace(options, **said)
        options.check()
        options.check_times()
        self._check_ineffective()
        return options

    def set_in_code(self) -> dict[str, Any]:
        """Return the options that the classes set, by name.

        Raises:
            ConfigError: two classes disagree.
        """
        said: dict[str, Any] = {}
        for each in (*self.listeners, *self.broadcasters):
            for name in _ATTRIBUTES:
                value = getattr(each, name, None)
                if value is not None and said.setdefault(name, value) != value:
                    raise ConfigError(
                        f"{each.__name__}.{name} is {value!r}, but another user class says "
                        f"{said[name]!r}: a run has one."
                    )
        return said

    def _check_ineffective(self) -> None:
        """Refuse what Locust lets a user class set, and what would have no effect here.

        Raises:
            ConfigError: a class sets such an attribute, or has a task of its own.
        """
        for base, classes in ((CodeListener, self.listeners), (CodeBroadcaster, self.broadcasters)):
            for each in classes:
                own = [cls for cls in each.__mro__ if cls not in base.__mro__]
                for name, instead in _INEFFECTIVE.items():
                    if any(name in vars(cls) for cls in own):
                        raise ConfigError(f"{each.__name__}.{name} has no effect: {instead}.")
                if set(each.tasks) != set(base.tasks):
                    raise ConfigError(
                        f"{each.__name__} has tasks of its own, which would never run: put them "
                        "into a user class beside it, or use the hooks on_connected, on_code and "
                        "on_closed."
                    )

    def identities(self) -> list[Identity]:
        """Return the identities that the classes set."""
        usernames = (getattr(each, "username", None) for each in self.listeners)
        return [Identity(each) for each in usernames if each]

    def host(self, environment: Environment) -> str | None:
        """The host that is given, by an option or in code."""
        own = (each.host for each in (*self.broadcasters, *self.listeners))
        return environment.host or next(filter(None, own), None)
