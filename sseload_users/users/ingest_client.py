"""The HTTP client that codes go in by: one that no answer can keep, fill or lead astray."""

from __future__ import annotations

import contextlib
import time
from http.cookiejar import CookieJar
from typing import Any

import gevent.local
import h11
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.response import HTTPParseError
from geventhttpclient.url import URL
from locust.contrib.fasthttp import FastRequest, FastResponse, LocustUserAgent

from sseload_users.core.clock import wall_ns
from sseload_users.transports.content_coding import BadContent, decoded_content
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.kept_connections import is_quiet
from sseload_users.transports.network import Network
from sseload_users.transports.redirects import (
    MAX_REDIRECTS,
    REDIRECTS,
    BadRedirect,
    redirected,
)
from sseload_users.transports.tcp_arrival import earliest_arrival_ns, latest_arrival_ns

#: Most bytes of an answer, its head and all interim ones included: it says whether a code was
#: accepted, and no more.
_ANSWER_BYTES = 1 << 20
#: Most bytes of cookies that are sent back.
_COOKIE_BYTES = 16384
#: How each response begins.
_VERSION = b"HTTP/1."

# When the newest bytes that each greenlet has read arrived.
_arrival = gevent.local.local()


class AnswerTooLarge(HTTPParseError):  # noqa: N818 - the server's failure
    """An answer that has too many bytes."""


class RedirectRefused(HTTPParseError):  # noqa: N818 - the server's failure
    """A redirect that a browser does not follow."""


class _Request(FastRequest):
    """A request that follows redirects by a browser's rules."""

    _redirects = 0

    def redirect(self, code: int, location: str) -> None:
        """Take on another URL; see geventhttpclient's `CompatRequest.redirect`.

        Raises:
            RedirectRefused: it is not followed.
        """
        self._redirects += 1
        if self._redirects > MAX_REDIRECTS:
            raise RedirectRefused("too many redirects")
        try:
            target = redirected(HttpRequest(self.method, self.url, (), b""), code, location)
        except BadRedirect as error:
            raise RedirectRefused(error.cause) from error
        super().redirect(code, target.url)


def newest_arrival_ns() -> tuple[int, int]:
    """Return when the newest bytes that this greenlet has read arrived (wall clock, ns).

    Returns:
        The earliest time that is possible, and the latest.
    """
    bounds_ns: tuple[int, int] | None = getattr(_arrival, "bounds_ns", None)
    return bounds_ns or (wall_ns(), wall_ns())


class _Bounded(FastResponse):
    """An answer whose content is decoded up to a limit: a few bytes can become gigabytes."""

    def _content(self) -> bytes:
        content: bytes = self._response.read() if self._response is not None else b""
        self.release()
        named = self.headers.get("content-encoding", "") if self.headers else ""
        coding = named if isinstance(named, str) else ", ".join(named)
        # The status counts even if the content cannot be decoded.
        with contextlib.suppress(BadContent):
            content = decoded_content(content, coding, _ANSWER_BYTES)
        return content


class IngestClient(LocustUserAgent):
    """Locust's client, which takes every answer as it is.

    It follows redirects as browsers do. To it every status is an answer.

    Args:
        cookies: where cookies are kept.
        network: opens the connections.
        concurrency: most requests at a time.
        timeout_s: seconds to connect within; limit the rest outside, by `PatientTimeout`.
    """

    response_type = _Bounded
    request_type = _Request
    redirect_response_codes = REDIRECTS
    valid_response_codes = frozenset(range(1000))

    def __init__(
        self, cookies: CookieJar, network: Network, *, concurrency: int, timeout_s: float
    ) -> None:
        super().__init__(
            client_pool=_Pool(network, concurrency, timeout_s),
            cookiejar=cookies,
            max_redirects=MAX_REDIRECTS + 1,  # its request counts them, and says so
            max_retries=0,
        )

    def urlopen(self, *args: Any, **options: Any) -> Any:
        """Make a request; see geventhttpclient's `UserAgent.urlopen`."""
        jar: Any = self.cookiejar
        if sum(len(each.name) + len(each.value or "") for each in jar) > _COOKIE_BYTES:
            jar.clear()
        return super().urlopen(*args, **options)

    def _urlopen(self, request: Any) -> Any:
        try:
            return super()._urlopen(request)  # type: ignore[no-untyped-call]
        except (ValueError, LookupError) as error:
            # What its parser does not expect.
            raise HTTPParseError(type(error).__name__) from error


class _Pool(HTTPClientPool):
    """Clients whose connections are the network's.

    Args:
        network: opens the connections.
        concurrency: most requests at a time.
        timeout_s: seconds to connect within.
    """

    def __init__(self, network: Network, concurrency: int, timeout_s: float) -> None:
        super().__init__()
        self._network = network
        self._concurrency = concurrency
        self._timeout_s = timeout_s

    def get_client(self, url: str | URL) -> HTTPClient:
        """Return the client for a URL's origin."""
        if not isinstance(url, URL):
            url = URL(url)
        key = url.host, url.port
        if key not in self.clients:
            client = self.clients[key] = HTTPClient(url.host, port=url.port)
            # There is no other way to give it one.
            client._connection_pool = _Connections(  # noqa: SLF001
                self._network, f"{url.scheme}://{url.netloc}", self._concurrency, self._timeout_s
            )
        return self.clients[key]


class _Connections(ConnectionPool):
    """The connections to one origin; each takes only so much of an answer.

    Args:
        network: opens them.
        origin: scheme, host and port.
        size: how many there may be.
        timeout_s: seconds to connect within.
    """

    def __init__(self, network: Network, origin: str, size: int, timeout_s: float) -> None:
        super().__init__("", 0, "", 0, size=size)
        self._network = network
        self._origin = origin
        self._timeout_s = timeout_s

    def _create_socket(self) -> Any:
        deadline = time.monotonic() + self._timeout_s
        sock = self._network.open_for_request(self._origin, deadline)
        sock.settimeout(None)
        return _Limited(sock)

    def _is_socket_alive(self, sock: Any) -> bool:
        """Whether a kept connection can be used again.

        The library asks by select(2), which knows no file descriptor above 1023. In a process with
        a thousand connections, each request would open a connection of its own.
        """
        return is_quiet(sock)


class _Limited:
    """A socket that breaks where there is too much for one answer, and ends with the answer.

    geventhttpclient takes the last response of a read for the answer, not the first.

    Args:
        sock: the unlimited one.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._answer = bytearray()
        self._framing: _Framing | None = None
        self._out_of_step = False

    def sendall(self, data: bytes) -> None:
        """Send a request; the next bytes are its answer."""
        self._answer.clear()
        self._framing = None
        self._sock.sendall(data)

    def recv(self, size: int) -> bytes:
        """Receive up to so many bytes.

        Raises:
            AnswerTooLarge: there were too many already.
        """
        data: bytes = self._sock.recv(size)
        _arrival.bounds_ns = earliest_arrival_ns(self._sock), latest_arrival_ns(self._sock)
        known = len(self._answer)
        self._answer += data
        if len(self._answer) > _ANSWER_BYTES:
            # The pool may take it for one that can be used again: the interim answer was whole.
            self._sock.close()
            raise AnswerTooLarge("answer too large")
        if self._framing is not None:
            surplus = self._framing.surplus(data)
        elif self._answer.find(_VERSION, max(known - len(_VERSION) + 1, 1)) >= 0:
            self._framing = _Framing()
            surplus = self._framing.surplus(bytes(self._answer))
        else:
            return data
        self._out_of_step = self._out_of_step or surplus > 0
        return data[: max(len(data) - surplus, 0)]

    def fileno(self) -> int:
        """Return the file descriptor; -1 if the pool must not use this socket again."""
        return -1 if self._out_of_step else int(self._sock.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Framing:
    """Finds the end of an answer of which there may be several responses."""

    def __init__(self) -> None:
        self._client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_ANSWER_BYTES)
        self._client.send(h11.Request(method="POST", target="/", headers=[("Host", "any")]))
        self._client.send(h11.EndOfMessage())

    def surplus(self, data: bytes) -> int:
        """Return how many of the next bytes follow the first final response."""
        try:
            self._client.receive_data(data)
            while (event := self._client.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.EndOfMessage):
                    break
        except h11.RemoteProtocolError:
            return 0  # geventhttpclient says what it is
        ended = self._client.their_state in (h11.DONE, h11.MUST_CLOSE)
        return len(self._client.trailing_data[0]) if ended else 0
