"""A delivery that was not simply made, as a line of deliveries.csv."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sseload_users.core.totals import Totals
from sseload_users.core.unusual_pairs import MAX_PAIRS


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One line of deliveries.csv.

    Attributes:
        code: sequence number of the code.
        connection: number of the connection, as in connections.csv.
        worker: name of the worker that held it.
        username: user it connected as.
        channel: the code's channel; empty in a run without channels.
        node: URL of the node that it was connected to; empty in a run without nodes.
        outcome: late, recovered, interrupted or missing.
        latency_ms: how long after its sending the code came, in milliseconds; None if it never
            did.
    """

    code: int
    connection: int
    worker: str
    username: str
    channel: str
    node: str
    outcome: str
    latency_ms: float | None


def delivery_rows(totals: Totals, nodes: Sequence[str]) -> list[DeliveryRow]:
    """Return the first rows of deliveries.csv, by code and connection.

    Args:
        totals: the account, with what workers have kept for this.
        nodes: URLs of the nodes; empty in a run without nodes.
    """
    rows = sorted(_rows(totals, nodes), key=lambda row: (row.code, row.connection))
    return rows[:MAX_PAIRS]


def _rows(totals: Totals, nodes: Sequence[str]) -> Iterator[DeliveryRow]:
    before = 0
    for worker in totals.workers.values():
        for pair in worker.unusual:
            yield DeliveryRow(
                code=pair.code,
                connection=before + pair.connection,
                worker=worker.name,
                username=worker.connections[pair.connection - 1].username,
                channel=totals.channel_of(pair.code),
                node="" if pair.node is None else nodes[pair.node],
                outcome=pair.outcome,
                latency_ms=None if pair.latency_us is None else pair.latency_us / 1000,
            )
        before += len(worker.connections)
