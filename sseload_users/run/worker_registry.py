"""The workers of a run: those that take part, joined late, left or were lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sseload_users.core.formatting import clean, count
from sseload_users.core.totals import Totals, WorkerTotals
from sseload_users.run.link import Link

#: The phases in which a worker joins too late, and how a sentence states each.
LATE = {
    "settle": "after all connections had been made, before the first code was sent",
    "broadcast": "while codes were being sent",
    "observe": "while messages were being observed",
    "drain": "after the last code had been sent",
    "disconnect": "when the run was ending",
}


class WorkerRegistry:
    """The workers of one run, as its leader sees them.

    Args:
        link: knows which workers are alive.
        totals: has each worker's part of the account.
        mark_incomplete: called with each reason why the account is incomplete, in a sentence.
    """

    def __init__(self, link: Link, totals: Totals, mark_incomplete: Callable[[str], None]) -> None:
        self._link = link
        self._totals = totals
        self._mark_incomplete = mark_incomplete
        self._recipients: dict[str, None] = {}
        # Locust gives users to all workers that are connected, before they say hello.
        for worker in link.workers():
            self._enter(worker)

    def name(self, worker: str) -> str:
        """Return a worker's name for the beginning of a sentence."""
        name = self._totals.worker(worker).name
        return name[:1].upper() + name[1:]

    def add(self, worker: str, region: str, *, late: str = "") -> None:
        """Add a worker that takes part, and gets all messages from now on.

        Args:
            worker: id of the worker.
            region: region that it is in; empty if unknown.
            late: phase that the run is in, if all connections have been made; see LATE.
        """
        known = worker in self._totals.workers
        self._recipients[worker] = None
        self._enter(worker).region = region
        if late and not known:
            self._mark_incomplete(
                f"{self.name(worker)} joined {LATE[late]}: Locust moved connections to it."
            )

    def recipients(self, but: str | None = None) -> list[str]:
        """Return the ids of the workers that get messages to all.

        Args:
            but: worker to leave out.
        """
        return [worker for worker in self._recipients if worker != but]

    def note_message(self, worker: str) -> None:
        """Note that a worker has sent something: it is not lost, or no longer."""
        totals = self._totals.workers.get(worker)
        if totals is not None and totals.lost and worker in self._link.workers():
            totals.lost = False
            self._mark_incomplete(
                f"{self.name(worker)} is back and reports its connections again, after it had been "
                "silent for a while."
            )

    def update(self, *, ending: bool) -> None:
        """Check which workers have disappeared.

        Args:
            ending: whether the run is ending, so that workers may leave.
        """
        alive = set(self._link.workers())
        for worker, totals in self._totals.workers.items():
            if worker in alive or totals.lost or totals.left:
                continue
            if not totals.final:
                self._mark_lost(worker, totals)
            elif not ending:
                totals.left = True
                self._mark_incomplete(
                    f"{self.name(worker)} ended before the run did: Locust moved its connections."
                )
        if not ending:
            self._link.forget_missing()

    def give_up(self) -> None:
        """Mark all workers as lost that have not sent a final report."""
        for worker, totals in self._totals.workers.items():
            if not totals.final and not totals.lost:
                self._mark_lost(worker, totals)

    def present(self) -> list[WorkerTotals]:
        """Return the accounts of the workers that are neither lost nor have left."""
        return [each for each in self._totals.workers.values() if not each.lost and not each.left]

    def open_sessions(self) -> list[tuple[str, int]]:
        """Return the id of each worker that takes part, and how many sessions it has open."""
        return [
            (worker, each.gauges.open)
            for worker, each in self._totals.workers.items()
            if each.gauges and not each.lost and not each.left
        ]

    def is_lost(self, worker: str) -> bool:
        """Whether a worker is lost, as far as is known."""
        return self._totals.worker(worker).lost

    def broadcaster(self) -> str | None:
        """Return the id of the worker that has the broadcaster."""
        for worker, totals in self._totals.workers.items():
            if totals.gauges and totals.gauges.broadcasters and not totals.lost and not totals.left:
                return worker
        return None

    def is_closed(self) -> bool:
        """Whether all accounts are closed, except those of lost workers."""
        return all(each.final or each.lost for each in self._totals.workers.values())

    def is_complete(self) -> bool:
        """Whether all accounts are closed and here."""
        return all(each.final for each in self._totals.workers.values())

    def _enter(self, worker: str) -> WorkerTotals:
        totals = self._totals.worker(worker)
        totals.name = clean(self._link.label(worker))
        return totals

    def _mark_lost(self, worker: str, totals: WorkerTotals) -> None:
        totals.lost = True
        if totals.gauges is None:
            self._mark_incomplete(f"{self.name(worker)} was lost before it reported anything.")
            return
        # Nothing is open or in flight there any more.
        totals.gauges = replace(totals.gauges, open=0, connecting=0, owed=0, delivered=0)
        listeners = count(totals.gauges.listeners, "connection")
        self._mark_incomplete(
            f"{self.name(worker)} was lost with {listeners}: what they received after its last "
            "report is not counted."
        )
