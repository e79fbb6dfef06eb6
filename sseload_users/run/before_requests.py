"""The requests before connecting: each connection makes its own, or all of a user share them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import gevent
from gevent.event import AsyncResult

from sseload_users.targets import BeforeStep, Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.cookies import Cookies
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.network import Network
from sseload_users.transports.request_client import RequestClient

#: Called with each request and its response.
OnResponse: TypeAlias = Callable[[HttpRequest, HttpResponse], None]

#: Seconds for which refused values are not renewed if the server has never accepted them.
#: Otherwise a server that accepts none would get a further request from each connection.
RENEWAL_PAUSE_S = 10.0


@dataclass(slots=True, eq=False)
class SharedValues:
    """The values captured by a user's shared requests.

    Attributes:
        values: captured values by name.
        cookies: what the responses have set.
        requested_s: when they were requested (monotonic clock, s).
        expires_s: when they expire (monotonic clock, s).
        accepted: whether the server has accepted them.
    """

    values: Mapping[str, str] = field(repr=False)
    cookies: Cookies
    requested_s: float
    expires_s: float
    accepted: bool = False


_Key: TypeAlias = tuple[Target, str, tuple[tuple[str, str], ...]]


class BeforeRequests:
    """Makes the requests before connecting, for all connections of a process.

    Connections of one user that need shared values at the same time wait for one request. If
    it fails, all of them fail with its cause, and the next connection makes a new request.

    Args:
        network: opens the requests' connections.
        timeout_s: timeout of each request, in seconds.
        on_renewed: called whenever values are requested again because the server refused them.

    Attributes:
        network: as given.
        timeout_s: as given.
        on_renewed: as given.
    """

    def __init__(
        self, network: Network, timeout_s: float, on_renewed: Callable[[], None] = lambda: None
    ) -> None:
        self.network = network
        self.timeout_s = timeout_s
        self.on_renewed = on_renewed
        self._shared: dict[_Key, SharedValues] = {}
        self._pending: dict[_Key, AsyncResult[SharedValues]] = {}

    def capture(
        self,
        steps: Sequence[BeforeStep],
        captured: Mapping[str, str],
        on_response: OnResponse,
        client: RequestClient,
    ) -> dict[str, str]:
        """Make requests in order, each with the values captured before it.

        Args:
            steps: the requests.
            captured: values by name that are known already.
            on_response: called with each response.
            client: makes the requests, and keeps the cookies that they set.

        Returns:
            The newly captured values by name.

        Raises:
            ConnectFailed: at "before": a request failed, or its response lacks a value.
        """
        found: dict[str, str] = {}
        for step in steps:
            request = step.request({**captured, **found})
            responses: list[HttpResponse] = []
            try:
                for sent, response in client.follow(request, anonymous=step.anonymous):
                    on_response(sent, response)
                    responses.append(response)
            except OSError as error:
                raise ConnectFailed("before", cause_of(error), str(error)) from error
            found |= step.read(responses[-1], responses[:-1])
        return found

    def client(self, identity: Identity, turn: int | None = None) -> RequestClient:
        """Return a client without cookies.

        Args:
            identity: the user; one of the same name may have left it a connection.
            turn: which of a host's addresses comes first; see `AddressTurns.order`.
        """
        return RequestClient(self.network, self.timeout_s, turn, user=identity.username)

    def shared(self, target: Target, identity: Identity, on_response: OnResponse) -> SharedValues:
        """Return a user's shared values; request them if there are none or they have expired.

        Args:
            target: its profile has requests with ``per = "user"``.
            identity: the user.
            on_response: called with each response.

        Raises:
            ConnectFailed: see `capture`.
        """
        key = _key(target, identity)
        shared = self._shared.get(key)
        if shared is not None and time.monotonic() < shared.expires_s:
            return shared
        return self._request(key, identity, on_response)

    def renewed(
        self,
        target: Target,
        identity: Identity,
        refused: SharedValues,
        on_response: OnResponse,
    ) -> SharedValues | None:
        """Return a user's shared values after the server has refused some; renew those only once.

        Args:
            target: see `shared`.
            identity: the user.
            refused: the values that the server has refused.
            on_response: called with each response.

        Returns:
            None if the values are too new to be renewed: their age is not why they were refused.

        Raises:
            ConnectFailed: see `capture`.
        """
        key = _key(target, identity)
        if self._shared.get(key) is not refused:
            return self.shared(target, identity, on_response)
        if not refused.accepted and time.monotonic() - refused.requested_s < RENEWAL_PAUSE_S:
            return None
        if key not in self._pending:
            self.on_renewed()
        return self._request(key, identity, on_response)

    def _request(self, key: _Key, identity: Identity, on_response: OnResponse) -> SharedValues:
        """Wait for the pending request of a user; start one if there is none."""
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = AsyncResult()
            # In a greenlet of its own: the one that asked first may be killed meanwhile.
            gevent.spawn(self._resolve, key, identity, on_response, pending)
        shared = pending.get()
        assert shared is not None  # noqa: S101 - it is never set to None
        return shared

    def _resolve(
        self,
        key: _Key,
        identity: Identity,
        on_response: OnResponse,
        pending: AsyncResult[SharedValues],
    ) -> None:
        began_s = time.monotonic()
        try:
            steps = [each for each in key[0].before(identity) if each.per_user]
            client = self.client(identity)
            values = self.capture(steps, {}, on_response, client)
            expires_s = began_s + min(each.valid_for for each in steps)
        except Exception as error:  # noqa: BLE001 - raised in the greenlets that wait
            del self._pending[key]
            pending.set_exception(error)
        else:
            del self._pending[key]
            self._shared[key] = shared = SharedValues(values, client.cookies, began_s, expires_s)
            pending.set(shared)


def _key(target: Target, identity: Identity) -> _Key:
    return target, identity.username, tuple(sorted(identity.fields.items()))
