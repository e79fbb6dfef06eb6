"""The worker's side of a process: it takes part in one run after the other."""

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
from sseload_users.run.messages import JoinRequest, NoRun, RunAssigned, ToWorker, WorkerFailed
from sseload_users.run.resources import Resources
from sseload_users.run.run_users import RunUsers
from sseload_users.run.worker_run import (
    WorkerRun,
    clear_worker_run,
    set_worker_run,
)

_logger = logging.getLogger(__name__)

#: Seconds without a heartbeat from the master, during a run, after which a worker quits.
#: Locust waits for 60 s with all connections open, and forever for the first heartbeat.
SILENCE_S = 20.0
#: Seconds that a worker which quits by itself waits for the leader to close its account.
_LEAVE_S = 3.0


class Worker:
    """The worker's side of a process: it takes part in one run after the other.

    Args:
        environment: Locust's environment.
        link: the link to the leader.
        users: the user classes.
    """

    def __init__(self, environment: Environment, link: Link, users: RunUsers) -> None:
        self._environment = environment
        self._link = link
        self._users = users
        self._run: WorkerRun | None = None
        # Counts tests, so that a reply that comes too late is recognized.
        self._tests = 0
        # Each worker has its own region, which the leader's options replace later.
        self._region: str = getattr(environment.parsed_options, "region", None) or ""
        self._heartbeat_s = time.monotonic()
        link.worker = self
        if link.role == "worker":
            environment.events.heartbeat_received.add_listener(self._on_heartbeat)
            gevent.spawn(self._watch_master)

    def begin_if_late(self) -> None:
        """Begin a test that Locust started before this process was ready for it.

        A worker that connects during a run may have to start users at once.
        """
        if getattr(self._environment.runner, "worker_state", STATE_INIT) != STATE_INIT:
            self.begin()

    def begin(self) -> None:
        """Ask the leader for the run, as Locust has started a test here.

        The run itself begins with the reply. The leader cannot send it unasked: Locust drops
        messages to a worker that has connected and is not initialized yet.
        """
        if self._run is not None:
            # The worker may have been missing when its run ended.
            self._run.finish()
        self._run = None
        clear_worker_run(self._environment)
        self._tests += 1
        self._link.to_leader("", JoinRequest(self._tests))

    def from_leader(self, run_id: str, message: ToWorker) -> None:
        """Take a message from the leader; see `link.WorkerSide`."""
        if isinstance(message, RunAssigned):
            if message.number == self._tests:
                self._join(message)
        elif isinstance(message, NoRun):
            if message.number == self._tests:
                set_worker_run(self._environment, None)
        elif self._run is not None and run_id == self._run.run_id:
            self._run.from_leader(message)

    def _join(self, assigned: RunAssigned) -> None:
        try:
            options = self._users.options(self._environment)
            resources = Resources.of(options, self._users.host(self._environment) or "")
            connections = -(-assigned.users // assigned.workers)
            make_room(connections, resources.target.profile.most_sockets)
            run = WorkerRun(self._environment, self._link, resources, assigned)
        except ConfigError as error:
            set_worker_run(self._environment, None)
            self._link.to_leader(assigned.run_id, WorkerFailed(str(error)))
            return
        self._heartbeat_s = time.monotonic()
        self._run = run
        set_worker_run(self._environment, run)
        run.begin(self._region)

    def quit(self) -> None:
        """Send what is left while the leader still listens, as Locust quits here."""
        run = self._run
        if run is None or self._link.role != "worker":
            return
        if not run.finished:
            # The leader knows which announcements are still on their way to this worker.
            run.leave()
            deadline = time.monotonic() + _LEAVE_S
            while not run.finished and time.monotonic() < deadline:
                gevent.sleep(0.02)
            run.finish()

    def give_up(self, sentence: str) -> None:
        """Make the leader abort the run, because this process cannot continue."""
        if self._run is not None:
            self._link.to_leader(self._run.run_id, WorkerFailed(sentence))

    def _on_heartbeat(self, **_: Any) -> None:
        self._heartbeat_s = time.monotonic()

    def _watch_master(self) -> None:
        """Quit this process if its master disappears during a run."""
        while True:
            gevent.sleep(1)
            run, silent_s = self._run, time.monotonic() - self._heartbeat_s
            if run is not None and not run.finished and silent_s > SILENCE_S:
                _logger.error("No heartbeat from the master for %.0f s: quitting.", silent_s)
                runner = self._environment.runner
                assert runner is not None  # noqa: S101
                runner.quit()
                return
