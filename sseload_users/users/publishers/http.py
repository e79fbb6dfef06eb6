"""Codes in by a request each, whatever became of the ones before."""

from __future__ import annotations

import socket
from collections.abc import Callable

import gevent
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager

from sseload_users.core.clock import wall_ns
from sseload_users.core.tally import Status
from sseload_users.targets import Identity, Target
from sseload_users.transports.network import cause_of
from sseload_users.transports.refusal import words_of_body
from sseload_users.users.ingest_client import AnswerTooLarge
from sseload_users.users.publishers import NAME, Draft, IngestFailed


class HttpPublisher:
    """Hands codes in by requests, each on a connection of a pool.

    Args:
        client: Locust's, which tells Locust of each request.
        target: where codes go in.
        identity: as whom.
        timeout_s: seconds that the server has to answer.
    """

    def __init__(
        self, client: FastHttpSession, target: Target, identity: Identity, timeout_s: float
    ) -> None:
        self._client = client
        self._target = target
        self._identity = identity
        self._timeout_s = timeout_s

    def open(self) -> None:
        """Nothing is opened before there is a code."""

    def publish(self, draft: Draft) -> None:
        """Hand a code in, and wait for the answer."""

        def body_at(sent_ns: int) -> bytes:
            return self._target.ingest(draft.text(sent_ns), self._identity).body

        now = wall_ns()
        request = self._target.ingest(draft.text(now), self._identity)
        body = _StampedBody.of(request.body, now, body_at, draft.written)
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
            said = "" if cause is None else self._words(response)
            cause = draft.answered(status, took_us, cause, said)
            if cause is None:
                response.success()
            else:
                response.failure(IngestFailed(f"{status}: {cause}"))

    def close(self) -> None:
        """Locust's client closes what it has opened."""

    def _outcome(
        self, response: ResponseContextManager, body: _StampedBody
    ) -> tuple[Status, str | None]:
        """What became of a code, and why it failed if it did."""
        broken = response.request_meta["exception"]
        if response.status_code and broken is None:
            content = response.content or b""
            cause = self._target.accepts(response.status_code, content)
            return ("accepted", None) if cause is None else ("rejected", cause)
        error = broken or getattr(response, "error", None)
        # geventhttpclient hides some errors in one that says that it does not try again.
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

    def _words(self, response: ResponseContextManager) -> str:
        """What the server says where it does not accept a code."""
        body = response.content if response.status_code else b""
        return self._target.without_secrets(words_of_body(body or b""), self._identity)


class _StampedBody(bytes):
    """A request's body that is made anew, with the time in its code, as it is written.

    geventhttpclient finds or makes a connection first, and only then joins the request's
    head and its body: `head + body`. That is the moment at which a code is sent, not the
    one at which somebody asked for a connection.

    Attributes:
        sent_ns: the time in its code (wall clock, ns).
        written: it has been handed to a connection.
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
        """A body.

        Args:
            first: what it is like with the time `first_ns`; its length is announced.
            first_ns: wall clock, ns.
            at: makes it for another time.
            on_written: is told, once, with which time it was written.
        """
        new = cls(first)
        new.sent_ns = first_ns
        new.written = False
        new._at, new._on_written = at, on_written
        return new

    def __radd__(self, head: bytes) -> bytes:
        """The whole request, stamped now."""
        body = bytes(self)
        if not self.written:
            self.written = True
            now = wall_ns()
            fresh = self._at(now)
            # A code without a time in its text stays the same; the time is still that of now.
            if len(fresh) == len(body):
                body, self.sent_ns = fresh, now
            self._on_written(self.sent_ns)
        return head + body
