"""The working side of a process: it begins a station with each run, and sees it to its end."""

from __future__ import annotations

import logging
import time
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_INIT

from sseload_users.core.errors import ConfigError
from sseload_users.run.limits import make_room
from sseload_users.run.link import Link
from sseload_users.run.resources import Resources
from sseload_users.run.run_users import RunUsers
from sseload_users.run.worker_run import RunId, WorkerRun, set_worker_run

_logger = logging.getLogger(__name__)

#: Seconds without a heartbeat of the master's, during a run, after which a worker gives up.
#: Locust waits for 60, with all connections open, and for ever for the first one.
SILENCE_S = 20.0
#: Seconds that a worker which ends by itself waits for the master to have all it needs.
_GOODBYE_S = 3.0


class Worker:
    """The working side of a process: it begins a station with each run."""

    def __init__(self, environment: Environment, swarm: Link, users: RunUsers) -> None:
        self._environment = environment
        self._swarm = swarm
        self._users = users
        self._station: WorkerRun | None = None
        # The leader's options will replace this process's own, this one too.
        self._region: str = getattr(environment.parsed_options, "region", None) or ""
        self._heard_s = time.monotonic()
        swarm.working = self
        if swarm.role == "worker":
            environment.events.heartbeat_received.add_listener(self._on_heartbeat)
            gevent.spawn(self._watch)

    def begin_if_late(self) -> None:
        """Begin a test that Locust has begun before it told of itself.

        A worker that comes while a run is on may be told so early to begin users.
        """
        if getattr(self._environment.runner, "worker_state", STATE_INIT) != STATE_INIT:
            self.begin()

    def begin(self) -> None:
        """Locust begins a test here."""
        if self._station is not None:
            # It may have come too late to be told that its run had ended.
            self._station.finish()
        self._station = None
        agreed = getattr(self._environment.parsed_options, "sseload_run", None)
        if agreed is None:
            set_worker_run(self._environment, None)
            return
        run = RunId(*agreed)
        try:
            make_room(-(-run.users // run.workers))
            options = self._users.options(self._environment)
            resources = Resources.of(options, self._users.host(self._environment) or "")
            station = WorkerRun(self._environment, self._swarm, resources, run)
        except ConfigError as error:
            set_worker_run(self._environment, None)
            self._swarm.to_leader("unfit", {"run": run.text, "sentence": str(error)})
            return
        self._heard_s = time.monotonic()
        self._station = station
        set_worker_run(self._environment, station)
        station.begin(self._region)

    def quit(self) -> None:
        """Locust quits here: send what is left while the leader still listens."""
        station = self._station
        if station is None or self._swarm.role != "worker":
            return
        if not station.finished:
            # What others have sent may be on its way to here; the leader knows.
            station.leave()
            deadline = time.monotonic() + _GOODBYE_S
            while not station.finished and time.monotonic() < deadline:
                gevent.sleep(0.02)
            station.finish()

    def give_up(self, sentence: str) -> None:
        """This process cannot go on: have the run ended that is under way."""
        if self._station is not None:
            self._swarm.to_leader("unfit", {"run": self._station.run_id, "sentence": sentence})

    def from_leader(self, kind: str, data: dict[str, Any]) -> None:
        """Take a message of the process that leads."""
        if self._station is not None and data["run"] == self._station.run_id:
            self._station.from_leader(kind, data)

    def _on_heartbeat(self, **_: Any) -> None:
        self._heard_s = time.monotonic()

    def _watch(self) -> None:
        """End this process when its master has gone away in the middle of a run."""
        while True:
            gevent.sleep(1)
            station, silent_s = self._station, time.monotonic() - self._heard_s
            if station is not None and not station.finished and silent_s > SILENCE_S:
                _logger.error("The master has not been heard of for %.0f s: ending.", silent_s)
                runner = self._environment.runner
                assert runner is not None  # noqa: S101
                runner.quit()
                return
