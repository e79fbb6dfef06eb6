"""The account of each node of a run, and of each pair of a publishing and a receiving node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from sseload_users.core.code_tally import STRAY, CodeTally, GroupOutcomes, Outcomes
from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.histogram import Histogram
from sseload_users.core.node_figures import NodeFigures, NodeOutage, NodePairFigures
from sseload_users.core.outages import Outage, changes_at_nodes, outages
from sseload_users.core.streams import StreamPlan
from sseload_users.core.tally import Tally


class NodeTotals:
    """The accounts of all nodes.

    Args:
        urls: the nodes' URLs.
        streams: deals codes to them.
    """

    def __init__(self, urls: Sequence[str], streams: StreamPlan) -> None:
        self._urls = urls
        self._streams = streams
        self._codes: Counter[int] = Counter()
        # Nodes of the codes that were not sent to the one whose turn it was.
        self._diverted: dict[int, int] = {}
        # How many of the latest codes of each node's turn were such, without one between them.
        self._refused: Counter[int] = Counter()
        self._pairs = {
            (source, to): GroupOutcomes() for source in range(len(urls)) for to in range(len(urls))
        }

    def count_sent(self, sequence: int, node: int | None = None) -> None:
        """Count a code that was sent.

        Args:
            sequence: its sequence number.
            node: index of the node that it was sent to; None for the one whose turn it was.
        """
        due = self._due(sequence)
        if node is not None and node != due:
            self._diverted[sequence] = node
            self._refused[due] += 1
        else:
            self._refused[due] = 0
        self._codes[self._source(sequence)] += 1

    def add(self, sequence: int, code: CodeTally) -> None:
        """Add what a worker reports of a code."""
        if sequence == STRAY:  # it has no node
            return
        for to, outcomes in (code.at_nodes or {}).items():
            self._pairs[self._source(sequence), to].merge(outcomes)

    def figures(self, tally: Tally, started_ns: int) -> list[NodeFigures]:
        """Return the figures of the nodes, in order.

        Args:
            tally: has the numbers of their connections.
            started_ns: when the run began (wall clock, ns).
        """
        diverted = Counter(map(self._due, self._diverted))
        changes = changes_at_nodes(tally.node_seconds, started_ns / 1e9)
        return [
            self._node(node, tally, diverted[node], outages(changes.get(node, ())))
            for node in range(len(self._urls))
        ]

    def refused_at_end(self) -> dict[str, int]:
        """Return how many of the latest codes a node did not take, by the URLs of such nodes."""
        return {self._urls[node]: many for node, many in sorted((+self._refused).items())}

    def _node(self, node: int, tally: Tally, diverted: int, away: Sequence[Outage]) -> NodeFigures:
        gaps, all_owed = tally.node_gaps.get(node, Histogram()), Outcomes()
        for (_, to), pair in self._pairs.items():
            if to == node:
                all_owed.add(pair)
        return NodeFigures(
            node=node + 1,
            url=self._urls[node],
            attempted=tally.nodes[node, "connected"] + tally.nodes[node, "failed"],
            succeeded=tally.nodes[node, "connected"],
            failed=tally.nodes[node, "failed"],
            dropped=tally.nodes[node, "dropped"],
            planned_ends=tally.nodes[node, "planned"],
            returned=gaps.total,
            gap_p50_ms=gaps.percentile_ms(50),
            gap_max_ms=gaps.percentile_ms(100),
            codes=self._codes[node],
            diverted=diverted,
            owed=all_owed.owed,
            delivered=all_owed.delivered,
            late=all_owed.late,
            recovered=all_owed.recovered,
            interrupted=all_owed.interrupted,
            missing=all_owed.missing,
            outages=[
                NodeOutage(
                    from_s=round(max(0.0, each.from_s), 3),
                    to_s=None if each.to_s is None else round(each.to_s, 3),
                )
                for each in away
            ],
        )

    def pairs(self, summarize: Callable[[Histogram], LatencySummary]) -> list[NodePairFigures]:
        """Return the figures of the pairs of nodes, by publishing and by receiving node.

        Args:
            summarize: sums up latencies.
        """
        return [
            NodePairFigures(
                sent_to=self._urls[source],
                received_at=self._urls[to],
                owed=pair.owed,
                delivered=pair.delivered,
                late=pair.late,
                recovered=pair.recovered,
                interrupted=pair.interrupted,
                missing=pair.missing,
                delivery_ms=summarize(pair.latencies),
            )
            for (source, to), pair in self._pairs.items()
        ]

    def losses(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return how many pairs were owed, and how many were lost, by both nodes' URLs."""
        return {
            (self._urls[source], self._urls[to]): (pair.owed, pair.owed - pair.received)
            for (source, to), pair in self._pairs.items()
        }

    def _source(self, sequence: int) -> int:
        """Return the node that a code was sent to."""
        diverted = self._diverted.get(sequence)
        return self._due(sequence) if diverted is None else diverted

    def _due(self, sequence: int) -> int:
        """Return the node whose turn a code was."""
        return self._streams.node(self._streams.stream_of(sequence))
