"""The body of a request for a code, which gets the time of sending as it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sseload_users.core.clock import wall_ns
from sseload_users.targets.signing import with_signature
from sseload_users.transports.http_request import HttpRequest


class StampedBody(bytes):
    """A request body that is rebuilt with the current time in its code as it is written.

    geventhttpclient first finds or opens a connection, and then joins the request's head and
    body: `head + body`. That is when a code is sent, not when a connection was asked for. The head
    is rebuilt as well: it may contain the code, or a signature over the body and the time.

    Attributes:
        sent_ns: the time in its code (wall clock, ns).
        written: whether it has been handed to a connection.
    """

    sent_ns: int
    written: bool
    _as_sent: bytes
    _first: HttpRequest
    _at: Callable[[int], HttpRequest]
    _on_written: Callable[[int], None]

    @classmethod
    def of(
        cls,
        at: Callable[[int], HttpRequest],
        on_written: Callable[[int], None],
    ) -> StampedBody:
        """Return a stamped body.

        Args:
            at: returns the request for a time of sending (wall clock, ns).
            on_written: called once, with the time with which it was written.
        """
        now = wall_ns()
        first = at(now)
        new = cls(first.body)
        new.sent_ns, new._as_sent, new._first = now, first.body, first
        new.written = False
        new._at, new._on_written = at, on_written
        return new

    @property
    def request(self) -> HttpRequest:
        """The request as it was first built; its head announces the body's length."""
        return self._first

    def __bool__(self) -> bool:
        """Return True: a client does not join a head with nothing."""
        return True

    def __radd__(self, head: bytes) -> bytes:
        """Return the whole request, with the current time in its code."""
        if not self.written:
            self.written = True
            now = wall_ns()
            fresh = self._at(now)
            # A code whose text has no time stays the same; it is sent now nevertheless.
            if len(fresh.body) == len(self):
                self._as_sent, self.sent_ns = fresh.body, now
                head = _rebuilt(head, self._first, fresh)
            self._on_written(self.sent_ns)
        # A redirected request is written again, with the same code.
        return head + self._as_sent


def _rebuilt(head: bytes, first: HttpRequest, fresh: HttpRequest) -> bytes:
    """Return a head with the URL and the headers of the request as it is sent."""
    changed = tuple(new for new in fresh.headers if new not in first.headers)
    if not changed and fresh.url == first.url:
        return head
    return with_signature(head, replace(fresh, headers=changed))
