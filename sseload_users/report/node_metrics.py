"""The figures of nodes as Prometheus metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from sseload_users.report.model import Report


def node_metrics(report: Report) -> Iterator[Metric]:
    """Yield the metrics of a run's nodes."""
    connects = CounterMetricFamily(
        "sseload_node_connects",
        "Connect attempts at each node, by result.",
        labels=("node", "result"),
    )
    drops = CounterMetricFamily(
        "sseload_node_drops",
        "Sessions at each node that the server or the network ended.",
        labels=("node",),
    )
    planned = CounterMetricFamily(
        "sseload_node_planned_ends",
        "Sessions at each node that the server ended as planned.",
        labels=("node",),
    )
    gaps = GaugeMetricFamily(
        "sseload_node_longest_gap_seconds",
        "Longest time from the end of a session at each node, not by sseload, to the next one.",
        labels=("node",),
    )
    for node in report.nodes:
        planned.add_metric((node.url,), node.planned_ends)
        gap_ms = node.gap_max_ms
        gaps.add_metric((node.url,), math.nan if gap_ms is None else gap_ms / 1000)
        connects.add_metric((node.url, "succeeded"), node.succeeded)
        connects.add_metric((node.url, "failed"), node.failed)
        drops.add_metric((node.url,), node.dropped)
    yield from (connects, drops, planned, gaps)
    yield from _pairs(report)


def _pairs(report: Report) -> Iterator[Metric]:
    labels = ("sent_to", "received_at")
    # A missing delivery can still arrive late, so the counts may fall.
    owed = GaugeMetricFamily(
        "sseload_node_deliveries_owed",
        "Owed pairs of a code, by the node that it was sent to, and a session, by its node.",
        labels=labels,
    )
    delivered = GaugeMetricFamily(
        "sseload_node_deliveries",
        "The owed pairs of nodes that were delivered.",
        labels=labels,
    )
    p99 = GaugeMetricFamily(
        "sseload_node_delivery_latency_p99_seconds",
        "The 99th percentile of the delivery latency between nodes.",
        labels=labels,
    )
    for pair in report.node_pairs:
        names, p99_ms = (pair.sent_to, pair.received_at), pair.delivery_ms.p99
        owed.add_metric(names, pair.owed)
        delivered.add_metric(names, pair.delivered)
        p99.add_metric(names, math.nan if p99_ms is None else p99_ms / 1000)
    yield from (owed, delivered, p99)
