"""Serve the metrics of a run by HTTP on a port of their own, for runs without a web UI."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from gevent.pywsgi import WSGIServer

from sseload_users.report.prometheus import Exposition
from sseload_users.web.listening import listen

_logger = logging.getLogger(__name__)

#: WSGI's start_response.
_Start = Callable[[str, list[tuple[str, str]]], object]


def serve(metrics: Callable[[str], Exposition], host: str, port: int) -> WSGIServer:
    """Serve ``/metrics`` in the background until the process ends.

    Args:
        metrics: returns the exposition for an Accept header.
        host: the address to listen on.
        port: the port to listen on; 0 for any free one.

    Raises:
        ConfigError: the address is not available.
    """

    def answer(request: dict[str, Any], start: _Start) -> Iterable[bytes]:
        if request["PATH_INFO"] != "/metrics":
            return _respond(start, "404 Not Found", b"The metrics are at /metrics.\n")
        if request["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _respond(start, "405 Method Not Allowed", b"Use GET or HEAD.\n")
        found = metrics(request.get("HTTP_ACCEPT", ""))
        return _respond(start, "200 OK", found.body, found.content_type)

    listener = listen(host, port, "--metrics-port", "--metrics-host")
    server = WSGIServer(listener, answer, log=None, error_log=_logger)
    server.start()
    return server


def _respond(
    start: _Start, status: str, body: bytes, content_type: str = "text/plain; charset=utf-8"
) -> Iterable[bytes]:
    start(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
