"""The publisher that hands each code in by an HTTP request."""

from __future__ import annotations

import socket
from collections.abc import Callable

import gevent
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager

from sseload_users.core.clock import wall_ns
from sseload_users.core.code_tally import Status
from sseload_users.targets import Identity, Target
from sseload_users.transports.causes import cause_of
from sseload_users.transports.server_text import body_text
from sseload_users.users.ingest_client import AnswerTooLarge
from sseload_users.users.publishers import NAME, Draft, IngestFailed


class HttpPublisher:
    """Hands codes in by HTTP requests over a pool of connections.

    Args:
        client: Locust's client, which reports each request to Locust.
        target: builds the requests.
        identity: the user that makes them.
        timeout_s: seconds within which the server must respond.
    """

    def __init__(
        self, client: FastHttpSession, target: Target, identity: Identity, timeout_s: float
    ) -> None:
        self._client = client
        self._target = target
        self._identity = identity
        self._timeout_s = timeout_s

    def open(self) -> None:
        """Do nothing: the first request opens a connection."""

    def publish(self, draft: Draft) -> None:
        """Hand in a code and wait for the response."""

        def body_at(sent_ns: int) -> bytes:
            return self._target.ingest(draft.text(sent_ns), self._identity).body

        now = wall_ns()
        request = self._target.ingest(draft.text(now), self._identity)
        body = _StampedBody.of(request.body, now, body_at, draft.record_sent)
        with (
            gevent.Timeout(self._timeout_s, TimeoutError("no answer in time")),
            self._client.request(
                request.method,
                request.url,
                name=NAME,
                data=body,  # type: ignore[arg-type]
                headers={"Accept-Encoding": "identity", **dict(request.headers)},
                catch_response=True,
            ) as response,
        ):
            status, cause = self._outcome(response, body)
            took_us = (wall_ns() - body.sent_ns) // 1000
            text = "" if cause is None else self._server_text(response)
            cause = draft.record_outcome(status, took_us, cause, text)
            if cause is None:
                response.success()
            else:
                response.failure(IngestFailed(f"{status}: {cause}"))

    def close(self) -> None:
        """Do nothing: Locust's client closes its own connections."""

    def _outcome(
        self, response: ResponseContextManager, body: _StampedBody
    ) -> tuple[Status, str | None]:
        """Return a code's status, and the cause if it failed."""
        broken = response.request_meta["exception"]
        if response.status_code and broken is None:
            content = response.content or b""
            cause = self._target.answers.ingest_failure(response.status_code, content)
            return ("accepted", None) if cause is None else ("rejected", cause)
        error = broken or getattr(response, "error", None)
        # geventhttpclient wraps some errors in one which says that it does not retry.
        error = getattr(error, "original", None) or error
        if isinstance(error, TimeoutError | socket.timeout):
            cause = "no answer in time" if body.written else "timed out"
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

    def _server_text(self, response: ResponseContextManager) -> str:
        """Return the text of a response that does not accept a code."""
        body = response.content if response.status_code else b""
        return self._target.redact(body_text(body or b""), self._identity)


class _StampedBody(bytes):
    """A request body that is rebuilt with the current time in its code as it is written.

    geventhttpclient first finds or opens a connection, and then joins the request's head and
    body: `head + body`. That is when a code is sent, not when a connection was asked for.

    Attributes:
        sent_ns: the time in its code (wall clock, ns).
        written: whether it has been handed to a connection.
    """

    sent_ns: int
    written: bool
    _at: Callable[[int], bytes]
    _on_written: Callable[[int], None]

    @classmethod
    def of(
        cls,
        first: bytes,
        first_ns: int,
        at: Callable[[int], bytes],
        on_written: Callable[[int], None],
    ) -> _StampedBody:
        """Return a stamped body.

        Args:
            first: the body with the time `first_ns`; the request's head announces its length.
            first_ns: a time (wall clock, ns).
            at: returns the body with another time.
            on_written: called once, with the time with which it was written.
        """
        new = cls(first)
        new.sent_ns = first_ns
        new.written = False
        new._at, new._on_written = at, on_written
        return new

    def __radd__(self, head: bytes) -> bytes:
        """Return the whole request, with the current time in its code."""
        body = bytes(self)
        if not self.written:
            self.written = True
            now = wall_ns()
            fresh = self._at(now)
            # A code whose text has no time stays the same; it is sent now nevertheless.
            if len(fresh) == len(body):
                body, self.sent_ns = fresh, now
            self._on_written(self.sent_ns)
        return head + body
