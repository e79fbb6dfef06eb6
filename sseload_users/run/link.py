"""What travels between the process that leads a run and those that hold the connections.

One kind of Locust message carries everything, with its own kind inside: so only one name
has to be registered, and messages stay in the order in which they were sent. Without
workers, both sides are in one process and call each other directly.
"""

from __future__ import annotations

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

_MESSAGE = "sseload"

#: The name of the only worker where there are none.
LOCAL = "local"

#: Heartbeats that Locust waits for a missing worker until sseload has it forgotten: ten less
#: than those after which Locust itself would begin all users anew on the others.
_FORGOTTEN_AT = HEARTBEAT_DEAD_INTERNAL + 10
#: Seconds that a master which cannot do anything waits for its workers, to tell them so.
_COMING_S = 3.0

Role = Literal["local", "master", "worker"]


class LeaderSide(Protocol):
    """What takes the workers' messages: on the master, or beside the only worker."""

    def from_worker(self, worker: str, kind: str, data: dict[str, Any]) -> None:
        """Take a message of a worker's."""


class WorkerSide(Protocol):
    """What takes the messages of the process that leads."""

    def from_leader(self, kind: str, data: dict[str, Any]) -> None:
        """Take a message of the master's."""


class Link:
    """One process's end of the line.

    Args:
        environment: Locust's, with its runner.

    Attributes:
        role: whether this process leads, works, or does both.
        leading: takes what workers send, where this process leads.
        working: takes what the leader sends, where this process works.
    """

    def __init__(self, environment: Environment) -> None:
        runner = environment.runner
        assert runner is not None  # noqa: S101 - Locust fires no event without one
        self._runner: Runner = runner
        self.leading: LeaderSide | None = None
        self.working: WorkerSide | None = None
        self.role: Role = "local"
        if isinstance(runner, MasterRunner):
            self.role = "master"
            runner.register_message(_MESSAGE, self._at_master)
        elif isinstance(runner, WorkerRunner):
            self.role = "worker"
            runner.register_message(_MESSAGE, self._at_worker)
        elif not isinstance(runner, LocalRunner):
            raise TypeError(f"a runner of an unknown kind: {type(runner).__name__}")

    @property
    def name(self) -> str:
        """This process, as the leader knows it."""
        return LOCAL if self.role == "local" else str(getattr(self._runner, "client_id", LOCAL))

    def to_leader(self, kind: str, data: dict[str, Any]) -> None:
        """Tell the process that leads."""
        if self.role == "worker":
            self._runner.send_message(_MESSAGE, {"kind": kind, **data})
        elif self.leading is not None:
            self.leading.from_worker(LOCAL, kind, data)

    def to_workers(self, workers: Iterable[str], kind: str, data: dict[str, Any]) -> None:
        """Tell processes that hold connections.

        Args:
            workers: whom. One that hangs hears it when it goes on; one that is gone, never.
            kind: of the message.
            data: msgpack-able.
        """
        for worker in workers:
            if self.role != "local":
                self._runner.send_message(_MESSAGE, {"kind": kind, **data}, client_id=worker)
            elif self.working is not None:
                self.working.from_leader(kind, dict(data))

    def workers(self) -> list[str]:
        """The workers that are connected and alive, by their numbers."""
        runner = self._runner
        if not isinstance(runner, MasterRunner):
            return [LOCAL]
        alive = (each.id for each in runner.clients.all if each.state != STATE_MISSING)
        return sorted(alive, key=runner.get_worker_index)

    def label(self, worker: str) -> str:
        """A worker's name for people: a number that stays the same, and its host."""
        if not isinstance(self._runner, MasterRunner):
            return worker
        number = self._runner.get_worker_index(worker) + 1
        return f"worker {number} ({worker.rpartition('_')[0] or worker})"

    def forget_missing(self) -> None:
        """Have Locust forget workers that have been missing for long.

        Locust would do so itself ten seconds later, and begin all users anew on those that
        are left: their connections would be closed and made again in the middle of a run.
        """
        if isinstance(self._runner, MasterRunner):
            clients = self._runner.clients
            for each in list(clients.all):
                if each.state == STATE_MISSING and each.heartbeat <= _FORGOTTEN_AT:
                    del clients[each.id]

    def dismiss(self) -> None:
        """Send the workers home, those too that are just coming: there will be no run."""
        runner = self._runner
        if isinstance(runner, MasterRunner):
            expected = getattr(runner.environment.parsed_options, "expect_workers", 1)
            deadline = time.monotonic() + _COMING_S
            while len(runner.clients) < expected and time.monotonic() < deadline:
                gevent.sleep(0.05)
            runner.quit()

    def _at_master(self, msg: Any, **_: Any) -> None:
        if self.leading is not None:
            self.leading.from_worker(msg.node_id, msg.data.pop("kind"), msg.data)

    def _at_worker(self, msg: Any, **_: Any) -> None:
        if self.working is not None:
            self.working.from_leader(msg.data.pop("kind"), msg.data)
