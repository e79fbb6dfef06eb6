"""Whether a request comes from a page of this server, not from one of another site."""

from __future__ import annotations

from urllib.parse import urlsplit

from werkzeug.wrappers import Request


def is_same_origin(request: Request) -> bool:
    """Whether a request that changes something comes from a page of this server.

    Browsers say so in Sec-Fetch-Site (W3C Fetch Metadata, 2.3), which they send to trustworthy
    addresses only, or else in Origin (RFC 6454, 7.3), which they send with every POST request.
    A client that sends neither is no browser, so that no other site can make it send anything.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host
