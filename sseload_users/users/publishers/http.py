"""The publisher that hands each code in by an HTTP request."""

from __future__ import annotations

import socket

from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from locust.contrib.fasthttp import FastHttpSession, FastResponse, ResponseContextManager

from sseload_users.core.clock import wall_ns
from sseload_users.core.code_tally import Status
from sseload_users.targets import Identity, Target
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.content_coding import with_accepted_codings
from sseload_users.transports.endpoint import parse_origin
from sseload_users.transports.http_request import HttpResponse
from sseload_users.transports.patience import PatientTimeout
from sseload_users.transports.redirects import MAX_REDIRECTS
from sseload_users.transports.server_text import body_text
from sseload_users.users.ingest_client import AnswerTooLarge, RedirectRefused, newest_arrival_ns
from sseload_users.users.login import Login
from sseload_users.users.publishers import NAME, Draft, IngestFailed
from sseload_users.users.publishers.code_attempt import CodeAttempt
from sseload_users.users.publishers.stamped_body import StampedBody

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
        client: Locust's client, which reports each request to Locust.
        target: builds the requests.
        identity: the user that makes them.
        login: the user's login.
        timeout_s: seconds within which the server must respond.
        compression: whether to offer to compress responses.
    """

    def __init__(
        self,
        client: FastHttpSession,
        target: Target,
        identity: Identity,
        login: Login,
        timeout_s: float,
        *,
        compression: bool,
    ) -> None:
        self._client = client
        self._target = target
        self._identity = identity
        self._login = login
        self._timeout_s = timeout_s
        self._compression = compression
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
        """Do nothing: Locust's client closes its own connections."""

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
            body = attempt.body()
            with self._request(body, attempt) as response:
                status, cause = self._outcome(response, body, attempt)
                took_us = _took_us(status, body.sent_ns)
                if cause is None:
                    self._login.accept()
                    response.success()
                    if not attempt.is_last:
                        attempt.go_on()
                        continue
                elif may_renew and self._refuses_login(response.status_code, cause):
                    failure = self._renew(version)
                    if failure is None:
                        response.request_meta["name"] = _EXPIRED
                        response.success()
                        return True
                    cause += failure
                if cause is not None and not attempt.is_last:
                    status, cause = "unsent", f"{cause} ({attempt.what})"
                if status == "unsent" and draft.sent:
                    # It was sent before, and refused as the login had expired.
                    status = "rejected"
                text = "" if cause is None else self._server_text(response, attempt)
                cause = draft.record_outcome(status, took_us, cause, text)
                if cause is not None:
                    response.failure(IngestFailed(f"{status}: {cause}"))
            return False

    def _request(self, body: StampedBody, attempt: CodeAttempt) -> ResponseContextManager:
        """Make a request.

        Raises:
            ConnectFailed: at "resolve": the URL is invalid.
        """
        request = body.request
        parse_origin(request.url)
        headers = with_accepted_codings(request.headers, request.url, compression=self._compression)
        if not request.body and request.method != "GET":
            headers["Content-Length"] = "0"
        with PatientTimeout(self._timeout_s, TimeoutError(_LATE)):
            return self._client.request(
                request.method,
                request.url,
                name=NAME if attempt.is_last else BEFORE_NAME,
                data=body,  # type: ignore[arg-type]
                headers=headers,
                catch_response=True,
                # A profile that wants a redirect as the answer does not want it followed.
                max_redirects=0 if request.unfollowed else MAX_REDIRECTS + 1,
            )

    def _take_cookies(self, version: int) -> None:
        """Take over the cookies of a login, once."""
        if version != self._cookies_of:
            for each in self._login.client.cookies:
                self._client.cookiejar.set_cookie(each)
            self._cookies_of = version

    def _refuses_login(self, status: int, cause: str) -> bool:
        """Whether an answer says that nobody is logged in, or that the login has expired."""
        return refuses_login(status, cause, logged_in=bool(self._login.version))

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

    def _outcome(
        self, response: ResponseContextManager, body: StampedBody, attempt: CodeAttempt
    ) -> tuple[Status, str | None]:
        """Return what became of a request, and the cause if it failed."""
        broken = response.request_meta["exception"]
        if response.status_code and broken is None:
            if newest_arrival_ns()[0] - body.sent_ns > self._timeout_s * 1e9:
                return "unanswered", _LATE
            redirected = response.url != response.request_meta["url"]
            if redirected and self._target.is_login(response.url or ""):
                return "rejected", TO_LOGIN
            answer = response.request_meta["response"]
            followed = [_as_value(each, b"") for each in answer.history]
            cause = attempt.read(_as_value(answer, response.content or b""), followed)
            return ("accepted", None) if cause is None else ("rejected", cause)
        error = broken or getattr(response, "error", None)
        # geventhttpclient wraps some errors in one which says that it does not retry.
        error = getattr(error, "original", None) or error
        if isinstance(error, RedirectRefused):
            return "rejected", str(error)
        if isinstance(error, TimeoutError | socket.timeout):
            cause = _LATE if body.written else "timed out"
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
        return "unanswered" if body.written else "unsent", cause

    def _server_text(self, response: ResponseContextManager, attempt: CodeAttempt) -> str:
        """Return the text of a response that does not accept a code."""
        body = response.content if response.status_code else b""
        secrets = {*self._login.secrets, *attempt.given.values()}
        return self._target.redact(body_text(body or b""), self._identity, secrets)


def _as_value(response: FastResponse, body: bytes) -> HttpResponse:
    """Return a response of Locust's client as a value, with its body."""
    headers = response.headers
    return HttpResponse(response.status_code, body, tuple(headers.items() if headers else ()))


def _took_us(status: Status, sent_ns: int) -> int:
    """Return the time from a code's sending to its answer, however late that was read, in µs."""
    ended_ns = newest_arrival_ns()[1] if status in ("accepted", "rejected") else wall_ns()
    return max(ended_ns - sent_ns, 0) // 1000
