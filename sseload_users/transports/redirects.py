"""Where a redirect leads, and what goes there (Fetch standard, "HTTP-redirect fetch")."""

from __future__ import annotations

from urllib.parse import urldefrag, urljoin, urlsplit

from sseload_users.transports.http_request import HttpRequest, HttpResponse

#: Most redirects that one request follows.
MAX_REDIRECTS = 10
_STATUSES = (301, 302, 303, 307, 308)
#: Headers that go to no other origin.
_CREDENTIALS = ("authorization", "cookie")
#: Headers that describe a body.
_OF_BODY = ("content-type", "content-length", "content-encoding", "content-language")


def redirected(request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
    """Return the request that follows a redirect; None if the response is none.

    Args:
        request: was redirected.
        response: its response.
    """
    location = response.header("Location")
    if response.status not in _STATUSES or location is None:
        return None
    try:
        url = urldefrag(urljoin(request.url, location.split("\n")[0].strip())).url
        parts = urlsplit(url)
        same_origin = (parts.scheme, parts.netloc) == urlsplit(request.url)[:2]
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    method, body, dropped = request.method, request.body, set[str]()
    if (response.status == 303 and method != "GET") or (
        response.status in (301, 302) and method == "POST"
    ):
        method, body, dropped = "GET", b"", {*_OF_BODY}
    if not same_origin:
        dropped |= {*_CREDENTIALS}
    headers = tuple(each for each in request.headers if each[0].lower() not in dropped)
    return HttpRequest(method, url, headers, body)
