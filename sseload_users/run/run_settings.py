"""All settings of a run, read from Locust's options and the user classes, each of them checked."""

from __future__ import annotations

from dataclasses import dataclass

from locust.env import Environment

from sseload_users.core.errors import ConfigError
from sseload_users.core.objective import Objective
from sseload_users.report import files
from sseload_users.report.model import Report
from sseload_users.run import limits
from sseload_users.run.channel_assignment import ChannelAssignment
from sseload_users.run.resources import Resources
from sseload_users.run.run_facts import check_way_in
from sseload_users.run.run_result import read_baseline
from sseload_users.run.run_users import RunUsers
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
