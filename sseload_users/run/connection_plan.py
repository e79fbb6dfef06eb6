"""Which identity each connection has, and which connections read slowly."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sseload_users.targets.identities import Identity


class ConnectionPlan:
    """Spreads identities and slow connections evenly over all workers.

    Args:
        identities: users that connect, in turn.
        slow_share: share of the connections that read slowly, from 0 to 1.
        worker_index: index of this worker.
        workers: number of workers.
    """

    def __init__(
        self, identities: Sequence[Identity], slow_share: float, *, worker_index: int, workers: int
    ) -> None:
        self._identities = identities
        self._slow_share = slow_share
        self._worker_index = worker_index
        self._workers = workers

    def identity(self, number: int) -> Identity:
        """Return the identity of a connection of this process.

        Args:
            number: number of the connection, from 1.
        """
        return self._identities[self._position(number) % len(self._identities)]

    def reads_slowly(self, number: int) -> bool:
        """Whether a connection of this process reads slowly.

        Args:
            number: number of the connection, from 1.
        """
        position, share = self._position(number), self._slow_share
        return math.floor((position + 1) * share) > math.floor(position * share)

    def turn(self, number: int) -> int:
        """Return which of a host's addresses a connection of this process uses first.

        Each process spreads its own connections evenly, and begins with another address.

        Args:
            number: number of the connection, from 1.
        """
        return self._worker_index + number - 1

    def publisher(self, username: str | None) -> Identity:
        """Return the identity that sends codes: the first one, unless a username is given."""
        return self._identities[0] if username is None else Identity(username)

    def _position(self, number: int) -> int:
        """Return a connection's position among those of all workers, from 0."""
        return self._worker_index + (number - 1) * self._workers
