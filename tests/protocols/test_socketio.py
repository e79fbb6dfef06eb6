"""Socket.IO 4 and 2 on their reference servers, and on python-socketio."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from tests.protocols.contract import Changes, ProtocolContract, Recovery, Served, Wrong
from tests.protocols.node import node_client, node_server
from tests.protocols.python import python_server
from tests.support.npm import npm_version

#: A client joins the room of its channel, and each code goes to one.
JOINING: Changes = (
    (
        '# send = [["join", { "room" = "codes" }]]  # events to emit once connected',
        'send = [["join", { "room" = "{channel}" }]]',
    ),
)
ROOMS: Changes = (*JOINING, ('"padding" = "{padding}" }', '"channel" = "{channel}" }'))
#: The server restores the state of WebSocket sessions; when a poll is lost, it does not notice.
RESUMED: Changes = (
    ('transport = "socketio"', 'transport = "socketio"\nguarantee = "resume"'),
    ('# transports = ["websocket"]', 'transports = ["websocket"]'),
)
REQUEST = """\
[ingest]
method = "POST"
path = "/api/ingest"
body = { "username" = "{username}", "code" = "{code}", "padding" = "{padding}" }
"""
#: Codes are handed in by an event that is acknowledged.
ACKNOWLEDGED: Changes = (
    (
        REQUEST,
        '[ingest]\nover = "connection"\nsend = ["publish", { code = "{code}" }]\nexpect = "ack"\n',
    ),
)


def wrong(version: str, engine: Changes) -> dict[str, Wrong]:
    """Return wrong settings.

    Args:
        version: what the server says of another version.
        engine: changes to that version.
    """
    return {
        "user": Wrong("this user is unknown", options=("--username", "stranger")),
        "namespace": Wrong(
            "invalid namespace", changes=(('# namespace = "/news"', 'namespace = "/news"'),)
        ),
        "path": Wrong("HTTP 404", changes=(('"/socket.io/"', '"/nosuch/"'),)),
        "version": Wrong(version, changes=engine),
    }


OLDER: Changes = (('query = { "username"', 'engine = 3\nquery = { "username"'),)


class TestSocketIO4(ProtocolContract):
    """Version 4, on Node."""

    profile = "socketio"
    server = f"socket.io {npm_version('socket.io')}"
    client = f"socket.io-client {npm_version('socket.io-client')}"
    sample = True
    channels = ROOMS
    recovery = Recovery(RESUMED)
    wrong: ClassVar = wrong("unsupported protocol version", OLDER)

    @classmethod
    def serve(cls, folder: Path) -> AbstractContextManager[Served]:
        """Run socket.io with connection state recovery."""
        return node_server("socketio.js", "socket.io", "recovery")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by socket.io-client."""
        return node_client("socketio.js", served, connections, codes, module="socket.io-client")


class TestSocketIO2(ProtocolContract):
    """Version 2, on Node."""

    profile = "socketio2"
    server = f"socket.io {npm_version('socket.io2')}"
    client = f"socket.io-client {npm_version('socket.io-client2')}"
    channels = ROOMS
    # By long polling, neither side could say goodbye to a session in the wrong version.
    wrong: ClassVar = wrong(
        "Socket.IO 2: no session ID",
        (("engine = 3\n", ""), ('# transports = ["websocket"]', 'transports = ["websocket"]')),
    )

    @classmethod
    def serve(cls, folder: Path) -> AbstractContextManager[Served]:
        """Run socket.io 2."""
        return node_server("socketio.js", "socket.io2")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by socket.io-client 2."""
        return node_client("socketio.js", served, connections, codes, module="socket.io-client2")


class TestPythonSocketIO(ProtocolContract):
    """Version 4, on python-socketio; codes are handed in by events that are acknowledged."""

    profile = "socketio"
    server = f"python-socketio {version('python-socketio')}"
    client = f"socket.io-client {npm_version('socket.io-client')}"
    changes = ACKNOWLEDGED
    channels = (
        *JOINING,
        ('code = "{code}" }', 'code = "{code}", channel = "{channel}" }'),
        # The publisher joins no room.
        (
            'expect = "ack"\n',
            'expect = "ack"\n[ingest.connect]\npath = "/socket.io/"\n',
        ),
    )
    wrong: ClassVar = {
        **wrong("unsupported version of the Socket.IO or Engine.IO protocols", OLDER),
        "namespace": Wrong(
            "unable to connect", changes=(('# namespace = "/news"', 'namespace = "/news"'),)
        ),
    }

    @classmethod
    def serve(cls, folder: Path) -> AbstractContextManager[Served]:
        """Run python-socketio with threads."""
        return python_server("socketio_python")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by socket.io-client."""
        return node_client("socketio.js", served, connections, codes, module="socket.io-client")
