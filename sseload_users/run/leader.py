"""The leading side of a process: it prepares runs, conducts each, and reports it."""

from __future__ import annotations

import atexit
import platform
import sys
from collections.abc import Mapping, Sequence
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
from sseload_users.core.objective import Objective
from sseload_users.core.plan import Ladder, Plan, Single
from sseload_users.core.schedule import Schedule
from sseload_users.core.search import Search
from sseload_users.core.vitals import ServerVitals
from sseload_users.demo import process as demo
from sseload_users.monitor import server_monitor as watch
from sseload_users.monitor.server_monitor import ServerMonitor
from sseload_users.options import Options
from sseload_users.report import console, files
from sseload_users.report.build import Run, build
from sseload_users.report.progress import Progress
from sseload_users.run.conductor import Conductor
from sseload_users.run.limits import fitting, make_room
from sseload_users.run.link import Link
from sseload_users.run.population import Population
from sseload_users.targets import Target
from sseload_users.transports.network import Network
from sseload_users.users.classes import UserClasses
from sseload_users.verdict import capacity, thresholds
from sseload_users.verdict import rules as verdict
from sseload_users.verdict.thresholds import Thresholds

#: What a run with a mistake in its options ends with.
CANNOT = 2


class Leader:
    """The leading side of a process: it conducts each run, and reports it."""

    def __init__(self, environment: Environment, swarm: Link, users: UserClasses) -> None:
        self._environment = environment
        self._swarm = swarm
        self._users = users
        self._conductor: Conductor | None = None
        self._watch: ServerMonitor | None = None
        self._embedded_pid: int | None = None
        self._thresholds = thresholds.load(None)
        self._report: dict[str, Any] | None = None
        self._trouble = ""
        self._printed = False
        self._values: dict[str, str] = {}
        self._status: int | None = None
        self._headless = bool(getattr(environment.parsed_options, "headless", False))
        swarm.leading = self

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
        options, target, network = self._read()
        parsed = environment.parsed_options
        # In the web UI's form there may yet be said what is missing.
        if self._headless or getattr(parsed, "autostart", False):
            target.check(self._users.identities(options))
        watch.sources(options, target, network, self._embedded_pid)

    def _keep_values(self) -> None:
        """Take the values for the profile's names that are new, and go on with the others.

        The web form shows none of them, so that what it sends lacks those it was begun with.

        Raises:
            ConfigError: one cannot be.
        """
        parsed: Any = self._environment.parsed_options
        self._values |= option_texts.values(parsed.value or ())
        parsed.value = option_texts.joined(self._values)

    def _start_embedded(self) -> str:
        parsed = self._environment.parsed_options
        if self._swarm.role == "master" and not getattr(parsed, "processes", None):
            raise ConfigError(
                "--host is missing: the embedded target listens on this machine alone, and "
                "workers may be on others."
            )
        embedded = demo.start()
        self._embedded_pid = embedded.pid
        atexit.register(embedded.stop)
        print(
            f"No --host given: testing the embedded target, which listens at {embedded.url}.",
            file=sys.stderr,
        )
        return embedded.url

    def _read(self) -> tuple[Options, Target, Network]:
        """Everything that a run is made from, each looked at.

        Raises:
            ConfigError: something cannot be used.
        """
        options = self._users.options(self._environment)
        self._thresholds = thresholds.load(options.thresholds)
        target = options.make_target(self._users.host(self._environment) or "")
        if options.delivery_report is not None:
            files.prepare(options.delivery_report)
        try:
            network = Network(
                ca_file=options.ca_file,
                client_certificate=options.client_certificate,
                client_key=options.client_key,
                insecure=options.insecure,
                source_addresses=options.source_addresses,
            )
            if target.host.startswith("https"):
                _ = network.ssl_context
        except ValueError as error:
            raise ConfigError(f"{error}.") from error
        return options, target, network

    # A run

    def begin(self) -> None:
        """Locust begins a test."""
        environment = self._environment
        try:
            self._keep_values()
            options, target, network = self._read()
            target.check(self._users.identities(options))
            sources = watch.sources(options, target, network, self._embedded_pid)
            asked = getattr(environment.runner, "target_user_count", 0)
            users = max(asked, *(size + 1 for size in options.ladder), 0)
            if self._swarm.role == "local":
                make_room(users)
        except ConfigError as error:
            self._cannot(str(error))
            environment.parsed_options.sseload_run = None  # type: ignore[union-attr]
            gevent.spawn(self._stop)
            # Locust begins a test in a greenlet of its own: it makes no user if that ends here.
            raise gevent.GreenletExit from error
        workers = len(self._swarm.workers())
        run_id = new_run_id()
        environment.parsed_options.sseload_run = [run_id, workers, users]  # type: ignore[union-attr]
        run = Run(
            run_id=run_id,
            started_ns=wall_ns(),
            target=target.host,
            transport=target.profile.transport,
            ingest=target.public()["ingest"],
            options={**options.public(), **self._locust_options()},
            versions=_versions(),
            advise=target.advice,
        )
        if options.insecure:
            run.notes.append("Any server certificate was accepted (--insecure).")
        self._report, self._printed, self._trouble = None, False, ""
        self._watch = ServerMonitor(ServerVitals(run.started_ns), sources)
        self._conductor = Conductor(
            self._swarm,
            options,
            run,
            target=target,
            network=network,
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
            if not conductor.totals.tally.counts["attempted"]:
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
        judged = not conductor.unfit and (report["run"]["complete"] or report["codes"]["scheduled"])
        grade = report["verdict"]["grade"] if judged else None
        self._status = verdict.exit_status(
            grade, conductor.options.fail_on, answered=capacity.answered(report)
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

    def from_worker(self, worker: str, kind: str, data: dict[str, Any]) -> None:
        """Take a worker's message, if it is of the run that is under way."""
        conductor = self._conductor
        if conductor is not None and data["run"] == conductor.run.run_id:
            conductor.from_worker(worker, kind, data)

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
    def report(self) -> Mapping[str, Any] | None:
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

    def _plan(self, options: Options) -> Plan:
        schedule = Schedule.spread(options.codes, options.duration)
        if options.ladder:
            return Ladder(options.ladder, schedule)
        if not options.search:
            return Single(schedule)
        asked = getattr(self._environment.runner, "target_user_count", 1)
        connections = max(1, asked - len(self._users.broadcasters))
        over_rate = options.search == "rate"
        most = options.search_most
        if self._swarm.role == "local" and not over_rate:
            most = fitting(most)
        rate = round(1 / schedule.interval_s) if schedule.interval_s else 1
        return Search(
            Objective.parse(options.objective),
            options.search,
            start=max(1, rate) if over_rate else connections,
            most=most,
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
