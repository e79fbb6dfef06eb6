"""All settings of a run, read from Locust's options and the user classes, each of them checked."""

from __future__ import annotations

from argparse import Namespace
from copy import copy
from dataclasses import dataclass

from locust.env import Environment

from sseload_users.core.errors import ConfigError
from sseload_users.core.objective import Objective
from sseload_users.report import files
from sseload_users.report.model import Report
from sseload_users.run import limits
from sseload_users.run.channel_assignment import ChannelAssignment
from sseload_users.run.given_options import GivenOptions
from sseload_users.run.resources import Resources
from sseload_users.run.run_facts import check_way_in
from sseload_users.run.run_result import read_baseline
from sseload_users.run.run_users import RunUsers
from sseload_users.run.server_sources import server_sources
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.verdict.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class RunSettings:
    """All settings of a run.

    Attributes:
        resources: what all parts of the run use.
        thresholds: what it is judged by.
        baseline: the report of an earlier run to compare it with.
    """

    resources: Resources
    thresholds: Thresholds
    baseline: Report | None

    @classmethod
    def read(cls, environment: Environment, users: RunUsers) -> RunSettings:
        """Read all settings, and check each.

        Args:
            environment: Locust's environment.
            users: the user classes.

        Raises:
            ConfigError: a setting is invalid, or a file cannot be used.
        """
        options = users.options(environment)
        check_way_in(options, environment)
        if environment.shape_class is not None and (options.ladder or options.search):
            raise ConfigError(
                f"{type(environment.shape_class).__name__}: a LoadTestShape sets the number "
                f"of users, and so does --{'ladder' if options.ladder else 'search'}; use one of "
                "them."
            )
        thresholds = load_thresholds(options.thresholds)
        if options.objective and not options.search:
            thresholds = thresholds.with_objective(Objective.parse(options.objective))
        resources = Resources.of(options, users.host(environment) or "")
        for directory in (options.delivery_report, options.history):
            if directory:
                files.prepare(directory)
        return cls(resources, thresholds, read_baseline(options))

    def check_identities(self, users: RunUsers) -> None:
        """Check that the profile gets all that it needs of whoever connects or broadcasts.

        Args:
            users: the user classes.

        Raises:
            ConfigError: something is missing.
        """
        resources = self.resources
        assignment = ChannelAssignment(resources.options, resources.target, resources.identities)
        resources.target.check(
            [*resources.identities, *resources.senders, *users.identities()],
            has_channels=assignment.has_channels,
        )
        assignment.check(max(resources.options.channels, len(resources.identities)))

    def most_users(self, users: int) -> int:
        """Return the number of users that the run has at most, a ladder's steps included.

        Args:
            users: the number of Locust users that are asked for.
        """
        return max(users, *(size + 1 for size in self.resources.options.ladder), 0)

    def make_room(self, users: int) -> None:
        """Raise this process's limit of open files, and check that the connections fit.

        Args:
            users: the number of Locust users that are asked for.

        Raises:
            ConfigError: they do not.
        """
        limits.make_room(self.most_users(users), self.resources.target.profile.most_sockets)


class SettingsCheck:
    """Checks the settings of a run that has not begun, without changing anything.

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
        embedded_pid: int | None,
    ) -> None:
        self._environment = environment
        self._users = users
        self._given = given
        self._is_local = is_local
        self._embedded_pid = embedded_pid

    def __call__(self, parsed: Namespace, host: str | None) -> None:
        """Check that a run with these options is possible, as far as that is known before it.

        Args:
            parsed: the options, as Locust's parser would return them.
            host: the server's URL; None for what the options or the user classes say.

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
