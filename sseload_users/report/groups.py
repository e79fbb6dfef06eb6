"""Compare groups of a run's connections: by node, channel, region, worker, and pace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.histogram import Histogram
from sseload_users.report import hdr
from sseload_users.report.model import Report

#: The percentiles of a group's delivery latency.
PERCENTILES = ("p50", "p95", "p99", "max")


@dataclass(frozen=True, slots=True)
class Group:
    """Some connections of a run, or the codes of a channel.

    Attributes:
        name: for a chart's axis: short where there is a short name.
        owed: pairs of a code and a session that was owed it.
        received: those that came in time or were recovered.
        latencies: the percentiles of the delivery latency that are known, in milliseconds, by
            their names.
        full_name: the name in full.
    """

    name: str
    owed: int
    received: int
    latencies: dict[str, float]
    full_name: str = ""

    @property
    def lost(self) -> int:
        """Pairs that neither came in time nor were recovered."""
        return self.owed - self.received

    @property
    def badness(self) -> tuple[float, float]:
        """What sorts groups, the worst last: the share that was lost, then the latency."""
        return self.lost / self.owed if self.owed else 0.0, self.latencies.get("p99", 0.0)


class _Share(Protocol):
    """What workers, regions and paces have in common."""

    owed: int
    delivered: int
    recovered: int
    delivery_ms: LatencySummary


def nodes(report: Report) -> list[Group]:
    """Return what the connections of each node received, of the codes of all nodes.

    Raises:
        ValueError: a histogram cannot be read.
    """
    latencies = {node.url: Histogram() for node in report.nodes}
    for pair in report.node_pairs:
        found = hdr.histogram(pair.delivery_ms)
        if found is not None:
            latencies[pair.received_at].merge(found)
    return [
        Group(
            str(node.node),
            node.owed,
            node.delivered + node.recovered,
            _known(latencies[node.url].summary(encoded=False)),
            f"node {node.node}, {node.url}",
        )
        for node in report.nodes
    ]


def channels(report: Report) -> list[Group]:
    """Return what became of the codes of each channel, the worst first."""
    return [
        Group(each.name, each.owed, each.received, _known(each), f"channel {each.name}")
        for each in report.channels
    ]


def regions(report: Report) -> list[Group]:
    """Return what the connections of each region received."""
    return [_of(each, each.name or "none", f"region {each.name}") for each in report.regions]


def workers(report: Report) -> list[Group]:
    """Return what the connections of each worker received."""
    # A worker's name begins with its number: "worker 2 (host)".
    return [
        _of(each, each.name.removeprefix("worker ").partition(" ")[0], each.name)
        for each in report.workers
    ]


def paces(report: Report) -> list[Group]:
    """Return what slow readers received, and what the others."""
    return [_of(each, "slow readers" if each.slow else "the others") for each in report.paces]


def worst(groups: Iterable[Group], most: int) -> list[Group]:
    """Return the worst groups, in their own order."""
    found = list(groups)
    chosen = sorted(found, key=lambda each: each.badness, reverse=True)[:most]
    return [each for each in found if each in chosen]


def _of(share: _Share, name: str, full_name: str = "") -> Group:
    received = share.delivered + share.recovered
    return Group(name, share.owed, received, _known(share.delivery_ms), full_name or name)


def _known(latencies: object) -> dict[str, float]:
    values = {name: getattr(latencies, name) for name in PERCENTILES}
    return {name: value for name, value in values.items() if value is not None}
