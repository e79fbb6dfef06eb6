"""The leading side of a process: it prepares runs, conducts each, and reports it."""

from __future__ import annotations

import atexit
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any

import gevent
from locust import stats as locust_stats
from locust.env import Environment

from sseload_users.core import option_texts
from sseload_users.core.clock import wall_ns
from sseload_users.core.codes import new_run_id
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.core.objective import DEFAULT as DEFAULT_OBJECTIVE
from sseload_users.core.objective import Objective
from sseload_users.core.plan import Ladder, RunPlan, SingleStep
from sseload_users.core.schedule import Schedule
from sseload_users.core.search import Search
from sseload_users.core.vitals import ServerVitals
from sseload_users.monitor.server_monitor import ServerMonitor
from sseload_users.options import Options
from sseload_users.report import console, files
from sseload_users.report.account import Run
from sseload_users.report.build import build
from sseload_users.report.model import Report
from sseload_users.report.progress import Progress
from sseload_users.run.conductor import Conductor
from sseload_users.run.limits import fitting, make_room
from sseload_users.run.link import Link
from sseload_users.run.messages import JoinRequest, NoRun, RunAssigned, ToLeader, ToWorker
from sseload_users.run.population import Population
from sseload_users.run.resources import Resources
from sseload_users.run.run_users import RunUsers, StartEmbedded
from sseload_users.run.server_sources import server_sources
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.verdict import capacity
from sseload_users.verdict import rules as verdict
from sseload_users.verdict.thresholds import Thresholds

#: What a run with a mistake in its options ends with.
CANNOT = 2


class Leader:
    """Prepares, conducts and reports the runs that a process leads.

    Args:
        environment: Locust's environment.
        swarm: the link to the workers.
        users: the user classes.
        start_embedded: starts the embedded target, for a run without a host.
    """

    def __init__(
        self,
        environment: Environment,
        swarm: Link,
        users: RunUsers,
        start_embedded: StartEmbedded,
    ) -> None:
        self._environment = environment
        self._swarm = swarm
        self._users = users
        self._start_target = start_embedded
        self._conductor: Conductor | None = None
        self._watch: ServerMonitor | None = None
        self._assigned: RunAssigned | None = None
        self._embedded_pid: int | None = None
        self._thresholds = load_thresholds(None)
        self._report: Report | None = None
        self._trouble = ""
        self._printed = False
        self._values: dict[str, str] = {}
        self._status: int | None = None
        self._headless = bool(getattr(environment.parsed_options, "headless", False))
        swarm.leader = self

    # Before any run

    def prepare(self) -> None:
        """See that a run can be made as the options say, as far as that can be seen.

        Raises:
            ConfigError: it cannot.
        """
        environment = self._environment
        if not self._users.broadcasters:
            raise ConfigError(
                "Nobody broadcasts: import CodeBroadcaster from sseload_users, too, in the "
                "locustfile."
            )
        if len(self._users.broadcasters) > 1 or any(
            each.fixed_count != 1 for each in self._users.broadcasters
        ):
            names = ", ".join(each.__name__ for each in self._users.broadcasters)
            raise ConfigError(
                f"{names}: a run has one broadcaster; leave one class, with fixed_count = 1."
            )
        if self._users.host(environment) is None:
            environment.host = self._start_embedded()
        self._keep_values()
        resources = self._read()
        # What is missing may still be entered in the web form.
        if self._headless or getattr(environment.parsed_options, "autostart", False):
            self._check_identities(resources)
        server_sources(resources, self._embedded_pid)

    def _keep_values(self) -> None:
        """Remember new values for the profile's names, and restore those given earlier.

        The web form does not show them, so its data lacks the values of the command line.

        Raises:
            ConfigError: a value is invalid.
        """
        parsed: Any = self._environment.parsed_options
        self._values |= option_texts.parse_values(parsed.value or ())
        parsed.value = option_texts.join_values(self._values)

    def _start_embedded(self) -> str:
        parsed = self._environment.parsed_options
        if self._swarm.role == "master" and not getattr(parsed, "processes", None):
            raise ConfigError(
                "--host is missing: the embedded target listens on this machine alone, and "
                "workers may be on others."
            )
        embedded = self._start_target()
        self._embedded_pid = embedded.pid
        atexit.register(embedded.stop)
        print(
            f"No --host given: testing the embedded target, which listens at {embedded.url}.",
            file=sys.stderr,
        )
        return embedded.url

    def _read(self) -> Resources:
        """Read all settings of a run, and check each.

        Raises:
            ConfigError: a setting is invalid, or a file cannot be used.
        """
        options = self._users.options(self._environment)
        self._thresholds = load_thresholds(options.thresholds)
        if options.objective and not options.search:
            self._thresholds = self._thresholds.with_objective(Objective.parse(options.objective))
        resources = Resources.of(options, self._users.host(self._environment) or "")
        if options.delivery_report is not None:
            files.prepare(options.delivery_report)
        return resources

    def _check_identities(self, resources: Resources) -> None:
        """Check that the profile gets all that it needs of whoever connects or broadcasts.

        Raises:
            ConfigError: something is missing.
        """
        resources.target.check([*resources.identities, *self._users.identities()])

    # A run

    def begin(self) -> None:
        """Locust begins a test."""
        environment = self._environment
        try:
            self._keep_values()
            resources = self._read()
            self._check_identities(resources)
            sources = server_sources(resources, self._embedded_pid)
            options, target = resources.options, resources.target
            asked = getattr(environment.runner, "target_user_count", 0)
            users = max(asked, *(size + 1 for size in options.ladder), 0)
            if self._swarm.role == "local":
                make_room(users)
        except ConfigError as error:
            self._cannot(str(error))
            gevent.spawn(self._stop)
            # Locust begins a test in a greenlet of its own: it makes no user if that ends here.
            raise gevent.GreenletExit from error
        run_id = new_run_id()
        self._assigned = RunAssigned(0, run_id, len(self._swarm.workers()), users)
        run = Run(
            run_id=run_id,
            started_ns=wall_ns(),
            target=target.host,
            transport=target.profile.transport,
            ingest=target.public()["ingest"],
            options={**options.public(), **self._locust_options()},
            versions=_versions(),
            advise=target.profile.advice,
        )
        if options.insecure:
            run.notes.append("Any server certificate was accepted (--insecure).")
        self._report, self._printed, self._trouble = None, False, ""
        self._watch = ServerMonitor(ServerVitals(run.started_ns), sources)
        self._conductor = Conductor(
            self._swarm,
            resources,
            run,
            crowd=Population(environment, self._users.listeners, self._users.broadcasters),
            plan=self._plan(options),
            judge_by=self._thresholds,
            progress=Progress(),
            stop=self._stop,
        )

    def start(self) -> None:
        """Lead the run that has begun, now that its workers can be told."""
        if self._conductor is not None and self._watch is not None:
            self._watch.start()
            self._conductor.start()

    def spawned(self) -> None:
        """Locust has begun all users."""
        if self._conductor is not None:
            self._conductor.spawned()

    def end(self) -> None:
        """Locust's test stops: close the account, while workers still listen."""
        if self._conductor is not None and self._watch is not None:
            self._watch.stop()
            self._conductor.end()

    def result(self) -> None:
        """Locust's test has stopped: judge the run, and write its report."""
        conductor, self._conductor = self._conductor, None
        if conductor is None:
            return
        if not conductor.run.finished_ns:
            self._cannot(
                "The account could not be closed, see the error above: there is no report."
            )
            return
        if conductor.unfit:
            self._cannot(conductor.unfit)
            if not conductor.totals.tally.counters.attempted:
                return
        if self._headless and not self._swarm.workers():
            # Locust ends a run whose last worker went missing, and then waits for others.
            gevent.spawn(self._stop)
        assert self._watch is not None  # noqa: S101
        conductor.run.notes += self._watch.notes
        report = build(
            conductor.run,
            conductor.totals,
            self._thresholds,
            conductor.step_reports(),
            conductor.plan.result() if isinstance(conductor.plan, Search) else None,
            vitals=self._watch.vitals,
        )
        self._report = report
        # What was cut off before its first code says nothing about the server.
        judged = not conductor.unfit and (report.run.complete or report.codes.scheduled)
        grade = report.verdict.grade if judged else None
        self._status = verdict.exit_status(
            grade,
            conductor.options.fail_on,
            conclusive=capacity.has_answer(report.steps, report.search),
        )
        if conductor.options.delivery_report is not None:
            workers = conductor.totals.workers.values()
            rows = [(row, each.name) for each in workers for row in each.connections]
            numbered = [
                replace(row, connection=number, worker=name)
                for number, (row, name) in enumerate(rows, 1)
            ]
            try:
                files.write(report, conductor.options.delivery_report, numbered)
            except ConfigError as error:
                self._cannot(str(error))
        if not self._headless:
            self.print_summary()

    def from_worker(self, worker: str, run_id: str, message: ToLeader) -> None:
        """Take a message from a worker; see `link.LeaderSide`."""
        conductor = self._conductor
        if isinstance(message, JoinRequest):
            reply: ToWorker = NoRun(message.number)
            if conductor is not None and self._assigned is not None:
                reply = replace(self._assigned, number=message.number)
            self._swarm.to_workers([worker], run_id, reply)
        elif conductor is not None and run_id == conductor.run.run_id:
            conductor.from_worker(worker, message)

    def quit(self) -> None:
        """Locust quits: end what is under way, and say with what status."""
        runner = self._environment.runner
        if self._conductor is not None and runner is not None:
            runner.stop()
            # Somebody else may have begun to stop it, and be waiting for its users to end.
            self.end()
            self.result()
        if self._status is not None and self._environment.process_exit_code is None:
            self._environment.process_exit_code = self._status
        parsed = self._environment.parsed_options
        if self._report is not None and getattr(parsed, "csv_prefix", None):
            # Locust writes its CSV files once a second, and not at the end: what was missing
            # has only just been entered.
            gevent.sleep(1.5 * locust_stats.CSV_STATS_INTERVAL_SEC)

    def _cannot(self, sentence: str) -> None:
        """What was asked for cannot be done."""
        complain(sentence)
        self._trouble = sentence
        self._status = CANNOT

    # What is shown

    @property
    def conductor(self) -> Conductor | None:
        """Of the run that is under way."""
        return self._conductor

    @property
    def report(self) -> Report | None:
        """Of the newest run, if it has ended."""
        return self._report

    @property
    def thresholds(self) -> Thresholds:
        """What runs are judged by."""
        return self._thresholds

    @property
    def vitals(self) -> ServerVitals | None:
        """How the server fares, as far as that is watched."""
        return None if self._watch is None else self._watch.vitals

    @property
    def trouble(self) -> str:
        """Why what was asked for last could not be done; empty if it could."""
        return self._trouble

    def print_summary(self) -> None:
        """Print the newest run's summary, once."""
        if self._report is not None and not self._printed:
            self._printed = True
            console.print_summary(self._report)

    def _stop(self) -> None:
        """End Locust's test; and Locust, where nobody is there to begin another."""
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

    def _plan(self, options: Options) -> RunPlan:
        schedule = Schedule.spread(options.codes, options.duration)
        if options.ladder:
            return Ladder(options.ladder, schedule)
        if not options.search:
            return SingleStep(schedule)
        asked = getattr(self._environment.runner, "target_user_count", 1)
        connections = max(1, asked - len(self._users.broadcasters))
        over_rate = options.search == "rate"
        most = options.search_most
        if self._swarm.role == "local" and not over_rate:
            most = fitting(most)
        rate = round(1 / schedule.interval_s) if schedule.interval_s else 1
        return Search(
            Objective.parse(options.objective or DEFAULT_OBJECTIVE),
            options.search,
            start=max(1, rate) if over_rate else connections,
            max_size=most,
            codes=options.codes,
            interval_s=schedule.interval_s,
            connections=connections,
        )

    def _locust_options(self) -> dict[str, Any]:
        parsed = vars(self._environment.parsed_options or object())
        names = ("spawn_rate", "run_time", "processes", "stop_timeout")
        shown = {name: parsed.get(name) for name in names if parsed.get(name) is not None}
        return {"users": getattr(self._environment.runner, "target_user_count", None), **shown}


def complain(sentence: str) -> None:
    """Tell whoever began this, on standard error, what is wrong."""
    print(f"sseload: {clean(sentence)}", file=sys.stderr)


def _versions() -> dict[str, str]:
    names: Sequence[str] = ("sseload", "locust", "gevent", "websocket-client")
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a checkout is not installed
            versions[name] = "checkout"
    return {**versions, "python": platform.python_version()}
