"""The connection that codes go in over: made, kept, made anew, and written to."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent.event import AsyncResult

from sseload_users.core.backoff import back_off_s
from sseload_users.core.clock import wall_ns
from sseload_users.options import Options
from sseload_users.run.before_requests import Before
from sseload_users.targets import Publishing, Sender
from sseload_users.targets.identities import Identity
from sseload_users.targets.messages import Said, means
from sseload_users.targets.publishing import Refused
from sseload_users.transports import Closed, ConnectFailed, Transport
from sseload_users.transports.network import Endpoint
from sseload_users.transports.registry import transport_for
from sseload_users.transports.socketio import SocketIOTransport
from sseload_users.users.publishers.answers import Answers, Awaited, Outcome
from sseload_users.users.session_requests import SessionRequests

#: Seconds in which a refusal is taken to be of a code that nothing else is an answer to.
_SILENCE_S = 0.5
#: Seconds from one look to the next whether the server reads again.
_LOOK_S = 0.005


class Watcher(Protocol):
    """Is told how the publisher's connection fares."""

    def connected(self, took_ms: float) -> None:
        """It has been made."""

    def failed(self, error: ConnectFailed, took_ms: float) -> None:
        """It could not be made."""

    def lost(self, cause: str) -> None:
        """It was there, and has ended without this side's doing."""

    def kept_alive(self, cause: str | None, said: str) -> None:
        """A request has kept it alive, or failed for that cause, with those words."""

    def malformed(self, cause: str) -> None:
        """Something came over it that cannot be decoded."""


class IngestConnection:
    """One connection that codes are sent over, and made anew when it is lost.

    Args:
        publishing: what to say.
        before: makes the requests before connecting, on the network that connections share.
        options: the run's.
        identity: as whom to connect.
        watcher: is told how it fares.

    Attributes:
        kind: Locust's request type.
        place: where it was made, without the query, which may hold secrets.
    """

    def __init__(
        self,
        publishing: Publishing,
        before: Before,
        options: Options,
        identity: Identity,
        watcher: Watcher,
    ) -> None:
        self._publishing = publishing
        self._before = before
        self._options = options
        self._identity = identity
        self._watcher = watcher
        self._type = transport_for(publishing.line.profile.transport)
        self.kind = self._type.kind
        self.place = ""
        self._transport: Transport | None = None
        self._errands: SessionRequests | None = None
        self._sender = Sender(identity, {})
        self._why_not = "not connected"
        self._numbers = itertools.count(1)
        # The texts of the codes under way: servers repeat them in their words.
        self._codes: dict[int, str] = {}
        self._answers = Answers(publishing.expects, self._refusal)
        self._keeper: gevent.Greenlet[..., None] | None = None

    def open(self, attempts: int) -> None:
        """Connect, and stay connected from now on.

        Args:
            attempts: after so many it is given up.

        Raises:
            ConnectFailed: it could not be made.
        """
        for attempt in range(1, attempts):
            try:
                self._connect()
                break
            except ConnectFailed:
                gevent.sleep(back_off_s(attempt))
        else:
            self._connect()
        self._keeper = gevent.spawn(self._keep)

    def close(self) -> None:
        """Say goodbye, and connect no more."""
        if self._keeper is not None:
            self._keeper.kill(block=False)

    def publish(
        self,
        text: Callable[[int], str],
        written: Callable[[int], None],
    ) -> Outcome:
        """Send a code, and wait for what the server says to it.

        Args:
            text: the code as it is if it is sent then (wall clock, ns).
            written: is told when its bytes have been handed to the kernel.

        Returns:
            What became of it; "unsent" where there is no connection.
        """
        deadline = time.monotonic() + self._options.ingest_timeout
        # What waits here would be sent later than its stamp says.
        while self._transport is not None and self._transport.congested:
            if time.monotonic() >= deadline:
                return Outcome("unsent", "timed out")
            gevent.sleep(_LOOK_S)
        transport, number, sent_ns = self._transport, next(self._numbers), wall_ns()
        if transport is None:
            return Outcome("unsent", self._why_not)
        code = text(sent_ns)
        if not transport.send(self._publishing.frame(code, self._sender, number)):
            return Outcome("unsent", "connection closed")
        written(sent_ns)
        if self._publishing.expects != "none":
            return self._await_answer(code, number, deadline - time.monotonic())
        taken = Outcome("accepted", None, wall_ns())
        if self._publishing.refuses:
            outcome = self._await_answer(code, number, _SILENCE_S)
            return outcome if outcome.status == "rejected" else taken
        return taken

    def without_secrets(self, words: str) -> str:
        """A text of the server's in which nothing is left that must not be shown."""
        captured = self._sender.captured.values()
        return self._publishing.line.without_secrets(words, self._identity, [*captured])

    def _await_answer(self, code: str, number: int, patience_s: float) -> Outcome:
        publishing, sender = self._publishing, self._sender
        about = publishing.about(code, sender)
        settled: AsyncResult[Outcome] = AsyncResult()

        def accepted_by(what: Said) -> bool:
            return about.expected is not None and means(about.expected, what)

        def refused_by(what: Said) -> Refused | None:
            return publishing.refused(about.refuses, what, sender, [code])

        self._codes[number] = code
        self._answers.sent(number, Awaited(accepted_by, refused_by, settled.set))
        try:
            outcome = settled.get(timeout=max(patience_s, 0))
        except gevent.Timeout:
            return self._answers.expired(number)
        finally:
            # Its greenlet may be killed when the run ends.
            del self._codes[number]
            self._answers.forget(number)
        assert outcome is not None  # noqa: S101
        return outcome

    # The session

    def _connect(self) -> None:
        began = time.monotonic()
        errands = SessionRequests(
            self._publishing.line,
            self._identity,
            self._before,
            on_upkeep=self._watcher.kept_alive,
        )
        try:
            transport = errands.connect(self._make_transport)
            sender = Sender(self._identity, dict(errands.given))
            self._see_that_nothing_is_missing(errands, transport, sender)
        except ConnectFailed as error:
            cause, detail, said = map(
                errands.without_secrets, (error.cause, error.detail, error.said)
            )
            failed = ConnectFailed(error.operation, cause, detail, said=said)
            self._why_not = cause
            self._watcher.failed(failed, (time.monotonic() - began) * 1000)
            raise failed from error
        connect_ms = max(transport.subscribed_ns - transport.started_ns, 0) / 1e6
        self._transport, self._errands, self._sender = transport, errands, sender
        self._watcher.connected(connect_ms)

    def _make_transport(self, endpoint: Endpoint) -> Transport:
        self.place = endpoint.url.partition("?")[0]
        transport = self._type(
            endpoint, self._before.network, self._on_message, self._watcher.malformed
        )
        if isinstance(transport, SocketIOTransport):
            transport.on_ack = self._on_ack
        return transport

    def _see_that_nothing_is_missing(
        self, errands: SessionRequests, transport: Transport, sender: Sender
    ) -> None:
        """Miss now what the server should have given, and not when a code is due."""
        try:
            self._publishing.frame("", sender, 0)
            self._publishing.about("", sender)
        except ConnectFailed:
            errands.end()
            transport.leave()
            raise

    def _keep(self) -> None:
        while True:
            closed = self._hold()
            self._why_not = closed.cause
            self._answers.lost(closed.cause, self.without_secrets(closed.reason))
            self._watcher.lost(closed.cause)
            self._connect_again()

    def _hold(self) -> Closed:
        transport, errands = self._transport, self._errands
        assert transport is not None  # noqa: S101
        assert errands is not None  # noqa: S101
        try:
            return transport.listen()
        finally:
            errands.end()
            self._transport = self._errands = None

    def _connect_again(self) -> None:
        for attempt in itertools.count():
            gevent.sleep(back_off_s(attempt))
            try:
                self._connect()
            except ConnectFailed:
                continue
            return

    # In the hub

    def _on_message(self, payload: bytes, arrived_ns: int) -> None:
        for what in self._publishing.line.said(payload):
            self._answers.heard(what, arrived_ns)
        if self._transport is not None:
            self._transport.keep_alive(payload)

    def _on_ack(self, number: int, arguments: list[Any], arrived_ns: int) -> None:
        first = arguments[0] if arguments else None
        text = first if isinstance(first, str) else ""
        self._answers.acknowledged(number, Said("", text, arguments), arrived_ns)

    def _refusal(self, what: Said) -> Refused | None:
        return self._publishing.refusal(what, self._sender, self._codes.values())
