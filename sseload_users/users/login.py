"""One user's login: the requests before connecting, and the values that they gave."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from gevent.lock import BoundedSemaphore

from sseload_users.run.before_requests import (
    RENEWAL_PAUSE_S,
    BeforeRequests,
    OnResponse,
    SharedValues,
)
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.transports.cookies import Cookies
from sseload_users.transports.request_client import RequestClient


class Login:
    """The requests before connecting of one connection or publisher, and their values.

    Args:
        target: its profile says which requests to make.
        identity: the user that makes them.
        before: makes them.
        on_response: called with each response.
        turn: which of a host's addresses comes first; see `AddressTurns.order`.

    Attributes:
        version: increases whenever the values change; 0 before the first request.
    """

    __slots__ = (
        "_accepted",
        "_before",
        "_captured",
        "_client",
        "_identity",
        "_lock",
        "_on_response",
        "_own",
        "_replaced",
        "_requested_s",
        "_shared",
        "_target",
        "_turn",
        "_uses_shared",
        "version",
    )

    def __init__(
        self,
        target: Target,
        identity: Identity,
        before: BeforeRequests,
        on_response: OnResponse = lambda *_: None,
        turn: int | None = None,
    ) -> None:
        self.version = 0
        self._target = target
        self._identity = identity
        self._before = before
        self._on_response = on_response
        self._turn = turn
        self._client: RequestClient | None = None
        steps = target.before(identity)
        self._own = tuple(each for each in steps if not each.per_user) if steps else ()
        self._uses_shared = len(self._own) < len(steps)
        self._shared: SharedValues | None = None
        self._captured: dict[str, str] = {}
        # The server may repeat values that were replaced since. Most connections have none.
        self._replaced: set[str] | None = None
        self._requested_s = 0.0
        self._accepted = False
        self._lock: BoundedSemaphore | None = None

    @property
    def client(self) -> RequestClient:
        """What makes the requests; it has the user's cookies."""
        if self._client is None:
            self._client = self._before.client(self._identity, self._turn)
        return self._client

    @property
    def cookies(self) -> Cookies | None:
        """The user's cookies; None if there were no requests."""
        return None if self._client is None else self._client.cookies

    @property
    def _renewing(self) -> BoundedSemaphore:
        """Held while the values are renewed."""
        if self._lock is None:
            self._lock = BoundedSemaphore()
        return self._lock

    @property
    def captured(self) -> Mapping[str, str]:
        """The values captured from the server, by name, as they are now."""
        return self._captured

    @property
    def secrets(self) -> Collection[str]:
        """All values captured from the server so far, those that were replaced included."""
        replaced = self._replaced or ()
        cookies = () if self.cookies is None else self.cookies.values
        return {*replaced, *self._captured.values(), *cookies}

    def redact(self, text: str) -> str:
        """Return a text of the server's with the secrets removed."""
        return self._target.redact(text, self._identity, self.secrets)

    def add(self, found: Mapping[str, str]) -> None:
        """Add captured values; they replace those of the same name."""
        if self._captured:
            self._replaced = self._replaced or set()
            self._replaced.update(self._captured.values())
        self._captured |= found
        self.version += 1

    def request(self) -> None:
        """Make all requests; those per user only if there are no valid values.

        Raises:
            ConnectFailed: at "before": a request failed, or its response lacks a value.
        """
        self.take_shared()
        self.request_own()

    def take_shared(self) -> None:
        """Take the user's shared values; request them if there are none or they have expired.

        Raises:
            ConnectFailed: see `request`.
        """
        if self._uses_shared:
            self._use(self._before.shared(self._target, self._identity, self._on_response))

    def request_own(self) -> None:
        """Make the requests that are made per connection.

        Raises:
            ConnectFailed: see `request`.
        """
        self._accepted = False
        if not self._own:
            return
        self._requested_s = time.monotonic()
        self.add(self._before.capture(self._own, self._captured, self._on_response, self.client))

    def accept(self) -> None:
        """Note that the server has accepted the values."""
        self._accepted = True
        if self._shared is not None:
            self._shared.accepted = True

    def renew_shared(self) -> bool:
        """Renew the shared values that the server has refused; return whether there are others.

        Raises:
            ConnectFailed: see `request`.
        """
        if self._shared is None:
            return False
        renewed = self._before.renewed(
            self._target, self._identity, self._shared, self._on_response
        )
        if renewed is None:
            return False
        self._use(renewed)
        return True

    def renew(self, refused: int) -> bool:
        """Log in again after the server has refused the values; return whether there are others.

        Values that the server has never accepted are not renewed right away: their age is not
        why they were refused.

        Args:
            refused: version of the values that the server has refused.

        Raises:
            ConnectFailed: see `request`.
        """
        with self._renewing:
            if self.version != refused:
                return True
            if not self.version:
                if not (self._own or self._uses_shared):
                    return False
                self.request()
                return True
            if self._uses_shared:
                if not self.renew_shared():
                    return False
            elif not self._may_renew_own():
                return False
            else:
                self._before.on_renewed()
            self.request_own()
            return True

    def _may_renew_own(self) -> bool:
        aged = time.monotonic() - self._requested_s >= RENEWAL_PAUSE_S
        return bool(self._own) and (self._accepted or aged)

    def _use(self, shared: SharedValues) -> None:
        if shared is not self._shared:
            self._shared = shared
            self.client.cookies.add(shared.cookies)
            self.add(shared.values)
