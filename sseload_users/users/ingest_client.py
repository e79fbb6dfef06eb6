"""The HTTP client that codes go in by: one that no answer can keep, fill or lead astray.

It has its own way through a request, which takes a fraction of the CPU time that Locust's client
takes, and leaves connections open in processes with many. llhttp parses the answer, as there.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import h11
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError, HTTPResponse

from sseload_users.core.clock import wall_ns
from sseload_users.transports.content_coding import (
    BadContent,
    accepted_codings,
    decoded_content,
)
from sseload_users.transports.cookies import Cookies
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.kept_connections import KeptConnections
from sseload_users.transports.network import Network
from sseload_users.transports.redirects import (
    MAX_REDIRECTS,
    REDIRECTS,
    BadRedirect,
    redirected,
)
from sseload_users.transports.request_head import request_bytes, request_headers
from sseload_users.transports.tcp_arrival import arrival_bounds_ns
from sseload_users.users.known_answers import KnownAnswers

#: Most bytes of an answer, its head and all interim ones included: it says whether a code was
#: accepted, and no more.
_ANSWER_BYTES = 1 << 20
#: Most bytes that one read takes.
_READ_BYTES = 16384
#: Seconds for which an unused connection is kept.
_IDLE_S = 120.0
#: The methods whose requests may be sent again if a kept connection ends without an answer (RFC
#: 9110 §9.2.2). Otherwise, the server could broadcast a code twice.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
#: The methods whose requests usually have no body, and then no length.
_BODILESS = frozenset({"GET", "HEAD"})
#: Headers that say where a body ends: the client's own.
_FRAMING = frozenset({"content-length", "transfer-encoding"})
#: The lowest status of an answer that no other one follows.
_FINAL = 200

_known_answers = KnownAnswers()

#: Builds a request as it is if it is sent at a time (wall clock, ns).
Build = Callable[[int], HttpRequest]


class AnswerTooLarge(HTTPParseError):  # noqa: N818 - the server's failure
    """An answer that has too many bytes."""


class RedirectRefused(HTTPParseError):  # noqa: N818 - the server's failure
    """A redirect that a browser does not follow."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request.

    Attributes:
        url: of the request that was answered, after all redirects.
        answer: the answer.
        redirects: the answers that led to it.
        earliest_ns: before when its last bytes cannot have arrived (wall clock, ns).
        latest_ns: by when they had arrived (wall clock, ns).
    """

    url: str
    answer: HttpResponse
    redirects: Sequence[HttpResponse]
    earliest_ns: int
    latest_ns: int


class IngestClient:
    """Makes the requests for the codes of one stream, with its cookies.

    Args:
        network: opens the connections.
        timeout_s: seconds to connect within; limit the rest outside, by `PatientTimeout`.

    Attributes:
        cookies: what the answers have set.
    """

    def __init__(self, network: Network, timeout_s: float) -> None:
        self.cookies = Cookies()
        self._network = network
        self._timeout_s = timeout_s
        self._kept: KeptConnections[_Connection] = KeptConnections(_IDLE_S)

    def request(self, build: Build, on_written: Callable[[int], None]) -> Answered:
        """Make a request, and follow its redirects as browsers do.

        Args:
            build: is called once more if the request has to wait for a connection.
            on_written: called once the kernel has taken the request's first bytes, with the time
                for which it was built. A redirected request is sent with the same code.

        Raises:
            ConnectFailed: at "resolve" or "handshake": the URL or a header is invalid.
            HTTPParseError: the answer is invalid.
            OSError: there is no connection, or it broke.
        """
        outgoing = _Outgoing(build, on_written)
        unfollowed = outgoing.request.unfollowed
        redirects: list[HttpResponse] = []
        while True:
            answer, bounds_ns = self._exchange(outgoing)
            url = outgoing.request.url
            location = answer.header("Location") if answer.status in REDIRECTS else None
            if not location or answer.status in unfollowed:
                return Answered(url, answer, redirects, *bounds_ns)
            if len(redirects) == MAX_REDIRECTS:
                raise RedirectRefused("too many redirects")
            redirects.append(answer)
            try:
                outgoing.redirect(answer.status, location.partition("\n")[0])
            except BadRedirect as error:
                raise RedirectRefused(error.cause) from error

    def close(self) -> None:
        """Close the unused connections."""
        self._kept.close()

    def _exchange(self, outgoing: _Outgoing) -> tuple[HttpResponse, tuple[int, int]]:
        """Send a request and receive the answer; return it with the bounds of its arrival."""
        url = outgoing.request.url
        while True:
            use = self._network.route(url, None)
            kept = self._kept.take(use)
            connection = kept or self._open(outgoing)
            try:
                value, keeps = connection.exchange(outgoing, self._bytes_of(outgoing.request))
            except BaseException as error:
                connection.close()
                if kept is None or not isinstance(error, _Unanswered):
                    raise
                if outgoing.written and outgoing.request.method not in _IDEMPOTENT:
                    raise
                continue
            bounds_ns = arrival_bounds_ns(connection.sock)
            self.cookies.take_from(url, value)
            if keeps:
                # The first connection finds out which addresses the host has.
                self._kept.keep(use if kept else self._network.route(url, None), connection)
            else:
                connection.close()
            return value, bounds_ns

    def _open(self, outgoing: _Outgoing) -> _Connection:
        deadline = time.monotonic() + self._timeout_s
        sock = self._network.open_for_request(outgoing.request.url, deadline)
        sock.settimeout(None)
        outgoing.rebuild()
        return _Connection(sock)

    def _bytes_of(self, request: HttpRequest) -> bytes:
        headers = self.cookies.add_to(request.url, request.headers)
        head = _head(request.method, request.url, headers, self._network.compression)
        if not request.body and request.method in _BODILESS:
            return head + b"\r\n"
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(request.body), request.body)


class _Outgoing:
    """A request that is under way.

    Args:
        build: see `IngestClient.request`.
        on_written: see there.

    Attributes:
        request: the request as it is now.
        written: whether its bytes were handed to the kernel.
    """

    def __init__(self, build: Build, on_written: Callable[[int], None]) -> None:
        self.written = False
        self._build = build
        self._on_written = on_written
        self._built_ns = wall_ns()
        self.request = build(self._built_ns)

    def rebuild(self) -> None:
        """Build it anew for the current time, unless it was written, as its code has a time."""
        if not self.written:
            self._built_ns = wall_ns()
            self.request = self._build(self._built_ns)

    def note_written(self) -> None:
        """Note that the kernel has taken its bytes."""
        if not self.written:
            self.written = True
            self._on_written(self._built_ns)

    def redirect(self, status: int, location: str) -> None:
        """Take on another URL; see `redirected`."""
        self.request = redirected(self.request, status, location)


class _Connection:
    """A connection to a server, for one request after the other.

    Args:
        sock: waits cooperatively.

    Attributes:
        sock: as given.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def exchange(self, outgoing: _Outgoing, data: bytes) -> tuple[HttpResponse, bool]:
        """Send a request; return the answer, and whether the connection can take another one.

        Raises:
            _Unanswered: the connection ended before any byte of an answer.
            HTTPParseError: the answer is invalid.
            OSError: the connection broke.
        """
        try:
            sent = self.sock.send(data)
            outgoing.note_written()
            if sent < len(data):
                # A server that refuses a request need not read all of it.
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    self.sock.sendall(data[sent:])
            first = self.sock.recv(_READ_BYTES)
        except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError) as error:
            raise _Unanswered("connection closed") from error
        if not first:
            raise _Unanswered("connection closed")
        method = outgoing.request.method
        known = _known_answers.find(method, first)
        if known is not None:
            return known, True
        answer = _Answer(method)
        answer.take(first)
        at_once = answer.is_whole
        while not answer.is_whole:
            answer.take(self.sock.recv(_READ_BYTES))
        value, keeps = answer.as_value(), not answer.should_close()
        if keeps and at_once:
            _known_answers.add(method, first, value)
        return value, keeps

    def close(self) -> None:
        """Close it."""
        self.sock.close()


class _Unanswered(HTTPConnectionClosed):
    """The connection ended before any byte of an answer."""


class _Answer(HTTPResponse):
    """The final answer to one request, after any interim ones (RFC 9110 §15.2).

    Args:
        method: of the request.
    """

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self._status = self._bytes = 0

    @property
    def is_whole(self) -> bool:
        """Whether all of it has come."""
        return self.message_complete and self._status >= _FINAL

    def take(self, data: bytes) -> None:
        """Parse the next bytes; empty at the end of the connection.

        Raises:
            HTTPParseError: they are invalid, or too many.
        """
        self._bytes += len(data)
        if self._bytes > _ANSWER_BYTES:
            raise AnswerTooLarge("answer too large")
        try:
            self.feed(data)
        except (ValueError, LookupError) as error:
            # What the library does not expect.
            raise HTTPParseError(type(error).__name__) from error
        except HTTPParseError:
            # What follows the answer is another matter: the connection is not used again.
            if not self.is_whole:
                raise
        if not data and not self.is_whole:
            raise HTTPParseError("connection closed before the end of the answer")

    def as_value(self) -> HttpResponse:
        """Return it as a value, with its content decoded: a few bytes can become gigabytes."""
        headers, body = tuple(self.headers), bytes(self._body_buffer)
        coding = ", ".join(value for name, value in headers if name.lower() == "content-encoding")
        # The status counts even if the content cannot be decoded.
        with contextlib.suppress(BadContent):
            body = decoded_content(body, coding, _ANSWER_BYTES)
        return HttpResponse(self._status, body, headers)

    def _on_message_begin(self) -> None:
        if self.is_whole:
            raise HTTPParseError("another answer")
        super()._on_message_begin()

    def _on_headers_complete(self) -> int | bool | None:
        self._status = self.get_code()
        return super()._on_headers_complete()


@functools.lru_cache(maxsize=256)
def _head(method: str, url: str, headers: tuple[tuple[str, str], ...], compression: bool) -> bytes:
    """Return the head of a request, without its length and the empty line.

    Raises:
        ConnectFailed: see `IngestClient.request`.
    """
    own = {
        "User-Agent": "sseload",
        "Accept-Encoding": accepted_codings(url, compression=compression),
    }
    given = [each for each in headers if each[0].lower() not in _FRAMING]
    client = h11.Connection(h11.CLIENT)
    return request_bytes(client, method, url, request_headers(url, own, given)).removesuffix(
        b"\r\n"
    )
