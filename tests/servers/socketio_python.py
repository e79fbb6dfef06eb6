"""python-socketio's own server, as a program: ``socketio_python.py PING_MS TIMEOUT_MS``.

It speaks what ``socketio_node.js`` speaks. In the namespace ``/events`` it wants ``auth`` with
the token "t"; a client without it is told so by an event, and refused. ``start`` has it send
codes of all shapes to the client that asks, then disconnect it; ``ask`` has it send two that
request an acknowledgement and write a line for each that comes; ``broadcast`` has it send a code
to all. What is posted to ``/api/ingest`` it sends as an event ``code`` to all in the default
namespace. It writes its port, then a line for each client that it misses, to its output.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from typing import Any

import socketio
from werkzeug.serving import WSGIRequestHandler, make_server

NAMESPACE = "/events"


class Quiet(WSGIRequestHandler):
    """Discard log records."""

    def log(self, *args: Any) -> None:
        """Log nothing."""


def say(line: str) -> None:
    """Write a line, in one piece: threads of other clients write too."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(ping_ms: int, timeout_ms: int) -> None:
    """Serve until killed."""
    server = socketio.Server(
        async_mode="threading", ping_interval=ping_ms / 1000, ping_timeout=timeout_ms / 1000
    )

    def emit(event: str, data: object, **more: object) -> None:
        server.emit(event, data, namespace=NAMESPACE, **more)

    def on_connect(sid: str, environ: dict[str, str], auth: dict[str, str] | None) -> bool | None:
        if (auth or {}).get("token") != "t":
            emit("error", {"message": "Unauthorized or unknown username"}, to=sid)
            return False
        emit("connected", {"message": environ["QUERY_STRING"].partition("&")[0]}, to=sid)
        return None

    def on_start(sid: str) -> None:
        emit("new_code", {"code": "text é"}, to=sid)
        emit("new_code", {"code": "with bytes", "of": [b"42/events,[", b""]}, to=sid)
        emit("new_code", {"code": "to acknowledge"}, to=sid, callback=lambda: None)
        emit("new_code", b"only bytes", to=sid)
        emit("new_code", "with bytes, to acknowledge", to=sid, callback=lambda: None)
        server.disconnect(sid, namespace=NAMESPACE)

    def on_ask(sid: str) -> None:
        emit("new_code", {"code": "asks"}, to=sid, callback=lambda: say("acknowledged"))
        emit("new_code", b"asks", to=sid, callback=lambda: say("acknowledged"))

    def on_broadcast(sid: str, code: str) -> None:
        del sid
        emit("new_code", {"code": code})
        server.emit("new_code", {"code": "in the other namespace"}, namespace="/")

    def on_disconnect(sid: str, reason: str) -> None:
        del sid
        say(f"gone: {reason}")

    def requested(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) != ("POST", "/api/ingest"):
            start("404 Not Found", [])
            return []
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        server.emit("code", {"code": body["code"]}, namespace="/")
        start("200 OK", [("Content-Type", "application/json")])
        return [b'{"status":"success"}']

    # A namespace without a handler cannot be joined.
    server.on("connect", lambda sid, environ, auth: None, namespace="/")
    server.on("connect", on_connect, namespace=NAMESPACE)
    server.on("start", on_start, namespace=NAMESPACE)
    server.on("ask", on_ask, namespace=NAMESPACE)
    server.on("broadcast", on_broadcast, namespace=NAMESPACE)
    server.on("disconnect", on_disconnect, namespace=NAMESPACE)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        make_server(
            "127.0.0.1",
            0,
            socketio.WSGIApp(server, requested),
            threaded=True,
            request_handler=Quiet,
            fd=listener.fileno(),
        ).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
