"""The working side of a process: it begins a station with each run."""

from __future__ import annotations

from typing import Any

from locust.env import Environment

from sseload_users.settings import ConfigError
from sseload_users.station import RunId, Station, set_station
from sseload_users.swarm import Swarm
from sseload_users.user_classes import UserClasses


class Working:
    """The working side of a process: it begins a station with each run."""

    def __init__(self, environment: Environment, swarm: Swarm, users: UserClasses) -> None:
        self._environment = environment
        self._swarm = swarm
        self._users = users
        self._station: Station | None = None
        # The newest phase may be told before Locust has begun the run here.
        self._early: dict[str, Any] = {}
        # The leader's options will replace this process's own, this one too.
        self._region: str = getattr(environment.parsed_options, "region", None) or ""
        swarm.working = self

    def begin(self) -> None:
        """Locust begins a test here."""
        agreed = getattr(self._environment.parsed_options, "sseload_run", None)
        if agreed is None:
            return
        run = RunId(*agreed)
        try:
            station = Station(
                self._environment, self._swarm, self._users.options(self._environment), run
            )
        except ConfigError as error:
            self._swarm.to_leader("unfit", {"run": run.text, "sentence": str(error)})
            return
        except ValueError as error:
            self._swarm.to_leader("unfit", {"run": run.text, "sentence": f"{error}."})
            return
        self._station = station
        set_station(self._environment, station)
        self._swarm.to_leader("hello", {"run": run.text, "region": self._region})
        if self._early.get("run") == run.text:
            station.from_leader("phase", self._early)

    def quit(self) -> None:
        """Locust quits here: send what is left while the leader still listens."""
        if self._station is not None and self._swarm.role == "worker":
            self._station.finish()

    def from_leader(self, kind: str, data: dict[str, Any]) -> None:
        """Take a message of the process that leads."""
        if self._station is not None and data["run"] == self._station.run_id:
            self._station.from_leader(kind, data)
        elif kind == "phase":
            self._early = data
