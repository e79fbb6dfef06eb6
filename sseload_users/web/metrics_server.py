"""Serve the metrics of a run by HTTP on a port of their own, for runs without a web UI."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from sseload_users.report.prometheus import Exposition
from sseload_users.web.listening import listen

_logger = logging.getLogger(__name__)

#: Seconds in which an answer is written.
_WRITTEN_S = 0.2
#: WSGI's start_response.
_Start = Callable[[str, list[tuple[str, str]]], object]


class MetricsServer:
    """Serves ``/metrics`` in the background.

    Args:
        metrics: returns the exposition for an Accept header.
        host: the address to listen on.
        port: the port to listen on; 0 for any free one.

    Raises:
        ConfigError: the address is not available.
    """

    def __init__(self, metrics: Callable[[str], Exposition], host: str, port: int) -> None:
        self._metrics = metrics
        self._scraped = Event()
        listener = listen(host, port, "--metrics-port", "--metrics-host")
        self._server = WSGIServer(listener, self._answer, log=None, error_log=_logger)
        self._server.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_port or 0)

    def close(self) -> None:
        """Stop serving."""
        self._server.stop(timeout=0)

    def wait_for_scrape(self, seconds: float) -> None:
        """Wait until somebody has got the metrics as they are now, or until time is up."""
        self._scraped.clear()
        if self._scraped.wait(seconds):
            # The answer is written behind the answering function's back.
            gevent.sleep(_WRITTEN_S)

    def _answer(self, request: dict[str, Any], start: _Start) -> Iterable[bytes]:
        if request["PATH_INFO"] != "/metrics":
            return _respond(start, "404 Not Found", b"The metrics are at /metrics.\n")
        if request["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _respond(start, "405 Method Not Allowed", b"Use GET or HEAD.\n")
        found = self._metrics(request.get("HTTP_ACCEPT", ""))
        self._scraped.set()
        return _respond(start, "200 OK", found.body, found.content_type)


def _respond(
    start: _Start, status: str, body: bytes, content_type: str = "text/plain; charset=utf-8"
) -> Iterable[bytes]:
    start(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
