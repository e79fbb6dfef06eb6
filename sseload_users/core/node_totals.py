"""The account of each node of a run, and of each pair of a publishing and a receiving node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from sseload_users.core.code_tally import STRAY, CodeTally, NodeOutcomes
from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.histogram import Histogram
from sseload_users.core.node_figures import NodeFigures, NodePairFigures
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
        self._pairs = {
            (source, to): NodeOutcomes() for source in range(len(urls)) for to in range(len(urls))
        }

    def count_sent(self, sequence: int) -> None:
        """Count a code that was sent."""
        self._codes[self._source(sequence)] += 1

    def add(self, sequence: int, code: CodeTally) -> None:
        """Add what a worker reports of a code."""
        if sequence == STRAY:  # it has no node
            return
        for to, outcomes in (code.at_nodes or {}).items():
            self._pairs[self._source(sequence), to].merge(outcomes)

    def figures(self, tally: Tally) -> list[NodeFigures]:
        """Return the figures of the nodes, in order.

        Args:
            tally: has the numbers of their connections.
        """
        return [
            NodeFigures(
                url=url,
                attempted=tally.nodes[node, "connected"] + tally.nodes[node, "failed"],
                succeeded=tally.nodes[node, "connected"],
                failed=tally.nodes[node, "failed"],
                dropped=tally.nodes[node, "dropped"],
                codes=self._codes[node],
            )
            for node, url in enumerate(self._urls)
        ]

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
        return self._streams.node(self._streams.stream_of(sequence))
