"""The link between the leader of a run and its workers, over Locust's messages.

All kinds of messages share one Locust message type: only one name has to be registered, and
messages stay in order. Without workers, both sides are in one process and call each other
directly.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, Literal, Protocol

import gevent
from locust.env import Environment
from locust.runners import (
    HEARTBEAT_DEAD_INTERNAL,
    STATE_MISSING,
    LocalRunner,
    MasterRunner,
    Runner,
    WorkerRunner,
)

from sseload_users.run.encoding import (
    InvalidMessage,
    decode_to_leader,
    decode_to_worker,
    encode,
)
from sseload_users.run.master_port import terminate_workers
from sseload_users.run.messages import ToLeader, ToWorker

_logger = logging.getLogger(__name__)

#: The Locust message type.
_MESSAGE = "sseload"

#: The id of the only worker in a run without worker processes.
LOCAL = "local"

#: Heartbeat count at which sseload makes Locust forget a missing worker: ten above the count
#: at which Locust itself would restart all users on the other workers.
_FORGOTTEN_AT = HEARTBEAT_DEAD_INTERNAL + 10
#: Seconds that a master without a run waits for its workers to connect, to make them quit.
_CONNECT_S = 3.0

Role = Literal["local", "master", "worker"]


class LeaderSide(Protocol):
    """Takes messages from workers: on the master, or in the only process."""

    def from_worker(self, worker: str, run_id: str, message: ToLeader) -> None:
        """Take a message from a worker.

        Args:
            worker: id of the worker.
            run_id: identity of the run; empty for a `JoinRequest`.
            message: the message.
        """


class WorkerSide(Protocol):
    """Takes messages from the leader."""

    def from_leader(self, run_id: str, message: ToWorker) -> None:
        """Take a message from the leader.

        Args:
            run_id: identity of the run.
            message: the message.
        """


class Link:
    """One process's end of the link.

    Args:
        environment: Locust's environment, with its runner.

    Attributes:
        role: whether this process is the master, a worker, or both in one ("local").
        leader: takes what workers send, if this process leads.
        worker: takes what the leader sends, if this process is a worker.

    Raises:
        TypeError: the runner is of an unknown kind.
    """

    def __init__(self, environment: Environment) -> None:
        runner = environment.runner
        assert runner is not None  # noqa: S101 - Locust fires no event without one
        self._runner: Runner = runner
        self.leader: LeaderSide | None = None
        self.worker: WorkerSide | None = None
        self.role: Role = "local"
        if isinstance(runner, MasterRunner):
            self.role = "master"
            runner.register_message(_MESSAGE, self._at_master)
        elif isinstance(runner, WorkerRunner):
            self.role = "worker"
            runner.register_message(_MESSAGE, self._at_worker)
        elif not isinstance(runner, LocalRunner):
            raise TypeError(f"a runner of an unknown kind: {type(runner).__name__}")

    def to_leader(self, run_id: str, message: ToLeader) -> None:
        """Send a message to the leader.

        Args:
            run_id: identity of the run; empty for a `JoinRequest`.
            message: the message.
        """
        if self.role == "worker":
            self._runner.send_message(_MESSAGE, encode(run_id, message))
        elif self.leader is not None:
            self.leader.from_worker(LOCAL, run_id, message)

    def to_workers(self, workers: Iterable[str], run_id: str, message: ToWorker) -> None:
        """Send a message to workers.

        Args:
            workers: ids of the workers. One that is suspended takes it when it resumes.
            run_id: identity of the run.
            message: the message.
        """
        if self.role != "local":
            data = encode(run_id, message)
            for each in workers:
                self._runner.send_message(_MESSAGE, data, client_id=each)
        elif self.worker is not None:
            for _ in workers:
                self.worker.from_leader(run_id, message)

    def workers(self) -> list[str]:
        """Return the ids of the workers that are connected and alive, by index."""
        runner = self._runner
        if not isinstance(runner, MasterRunner):
            return [LOCAL]
        alive = (each.id for each in runner.clients.all if each.state != STATE_MISSING)
        return sorted(alive, key=runner.get_worker_index)

    def label(self, worker: str) -> str:
        """Return a worker's name for people: a fixed number, and its host."""
        if not isinstance(self._runner, MasterRunner):
            return worker
        number = self._runner.get_worker_index(worker) + 1
        return f"worker {number} ({worker.rpartition('_')[0] or worker})"

    def forget_missing(self) -> None:
        """Make Locust forget workers that have been missing for long.

        Ten seconds later Locust would do so itself and restart all users on the other workers,
        which would close and reopen their connections in the middle of a run.
        """
        if isinstance(self._runner, MasterRunner):
            clients = self._runner.clients
            for each in list(clients.all):
                if each.state == STATE_MISSING and each.heartbeat <= _FORGOTTEN_AT:
                    del clients[each.id]

    def dismiss(self) -> None:
        """Make all workers quit, including those that are about to connect: there is no run."""
        runner = self._runner
        if isinstance(runner, MasterRunner):
            expected = getattr(runner.environment.parsed_options, "expect_workers", 1)
            deadline = time.monotonic() + _CONNECT_S
            while len(runner.clients) < expected and time.monotonic() < deadline:
                gevent.sleep(0.05)
            runner.quit()
            if getattr(runner.environment.parsed_options, "processes", None):
                # One that has not connected yet would try to for minutes.
                terminate_workers()

    def _at_master(self, msg: Any, **_: Any) -> None:
        try:
            run_id, message = decode_to_leader(msg.data)
        except InvalidMessage as error:
            _logger.warning("Ignored a message: worker %s sent %s.", msg.node_id, error)
            return
        if self.leader is not None:
            self.leader.from_worker(msg.node_id, run_id, message)

    def _at_worker(self, msg: Any, **_: Any) -> None:
        try:
            run_id, message = decode_to_worker(msg.data)
        except InvalidMessage as error:
            _logger.warning("Ignored a message: the master sent %s.", error)
            return
        if self.worker is not None:
            self.worker.from_leader(run_id, message)
