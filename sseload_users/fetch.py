"""One HTTP request beside the load: health checks, token pages, keep-alive requests."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import gevent

from sseload_users.target import Request

#: As much of an answer's body as is read: a health check or a token page is short.
_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request.

    Attributes:
        status: of the response; a redirect is not followed.
        body: its first 1 MiB.
    """

    status: int
    body: bytes


def fetch(request: Request, context: Callable[[], ssl.SSLContext], timeout_s: float) -> Answer:
    """Make a request on a connection of its own.

    Args:
        request: what to ask.
        context: gives the TLS settings, where the URL asks for TLS.
        timeout_s: seconds for all of it.

    Raises:
        OSError: no answer: refused, broken, not trusted; a TimeoutError where it took too long.
    """
    parts = urlsplit(request.url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context())
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        with gevent.Timeout(timeout_s, TimeoutError("timed out")):
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Accept-Encoding": "identity", **dict(request.headers)}
            connection.request(request.method, path, request.body or None, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(_BODY_BYTES))
    except OSError:
        raise  # before what follows: an untrusted certificate is a ValueError, too
    except (http.client.HTTPException, ValueError) as error:
        raise ConnectionError(f"bad answer: {type(error).__name__}") from error
    finally:
        connection.close()
