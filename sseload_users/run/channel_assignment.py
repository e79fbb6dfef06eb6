"""Which channels each connection subscribes to, and which channels codes are published to."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from sseload_users.core.channels import ChannelPlan
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.options import Options
from sseload_users.targets import Identity, Target
from sseload_users.targets.channel_changes import ChannelChanges

#: Multiples of it, modulo 1, spread evenly however many there are (the golden ratio).
_EVEN_STEP = 0.6180339887498949


class ChannelAssignment:
    """Assigns channels to connections: the same on all processes of a run.

    Args:
        options: the run's options.
        target: knows which channels a user subscribes to.
        identities: users that connect, in turn.
    """

    def __init__(self, options: Options, target: Target, identities: Sequence[Identity]) -> None:
        self._options = options
        self._target = target
        self._identities = identities
        weights = [1 / rank for rank in range(1, options.channels + 1)]
        self._bounds = tuple(accumulate(weights))

    @property
    def has_channels(self) -> bool:
        """Whether the run has channels."""
        return bool(self._options.channels) or self._target.profile.spec.audience is not None

    def is_same_for_all(self, identity: Identity | None = None) -> bool:
        """Whether all connections have the same user, channels and node.

        Args:
            identity: the user; None for the one whose turn it is.
        """
        if self._options.nodes:
            return False
        return not self.has_channels and (identity is not None or len(self._identities) == 1)

    def identity(self, position: int, identity: Identity | None = None) -> Identity:
        """Return the user of a connection, with the channels that it subscribes to.

        Args:
            position: the connection's position among those of all workers, from 0.
            identity: the user; None for the one whose turn it is.

        Raises:
            ConfigError: a name has no value.
        """
        user = identity or self._identities[position % len(self._identities)]
        if not self.has_channels:
            return user
        return self._target.with_channels(user, self._numbered(position))

    def node(self, position: int) -> int | None:
        """Return the node of a connection, from 0; None in a run without nodes.

        The connections of each channel of --channels are spread over all nodes.

        Args:
            position: the connection's position among those of all workers, from 0.
        """
        nodes = len(self._options.nodes)
        if not nodes:
            return None
        turn, at = divmod(position, self._options.channels or 1)
        return (turn + at) % nodes

    def plan(self, connections: int, seed: str) -> ChannelPlan | None:
        """Return the plan that deals codes to channels; None for a run without channels.

        Only channels with connections get codes.

        Args:
            connections: the number of connections of all workers.
            seed: makes the choice at random a different one; the same on all processes.

        Raises:
            ConfigError: a name has no value.
        """
        if not self.has_channels:
            return None
        sizes: Counter[str] = Counter()
        for position in range(max(connections, 1)):
            sizes.update(self.identity(position).channels)
        self._check_named(several=len(sizes) > 1)
        order = self._options.channel_order
        streams = self._options.streams.count
        return ChannelPlan([*sizes], order, [*sizes.values()], seed, streams)

    def check(self, connections: int) -> None:
        """Check that codes, and connections that move, can name their channel.

        Args:
            connections: the most connections that it takes for each channel to have one.

        Raises:
            ConfigError: they cannot, or a name has no value.
        """
        plan = self.plan(connections, "")
        if not self._options.channel_churn:
            return
        if plan is None:
            raise ConfigError(
                "--channel-churn needs channels: give --channels N, or name the channels in the "
                "profile's [audience]."
            )
        ChannelChanges(self._target).check()
        if len(plan.names) == 1:
            raise ConfigError(
                f"--channel-churn: all connections are in one channel, {clean(plan.names[0])}; "
                "give more with --channels N."
            )

    def of_one_channel(self, count: int) -> tuple[list[Identity], str | None]:
        """Return users that subscribe to one channel, in turn, and its name.

        Args:
            count: how many; a user may be there more than once.

        Returns:
            The users of all connections, and None, in a run without channels.

        Raises:
            ConfigError: a name has no value, or the profile does not say which channel is meant.
        """
        everybody = [self.identity(0, each) for each in self._identities]
        self.plan(1, "")
        channel = everybody[0].channels[0] if self.has_channels else None
        members = [each for each in everybody if channel is None or channel in each.channels]
        return [members[index % len(members)] for index in range(count)], channel

    def _check_named(self, *, several: bool) -> None:
        """Check that the profile says which channel is meant.

        Raises:
            ConfigError: it does not.
        """
        by_ingest, by_others = self._target.names_channel()
        name = self._target.profile.name
        if self._options.channels and not by_others:
            raise ConfigError(
                f"--channels: target {name} does not subscribe to {{channel}}; use it in the "
                "profile, for example in connect.query or connect.send."
            )
        if several and not by_ingest:
            raise ConfigError(
                f"target {name}: [ingest] does not say which {{channel}} a code goes to; use it "
                "in the path, query, headers, body or message."
            )

    def _numbered(self, position: int) -> str | None:
        """Return the channel of --channels that a connection is in; None without that option."""
        channels = self._options.channels
        if not channels:
            return None
        if self._options.channel_sizes == "even":
            return f"c{position % channels + 1}"
        share = (position + 0.5) * _EVEN_STEP % 1
        rank = bisect_right(self._bounds, share * self._bounds[-1])
        return f"c{min(rank, channels - 1) + 1}"
