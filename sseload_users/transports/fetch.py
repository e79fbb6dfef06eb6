"""HTTP requests beside the load: health checks, token pages, keep-alive requests."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import gevent

from sseload_users.transports.content_coding import (
    BadContent,
    decoded_content,
    with_accepted_codings,
)
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.network import Network
from sseload_users.transports.patience import ONCE_MORE_S, PatientTimeout

#: Most bytes of a response's body that are read: health checks and token pages are short.
_BODY_BYTES = 1 << 20
#: Most bytes of a whole response, including its head and any interim responses.
_RESPONSE_BYTES = 2 * _BODY_BYTES
#: Bytes after which other greenlets get a turn, and the timeout can fire.
_TURN_BYTES = 65536


def fetch(
    request: HttpRequest,
    network: Network,
    timeout_s: float,
    *,
    turn: int | None = None,
    kept_for: str | None = None,
) -> HttpResponse:
    """Make a request; follow no redirect.

    Args:
        request: is sent. If the server closes a kept connection instead of responding, it is sent
            again, as browsers do.
        network: opens the connection, or has kept it.
        timeout_s: seconds for the whole exchange.
        turn: which of the host's addresses comes first; see `AddressTurns.order`.
        kept_for: whose connection to use, and to keep if the server allows it; None for a
            connection of its own.

    Raises:
        OSError: there was no valid response; a TimeoutError if it took too long.
    """
    connection: http.client.HTTPConnection | None = None
    response: _Response | None = None
    deadline = time.monotonic() + timeout_s
    try:
        with PatientTimeout(timeout_s, TimeoutError("timed out")):
            while response is None:
                kept = None
                if kept_for is not None:
                    kept = network.kept.take((kept_for, *network.route(request.url, turn)))
                connection = kept or _open(request.url, network, deadline, turn)
                try:
                    response = _ask(connection, request, network, timeout_s)
                except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError):
                    if kept is None:
                        raise
                    connection.close()
            coding = response.headers.get("Content-Encoding", "")
            body = decoded_content(response.read(_BODY_BYTES), coding, _BODY_BYTES)
            answer = HttpResponse(response.status, body, tuple(response.getheaders()))
            if kept_for is not None and connection is not None and response.leaves_connection:
                network.kept.keep((kept_for, *network.route(request.url, turn)), connection)
                connection = None
            return answer
    except BadContent as error:
        raise ConnectionError("bad compressed data") from error
    except OSError:
        raise  # not as a ValueError, which an untrusted certificate is as well
    except (http.client.HTTPException, ValueError) as error:
        raise ConnectionError(f"bad answer: {type(error).__name__}") from error
    finally:
        if connection is not None:
            connection.close()


def _open(
    url: str, network: Network, deadline: float, turn: int | None
) -> http.client.HTTPConnection:
    """Open a connection to a URL's host."""
    parts = urlsplit(url)
    # The class knows which port the Host header leaves out.
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port)
    connection.response_class = _Response
    connection.sock = network.open_for_request(url, deadline, turn=turn)
    return connection


def _ask(
    connection: http.client.HTTPConnection,
    request: HttpRequest,
    network: Network,
    timeout_s: float,
) -> _Response:
    """Send a request; return the response once its head has come."""
    # Applies where gevent has not patched the sockets.
    connection.sock.settimeout(timeout_s + ONCE_MORE_S)
    parts = urlsplit(request.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = with_accepted_codings(request.headers, request.url, compression=network.compression)
    connection.request(request.method, path, request.body or None, headers)
    response = connection.getresponse()
    assert isinstance(response, _Response)  # noqa: S101
    return response


class _Response(http.client.HTTPResponse):
    """A response of limited size: http.client limits only the length of its lines."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        unlimited: Any = self.fp
        self._stream = _LimitedStream(unlimited.detach())
        self.fp = io.BufferedReader(self._stream)
        self._surplus = False

    @property
    def leaves_connection(self) -> bool:
        """Whether the connection can be used for another request, now that this has been read."""
        switched = self.status == http.client.SWITCHING_PROTOCOLS
        return self.isclosed() and not (self.will_close or self._surplus or switched)

    def _close_conn(self) -> None:
        """Note whether more has been read than belongs to the response; see http.client's."""
        self._surplus = self._stream.tell() != self.fp.tell()
        super()._close_conn()  # type: ignore[misc]

    def _read_status(self) -> tuple[str, int, str]:
        """Read the status line of the final response: http.client skips only status 100."""
        while True:
            line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 101 < line[1] < 200:
                return line
            http.client.parse_headers(self.fp)


class _LimitedStream(io.RawIOBase):
    """A stream that fails once more than a limit was read.

    Args:
        stream: is read.
    """

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self._read = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes that were read."""
        return self._read

    def readinto(self, buffer: Any) -> int | None:
        """Read into a buffer; see `io.RawIOBase.readinto`.

        Raises:
            ConnectionError: the limit is exceeded.
        """
        before = self._read
        count: int | None = self._stream.readinto(buffer)
        self._read += count or 0
        if self._read > _RESPONSE_BYTES:
            raise ConnectionError("answer too large")
        if self._read // _TURN_BYTES != before // _TURN_BYTES:
            gevent.sleep(0)
        return count

    def close(self) -> None:
        """Close both streams."""
        self._stream.close()
        super().close()
