"""The lines of node_pairs.csv."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sseload_users.core.node_figures import NodePairFigures


@dataclass(frozen=True, slots=True)
class NodePairRow:
    """What sessions at one node received of the codes that were sent to one node.

    Attributes:
        sent_to: URL of the node that the codes were sent to.
        received_at: URL of the node that the sessions were at.
        owed: see `NodePairFigures`, also for the next five.
        p50_ms: median of the delivery latency; None if nothing was delivered.
        p99_ms: its 99th percentile.
    """

    sent_to: str
    received_at: str
    owed: int
    delivered: int
    late: int
    recovered: int
    interrupted: int
    missing: int
    p50_ms: float | None
    p99_ms: float | None


def node_pair_rows(pairs: Iterable[NodePairFigures]) -> Iterator[NodePairRow]:
    """Yield a line for each pair of nodes, in the report's order."""
    for each in pairs:
        yield NodePairRow(
            sent_to=each.sent_to,
            received_at=each.received_at,
            owed=each.owed,
            delivered=each.delivered,
            late=each.late,
            recovered=each.recovered,
            interrupted=each.interrupted,
            missing=each.missing,
            p50_ms=each.delivery_ms.p50,
            p99_ms=each.delivery_ms.p99,
        )
