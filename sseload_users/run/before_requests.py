"""The requests before connecting: made for each connection, or once for each user and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import gevent
from gevent.event import AsyncResult

from sseload_users.targets import Request, Step, Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.fetch import Answer, fetch
from sseload_users.transports.network import Network, cause_of

#: Is told of each request's answer.
Tell: TypeAlias = Callable[[Request, Answer], None]

#: Seconds for which values that no connection has been accepted with are not made again: a
#: server that takes none would be asked for further ones by each connection.
_PATIENCE_S = 10.0


@dataclass(slots=True, eq=False)
class Kept:
    """What the requests that are made once for a user gave.

    Attributes:
        values: by name.
        made_s: when they were asked for; like the next one, by the monotonic clock.
        until_s: when they expire.
        accepted: whether the server has taken them.
    """

    values: Mapping[str, str] = field(repr=False)
    made_s: float
    until_s: float
    accepted: bool = False


_Key: TypeAlias = tuple[Target, str, tuple[tuple[str, str], ...]]


class Before:
    """Makes the requests before connecting, for all connections of a process.

    Connections of one user that need the same values at a time wait for one request. If it
    fails, all of them fail with its cause, and the next one to come makes it anew.

    Args:
        network: for TLS.
        timeout_s: seconds that a request has.

    Attributes:
        network: like the next one, as given.
        timeout_s: see there.
    """

    def __init__(self, network: Network, timeout_s: float) -> None:
        self.network = network
        self.timeout_s = timeout_s
        self._kept: dict[_Key, Kept] = {}
        self._under_way: dict[_Key, AsyncResult[Kept]] = {}

    def make(
        self, steps: Sequence[Step], captured: Mapping[str, str], tell: Tell
    ) -> dict[str, str]:
        """Make requests in order, each with what was captured before.

        Args:
            steps: the requests.
            captured: what is known already.
            tell: is told of each answer.

        Returns:
            What they gave.

        Raises:
            ConnectFailed: at "before": one failed, or did not give what is needed.
        """
        found: dict[str, str] = {}
        for step in steps:
            request = step.request({**captured, **found})
            try:
                answer = fetch(request, lambda: self.network.ssl_context, self.timeout_s)
            except OSError as error:
                raise ConnectFailed("before", cause_of(error), str(error)) from error
            tell(request, answer)
            found |= step.read(answer.status, answer.body)
        return found

    def kept(self, target: Target, identity: Identity, tell: Tell) -> Kept:
        """A user's values; made if there are none, or they have expired.

        Args:
            target: whose profile has requests to make once for a user.
            identity: the user.
            tell: is told of each answer.

        Raises:
            ConnectFailed: see `make`.
        """
        key = _key(target, identity)
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() < kept.until_s:
            return kept
        return self._shared(key, identity, tell)

    def renewed(self, target: Target, identity: Identity, refused: Kept, tell: Tell) -> Kept | None:
        """A user's values after the server has refused some; for each only once made anew.

        Args:
            target: as for `kept`, and so are the user and whom to tell.
            identity: who was refused.
            refused: with which values.
            tell: is told of each answer.

        Returns:
            None if the refusal is no matter of their age: they are as good as new.

        Raises:
            ConnectFailed: see `make`.
        """
        key = _key(target, identity)
        if self._kept.get(key) is not refused:
            return self.kept(target, identity, tell)
        if not refused.accepted and time.monotonic() - refused.made_s < _PATIENCE_S:
            return None
        return self._shared(key, identity, tell)

    def _shared(self, key: _Key, identity: Identity, tell: Tell) -> Kept:
        """The outcome of the request that is under way, or of one that is made now."""
        under_way = self._under_way.get(key)
        if under_way is None:
            under_way = self._under_way[key] = AsyncResult()
            # In a greenlet of its own: whoever asked first may be taken away meanwhile.
            gevent.spawn(self._make_kept, key, identity, tell, under_way)
        kept = under_way.get()
        assert kept is not None  # noqa: S101 - it is set to nothing else
        return kept

    def _make_kept(
        self, key: _Key, identity: Identity, tell: Tell, under_way: AsyncResult[Kept]
    ) -> None:
        began_s = time.monotonic()
        try:
            steps = [each for each in key[0].before(identity) if each.per_user]
            values = self.make(steps, {}, tell)
            until_s = began_s + min(each.valid_for for each in steps)
            kept = Kept(values, began_s, until_s)
        except Exception as error:  # noqa: BLE001 - whoever waits has to know
            del self._under_way[key]
            under_way.set_exception(error)
        else:
            del self._under_way[key]
            self._kept[key] = kept
            under_way.set(kept)


def _key(target: Target, identity: Identity) -> _Key:
    return target, identity.username, tuple(sorted(identity.fields.items()))
