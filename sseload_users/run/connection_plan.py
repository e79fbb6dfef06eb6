"""Which identity and node each connection has, and which connections read slowly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gevent.event import AsyncResult

from sseload_users.run.channel_assignment import ChannelAssignment
from sseload_users.run.messages import PlaceRequest, PlaceReturned, ToLeader
from sseload_users.targets.identities import Identity


@dataclass(frozen=True, slots=True)
class Part:
    """What one connection is in the run.

    Attributes:
        identity: the user that it connects as, with its channels.
        slow: whether it reads slowly; None in a run where no connection does.
        node: index of the node that it connects to; None in a run without nodes.
    """

    identity: Identity
    slow: bool | None
    node: int | None = None


class ConnectionPlan:
    """Gives each connection of this process its part in the run.

    Parts depend on a connection's place among those of all workers. The leader assigns the
    places, because no worker knows how many connections the others have.

    Args:
        assignment: assigns users, channels and nodes to places.
        slow_share: share of the connections that read slowly, from 0 to 1.
        send: sends a message to the leader.
        worker_index: index of this worker.
    """

    def __init__(
        self,
        assignment: ChannelAssignment,
        slow_share: float,
        send: Callable[[ToLeader], None],
        worker_index: int = 0,
    ) -> None:
        self._assignment = assignment
        self._slow_share = slow_share
        self._send = send
        self._worker_index = worker_index
        # The user of each connection that has or awaits a place, and what gets its part.
        self._requested: dict[int, tuple[Identity | None, Callable[[Part], object]]] = {}
        self._alike: dict[str | None, Part] = {}

    def ask(self, number: int, username: str | None, action: Callable[[Part], object]) -> None:
        """Have a function called with the part of a connection, once it has a place.

        Args:
            number: number of the connection in this process; see `give_back`.
            username: user that its class connects as; None for one of the run's.
            action: must not block.
        """
        if (alike := self._alike.get(username)) is not None:
            action(alike)
            return
        user = None if username is None else Identity(username)
        if self._assignment.is_same_for_all(user) and self._slow_share in (0, 1):
            # All such connections are alike.
            alike = self._alike[username] = self._part_at(0, user)
            action(alike)
            return
        self._requested[number] = user, action
        self._send(PlaceRequest(number))

    def take_part(self, number: int, username: str | None = None) -> Part:
        """Wait for the part of a connection, and return it; see `ask`."""
        result: AsyncResult[Part] = AsyncResult()
        self.ask(number, username, result.set)
        part = result.get()
        assert part is not None  # noqa: S101
        return part

    def give_back(self, number: int) -> None:
        """Give back the place of a connection that has ended, if it has or awaits one.

        Args:
            number: number of the connection in this process.
        """
        if self._requested.pop(number, None) is not None:
            self._send(PlaceReturned(number))

    def assign(self, number: int, place: int) -> None:
        """Take the place that the leader has assigned to a connection."""
        if number in self._requested:
            user, action = self._requested[number]
            action(self._part_at(place, user))

    def turn(self, number: int) -> int:
        """Return which of a host's addresses a connection of this process uses first.

        Each process spreads its own connections evenly, and begins with another address.

        Args:
            number: number of the connection, from 1.
        """
        return self._worker_index + number - 1

    def _part_at(self, place: int, user: Identity | None) -> Part:
        share = self._slow_share
        slow = math.floor((place + 1) * share) > math.floor(place * share) if share else None
        return Part(self._assignment.identity(place, user), slow, self._assignment.node(place))
