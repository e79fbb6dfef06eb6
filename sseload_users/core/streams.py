"""Which publisher and which node each code has, and which codes are kept in order."""

from __future__ import annotations

import math
from collections.abc import Hashable


class StreamPlan:
    """Deals codes to publishers and nodes.

    All processes of a run compute the same: a copy can arrive before its code is announced, and
    the stream that it belongs to is known nevertheless.

    Args:
        publishers: number of publishers, to which codes are dealt in turn.
        nodes: number of nodes, to which codes are handed in in turn.

    Attributes:
        publishers: number of publishers.
        count: number of streams: of pairs of a publisher and a node at which it hands codes in.

    Raises:
        ValueError: there is no publisher, or no node.
    """

    def __init__(self, publishers: int = 1, nodes: int = 1) -> None:
        if publishers < 1 or nodes < 1:
            raise ValueError("a stream plan needs a publisher and a node")
        self.publishers = publishers
        self._nodes = nodes
        self.count = math.lcm(publishers, nodes)

    def stream_of(self, sequence: int) -> int:
        """Return the stream of a code, from 0. The server keeps the order within each.

        Args:
            sequence: its sequence number, from 1.
        """
        return (sequence - 1) % self.count

    def publisher(self, stream: int) -> int:
        """Return the publisher of a stream, from 0."""
        return stream % self.publishers

    def node(self, stream: int) -> int:
        """Return the node at which the codes of a stream are handed in, from 0."""
        return stream % self._nodes

    def order_key(self, sequence: int, channel: str | None) -> Hashable:
        """Return what codes have in common whose order is judged: the channel and the stream.

        Args:
            sequence: the code's sequence number, from 1.
            channel: its channel; None in a run without channels.
        """
        return channel if self.count == 1 else (channel, self.stream_of(sequence))


#: The plan of a run with one publisher at one node.
ONE_STREAM = StreamPlan()
