"""A client of single HTTP requests that keeps cookies and follows redirects, as a browser does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from sseload_users.transports.cookies import Cookies
from sseload_users.transports.fetch import fetch
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.network import Network
from sseload_users.transports.redirects import MAX_REDIRECTS, REDIRECTS, BadRedirect, redirected

#: The user whose connections all users share, for requests that do not say who makes them.
ANYBODY = ""


class RequestClient:
    """The requests of one user, with the user's cookies.

    Args:
        network: opens the connections.
        timeout_s: timeout of each request with its redirects, in seconds.
        turn: which of a host's addresses comes first; see `AddressTurns.order`.
        user: whose kept connections the requests use; None for a connection for each request.

    Attributes:
        cookies: what the responses have set.
    """

    __slots__ = ("_network", "_timeout_s", "_turn", "_user", "cookies")

    def __init__(
        self,
        network: Network,
        timeout_s: float,
        turn: int | None = None,
        *,
        user: str | None = None,
    ) -> None:
        self.cookies = Cookies()
        self._network = network
        self._timeout_s = timeout_s
        self._turn = turn
        self._user = user

    def answer(self, request: HttpRequest, timeout_s: float | None = None) -> HttpResponse:
        """Make a request and follow its redirects; return the last response.

        Args:
            request: the first request.
            timeout_s: another timeout, in seconds.

        Raises:
            OSError: see `follow`.
        """
        return [response for _, response in self.follow(request, timeout_s)][-1]

    def follow(
        self, request: HttpRequest, timeout_s: float | None = None, *, anonymous: bool = False
    ) -> Iterator[tuple[HttpRequest, HttpResponse]]:
        """Make a request and follow its redirects; yield each request with its response.

        Args:
            request: the first request.
            timeout_s: another timeout, in seconds.
            anonymous: whether all users make the same request, so that one of them can use the
                connection of another.

        Raises:
            OSError: there was no valid response, a redirect cannot be followed, or there were
                too many; a TimeoutError if it took too long.
        """
        deadline = time.monotonic() + (timeout_s or self._timeout_s)
        for _ in range(MAX_REDIRECTS + 1):
            left_s = max(deadline - time.monotonic(), 0.001)
            response = self._fetch(request, left_s, anonymous=anonymous)
            yield request, response
            location = response.header("Location")
            if response.status not in REDIRECTS - request.unfollowed or not location:
                return
            try:
                request = redirected(request, response.status, location.partition("\n")[0])
            except BadRedirect as error:
                raise ConnectionError(error.cause) from error
        raise ConnectionError("too many redirects")

    def _fetch(self, request: HttpRequest, timeout_s: float, *, anonymous: bool) -> HttpResponse:
        """Make a request with the cookies that belong to its URL, and keep those it sets."""
        headers = self.cookies.add_to(request.url, request.headers)
        # A cookie tells who it is.
        user = ANYBODY if self._user and anonymous and headers == request.headers else self._user
        sent = replace(request, headers=headers)
        response = fetch(sent, self._network, timeout_s, turn=self._turn, kept_for=user)
        self.cookies.take_from(request.url, response)
        return response
