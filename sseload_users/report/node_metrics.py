"""The figures of nodes as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from sseload_users.report.metric_families import counters, gauges, scaled
from sseload_users.report.model import Report


def node_metrics(report: Report) -> Iterator[Metric]:
    """Yield the metrics of a run's nodes."""
    nodes = report.nodes
    yield counters(
        "node_connects",
        "Connect attempts at each node, by result.",
        ("node", "result"),
        [
            ((node.url, result), getattr(node, result))
            for node in nodes
            for result in ("succeeded", "failed")
        ],
    )
    yield counters(
        "node_drops",
        "Sessions at each node that the server or the network ended.",
        ("node",),
        [((node.url,), node.dropped) for node in nodes],
    )
    yield counters(
        "node_planned_ends",
        "Sessions at each node that the server ended as planned.",
        ("node",),
        [((node.url,), node.planned_ends) for node in nodes],
    )
    yield gauges(
        "node_longest_gap_seconds",
        "Longest time from the end of a session at each node, not by sseload, to the next one.",
        ("node",),
        [((node.url,), scaled(node.gap_max_ms, 0.001)) for node in nodes],
    )
    yield from _pairs(report)


def _pairs(report: Report) -> Iterator[Metric]:
    labels = ("sent_to", "received_at")
    pairs = [((pair.sent_to, pair.received_at), pair) for pair in report.node_pairs]
    # A missing delivery can still arrive late, so the counts may fall.
    yield gauges(
        "node_deliveries_owed",
        "Owed pairs of a code, by the node that it was sent to, and a session, by its node.",
        labels,
        [(names, pair.owed) for names, pair in pairs],
    )
    yield gauges(
        "node_deliveries",
        "The owed pairs of nodes that were delivered.",
        labels,
        [(names, pair.delivered) for names, pair in pairs],
    )
    yield gauges(
        "node_delivery_latency_p99_seconds",
        "The 99th percentile of the delivery latency between nodes.",
        labels,
        [(names, scaled(pair.delivery_ms.p99, 0.001)) for names, pair in pairs],
    )
