"""Socket.IO on its reference server, with the official client."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tests.protocols.contract import Changes, ProtocolContract, Recovery, Served, Wrong
from tests.protocols.node import node_client, node_server
from tests.support.npm import npm_version

#: A client joins the room of its channel, which is acknowledged, and each code goes to one.
ROOMS: Changes = (
    (
        '# send = [["join", { "room" = "codes" }]]  # events to emit once connected',
        'send = [["join", { "room" = "{channel}" }]]',
    ),
    ('"padding" = "{padding}" }', '"channel" = "{channel}" }'),
)
#: The server restores the state of WebSocket sessions; when a poll is lost, it does not notice.
RESUMED: Changes = (
    ('transport = "socketio"', 'transport = "socketio"\nguarantee = "resume"'),
    ('# transports = ["websocket"]', 'transports = ["websocket"]'),
)


class TestSocketIO4(ProtocolContract):
    """Version 4, on Node."""

    profile = "socketio"
    server = f"socket.io {npm_version('socket.io')}"
    client = f"socket.io-client {npm_version('socket.io-client')}"
    sample = True
    channels = ROOMS
    recovery = Recovery(RESUMED)
    wrong: ClassVar = {
        "user": Wrong("this user is unknown", options=("--username", "stranger")),
        "namespace": Wrong(
            "invalid namespace", changes=(('# namespace = "/news"', 'namespace = "/news"'),)
        ),
        "path": Wrong("HTTP 404", changes=(('"/socket.io/"', '"/nosuch/"'),)),
        "version": Wrong(
            "unsupported protocol version",
            changes=(('query = { "username"', 'engine = 3\nquery = { "username"'),),
        ),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run socket.io with connection state recovery."""
        return node_server("socketio.js", "socket.io", "recovery")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by socket.io-client."""
        return node_client(
            "socketio.js", served, connections, codes, module="socket.io-client"
        )
