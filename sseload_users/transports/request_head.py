"""The head of an HTTP/1.1 request: its target and headers, as a browser makes them."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit

import h11

from sseload_users.transports import ConnectFailed
from sseload_users.transports.endpoint import parse_origin

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def request_bytes(
    client: h11.Connection,
    method: str,
    url: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes = b"",
) -> bytes:
    """Return a request, ready to be sent.

    Args:
        client: is told of the request.
        method: such as "GET".
        url: absolute; its path and query are the request's target.
        headers: all headers, in order.
        body: empty if there is none.

    Raises:
        ConnectFailed: at "handshake": the URL or a header is not allowed in HTTP.
    """
    try:
        request = h11.Request(method=method, target=request_target(url), headers=headers)
        events = [request, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
        return b"".join(client.send(each) or b"" for each in events)
    except (h11.LocalProtocolError, UnicodeError):
        # h11's error quotes the header, which may be a secret.
        raise ConnectFailed(
            "handshake", "bad request", "a header or the URL is not allowed in HTTP"
        ) from None


def request_target(url: str) -> str:
    """Return a URL's path and query as a request target (RFC 9112 §3.2.1)."""
    parts = urlsplit(url)
    target = parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    return quote(target, safe=string.punctuation)


def request_headers(
    url: str, own: Mapping[str, str], given: Iterable[tuple[str, str]], cookies: str = ""
) -> list[tuple[bytes, bytes]]:
    """Return a request's headers.

    Args:
        url: where the request goes; the ``Host`` header names its host.
        own: further headers of the client's own; a given one of the same name replaces them.
        given: headers that the user wants, in order. ``Cookie`` headers become one.
        cookies: further cookies for that header.

    Raises:
        ConnectFailed: at "resolve": the URL has no host or an unknown scheme.
    """
    defaults = {"host": ("Host", _host(url))}
    defaults |= {name.lower(): (name, value) for name, value in own.items()}
    further: list[tuple[str, str]] = []
    jar: list[str] = []
    for name, value in given:
        lower = name.lower()
        if lower == "cookie":
            jar.append(value)
        elif lower in defaults:
            defaults[lower] = (name, value)
        else:
            further.append((name, value))
    if cookies:
        jar.append(cookies)
    if jar:
        further.append(("Cookie", "; ".join(jar)))
    return [(name.encode(), value.encode()) for name, value in (*defaults.values(), *further)]


def _host(url: str) -> str:
    host, port, _ = parse_origin(url)
    if ":" in host:
        host = f"[{host}]"
    elif not host.isascii():
        host = host.encode("idna").decode()
    return host if port == _DEFAULT_PORTS.get(urlsplit(url).scheme) else f"{host}:{port}"
