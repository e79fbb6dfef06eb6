"""The leader's side of a process: it prepares, conducts and reports runs."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import Any

import gevent
from locust import stats as locust_stats
from locust.env import Environment

from sseload_users.core.codes import new_run_id
from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.core.search import Search
from sseload_users.core.totals import Totals
from sseload_users.core.vitals import ServerVitals
from sseload_users.monitor.server_monitor import ServerMonitor
from sseload_users.options import Options
from sseload_users.report.build import build
from sseload_users.report.model import Report
from sseload_users.run import embedded_target
from sseload_users.run.channel_assignment import ChannelAssignment
from sseload_users.run.conductor import Conductor
from sseload_users.run.given_options import GivenOptions
from sseload_users.run.link import Link
from sseload_users.run.messages import JoinRequest, NoRun, RunAssigned, ToLeader, ToWorker
from sseload_users.run.next_run import NextRun
from sseload_users.run.population import Population
from sseload_users.run.run_facts import run_facts, run_plan
from sseload_users.run.run_result import RunResult
from sseload_users.run.run_settings import RunSettings
from sseload_users.run.run_users import RunUsers, StartEmbedded
from sseload_users.run.run_view import RunView
from sseload_users.run.server_sources import server_sources
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.targets.hosts import split_node
from sseload_users.verdict.thresholds import Thresholds

_logger = logging.getLogger(__name__)

#: Exit status of a run that cannot be carried out.
CANNOT = 2


class Leader:
    """Prepares, conducts and reports the runs that a process leads.

    Args:
        environment: Locust's environment.
        link: the link to the workers.
        users: the user classes.
        start_embedded: starts the embedded target, for a run without a host.
    """

    def __init__(
        self,
        environment: Environment,
        link: Link,
        users: RunUsers,
        start_embedded: StartEmbedded,
    ) -> None:
        self._environment = environment
        self._link = link
        self._users = users
        self._start_embedded = start_embedded
        self._conductor: Conductor | None = None
        self._monitor: ServerMonitor | None = None
        self._assigned: RunAssigned | None = None
        self._embedded_pid: int | None = None
        self._thresholds = load_thresholds(None)
        self._baseline: Report | None = None
        self._result: RunResult | None = None
        self._trouble = ""
        self._printed = False
        self._status: int | None = None
        self._headless = bool(getattr(environment.parsed_options, "headless", False))
        link.leader = self

    # Before any run

    def prepare(self) -> None:
        """Check that a run with these options is possible, as far as that is known.

        Raises:
            ConfigError: it is not.
        """
        environment = self._environment
        if not self._users.broadcasters and not self._users.options(environment).observe:
            raise ConfigError(
                "No user broadcasts: import CodeBroadcaster from sseload_users in the locustfile, "
                "too."
            )
        if len(self._users.broadcasters) > 1 or any(
            each.fixed_count != 1 for each in self._users.broadcasters
        ):
            names = ", ".join(each.__name__ for each in self._users.broadcasters)
            raise ConfigError(
                f"{names}: a run has one broadcaster; leave one class, with fixed_count = 1."
            )
        if self._users.host(environment) is None:
            options = self._users.options(environment)
            first = split_node(options.nodes[0])[0] if options.nodes else None
            environment.host = first or self._start_target(options)
        self._given = GivenOptions(environment)
        self._given.restore()
        settings = self._read()
        # In the web form, missing values can still be entered.
        if self._headless or getattr(environment.parsed_options, "autostart", False):
            settings.check_identities(self._users)
        server_sources(settings.resources, self._embedded_pid)

    def _start_target(self, options: Options) -> str:
        """Start the embedded target; return the URL of its first node.

        If it has several nodes, the run uses them as if --nodes had named them.

        Raises:
            ConfigError: it cannot be started, or workers cannot reach it.
        """
        parsed: Any = self._environment.parsed_options
        if self._link.role == "master" and not getattr(parsed, "processes", None):
            raise ConfigError(
                "--host is missing: the embedded target listens on this machine only, and workers "
                "may be on others."
            )
        embedded = embedded_target.start(self._start_embedded, options.embedded)
        self._embedded_pid = embedded.pid
        if len(embedded.urls) > 1:
            parsed.nodes = ",".join(embedded.urls)
        return embedded.urls[0]

    def _read(self) -> RunSettings:
        settings = RunSettings.read(self._environment, self._users)
        self._thresholds, self._baseline = settings.thresholds, settings.baseline
        return settings

    def _read_with_nodes(self) -> RunSettings:
        """Read all settings of a run; each address of a node's name is a node, for all workers.

        Names are looked up once a run.

        Raises:
            ConfigError: a setting is invalid, or a file cannot be used.
        """
        self._given.restore()
        settings = self._read()
        nodes = settings.resources.expanded_nodes()
        if nodes == settings.resources.options.nodes:
            return settings
        self._given.replace_nodes(nodes)
        return self._read()

    def next_run(self) -> NextRun:
        """Return what the web form needs to know of the run that it describes."""
        return NextRun(
            self._environment,
            self._users,
            self._given,
            is_local=self._link.role == "local",
            embedded_pid=self._embedded_pid,
        )

    # A run

    def begin(self) -> None:
        """Set up a run, as Locust starts a test.

        Raises:
            GreenletExit: the run cannot be carried out. Locust, which owns the greenlet, then
                starts no users.
        """
        cause: Exception
        try:
            self._begin()
        except ConfigError as error:
            sentence, cause = str(error), error
        except Exception as error:
            # A mistake in this program. Locust would only log it, and wait for ever.
            _logger.exception("the run cannot start")
            sentence, cause = f"The run cannot start: {type(error).__name__}, see the log.", error
        else:
            return
        self._fail(sentence)
        gevent.spawn(self._stop)
        raise gevent.GreenletExit from cause

    def _begin(self) -> None:
        environment = self._environment
        settings = self._read_with_nodes()
        settings.check_identities(self._users)
        resources = settings.resources
        sources = server_sources(resources, self._embedded_pid)
        asked = getattr(environment.runner, "target_user_count", 0)
        users = settings.most_users(asked)
        if self._link.role == "local":
            settings.make_room(asked)
        run_id = new_run_id()
        population = Population(environment, self._users.listeners, self._users.broadcasters)
        listeners = population.listeners_among(users)
        if environment.shape_class is not None:
            # It begins with few users: the others have channels, too.
            listeners = max(listeners, resources.options.channels)
        self._assigned = RunAssigned(
            0, run_id, len(self._link.workers()), users, listeners, population.rate
        )
        run = run_facts(run_id, resources, environment)
        assignment = ChannelAssignment(resources.options, resources.target, resources.identities)
        self._result, self._printed, self._trouble = None, False, ""
        self._monitor = ServerMonitor(ServerVitals(run.started_ns), sources)
        self._conductor = Conductor(
            self._link,
            resources,
            run,
            population=population,
            plan=run_plan(
                resources.options,
                connections=max(1, asked - len(self._users.broadcasters)),
                local=self._link.role == "local",
                sockets=resources.target.profile.most_sockets,
            ),
            channels=assignment.plan(listeners, run_id),
            judge_by=self._thresholds,
            stop=self._stop,
        )

    def start(self) -> None:
        """Start the run, now that the worker in this process takes part."""
        if self._conductor is not None and self._monitor is not None:
            self._monitor.start()
            self._conductor.start()

    def on_spawned(self) -> None:
        """Note that Locust has spawned all users."""
        if self._conductor is not None:
            self._conductor.on_spawned()

    def end(self) -> None:
        """Close the account while workers still listen, as Locust's test is about to stop."""
        if self._conductor is not None and self._monitor is not None:
            self._monitor.stop()
            self._conductor.end()

    def result(self) -> None:
        """Judge the run and write its report, as Locust's test has stopped."""
        conductor, self._conductor = self._conductor, None
        if conductor is None:
            return
        if not conductor.run.finished_ns:
            self._fail("The account could not be closed; see the error above. There is no report.")
            return
        if conductor.refusal:
            self._fail(conductor.refusal)
            if not conductor.totals.tally.counters.attempted:
                return
        if self._headless and not self._link.workers():
            # Locust ends a run whose last worker is missing, and then waits for new ones.
            gevent.spawn(self._stop)
        assert self._monitor is not None  # noqa: S101
        conductor.run.notes += self._monitor.notes
        deliveries = conductor.delivery_rows()
        report = build(
            conductor.run,
            conductor.totals,
            self._thresholds,
            conductor.view.step_reports(),
            conductor.plan.result() if isinstance(conductor.plan, Search) else None,
            vitals=self._monitor.vitals,
        )
        # A run that was ended before its first code says nothing about the server.
        judged = not conductor.refusal and bool(report.run.complete or report.codes.scheduled)
        self._result = RunResult.of(report, conductor.options, self._baseline, judged=judged)
        self._status = self._result.status
        try:
            self._result.write(conductor.options, _connection_rows(conductor.totals), deliveries)
        except ConfigError as error:
            self._fail(str(error))
        if not self._headless:
            self.print_summary()

    def from_worker(self, worker: str, run_id: str, message: ToLeader) -> None:
        """Take a message from a worker; see `link.LeaderSide`."""
        conductor = self._conductor
        if isinstance(message, JoinRequest):
            reply: ToWorker = NoRun(message.number)
            if conductor is not None and self._assigned is not None:
                reply = replace(self._assigned, number=message.number)
            self._link.to_workers([worker], run_id, reply)
        elif conductor is not None and run_id == conductor.run.run_id:
            conductor.from_worker(worker, message)

    def quit(self) -> None:
        """End the run in progress and set the exit status, as Locust quits."""
        runner = self._environment.runner
        if self._conductor is not None and runner is not None:
            runner.stop()
            # Another greenlet may have called stop() already, and wait for users to end.
            self.end()
            self.result()
        if self._status is not None and self._environment.process_exit_code is None:
            self._environment.process_exit_code = self._status
        parsed = self._environment.parsed_options
        if self._result is not None and getattr(parsed, "csv_prefix", None):
            # Locust writes its CSV files once a second, and not at the end; missing codes have
            # only just been entered.
            gevent.sleep(1.5 * locust_stats.CSV_STATS_INTERVAL_SEC)

    def _fail(self, sentence: str) -> None:
        """Report that a run cannot be carried out or reported."""
        complain(sentence)
        self._trouble = sentence
        self._status = CANNOT

    # For the views

    @property
    def live_run(self) -> RunView | None:
        """The view of the run that is in progress."""
        return None if self._conductor is None else self._conductor.view

    @property
    def report(self) -> Report | None:
        """The report of the latest run, if it has ended."""
        return None if self._result is None else self._result.report

    @property
    def thresholds(self) -> Thresholds:
        """What runs are judged by."""
        return self._thresholds

    @property
    def vitals(self) -> ServerVitals | None:
        """The server's vitals, if it is monitored."""
        return None if self._monitor is None else self._monitor.vitals

    @property
    def trouble(self) -> str:
        """Why the latest run could not be carried out; empty if it could."""
        return self._trouble

    def print_summary(self) -> None:
        """Print the latest run's summary, once."""
        if self._result is not None and not self._printed:
            self._printed = True
            self._result.show(
                headless=self._headless,
                embedded=self._embedded_pid is not None,
                kept_in=self._users.options(self._environment).history,
            )

    def _stop(self) -> None:
        """Stop Locust's test; quit Locust if no further test can be started."""
        runner = self._environment.runner
        assert runner is not None  # noqa: S101
        runner.stop()
        parsed = self._environment.parsed_options
        if self._headless:
            runner.quit()
        elif getattr(parsed, "autostart", False) and getattr(parsed, "autoquit", -1) != -1:
            gevent.sleep(parsed.autoquit)  # type: ignore[union-attr]
            runner.quit()
            if self._environment.web_ui is not None:
                self._environment.web_ui.stop()


def complain(sentence: str) -> None:
    """Print what is wrong on standard error."""
    print(f"sseload: {clean(sentence)}", file=sys.stderr)


def _connection_rows(totals: Totals) -> list[ConnectionRow]:
    """Return the rows of connections.csv, numbered over all workers."""
    rows = [(row, worker.name) for worker in totals.workers.values() for row in worker.connections]
    return [
        replace(row, connection=number, worker=name) for number, (row, name) in enumerate(rows, 1)
    ]
