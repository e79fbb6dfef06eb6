"""The channels of a run, and which code goes to which of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Literal, TypeAlias, get_args

#: How codes are dealt to channels: in turn, at random, or at random by the channels' sizes.
ChannelOrder: TypeAlias = Literal["turn", "random", "weighted"]
CHANNEL_ORDERS: tuple[ChannelOrder, ...] = get_args(ChannelOrder)


class ChannelPlan:
    """Deals codes to channels.

    All processes of a run compute the same: a copy can arrive before its code is announced, and
    its channel is known nevertheless.

    Args:
        names: the channels; at least one.
        order: how codes are dealt.
        sizes: the number of connections of each channel, by which codes are dealt if the order
            is "weighted"; 1 each if it is empty.
        seed: makes the choice at random a different one; the same on all processes.
        streams: number of streams of codes (see `StreamPlan`); if codes are dealt in turn, each
            stream's codes go to each channel.

    Attributes:
        sizes: the number of connections of each channel, by its name.

    Raises:
        ValueError: there is no channel, or the sizes do not fit.
    """

    def __init__(
        self,
        names: Sequence[str],
        order: ChannelOrder = "turn",
        sizes: Sequence[int] = (),
        seed: str = "",
        streams: int = 1,
    ) -> None:
        sizes = sizes or [1] * len(names)
        if not names or len(sizes) != len(names):
            raise ValueError("a channel plan needs channels, and a size of each")
        self.names = tuple(names)
        self.order = order
        self.sizes = dict(zip(names, sizes, strict=True))
        self._seed = seed
        self._streams = streams
        self._bounds = tuple(accumulate(sizes if order == "weighted" else [1] * len(names)))

    def channel_of(self, sequence: int) -> str:
        """Return the channel of a code.

        Args:
            sequence: its sequence number, from 1.
        """
        if self.order == "turn":
            round_, stream = divmod(sequence - 1, self._streams)
            return self.names[(round_ + stream) % len(self.names)]
        digest = blake2b(f"{self._seed} {sequence}".encode(), digest_size=8).digest()
        drawn = int.from_bytes(digest, "big") % max(self._bounds[-1], 1)
        return self.names[min(bisect_right(self._bounds, drawn), len(self.names) - 1)]
