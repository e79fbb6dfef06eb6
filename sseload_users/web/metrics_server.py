"""The metrics of a run by HTTP on a port of their own, for runs without a web UI."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from gevent import socket
from gevent.pywsgi import WSGIServer

from sseload_users.core.errors import ConfigError
from sseload_users.report import prometheus
from sseload_users.transports.causes import cause_of

_logger = logging.getLogger(__name__)

#: WSGI's: how an answer begins.
_Start = Callable[[str, list[tuple[str, str]]], object]


def serve(figures: Callable[[], str], host: str, port: int) -> WSGIServer:
    """Serve ``/metrics`` in the background until the process ends.

    Args:
        figures: the exposition, as `report.prometheus` writes it.
        host: the address to listen at.
        port: likewise; 0 for any that is free.

    Raises:
        ConfigError: nobody can listen there.
    """

    def answer(request: dict[str, Any], start: _Start) -> Iterable[bytes]:
        if request["PATH_INFO"] != "/metrics":
            return _say(start, "404 Not Found", "The metrics are at /metrics.\n")
        if request["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _say(start, "405 Method Not Allowed", "The metrics are to be read.\n")
        return _say(start, "200 OK", figures(), prometheus.CONTENT_TYPE)

    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"--metrics-port {port}: nobody can listen at {host} there ({cause_of(error)}); "
            "give another port, or address (--metrics-host)."
        ) from error
    server = WSGIServer(listener, answer, log=None, error_log=_logger)
    server.start()
    return server


def _say(
    start: _Start, status: str, words: str, kind: str = "text/plain; charset=utf-8"
) -> Iterable[bytes]:
    body = words.encode()
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
