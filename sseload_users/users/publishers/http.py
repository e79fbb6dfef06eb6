"""The publisher that hands each code in by an HTTP request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from locust.env import Environment

from sseload_users.core.clock import wall_ns
from sseload_users.core.code_tally import Status
from sseload_users.targets import Identity, Target
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.patience import PatientTimeout
from sseload_users.transports.server_text import body_text
from sseload_users.users.ingest_client import (
    Answered,
    AnswerTooLarge,
    IngestClient,
    RedirectRefused,
)
from sseload_users.users.login import Login
from sseload_users.users.publishers import NAME, Draft, IngestFailed
from sseload_users.users.publishers.code_attempt import CodeAttempt

_UNAUTHORIZED, _FORBIDDEN = 401, 403
#: The cause of a code that was redirected to the page for logging in.
TO_LOGIN = "redirected to the login"
#: The cause of an answer that has not arrived in time.
_LATE = "no answer in time"
#: The name in Locust's table of requests that were refused because a login had expired.
_EXPIRED = f"{NAME} login expired"
#: The name in Locust's table of requests that precede the one that has a code broadcast.
BEFORE_NAME = f"{NAME} before"


def refuses_login(status: int, cause: str, *, logged_in: bool) -> bool:
    """Whether an answer to a code says that nobody is logged in, or that the login has expired.

    Args:
        status: its HTTP status.
        cause: why it does not accept the code.
        logged_in: whether there was a login; if not, servers also answer 403.
    """
    return status == _UNAUTHORIZED or cause == TO_LOGIN or (status == _FORBIDDEN and not logged_in)


class HttpPublisher:
    """Hands codes in by HTTP requests over a pool of connections.

    It logs in if the request for codes contains a value that a login gives, or if the server
    refuses a code because nobody is logged in. A code that is refused because the login has
    expired is sent again after a new one.

    Args:
        environment: Locust's; each request is reported to it.
        client: makes the requests.
        target: builds them.
        identity: the user that makes them.
        login: the user's login.
        timeout_s: seconds within which the server must respond.
        context: returns what Locust's events have of the user.
    """

    def __init__(
        self,
        environment: Environment,
        client: IngestClient,
        target: Target,
        identity: Identity,
        login: Login,
        timeout_s: float,
        context: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._environment = environment
        self._client = client
        self._target = target
        self._identity = identity
        self._login = login
        self._timeout_s = timeout_s
        self._context = context
        # Version of the login whose cookies the client has.
        self._cookies_of = 0

    def open(self) -> None:
        """Log in if that is needed; the first code opens a connection.

        Raises:
            ConnectFailed: at "before": the login failed.
        """
        if self._target.ingest_needs_login():
            try:
                self._login.request()
            except ConnectFailed as error:
                cause, detail, text = map(
                    self._login.redact, (error.cause, error.detail, error.server_text)
                )
                raise ConnectFailed(error.operation, cause, detail, server_text=text) from error

    def publish(self, draft: Draft) -> None:
        """Hand in a code and wait for the response."""
        if self._try(draft, may_renew=True):
            self._try(draft, may_renew=False)

    def close(self) -> None:
        """Close the unused connections."""
        self._client.close()

    def _try(self, draft: Draft, *, may_renew: bool) -> bool:
        """Make the requests for a code, up to the first one that fails.

        Args:
            draft: the code.
            may_renew: whether to log in again if the server refuses the login.

        Returns:
            Whether to send the code again, as there is a new login; otherwise its outcome is
            recorded.

        Raises:
            ConnectFailed: at "resolve": the URL is invalid.
        """
        version = self._login.version
        self._take_cookies(version)
        attempt = CodeAttempt(self._target, self._identity, self._login.captured, draft)
        while True:
            exchange = self._exchange(attempt)
            status, cause = exchange.status, exchange.cause
            if cause is None:
                self._login.accept()
                if not attempt.is_last:
                    self._report(exchange, BEFORE_NAME)
                    attempt.go_on()
                    continue
            elif may_renew and self._refuses_login(exchange):
                failure = self._renew(version)
                if failure is None:
                    self._report(exchange, _EXPIRED)
                    return True
                cause += failure
            if cause is not None and not attempt.is_last:
                status, cause = "unsent", f"{cause} ({attempt.what})"
            if status == "unsent" and draft.sent:
                # It was sent before, and refused as the login had expired.
                status = "rejected"
            text = "" if cause is None else self._server_text(exchange, attempt)
            cause = draft.record_outcome(status, _took_us(exchange, attempt), cause, text)
            failed = None if cause is None else IngestFailed(f"{status}: {cause}")
            self._report(exchange, NAME if attempt.is_last else BEFORE_NAME, failed)
            return False

    def _exchange(self, attempt: CodeAttempt) -> _Exchange:
        """Make the next request of an attempt.

        Raises:
            ConnectFailed: at "resolve" or "handshake": the URL or a header is invalid.
        """
        began_s, began = time.time(), time.perf_counter()
        answered: Answered | None = None
        status: Status
        cause: str | None
        try:
            with PatientTimeout(self._timeout_s, TimeoutError(_LATE)):
                answered = self._client.request(attempt.request_at, attempt.note_written)
        except (OSError, HTTPParseError) as error:
            status, cause = _failure(error, attempt)
        else:
            status, cause = self._meaning(answered, attempt)
        took_ms = (time.perf_counter() - began) * 1000
        return _Exchange(attempt.request, answered, status, cause, began_s, took_ms)

    def _take_cookies(self, version: int) -> None:
        """Take over the cookies of a login, once."""
        if version != self._cookies_of:
            self._client.cookies.add(self._login.client.cookies)
            self._cookies_of = version

    def _refuses_login(self, exchange: _Exchange) -> bool:
        """Whether an answer says that nobody is logged in, or that the login has expired."""
        if exchange.answered is None or exchange.cause is None:
            return False
        status = exchange.answered.answer.status
        return refuses_login(status, exchange.cause, logged_in=bool(self._login.version))

    def _renew(self, version: int) -> str | None:
        """Log in again.

        Args:
            version: of the login that was refused.

        Returns:
            None, or what to add to the cause as there is no new login.
        """
        try:
            return None if self._login.renew(version) else ""
        except ConnectFailed as error:
            return self._login.redact(f", and the login failed: {error.cause}")

    def _meaning(self, answered: Answered, attempt: CodeAttempt) -> tuple[Status, str | None]:
        """Return what an answer says of a request, and the cause if that failed."""
        assert attempt.sent_ns is not None  # noqa: S101
        if answered.earliest_ns - attempt.sent_ns > self._timeout_s * 1e9:
            return "unanswered", _LATE
        if answered.redirects and self._target.is_login(answered.url):
            return "rejected", TO_LOGIN
        cause = attempt.read(answered.answer, answered.redirects)
        return ("accepted", None) if cause is None else ("rejected", cause)

    def _server_text(self, exchange: _Exchange, attempt: CodeAttempt) -> str:
        """Return the text of a response that does not accept a code."""
        if exchange.answered is None:
            return ""
        secrets = {*self._login.secrets, *attempt.given.values()}
        text = body_text(exchange.answered.answer.body)
        return self._target.redact(text, self._identity, secrets)

    def _report(self, exchange: _Exchange, name: str, failed: IngestFailed | None = None) -> None:
        """Report a request to Locust."""
        answer = None if exchange.answered is None else exchange.answered.answer
        request = exchange.request
        self._environment.events.request.fire(
            request_type=request.method,
            name=name,
            response_time=exchange.took_ms,
            response_length=0 if answer is None else len(answer.body),
            response=answer,
            exception=failed,
            context={**self._context()},
            start_time=exchange.began_s,
            url=request.url,
        )


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request for a code, and what became of it.

    Attributes:
        request: the request, before any redirect.
        answered: the answer; None if there was none.
        status: what became of the code, if this was the last request.
        cause: why it failed; None if it did not.
        began_s: when it began (Unix time, s).
        took_ms: how long it took, a new connection included, in milliseconds.
    """

    request: HttpRequest
    answered: Answered | None
    status: Status
    cause: str | None
    began_s: float
    took_ms: float


def _took_us(exchange: _Exchange, attempt: CodeAttempt) -> int:
    """Return the time from a code's sending to its answer, however late that was read, in µs."""
    if attempt.sent_ns is None:
        return 0
    answered = None if exchange.status == "unanswered" else exchange.answered
    ended_ns = wall_ns() if answered is None else answered.latest_ns
    return max(ended_ns - attempt.sent_ns, 0) // 1000


def _failure(error: Exception, attempt: CodeAttempt) -> tuple[Status, str]:
    """Return what became of a request without a valid answer, and the cause."""
    written = attempt.sent_ns is not None
    if isinstance(error, RedirectRefused):
        return "rejected", str(error)
    if isinstance(error, TimeoutError):
        cause = _LATE if written else "timed out"
    elif isinstance(error, HTTPConnectionClosed):
        cause = "connection closed"
    elif isinstance(error, AnswerTooLarge):
        cause = "answer too large"
    elif isinstance(error, HTTPParseError):
        cause = "bad answer"
    elif isinstance(error, OSError):
        cause = cause_of(error)
    else:
        cause = type(error).__name__
    return "unanswered" if written else "unsent", cause
