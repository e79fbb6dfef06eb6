"""What a connection does beside listening, as its profile says: fetch a token, keep alive."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import gevent

from sseload_users.run.before_requests import BeforeRequests, OnResponse, SharedValues
from sseload_users.targets import Target, UpkeepAction
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.fetch import fetch
from sseload_users.transports.server_text import body_text
from sseload_users.transports.transport import Transport

#: The cause with which a server refuses values that are invalid or have expired.
_REFUSED = "HTTP 401"


class SessionRequests:
    """The requests of one connect attempt, and of the session that follows.

    Args:
        target: its profile says which requests to make.
        identity: the user that connects.
        before: makes the requests before connecting.
        on_upkeep: called after each upkeep request, with None or the cause of its failure,
            and the server's text.
        on_response: called with each response to a request before connecting.
    """

    def __init__(
        self,
        target: Target,
        identity: Identity,
        before: BeforeRequests,
        *,
        on_upkeep: Callable[[str | None, str], None] = lambda *_: None,
        on_response: OnResponse = lambda *_: None,
    ) -> None:
        self._on_upkeep = on_upkeep
        self._target = target
        self._identity = identity
        self._before = before
        self._on_response = on_response
        steps = target.before(identity)
        self._steps = [each for each in steps if not each.per_user]
        self._uses_shared = len(self._steps) < len(steps)
        self._shared: SharedValues | None = None
        self._captured: dict[str, str] = {}
        # The server may repeat values that were replaced since.
        self._secrets: set[str] = set()
        self._upkeep: tuple[UpkeepAction, ...] = ()
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def connect(self, make: Callable[[Endpoint], Transport], last_event_id: str = "") -> Transport:
        """Make the requests before connecting, connect, and start the session's upkeep.

        If the server refuses the user's shared values, renew them and try once more.

        Args:
            make: creates the transport for an endpoint.
            last_event_id: ID of the last event of the previous session; empty if there is none.

        Raises:
            ConnectFailed: at "before": a request failed, or its response lacks a value; or at
                any step of the connection.
        """
        self._take_shared()
        try:
            return self._connect(make, last_event_id)
        except ConnectFailed as error:
            if error.cause != _REFUSED or not self._renew():
                raise
        return self._connect(make, last_event_id)

    @property
    def captured(self) -> Mapping[str, str]:
        """The values captured from the server, by name, as they are now."""
        return self._captured

    @property
    def secrets(self) -> Collection[str]:
        """All values captured from the server so far, those that were replaced included."""
        return self._secrets.union(self._captured.values())

    def redact(self, text: str) -> str:
        """Return a text of the server's with the secrets removed."""
        return self._target.redact(text, self._identity, self.secrets)

    def end(self) -> None:
        """Stop the upkeep: the session has ended."""
        for each in self._greenlets:
            each.kill(block=False)
        self._greenlets.clear()

    def _connect(self, make: Callable[[Endpoint], Transport], last_event_id: str) -> Transport:
        self._capture(self._before.capture(self._steps, self._captured, self._on_response))
        transport = make(
            self._target.endpoint(
                self._identity, self._captured, last_event_id, self._captured.update
            )
        )
        try:
            transport.connect()
            self._fill_upkeep()
        except ConnectFailed:
            transport.leave()
            raise
        self._mark_accepted()
        for index in range(len(self._upkeep)):
            self._greenlets.append(gevent.spawn(self._keep_up, index, transport))
        return transport

    # Shared values

    def _take_shared(self) -> None:
        if self._uses_shared:
            self._use(self._before.shared(self._target, self._identity, self._on_response))

    def _renew(self) -> bool:
        """Renew the shared values that the server has refused; return whether there are others."""
        if self._shared is None:
            return False
        renewed = self._before.renewed(
            self._target, self._identity, self._shared, self._on_response
        )
        if renewed is None:
            return False
        self._use(renewed)
        return True

    def _use(self, shared: SharedValues) -> None:
        if shared is not self._shared:
            self._shared = shared
            self._capture(shared.values)
            if self._upkeep:
                self._fill_upkeep()

    def _mark_accepted(self) -> None:
        if self._shared is not None:
            self._shared.accepted = True

    def _capture(self, found: Mapping[str, str]) -> None:
        self._secrets.update(self._captured.values())
        self._captured |= found

    # Upkeep

    def _fill_upkeep(self) -> None:
        self._upkeep = self._target.upkeep(self._identity, self._captured)

    def _keep_up(self, index: int, transport: Transport) -> None:
        while True:
            gevent.sleep(self._upkeep[index].every)
            text = self._upkeep[index].text
            if text is not None:
                transport.send(text)
            else:
                self._on_upkeep(*self._request_upkeep(index))

    def _request_upkeep(self, index: int) -> tuple[str | None, str]:
        """Make an upkeep request.

        Returns:
            None, or the cause of its failure; and the server's text, if it failed.
        """
        try:
            self._take_shared()
            cause, text = self._fetch(self._upkeep[index])
            if cause == _REFUSED and self._renew():
                cause, text = self._fetch(self._upkeep[index])
        except ConnectFailed as error:
            cause, text = f"{error.operation}: {error.cause}", error.server_text
        if cause is None:
            self._mark_accepted()
            return None, ""
        return cause, self.redact(text)

    def _fetch(self, upkeep: UpkeepAction) -> tuple[str | None, str]:
        assert upkeep.request is not None  # noqa: S101
        timeout_s = min(upkeep.every, self._before.timeout_s)
        try:
            response = fetch(upkeep.request, lambda: self._before.network.ssl_context, timeout_s)
        except OSError as error:
            return cause_of(error), ""
        return upkeep.failure(response.status, response.body), body_text(response.body)
