"""Who takes part in a run: the workers, those that came late, and those that went away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sseload_users.core.formatting import clean, count
from sseload_users.core.totals import Totals, WorkerTotals
from sseload_users.run.link import Link


class WorkerRegistry:
    """The workers of one run, as the process that leads it sees them.

    Args:
        swarm: knows which workers are alive.
        totals: has each worker's part of the account.
        incomplete: is told, in a sentence each, why the account is not whole.
    """

    def __init__(self, swarm: Link, totals: Totals, incomplete: Callable[[str], None]) -> None:
        self._swarm = swarm
        self._totals = totals
        self._incomplete = incomplete
        self._told: dict[str, None] = {}
        # Locust gives users to all who are there now, whether they have said hello or not.
        for worker in swarm.workers():
            self._enter(worker)

    def _enter(self, worker: str) -> WorkerTotals:
        view = self._totals.worker(worker)
        view.name = clean(self._swarm.label(worker))
        return view

    def name(self, worker: str) -> str:
        """What a worker is called at the beginning of a sentence."""
        name = self._totals.worker(worker).name
        return name[:1].upper() + name[1:]

    def welcome(self, worker: str, region: str, *, late: bool) -> None:
        """A worker takes part, and is to be told of everything from now on.

        Args:
            worker: who.
            region: where it says that it is.
            late: the codes are on their way already.
        """
        known = worker in self._totals.workers
        self._told[worker] = None
        self._enter(worker).region = region
        if late and not known:
            self._incomplete(
                f"{self.name(worker)} came when the codes were on their way already: Locust moved "
                "connections to it."
            )

    def told(self, but: str | None) -> list[str]:
        """The workers that are told of everything.

        Args:
            but: not this one, who knows already.
        """
        return [worker for worker in self._told if worker != but]

    def heard(self, worker: str) -> None:
        """Something came from a worker; it is not lost, then."""
        view = self._totals.workers.get(worker)
        if view is not None and view.lost and worker in self._swarm.workers():
            view.lost = False
            self._incomplete(
                f"{self.name(worker)} is back, and accounts for its connections again: it had not "
                "been heard of for a while."
            )

    def look(self, *, ending: bool) -> None:
        """See which workers have gone away.

        Args:
            ending: the run is ending, and so it is no matter who leaves in order.
        """
        alive = set(self._swarm.workers())
        for worker, view in self._totals.workers.items():
            if worker in alive or view.lost or view.left:
                continue
            if not view.final:
                self._lose(worker, view)
            elif not ending:
                view.left = True
                self._incomplete(
                    f"{self.name(worker)} ended before the run did: Locust moved its connections."
                )
        if not ending:
            self._swarm.forget_missing()

    def give_up(self) -> None:
        """Wait for nobody any more."""
        for worker, view in self._totals.workers.items():
            if not view.final and not view.lost:
                self._lose(worker, view)

    def _lose(self, worker: str, view: WorkerTotals) -> None:
        view.lost = True
        # What was on its way there is not any more.
        if view.gauges is None:
            self._incomplete(f"{self.name(worker)} was lost before it reported anything.")
            return
        view.gauges = replace(view.gauges, open=0, connecting=0, owed=0, delivered=0)
        listeners = count(view.gauges.listeners, "connection")
        self._incomplete(
            f"{self.name(worker)} was lost with {listeners}: what they got after its last report "
            "is not accounted for."
        )

    def present(self) -> list[WorkerTotals]:
        """Those that can still be waited for."""
        return [each for each in self._totals.workers.values() if not each.lost and not each.left]

    def broadcaster(self) -> str | None:
        """The worker that has the user who broadcasts."""
        for worker, view in self._totals.workers.items():
            if view.gauges and view.gauges.broadcasters and not view.lost and not view.left:
                return worker
        return None

    def is_closed(self) -> bool:
        """Whether every account is closed that can be."""
        return all(each.final or each.lost for each in self._totals.workers.values())

    def is_whole(self) -> bool:
        """Whether every account is closed, and here."""
        return all(each.final for each in self._totals.workers.values())
