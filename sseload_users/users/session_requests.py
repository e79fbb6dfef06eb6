"""What a connection does beside listening, as its profile says: fetch a token, keep alive."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import gevent

from sseload_users.run.before_requests import Before, Kept, Tell
from sseload_users.targets import Target, Upkeep
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed, Transport
from sseload_users.transports.fetch import fetch
from sseload_users.transports.network import Endpoint, cause_of
from sseload_users.transports.refusal import words_of_body

#: How a server says of what it is shown that it is not good, or not any more.
_REFUSED = "HTTP 401"


class SessionRequests:
    """The errands of one connection attempt, and of the session that it leads to.

    Args:
        target: whose profile asks for errands.
        identity: who connects.
        before: makes the requests before connecting.
        on_upkeep: is told of each request that kept the session alive: None, or the cause
            of its failure, and the server's words.
        tell: is told of each answer to a request before connecting.
    """

    def __init__(
        self,
        target: Target,
        identity: Identity,
        before: Before,
        *,
        on_upkeep: Callable[[str | None, str], None] = lambda *_: None,
        tell: Tell = lambda *_: None,
    ) -> None:
        self._on_upkeep = on_upkeep
        self._target = target
        self._identity = identity
        self._before = before
        self._tell = tell
        steps = target.before(identity)
        self._steps = [each for each in steps if not each.per_user]
        self._shares = len(self._steps) < len(steps)
        self._kept: Kept | None = None
        self._captured: dict[str, str] = {}
        # What was captured first may come back in the server's words later.
        self._secrets: set[str] = set()
        self._upkeep: tuple[Upkeep, ...] = ()
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def connect(self, make: Callable[[Endpoint], Transport], last_event_id: str = "") -> Transport:
        """Make the requests that come before, connect, and keep the session alive from then on.

        Where the server refuses what was kept for the user, that is made anew, and tried once
        more.

        Args:
            make: makes a transport.
            last_event_id: of the session before; empty if there was none.

        Raises:
            ConnectFailed: at "before": a request failed, or did not give what is needed; or at
                whatever step of the connection.
        """
        self._take_kept()
        try:
            return self._connect(make, last_event_id)
        except ConnectFailed as error:
            if error.cause != _REFUSED or not self._renew():
                raise
        return self._connect(make, last_event_id)

    @property
    def given(self) -> Mapping[str, str]:
        """What the server has given, by name, as it is now."""
        return self._captured

    @property
    def captured(self) -> Collection[str]:
        """What the server has given: taken as secret."""
        return self._secrets.union(self._captured.values())

    def without_secrets(self, text: str) -> str:
        """A text of the server's in which nothing is left that must not be shown."""
        return self._target.without_secrets(text, self._identity, self.captured)

    def end(self) -> None:
        """The session is over."""
        for each in self._greenlets:
            each.kill(block=False)
        self._greenlets.clear()

    def _connect(self, make: Callable[[Endpoint], Transport], last_event_id: str) -> Transport:
        self._capture(self._before.make(self._steps, self._captured, self._tell))
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
        self._accept()
        for index in range(len(self._upkeep)):
            self._greenlets.append(gevent.spawn(self._keep, index, transport))
        return transport

    # What is kept for the user

    def _take_kept(self) -> None:
        if self._shares:
            self._use(self._before.kept(self._target, self._identity, self._tell))

    def _renew(self) -> bool:
        """Have what was kept made anew, as the server has refused it; whether there is other."""
        if self._kept is None:
            return False
        kept = self._before.renewed(self._target, self._identity, self._kept, self._tell)
        if kept is None:
            return False
        self._use(kept)
        return True

    def _use(self, kept: Kept) -> None:
        if kept is not self._kept:
            self._kept = kept
            self._capture(kept.values)
            if self._upkeep:
                self._fill_upkeep()

    def _accept(self) -> None:
        if self._kept is not None:
            self._kept.accepted = True

    def _capture(self, found: Mapping[str, str]) -> None:
        self._secrets.update(self._captured.values())
        self._captured |= found

    # Upkeep

    def _fill_upkeep(self) -> None:
        self._upkeep = self._target.upkeep(self._identity, self._captured)

    def _keep(self, index: int, transport: Transport) -> None:
        while True:
            gevent.sleep(self._upkeep[index].every)
            text = self._upkeep[index].text
            if text is not None:
                transport.send(text)
            else:
                self._on_upkeep(*self._ask(index))

    def _ask(self, index: int) -> tuple[str | None, str]:
        """Make a request that keeps the session alive.

        Returns:
            None, or the cause of its failure; and the server's words where it failed.
        """
        try:
            self._take_kept()
            cause, said = self._answer(self._upkeep[index])
            if cause == _REFUSED and self._renew():
                cause, said = self._answer(self._upkeep[index])
        except ConnectFailed as error:
            cause, said = f"{error.operation}: {error.cause}", error.said
        if cause is None:
            self._accept()
            return None, ""
        return cause, self.without_secrets(said)

    def _answer(self, upkeep: Upkeep) -> tuple[str | None, str]:
        assert upkeep.request is not None  # noqa: S101
        timeout_s = min(upkeep.every, self._before.timeout_s)
        try:
            answer = fetch(upkeep.request, lambda: self._before.network.ssl_context, timeout_s)
        except OSError as error:
            return cause_of(error), ""
        return upkeep.accepts(answer.status, answer.body), words_of_body(answer.body)
