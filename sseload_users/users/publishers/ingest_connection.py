"""The connection over which codes are handed in; re-established when it is lost."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import gevent
from gevent.event import AsyncResult

from sseload_users.core.backoff import back_off_s
from sseload_users.core.clock import wall_ns
from sseload_users.options import Options
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.targets import Publishing, Sender
from sseload_users.targets.identities import Identity
from sseload_users.targets.messages import ReceivedMessage, matches
from sseload_users.targets.publishing import Refused
from sseload_users.transports import Closed, ConnectFailed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.patience import ONCE_MORE_S
from sseload_users.transports.registry import transport_for
from sseload_users.transports.transport import Transport
from sseload_users.users.publishers.answers import AnswerMatcher, AwaitedCode, PublishOutcome
from sseload_users.users.resumption import Resumption
from sseload_users.users.session_requests import SessionRequests

if TYPE_CHECKING:
    from sseload_users.transports.socketio import SocketIOTransport

#: Seconds to wait for a refusal if nothing else answers a code.
_REFUSAL_WAIT_S = 0.5
#: Seconds between two checks whether the backlog has been written.
_BACKLOG_POLL_S = 0.005


class ConnectionObserver(Protocol):
    """Called with what happens to a publisher's connection."""

    def on_connected(self, took_ms: float) -> None:
        """Handle an attempt that succeeded."""

    def on_connect_failed(self, error: ConnectFailed, took_ms: float) -> None:
        """Handle an attempt that failed."""

    def on_lost(self, cause: str) -> None:
        """Handle the loss of the connection: the server or the network ended it."""

    def on_upkeep(self, cause: str | None, server_text: str) -> None:
        """Handle an upkeep request, with the cause and the server's text if it failed."""

    def on_malformed(self, cause: str) -> None:
        """Handle a message that cannot be decoded."""


class IngestConnection:
    """A connection over which codes are sent; it reconnects after a loss.

    Args:
        publishing: what to send, and what the server answers.
        before: makes the requests before connecting; has the network.
        options: the run's options.
        identity: the user that connects.
        observer: called with what happens to the connection.

    Attributes:
        kind: Locust's request type.
        place: URL of the last attempt, without its query, which may contain secrets.
    """

    def __init__(
        self,
        publishing: Publishing,
        before: BeforeRequests,
        options: Options,
        identity: Identity,
        observer: ConnectionObserver,
    ) -> None:
        self._publishing = publishing
        self._before = before
        self._options = options
        self._identity = identity
        self._observer = observer
        self._type = transport_for(publishing.target.profile.transport)
        self.kind = self._type.kind
        self.place = ""
        self._transport: Transport | None = None
        self._requests: SessionRequests | None = None
        self._sender = Sender(identity, {})
        # Why there is no connection.
        self._down_cause = "not connected"
        self._numbers = itertools.count(1)
        # Texts of the codes in flight, by number: servers repeat them in refusals.
        self._codes: dict[int, str] = {}
        self._answers = AnswerMatcher(publishing.expects, self._refusal_in)
        self._keeper: gevent.Greenlet[..., None] | None = None

    def open(self, attempts: int) -> None:
        """Connect and stay connected.

        Args:
            attempts: number of attempts.

        Raises:
            ConnectFailed: the last attempt failed.
        """
        for attempt in range(1, attempts):
            try:
                self._connect()
                break
            except ConnectFailed:
                gevent.sleep(back_off_s(attempt))
        else:
            self._connect()
        self._keeper = gevent.spawn(self._keep_connected)

    def close(self) -> None:
        """Disconnect, and do not reconnect."""
        if self._keeper is not None:
            self._keeper.kill(block=False)

    def publish(
        self,
        text: Callable[[int], str],
        on_sent: Callable[[int], None],
        channel: str | None = None,
        payload_bytes: int = 0,
    ) -> PublishOutcome:
        """Send a code and wait for its outcome.

        Args:
            text: returns the code's text for a send time (wall clock, ns).
            on_sent: called with the send time when the bytes were handed to the kernel.
            channel: the code's channel; None in a run without channels.
            payload_bytes: size to which the message is padded; 0 for no padding.

        Returns:
            The outcome; "unsent" if there is no connection.
        """
        deadline = time.monotonic() + self._options.ingest_timeout
        # Behind a backlog, the code would be sent later than its text says.
        while self._transport is not None and self._transport.congested:
            if time.monotonic() >= deadline:
                return PublishOutcome("unsent", "timed out")
            gevent.sleep(_BACKLOG_POLL_S)
        transport, number, sent_ns = self._transport, next(self._numbers), wall_ns()
        if transport is None:
            return PublishOutcome("unsent", self._down_cause)
        code = text(sent_ns)
        frame = self._publishing.frame(code, self._sender, number, channel, payload_bytes)
        if not transport.send(frame):
            return PublishOutcome("unsent", "connection closed")
        on_sent(sent_ns)
        if self._publishing.expects != "none":
            return self._await_answer(code, channel, number, deadline - time.monotonic())
        accepted = PublishOutcome("accepted", None, wall_ns())
        if self._publishing.refuses:
            outcome = self._await_answer(code, channel, number, _REFUSAL_WAIT_S)
            return outcome if outcome.status == "rejected" else accepted
        return accepted

    def redact(self, text: str) -> str:
        """Return a text of the server's with the secrets removed."""
        captured = self._sender.captured.values()
        return self._publishing.target.redact(text, self._identity, [*captured])

    def _await_answer(
        self, code: str, channel: str | None, number: int, timeout_s: float
    ) -> PublishOutcome:
        publishing, sender = self._publishing, self._sender
        about = publishing.answers_to(code, sender, channel)
        settled: AsyncResult[PublishOutcome] = AsyncResult()

        def is_accepted_by(what: ReceivedMessage) -> bool:
            return about.expected is not None and matches(about.expected, what)

        def refusal_in(what: ReceivedMessage) -> Refused | None:
            return publishing.refused(about.refuses, what, sender, [code])

        deadline_ns = wall_ns() + round(max(timeout_s, 0) * 1e9)
        self._codes[number] = code
        self._answers.add(number, AwaitedCode(is_accepted_by, refusal_in, settled.set))
        try:
            settled.wait(timeout=max(timeout_s, 0))
            if not settled.ready():
                # The answer may wait to be read, in a process that was stopped or starved.
                settled.wait(timeout=ONCE_MORE_S)
            outcome = settled.get(block=False) if settled.ready() else None
            if outcome is None or (outcome.at_ns or 0) > deadline_ns:
                return self._answers.expire(number)
        finally:
            # The greenlet may be killed at the end of the run.
            del self._codes[number]
            self._answers.discard(number)
        return outcome

    # The session

    def _connect(self) -> None:
        began = time.monotonic()
        requests = SessionRequests(
            self._publishing.target,
            self._identity,
            self._before,
            on_upkeep=self._observer.on_upkeep,
        )
        try:
            transport = requests.connect(partial(self._make_transport, requests.resumption))
            sender = Sender(self._identity, dict(requests.captured))
            self._check_values(requests, transport, sender)
        except ConnectFailed as error:
            cause, detail, text = map(
                requests.redact, (error.cause, error.detail, error.server_text)
            )
            failed = ConnectFailed(error.operation, cause, detail, server_text=text)
            self._down_cause = cause
            self._observer.on_connect_failed(failed, (time.monotonic() - began) * 1000)
            raise failed from error
        connect_ms = max(transport.subscribed_ns - transport.started_ns, 0) / 1e6
        self._transport, self._requests, self._sender = transport, requests, sender
        self._observer.on_connected(connect_ms)

    def _make_transport(self, resumption: Resumption, endpoint: Endpoint) -> Transport:
        self.place = endpoint.url.partition("?")[0]
        transport = self._type(
            endpoint,
            self._before.network,
            resumption.taking(self._on_message),
            self._observer.on_malformed,
        )
        if transport.kind == "SIO":
            cast("SocketIOTransport", transport).on_acknowledgement = self._on_acknowledgement
        return transport

    def _check_values(
        self, requests: SessionRequests, transport: Transport, sender: Sender
    ) -> None:
        """Fail now, and not when a code is due, if the server did not give a needed value."""
        try:
            self._publishing.frame("", sender, 0, "")
            self._publishing.answers_to("", sender, "")
        except ConnectFailed:
            requests.end()
            transport.leave()
            raise

    def _keep_connected(self) -> None:
        while True:
            closed = self._listen()
            self._down_cause = closed.cause
            self._answers.on_connection_lost(closed.cause, self.redact(closed.reason))
            self._observer.on_lost(closed.cause)
            self._reconnect()

    def _listen(self) -> Closed:
        transport, requests = self._transport, self._requests
        assert transport is not None  # noqa: S101
        assert requests is not None  # noqa: S101
        try:
            return transport.listen()
        finally:
            requests.end()
            self._transport = self._requests = None

    def _reconnect(self) -> None:
        for attempt in itertools.count():
            gevent.sleep(back_off_s(attempt))
            try:
                self._connect()
            except ConnectFailed:
                continue
            return

    # In the hub

    def _on_message(self, payload: bytes, arrived_ns: int) -> None:
        for what in self._publishing.target.reader.messages(payload):
            self._answers.on_message(what, arrived_ns)

    def _on_acknowledgement(self, number: int, arguments: list[Any], arrived_ns: int) -> None:
        first = arguments[0] if arguments else None
        text = first if isinstance(first, str) else ""
        self._answers.on_acknowledgement(number, ReceivedMessage("", text, arguments), arrived_ns)

    def _refusal_in(self, what: ReceivedMessage) -> Refused | None:
        return self._publishing.refusal(what, self._sender, self._codes.values())
