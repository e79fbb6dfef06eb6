"""Connections that move to other channels during a run, as people change rooms."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from sseload_users.core.channels import ChannelPlan


class ChannelChurn:
    """Decides when connections move, and from which channel to which.

    Channels of which every connection is a member are neither left nor joined. Others are joined
    as often as their sizes say, so that large ones stay large.

    Args:
        mean_s: average seconds from one move of a connection to the next; 0 for never.
        plan: has the channels; None for a run without channels.
        connections: number of connections of all workers.
        seed: makes the moves different ones.
    """

    def __init__(
        self, mean_s: float, plan: ChannelPlan | None, connections: int, seed: str
    ) -> None:
        sizes = {} if plan is None else plan.sizes
        self._sizes = {name: size for name, size in sizes.items() if size < connections}
        self._mean_s = mean_s
        self._seed = seed

    def __bool__(self) -> bool:
        """Whether connections move."""
        return bool(self._mean_s)

    def chance_of(self, number: int) -> Random:
        """Return what decides about the moves of one connection of this process."""
        return Random(f"{self._seed} {number}")

    def wait_s(self, chance: Random) -> float:
        """Return the seconds until a connection moves; they do not depend on earlier moves."""
        return chance.expovariate(1 / self._mean_s)

    def move(self, own: Sequence[str], chance: Random) -> tuple[str | None, str] | None:
        """Return the channel that a connection leaves, and the one that it joins.

        Args:
            own: its channels.
            chance: from `chance_of`.

        Returns:
            The two channels, the first is None if it is in none that it can leave; None if there
            is nothing to join.
        """
        names = [each for each in self._sizes if each not in own]
        if not names:
            return None
        leaves = [each for each in own if each in self._sizes]
        (joins,) = chance.choices(names, [self._sizes[each] for each in names])
        return chance.choice(leaves) if leaves else None, joins
