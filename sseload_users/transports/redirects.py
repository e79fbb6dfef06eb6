"""Redirects, followed as browsers do (Fetch Standard §4.4, HTTP-redirect fetch); no sockets."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urldefrag, urljoin, urlsplit

from sseload_users.transports import ConnectFailed
from sseload_users.transports.endpoint import parse_origin
from sseload_users.transports.http_request import HttpRequest

#: The statuses of redirects that name another URL (RFC 9110 §15.4).
REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Most redirects of one request.
MAX_REDIRECTS = 20

_SEE_OTHER, _POST_TO_GET = 303, frozenset({301, 302})
#: What describes a body, and goes with it.
_BODY_HEADERS = frozenset(
    {"content-encoding", "content-language", "content-length", "content-location", "content-type"}
)
#: What another origin must not get. A client's own Host and Cookie are for one host, too.
_ORIGIN_HEADERS = frozenset({"authorization", "cookie", "host"})
_NOT_ALLOWED = re.compile(r"[\x00-\x20\x7f]")


class BadRedirect(Exception):  # noqa: N818 - the server's failure
    """A redirect that a browser does not follow.

    Args:
        cause: a short, countable cause.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def redirected(request: HttpRequest, status: int, location: str) -> HttpRequest:
    """Return the request to make instead.

    Args:
        request: the one that was redirected.
        status: a redirect's.
        location: value of ``Location``, absolute or relative.

    Raises:
        BadRedirect: the redirect must not be followed.
    """
    url = _target(request.url, location.strip())
    method, headers, body = request.method, request.headers, request.body
    drop: frozenset[str] = frozenset()
    if (status == _SEE_OTHER and method not in ("GET", "HEAD")) or (
        status in _POST_TO_GET and method == "POST"
    ):
        method, body, drop = "GET", b"", _BODY_HEADERS
    if _origin(url) != _origin(request.url):
        drop |= _ORIGIN_HEADERS
    kept = tuple(each for each in headers if each[0].lower() not in drop)
    return replace(request, method=method, url=url, headers=kept, body=body)


def _target(base: str, location: str) -> str:
    try:
        url = urldefrag(urljoin(base, _NOT_ALLOWED.sub("", location))).url
        scheme = urlsplit(url).scheme
        if scheme in ("http", "https"):
            parse_origin(url)
    except (ValueError, ConnectFailed):
        raise BadRedirect("redirected to an invalid URL") from None
    if scheme not in ("http", "https"):
        raise BadRedirect("redirected to another scheme")
    if scheme == "http" and base.startswith("https:"):
        raise BadRedirect("redirected from https to http")
    return url


def _origin(url: str) -> tuple[str, str, int]:
    host, port, _ = parse_origin(url)
    return urlsplit(url).scheme, host, port
