"""What a connection does beside listening, as its profile says: fetch a token, keep alive."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

import gevent

from sseload_users.options import Options
from sseload_users.targets import Target, Upkeep
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.fetch import fetch
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.network import Network
from sseload_users.transports.server_text import body_text


class Line(Protocol):
    """The transport, as upkeep needs it."""

    def send(self, text: str) -> bool:
        """Send a text message."""


class SessionRequests:
    """The errands of one connection attempt, and of the session that it leads to.

    Args:
        network: what all connections share.
        options: the run's.
        target: whose profile asks for errands.
        identity: who connects.
        on_upkeep: is told of each request that kept the session alive: None, or the cause
            of its failure, and the server's words.
    """

    def __init__(
        self,
        network: Network,
        options: Options,
        target: Target,
        identity: Identity,
        on_upkeep: Callable[[str | None, str], None] = lambda *_: None,
    ) -> None:
        self._network = network
        self._options = options
        self._on_upkeep = on_upkeep
        self._target = target
        self._identity = identity
        self._captured: dict[str, str] = {}
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def before(self, tell: Callable[[HttpRequest, HttpResponse], None] = lambda *_: None) -> None:
        """Make the requests that come before the connection.

        Args:
            tell: is told of each answer.

        Raises:
            ConnectFailed: at "before": one failed, or did not give what is needed.
        """
        for step in self._target.before(self._identity):
            request = step.request(self._captured)
            try:
                answer = fetch(
                    request, lambda: self._network.ssl_context, self._options.connect_timeout
                )
            except OSError as error:
                raise ConnectFailed("before", cause_of(error), str(error)) from error
            tell(request, answer)
            self._captured |= step.read(answer.status, answer.body)

    def endpoint(self, last_event_id: str) -> Endpoint:
        """Where to connect; what the confirming message gives is kept for upkeep.

        Args:
            last_event_id: of the session before; empty if there was none.
        """
        return self._target.endpoint(
            self._identity, self._captured, last_event_id, self._captured.update
        )

    @property
    def captured(self) -> Collection[str]:
        """What the server has given: taken as secret."""
        return self._captured.values()

    def without_secrets(self, text: str) -> str:
        """A text of the server's in which nothing is left that must not be shown."""
        return self._target.without_secrets(text, self._identity, self.captured)

    def begin(self, line: Line) -> None:
        """Keep the session alive from now on.

        Raises:
            ConnectFailed: the server did not give what upkeep needs.
        """
        for upkeep in self._target.upkeep(self._identity, self._captured):
            self._greenlets.append(gevent.spawn(self._keep, upkeep, line))

    def end(self) -> None:
        """The session is over."""
        for each in self._greenlets:
            each.kill(block=False)
        self._greenlets.clear()

    def _keep(self, upkeep: Upkeep, line: Line) -> None:
        while True:
            gevent.sleep(upkeep.every)
            if upkeep.text is not None:
                line.send(upkeep.text)
            elif upkeep.request is not None:
                self._ask(upkeep)

    def _ask(self, upkeep: Upkeep) -> None:
        assert upkeep.request is not None  # noqa: S101
        server_text = ""
        try:
            answer = fetch(
                upkeep.request,
                lambda: self._network.ssl_context,
                min(upkeep.every, self._options.connect_timeout),
            )
        except OSError as error:
            cause: str | None = cause_of(error)
        else:
            cause = upkeep.accepts(answer.status, answer.body)
            if cause is not None:
                server_text = self.without_secrets(body_text(answer.body))
        self._on_upkeep(cause, server_text)
