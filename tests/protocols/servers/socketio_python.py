"""python-socketio's server.

The user "stranger" is refused. A client joins a room by the event `join`, and hands a code in by
the event `publish`, which is acknowledged; so is a code that is posted to /api/ingest. It goes out
as an event `code`, to the room that it names or else to everybody.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import socketio
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.protocols.servers.common import count, started


class Quiet(WSGIRequestHandler):
    """Discard log records."""

    def log(self, *args: Any) -> None:
        """Log nothing."""


server = socketio.Server(async_mode="threading")


@server.event
def connect(sid: str, environ: dict[str, str], auth: object) -> None:
    """Refuse an unknown user."""
    if parse_qs(environ["QUERY_STRING"]).get("username") == ["stranger"]:
        raise socketio.exceptions.ConnectionRefusedError("this user is unknown")


@server.event
def join(sid: str, said: dict[str, str]) -> dict[str, str]:
    """Let a client join a room."""
    server.enter_room(sid, said["room"])
    return {"joined": said["room"]}


@server.event
def publish(sid: str, said: dict[str, str]) -> dict[str, bool]:
    """Broadcast a code."""
    room = said.get("channel")
    # The publisher has a connection, too, but it is no listener.
    listeners = {each for each, _ in server.manager.get_participants("/", room)} - {sid}
    count(said["code"], len(listeners))
    server.emit("code", {"code": said["code"]}, room=room, skip_sid=sid)
    return {"ok": True}


def requested(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
    """Broadcast what is posted."""
    if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) != ("POST", "/api/ingest"):
        start("404 Not Found", [])
        return []
    publish("", json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
    start("200 OK", [("Content-Type", "application/json")])
    return [b'{"status":"success"}']


def main() -> None:
    """Serve until standard input ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        started(listener.getsockname()[1])
        make_server(
            "127.0.0.1",
            0,
            socketio.WSGIApp(server, requested),
            threaded=True,
            request_handler=Quiet,
            fd=listener.fileno(),
        ).serve_forever()


if __name__ == "__main__":
    main()
