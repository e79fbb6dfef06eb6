"""One HTTP request beside the load: health checks, token pages, keep-alive requests."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import gevent

from sseload_users.transports.http_request import HttpRequest, HttpResponse

#: As much of an answer's body as is read: a health check or a token page is short.
_BODY_BYTES = 1 << 20
#: As much as is taken of an answer in all: its head, or any number of interim ones, too.
_ANSWER_BYTES = 2 * _BODY_BYTES
#: Bytes after which others have their turn, and a limit of time can strike.
_TURN_BYTES = 65536


def fetch(
    request: HttpRequest, context: Callable[[], ssl.SSLContext], timeout_s: float
) -> HttpResponse:
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
    connection.response_class = _Response
    try:
        with gevent.Timeout(timeout_s, TimeoutError("timed out")):
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Accept-Encoding": "identity", **dict(request.headers)}
            connection.request(request.method, path, request.body or None, headers)
            response = connection.getresponse()
            return HttpResponse(response.status, response.read(_BODY_BYTES))
    except OSError:
        raise  # before what follows: an untrusted certificate is a ValueError, too
    except (http.client.HTTPException, ValueError) as error:
        raise ConnectionError(f"bad answer: {type(error).__name__}") from error
    finally:
        connection.close()


class _Response(http.client.HTTPResponse):
    """A response of which only so much is read: http.client has limits for lines alone."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        unlimited: Any = self.fp
        self.fp = io.BufferedReader(_Limited(unlimited.detach()))


class _Limited(io.RawIOBase):
    """A stream of bytes that breaks where there are too many.

    Args:
        stream: the unlimited one.
    """

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self._read = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read as `io.RawIOBase.readinto` does.

        Raises:
            ConnectionError: there are too many.
        """
        before = self._read
        many: int | None = self._stream.readinto(buffer)
        self._read += many or 0
        if self._read > _ANSWER_BYTES:
            raise ConnectionError("answer too large")
        if self._read // _TURN_BYTES != before // _TURN_BYTES:
            gevent.sleep(0)
        return many

    def close(self) -> None:
        """Close the stream, too."""
        self._stream.close()
        super().close()
