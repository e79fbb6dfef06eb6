"""The built-in profiles of the embedded target, and nchan's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from sseload_users.demo import process
from tests.protocols.contract import Changes, ProtocolContract, Recovery, Served, Wrong
from tests.protocols.debian import debian_version
from tests.servers.nchan import missing, nchan

TOKEN = ("--value", "ingest_token=demo-ingest-token")
STRANGER = ("--username", "stranger")


class Embedded(ProtocolContract):
    """The embedded target, which knows two users."""

    server = "embedded target"
    demo: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[str, ...]] = ()
    wrong: ClassVar = {
        "user": Wrong("Refused: unknown username", options=STRANGER),
        "path": Wrong("HTTP 404", changes=(('path = "/ws"', 'path = "/nosuch"'),)),
    }

    @classmethod
    @contextlib.contextmanager
    def serve(cls, folder: Path) -> Iterator[Served]:
        """Run the embedded target."""
        with process.start("--users", "loadtest,alice", *cls.demo) as running:
            yield Served(running.url, cls.options)


class Streamed(Embedded):
    """Event streams of the embedded target."""

    wrong: ClassVar = {
        **Embedded.wrong,
        "path": Wrong("HTTP 404", changes=(('path = "/stream"', 'path = "/nosuch"'),)),
    }


class TestWebSocket(Embedded):
    """Plain WebSocket."""

    profile = "websocket"


class TestRooms(Embedded):
    """Rooms over WebSocket."""

    profile = "rooms"
    channels = ()


class TestSSE(Streamed):
    """Plain server-sent events."""

    profile = "sse"


class TestRoomsSSE(Streamed):
    """Rooms over server-sent events, with resumption."""

    profile = "rooms-sse"
    recovery = Recovery()
    channels = ()


class TestRestartingSSE(Streamed):
    """Server-sent events through restarts."""

    profile = "restarting-sse"
    recovery = Recovery()


NAMESPACE: Changes = (('namespace = "/events"', 'namespace = "/nosuch"'),)


class TestCodeServer(Embedded):
    """The code server."""

    profile = "code-server"
    server = "embedded target, as the code server"
    wrong: ClassVar = {
        "user": Wrong("the server does not know the user", options=STRANGER),
        "namespace": Wrong("unable to connect", changes=NAMESPACE),
        "path": Wrong("HTTP 404", changes=(('path = "/socket.io/"', 'path = "/nosuch/"'),)),
    }


class TestCodeServerSocket(Embedded):
    """Today's code server over Socket.IO."""

    profile = "code-server-socket"
    server = "embedded target, as today's code server"
    demo = ("--ingest-token", "demo-ingest-token")
    options = TOKEN
    wrong: ClassVar = {
        "user": Wrong("Unauthorized or unknown username", options=STRANGER),
        "namespace": Wrong("unable to connect", changes=NAMESPACE),
    }


class TestCodeServerSSE(Embedded):
    """Today's code server over server-sent events."""

    profile = "code-server-sse"
    server = "embedded target, as today's code server"
    demo = ("--ingest-token", "demo-ingest-token")
    options = TOKEN
    wrong: ClassVar = {
        "token": Wrong(
            "Invalid ingest token",
            changes=(('token = "{ingest_token}"', 'token = "not {ingest_token}"'),),
        ),
        "path": Wrong("HTTP 404", changes=(('path = "/embed-stream"', 'path = "/nosuch"'),)),
    }


class _Nchan(ProtocolContract):
    """nginx with nchan."""

    server = f"nginx {debian_version('nginx')}, nchan"
    channels = ()
    wrong: ClassVar = {
        "path": Wrong("HTTP 404", changes=(('path = "/sub"', 'path = "/nosuch"'),)),
        "publisher": Wrong("HTTP 404", changes=(('path = "/pub"', 'path = "/nosuch"'),)),
    }

    @classmethod
    @contextlib.contextmanager
    def serve(cls, folder: Path) -> Iterator[Served]:
        """Run nginx; skip the test if it is not installed."""
        if (why := missing()) is not None:
            assert os.environ.get("CI") != "true", why
            pytest.skip(why)
        with nchan() as running:
            yield Served(running.origin())


class TestNchan(_Nchan):
    """Over WebSocket."""

    profile = "nchan"


class TestNchanSSE(_Nchan):
    """Over server-sent events."""

    profile = "nchan-sse"
