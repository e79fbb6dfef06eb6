"""What a connection does beside listening, as its profile says: fetch a token, keep alive."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

import gevent
from gevent.pool import Group

from sseload_users.run.before_requests import BeforeRequests, OnResponse
from sseload_users.targets import Target, UpkeepAction
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.server_text import body_text
from sseload_users.transports.transport import Transport
from sseload_users.users.login import Login
from sseload_users.users.resumption import Resumption

#: The cause with which a server refuses values that are invalid or have expired.
_REFUSED = "HTTP 401"
#: Most requests of one session's replies at a time: a server must not exhaust the sockets.
_MAX_REPLIES = 8
#: Seconds that a request is given when the time to connect is up, so that it fails as one.
_SHORTEST_S = 0.001


class SessionRequests:
    """The requests of one connect attempt, and of the session that follows.

    Args:
        target: its profile says which requests to make.
        identity: the user that connects.
        before: makes the requests before connecting.
        on_upkeep: called after each upkeep request, with None or the cause of its failure,
            and the server's text.
        on_response: called with each response to a request before connecting.
        turn: which of a host's addresses comes first; see `AddressTurns.order`.
        slow: whether to read slowly.
        resumption: from where the server resumes the connection; None for a new connection.

    Attributes:
        resumption: as given.
    """

    __slots__ = (
        "_before",
        "_connect_by_s",
        "_filled",
        "_greenlets",
        "_identity",
        "_keeps_login",
        "_login",
        "_on_upkeep",
        "_replying",
        "_slow",
        "_target",
        "_turn",
        "_upkeep",
        "resumption",
    )

    def __init__(
        self,
        target: Target,
        identity: Identity,
        before: BeforeRequests,
        *,
        on_upkeep: Callable[[str | None, str], None] = lambda *_: None,
        on_response: OnResponse = lambda *_: None,
        turn: int | None = None,
        slow: bool = False,
        resumption: Resumption | None = None,
    ) -> None:
        self.resumption = resumption or Resumption(target)
        self._on_upkeep = on_upkeep
        self._target = target
        self._identity = identity
        self._before = before
        self._turn, self._slow = turn, slow
        kept = self.resumption.login
        self._login = kept or Login(target, identity, before, on_response, turn)
        self._keeps_login = kept is not None
        self._upkeep: tuple[UpkeepAction, ...] = ()
        # The values with which it is filled: the version of the login's, and the position's.
        self._filled: tuple[int, Mapping[str, str]] | None = None
        self._greenlets: tuple[gevent.Greenlet[..., None], ...] = ()
        self._replying: Group | None = None
        # Until when the connection has to be subscribed (monotonic clock, s); None afterwards.
        self._connect_by_s: float | None = None

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
        try:
            transport = self._connect_or_renew(make, last_event_id)
        except ConnectFailed:
            self.resumption.fail()
            raise
        self.resumption.establish(self._login)
        return transport

    @property
    def captured(self) -> Mapping[str, str]:
        """The values captured from the server, by name, as they are now."""
        return self._login.captured

    @property
    def secrets(self) -> Collection[str]:
        """All values captured from the server so far, those that were replaced included."""
        return self._login.secrets

    def add_values(self, values: Mapping[str, str]) -> None:
        """Add values for names, as if the server had given them."""
        if values:
            self._login.add(values)

    def redact(self, text: str) -> str:
        """Return a text of the server's with the secrets removed."""
        return self._login.redact(text)

    def end(self) -> None:
        """Stop the upkeep and the replies: the session has ended."""
        for each in self._greenlets:
            each.kill(block=False)
        self._greenlets = ()
        if self._replying is not None:
            self._replying.kill(block=False)

    def _connect_or_renew(
        self, make: Callable[[Endpoint], Transport], last_event_id: str
    ) -> Transport:
        self._login.take_shared()
        try:
            return self._connect(make, last_event_id)
        except ConnectFailed as error:
            if not error.cause.startswith(_REFUSED) or not self._login.renew_shared():
                raise
        return self._connect(make, last_event_id)

    def _connect(self, make: Callable[[Endpoint], Transport], last_event_id: str) -> Transport:
        login, resumption = self._login, self.resumption
        self._take_cookies()
        if not self._keeps_login:
            login.request_own()
        endpoint = self._target.endpoint(
            self._identity, login.captured, last_event_id, login.add, self, resumption.position
        )
        endpoint = resumption.confirming(endpoint)
        headers, cookies = endpoint.headers, login.cookies
        if cookies:
            headers = cookies.add_to(endpoint.url, headers)
        jar = resumption.cookies
        transport = make(endpoint.of_connection(headers, jar, self._turn, slow=self._slow))
        self._connect_by_s = time.monotonic() + self._before.timeout_s
        try:
            transport.connect()
            self._fill_upkeep()
        except ConnectFailed:
            transport.leave()
            self.end()
            raise
        finally:
            self._connect_by_s = None
        login.accept()
        self._greenlets = tuple(
            gevent.spawn(self._keep_up, index, transport) for index in range(len(self._upkeep))
        )
        return transport

    def _take_cookies(self) -> None:
        """Have further requests send the cookies that answers to handshakes have set."""
        if self.resumption.cookies:
            self._login.client.cookies.add(self.resumption.cookies)

    # What messages require

    def fetch(self, request: HttpRequest) -> HttpResponse:
        """Make a request; see `conversation.Errands`."""
        self._take_cookies()
        timeout_s = self._before.timeout_s
        if self._connect_by_s is not None:
            timeout_s = max(self._connect_by_s - time.monotonic(), _SHORTEST_S)
        return self._login.client.answer(request, timeout_s)

    def in_background(self, errand: Callable[[], None]) -> bool:
        """Call a function in a greenlet of the session; see `conversation.Errands`."""
        if self._replying is None:
            self._replying = Group()
        if len(self._replying) >= _MAX_REPLIES:
            return False
        self._replying.start(gevent.Greenlet(errand))
        return True

    def on_reply(self, cause: str | None, server_text: str, captured: Collection[str]) -> None:
        """Count a reply as upkeep; see `conversation.Errands`."""
        secrets = {*self.secrets, *captured}
        self._on_upkeep(cause, self._target.redact(server_text, self._identity, secrets))

    # Upkeep

    def _fill_upkeep(self) -> None:
        """Fill the upkeep's texts, if there are any and the values have changed."""
        if not self._target.profile.spec.upkeep:
            return
        position = {**self.resumption.values}
        values = (self._login.version, position)
        if self._filled != values:
            captured = {**self._login.captured, **position}
            self._upkeep = self._target.upkeep(self._identity, captured)
            self._filled = values

    def _keep_up(self, index: int, transport: Transport) -> None:
        while True:
            gevent.sleep(self._upkeep[index].every)
            upkeep = self._upkeep[index]
            if upkeep.request is not None:
                self._on_upkeep(*self._request_upkeep(index))
            elif upkeep.message is not None:
                self._send_upkeep(index, transport)
            else:
                transport.ping()

    def _send_upkeep(self, index: int, transport: Transport) -> None:
        """Send an upkeep message with the values that are current."""
        try:
            self._login.take_shared()
            self._fill_upkeep()
        except ConnectFailed as error:
            self._on_upkeep(f"{error.operation}: {error.cause}", self.redact(error.server_text))
            return
        message = self._upkeep[index].message
        if message is not None:
            transport.send(message)

    def _request_upkeep(self, index: int) -> tuple[str | None, str]:
        """Make an upkeep request.

        Returns:
            None, or the cause of its failure; and the server's text, if it failed.
        """
        try:
            self._login.take_shared()
            version = self._login.version
            cause, text = self._fetch(index)
            if cause == _REFUSED and self._login.renew(version):
                cause, text = self._fetch(index)
        except ConnectFailed as error:
            cause, text = f"{error.operation}: {error.cause}", error.server_text
        if cause is None:
            self._login.accept()
            return None, ""
        return cause, self.redact(text)

    def _fetch(self, index: int) -> tuple[str | None, str]:
        self._fill_upkeep()
        self._take_cookies()
        upkeep = self._upkeep[index]
        assert upkeep.request is not None  # noqa: S101
        timeout_s = min(upkeep.every, self._before.timeout_s)
        try:
            response = self._login.client.answer(upkeep.request, timeout_s)
        except OSError as error:
            return cause_of(error), ""
        return upkeep.failure(response.status, response.body), body_text(response.body)
