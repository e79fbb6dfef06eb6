"""The link without worker processes calls the other side directly."""

from __future__ import annotations

from locust.env import Environment

from sseload_users.run.link import LOCAL, Link
from sseload_users.run.messages import Hello, PhaseEntered, ToLeader, ToWorker


class Side:
    """Records what arrives."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, str, ToLeader] | tuple[str, ToWorker]] = []

    def from_worker(self, worker: str, run_id: str, message: ToLeader) -> None:
        self.arrived.append((worker, run_id, message))

    def from_leader(self, run_id: str, message: ToWorker) -> None:
        self.arrived.append((run_id, message))


def test_a_process_without_workers_talks_to_itself() -> None:
    environment = Environment(user_classes=[])
    environment.create_local_runner()
    link = Link(environment)
    link.to_leader("r", Hello(""))
    link.to_workers([LOCAL], "r", PhaseEntered("connect", 1))
    leader, worker = Side(), Side()
    link.leader, link.worker = leader, worker
    link.to_leader("r", Hello("eu"))
    link.to_workers([LOCAL], "r", PhaseEntered("settle", 2))
    link.to_workers([], "r", PhaseEntered("drain", 3))
    assert link.role == "local"
    assert link.workers() == [LOCAL]
    assert leader.arrived == [(LOCAL, "r", Hello("eu"))]
    assert worker.arrived == [("r", PhaseEntered("settle", 2))]
