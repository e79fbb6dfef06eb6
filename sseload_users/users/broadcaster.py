"""The user that broadcasts: a code goes in over HTTP, whatever became of the ones before."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import ClassVar

import gevent
import gevent.pool
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from locust import FastHttpUser, task
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment

from sseload_users.core.clock import wall_ns
from sseload_users.core.code_tally import Status
from sseload_users.run.worker_run import worker_run_of
from sseload_users.transports.causes import cause_of
from sseload_users.transports.server_text import body_text
from sseload_users.users.ingest_client import AnswerTooLarge, IngestClient

#: The name of the requests in Locust's table.
NAME = "ingest"

#: Most requests in flight. With as many unanswered, codes go out late, and that is recorded.
_IN_FLIGHT = 256


class IngestFailed(Exception):  # noqa: N818 - its name stands in Locust's table of failures
    """A code that the server did not accept."""


class CodeBroadcaster(FastHttpUser):
    """Sends the run's codes on an open-loop schedule. There is one of it.

    Subclass it to say in code what the options say; what is None here comes from them.

    Attributes:
        target: the target profile: a built-in one's name, or the path of a .toml.
        username: as whom to send.
        codes: how many.
        duration: seconds over which they are spread evenly.
        ingest_timeout: seconds that the server has to answer.
    """

    abstract = False
    fixed_count = 1
    target: ClassVar[str | None] = None
    username: ClassVar[str | None] = None
    codes: ClassVar[int | None] = None
    duration: ClassVar[float | None] = None
    ingest_timeout: ClassVar[float | None] = None

    def __init__(self, environment: Environment) -> None:
        self._station = station = worker_run_of(environment)
        super().__init__(environment)
        self.client.client = IngestClient(
            self.client.cookiejar,
            concurrency=_IN_FLIGHT,
            connection_timeout=station.options.ingest_timeout,
            network_timeout=station.options.ingest_timeout,
            insecure=station.options.insecure,
            ssl_context_factory=lambda: station.network.ssl_context,
        )
        self._target = station.target(self.target, self.host)
        self._identity = station.sender(self.username)
        self._shape = station.shape(self._target)

    @task
    def broadcast(self) -> None:
        """Send codes when their time comes: the only task, and it never returns."""
        station, requests = self._station, gevent.pool.Pool(_IN_FLIGHT)
        with station.broadcasting(requests):
            while True:
                first, schedule = station.orders.get()
                start = time.monotonic()
                for sequence, offset in schedule:
                    gevent.sleep(max(start + offset - time.monotonic(), 0))
                    requests.spawn(self._send, first - 1 + sequence, start + offset)
                requests.join()
                station.broadcast_done()

    def stop(self, force: bool = False) -> bool:
        """Stop at once: with --stop-timeout, Locust would wait for a task that only waits."""
        del force
        return bool(super().stop(force=True))

    def _send(self, sequence: int, due: float) -> None:
        """Send one code, and note what became of it."""
        station = self._station
        if station.hushed:
            return

        def body_at(sent_ns: int) -> bytes:
            return self._target.ingest(self._shape.mint(sequence, sent_ns), self._identity).body

        def written(sent_ns: int) -> None:
            slip_us = round((time.monotonic() - due) * 1e6)
            station.sent(sequence, sent_ns, slip_us, sent_ns if self._shape.dated else None)

        now = wall_ns()
        request = self._target.ingest(self._shape.mint(sequence, now), self._identity)
        body = _StampedBody.of(request.body, now, body_at, written)
        with (
            gevent.Timeout(station.options.ingest_timeout, TimeoutError("no answer in time")),
            self.client.request(
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
            cause = station.answered(sequence, status, took_us, cause, text)
            if cause is None:
                response.success()
            else:
                response.failure(IngestFailed(f"{status}: {cause}"))

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

    def _server_text(self, response: ResponseContextManager) -> str:
        """Return what the server sent with a response that does not accept a code."""
        body = response.content if response.status_code else b""
        return self._target.without_secrets(body_text(body or b""), self._identity)


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
