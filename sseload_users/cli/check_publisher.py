"""How `check` hands its codes in, and what became of each."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sseload_users.cli.check_connection import CheckedConnection
from sseload_users.cli.check_output import CheckOutput, StepFailed
from sseload_users.core.clock import wall_ns
from sseload_users.core.formatting import ms
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.run.resources import Resources
from sseload_users.targets import Emitting, Publishing
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.server_text import body_text, text_beyond
from sseload_users.users.login import Login
from sseload_users.users.publishers.http import TO_LOGIN, refuses_login
from sseload_users.users.publishers.ingest_connection import IngestConnection

#: The word for an accepted code, by what answers it.
_ACCEPTED = {"ack": "acknowledged", "message": "answered", "none": "written"}


@dataclass(frozen=True, slots=True)
class CodeToSend:
    """A code that is to be handed in.

    Attributes:
        mint: returns its text for its send time (wall clock, ns).
        payload_bytes: size to which the payload that carries it is padded; 0 for no padding.
    """

    mint: Callable[[int], str]
    payload_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SentCode:
    """A code that was handed in.

    Attributes:
        text: the code's text.
        sent_ns: when it was sent (wall clock, ns).
        said: how it was sent and what the server answered.
        cause: why it was not accepted; None if it was.
        server_text: the server's own words if it was not.
        status: of the HTTP response that did not accept it; 0 if there is none.
        redirected: status of the redirect that led to that response; 0 if there is none.
        before: the requests that preceded the one that had it broadcast, and their answers.
    """

    text: str
    sent_ns: int
    said: str
    cause: str | None = None
    server_text: str = ""
    status: int = 0
    redirected: int = 0
    before: tuple[str, ...] = ()


class CheckedPublisher(Protocol):
    """Hands in the codes of one check."""

    def open(self) -> None:
        """Prepare for the first code.

        Raises:
            StepFailed: codes cannot be handed in.
        """

    def send(self, code: CodeToSend) -> SentCode:
        """Send a code and wait for its outcome."""

    def close(self) -> None:
        """Close whatever is open."""

    def redact(self, text: str) -> str:
        """Return a text without the values that the server gave to the publisher."""


def make_publisher(
    resources: Resources,
    before: BeforeRequests,
    identity: Identity,
    channel: str | None,
    output: CheckOutput,
    connections: Sequence[CheckedConnection],
) -> CheckedPublisher:
    """Return what hands codes in as the profile says.

    Args:
        resources: target and options.
        before: makes the requests before connecting.
        identity: the user that sends codes.
        channel: the channel that they go to; None if there are no channels.
        output: prints what the publisher does beside sending.
        connections: the listeners, which may have to emit codes.
    """
    emitting = Emitting.of(resources.target)
    if emitting is not None:
        return _ListenerPublisher(emitting, connections, channel)
    publishing = Publishing.of(resources.target)
    if publishing is None:
        return _RequestPublisher(resources, before, identity, channel, output)
    return _ConnectionPublisher(publishing, resources, before, identity, channel, output)


class _RequestPublisher:
    """Hands codes in by HTTP requests."""

    def __init__(
        self,
        resources: Resources,
        before: BeforeRequests,
        identity: Identity,
        channel: str | None,
        output: CheckOutput,
    ) -> None:
        self._output = output
        self._channel = channel
        self._target = resources.target
        self._timeout_s = resources.options.ingest_timeout
        self._identity = identity
        self._login = Login(self._target, identity, before)
        # What the answers to requests for codes gave.
        self._secrets: set[str] = set()

    def open(self) -> None:
        if not self._target.ingest_needs_login():
            return
        try:
            self._login.request()
        except ConnectFailed as error:
            raise _login_failed(error, self._output) from error
        self._output.step("publish", f"logged in as {self._identity.username or 'nobody'}")

    def send(self, code: CodeToSend) -> SentCode:
        version = self._login.version
        sent = self._try(code)
        if sent.cause is None or not refuses_login(
            sent.status, sent.cause, logged_in=bool(version)
        ):
            return sent
        try:
            again = self._login.renew(version)
        except ConnectFailed as error:
            raise _login_failed(error, self._output) from error
        return self._try(code) if again else sent

    def close(self) -> None:
        pass

    def redact(self, text: str) -> str:
        return self._target.redact(text, self._identity, {*self._login.secrets, *self._secrets})

    def _try(self, code: CodeToSend) -> SentCode:
        """Make the requests for a code, up to the first one that fails."""
        text = code.mint(wall_ns())
        given: dict[str, str] = {}
        said: list[str] = []
        for step, _ in enumerate(self._target.profile.spec.ingest_request.requests):
            sent_ns = wall_ns()
            captured = {**self._login.captured, **given}
            request = self._target.ingest(
                text, self._identity, captured, self._channel, sent_ns, code.payload_bytes, step
            )
            answer = self._ask(request, step)
            given |= answer.found
            if answer.cause is not None:
                return SentCode(
                    text, sent_ns, answer.said, answer.cause, answer.words, answer.status,
                    answer.redirected, tuple(said),
                )  # fmt: skip
            said.append(f"{answer.said}, in {ms((wall_ns() - sent_ns) / 1e6)} ms")
        self._login.accept()
        *before, last = said
        return SentCode(text, sent_ns, last, before=tuple(before))

    def _ask(self, request: HttpRequest, step: int) -> _Answer:
        """Make one request for a code."""
        what = f"{request.method} {request.safe_url}"
        try:
            exchanges = [*self._login.client.follow(request, self._timeout_s)]
        except OSError as error:
            cause = cause_of(error)
            detail = getattr(error, "verify_message", "") if isinstance(error, ssl.SSLError) else ""
            return _Answer(f"{what}: {self._output.cause(cause, detail)}", {}, cause, detail)
        last, response = exchanges[-1]
        redirects = [answer for _, answer in exchanges[:-1]]
        cause_or_none, found = self._target.answers.ingest_answer(step, response, redirects)
        self._secrets.update(found.values())
        said = f"{what}: {self._output.response(response)}"
        if last.url != request.url and self._target.is_login(last.url):
            cause_or_none = TO_LOGIN
        if cause_or_none is None:
            return _Answer(said, found)
        said += f": not accepted ({cause_or_none})"
        first = redirects[0].status if redirects else 0
        words = body_text(response.body)
        return _Answer(said, {}, cause_or_none, words, response.status, first)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer to one request for a code; see `SentCode`.

    Attributes:
        said: the request and its answer in words.
        found: values that it gives, by name.
    """

    said: str
    found: Mapping[str, str]
    cause: str | None = None
    words: str = ""
    status: int = 0
    redirected: int = 0


class _ConnectionPublisher:
    """Hands codes in over a connection of its own, which it observes itself."""

    def __init__(
        self,
        publishing: Publishing,
        resources: Resources,
        before: BeforeRequests,
        identity: Identity,
        channel: str | None,
        output: CheckOutput,
    ) -> None:
        self._output = output
        self._channel = channel
        self._way = publishing.way
        self._accepted = _ACCEPTED[publishing.expects]
        self._connect_ms = 0.0
        self._connection = IngestConnection(publishing, before, resources.options, identity, self)

    def open(self) -> None:
        try:
            self._connection.open(1)
        except ConnectFailed as error:
            raise StepFailed(
                "publish",
                f"{error.operation}: {self._output.cause(error.cause, error.detail)}",
                self._output.hint(error.operation, error.cause, error.detail),
            ) from error
        took = f"in {ms(self._connect_ms)} ms"
        self._output.step("publish", f"connected at {self._connection.place}, {took}")

    def send(self, code: CodeToSend) -> SentCode:
        text, began_ns = "", wall_ns()
        sent_ns = began_ns

        def mint_once(at_ns: int) -> str:
            nonlocal text
            text = code.mint(at_ns)
            return text

        def on_sent(at_ns: int) -> None:
            nonlocal sent_ns
            sent_ns = at_ns

        outcome = self._connection.publish(mint_once, on_sent, self._channel, code.payload_bytes)
        if outcome.cause is None:
            took = ms(((outcome.at_ns or wall_ns()) - sent_ns) / 1e6)
            return SentCode(text, sent_ns, f"{self._way}: {self._accepted}, in {took} ms")
        more = text_beyond(outcome.cause, outcome.server_text)
        said = f"{self._way}: {outcome.status} ({outcome.cause})" + (f": {more}" if more else "")
        return SentCode(text, sent_ns, said, outcome.cause, outcome.server_text)

    def close(self) -> None:
        self._connection.close()

    def redact(self, text: str) -> str:
        return self._connection.redact(text)

    # ConnectionObserver

    def on_connected(self, took_ms: float) -> None:
        """Note how long connecting took."""
        self._connect_ms = took_ms

    def on_connect_failed(self, error: ConnectFailed, took_ms: float) -> None:
        """Do nothing: `open` raises the error."""

    def on_lost(self, cause: str) -> None:
        """Do nothing: the code's outcome has the cause."""

    def on_upkeep(self, cause: str | None, server_text: str) -> None:
        """Do nothing: a check ends before upkeep matters."""

    def on_malformed(self, cause: str) -> None:
        """Do nothing: if it was the answer, the code is reported as unanswered."""


class _ListenerPublisher:
    """Has codes emitted by the listeners, in turn."""

    def __init__(
        self, emitting: Emitting, connections: Sequence[CheckedConnection], channel: str | None
    ) -> None:
        self._channel = channel
        self._emitting = emitting
        self._turns = itertools.cycle(connections)

    def open(self) -> None:
        pass

    def send(self, code: CodeToSend) -> SentCode:
        connection, sent_ns = next(self._turns), wall_ns()
        text = code.mint(sent_ns)
        if not connection.emit(self._emitting, text, self._channel, code.payload_bytes):
            cause = "connection closed"
            return SentCode(text, sent_ns, f"{self._emitting.way}: {cause}", cause)
        return SentCode(text, sent_ns, f"{self._emitting.way}: written")

    def close(self) -> None:
        pass

    def redact(self, text: str) -> str:
        return text


def _login_failed(error: ConnectFailed, output: CheckOutput) -> StepFailed:
    said = f"logging in: {error.operation}: {output.cause(error.cause, error.server_text)}"
    return StepFailed("publish", said, output.hint("before", error.cause, error.server_text))
