"""A client of single HTTP requests that keeps cookies and follows redirects, as a browser does."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from sseload_users.transports.cookies import Cookies
from sseload_users.transports.fetch import fetch
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.network import Network
from sseload_users.transports.redirects import MAX_REDIRECTS, redirected


class RequestClient:
    """The requests of one user, with the user's cookies.

    Args:
        network: opens the connections.
        timeout_s: timeout of each request, in seconds.
        turn: which of a host's addresses comes first; see `AddressTurns.order`.

    Attributes:
        cookies: what the responses have set.
    """

    def __init__(self, network: Network, timeout_s: float, turn: int | None = None) -> None:
        self.cookies = Cookies()
        self._network = network
        self._timeout_s = timeout_s
        self._turn = turn

    def fetch(self, request: HttpRequest, timeout_s: float | None = None) -> HttpResponse:
        """Make a request; do not follow a redirect.

        Args:
            request: is sent with the cookies that belong to its URL.
            timeout_s: another timeout, in seconds.

        Raises:
            OSError: there was no valid response; a TimeoutError if it took too long.
        """
        sent = replace(request, headers=self.cookies.add_to(request.url, request.headers))
        response = fetch(sent, self._network, timeout_s or self._timeout_s, turn=self._turn)
        self.cookies.take(
            request.url,
            [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers],
        )
        return response

    def follow(
        self, request: HttpRequest, final: Collection[int] = ()
    ) -> Iterator[tuple[HttpRequest, HttpResponse]]:
        """Make a request and follow its redirects; yield each request with its response.

        Args:
            request: the first request.
            final: statuses of redirects that are not followed.

        Raises:
            OSError: there was no valid response, or there were too many redirects.
        """
        following: HttpRequest | None = request
        for _ in range(MAX_REDIRECTS + 1):
            assert following is not None  # noqa: S101
            response = self.fetch(following)
            yield following, response
            following = None if response.status in final else redirected(following, response)
            if following is None:
                return
        raise ConnectionError("too many redirects")
