"""NATS over WebSocket, on nats-server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from tests.protocols.contract import ProtocolContract, Served, Wrong
from tests.protocols.debian import debian_version, require_debian_program, started

#: The user may publish and subscribe to these subjects only, and the names of channels.
_CONFIGURATION = """\
host: 127.0.0.1
port: -1
websocket {{ host: 127.0.0.1, port: {port}, no_tls: true }}
authorization {{
    users: [{{
        user: app, password: "s3cret-\\"word\\"",
        permissions: {{ publish: {{ deny: "closed" }}, subscribe: {{ deny: "private" }} }}
    }}]
}}
"""


class TestNats(ProtocolContract):
    """The server of Debian."""

    profile = "nats"
    server = f"nats-server {debian_version('nats-server')}"
    sample = True
    users = 'username,user,password\nann,app,"s3cret-""word"""\n'
    channels = ()
    wrong: ClassVar = {
        "password": Wrong(
            "Authorization Violation", changes=(('"pass" = "{password}", "verbose" = false',
                                                 '"pass" = "wrong", "verbose" = false'),)
        ),
        "publisher's password": Wrong(
            "Authorization Violation", changes=(('"pass" = "{password}", "verbose" = true',
                                                 '"pass" = "wrong", "verbose" = true'),)
        ),
        "subject": Wrong(
            "Permissions Violation for Subscription", options=("--value", "channel=private")
        ),
        "publisher's subject": Wrong(
            "Permissions Violation for Publish", options=("--value", "channel=closed")
        ),
        "protocol": Wrong(
            "Unknown Protocol Operation",
            changes=(('"SUB {channel} {channel}', '"LISTEN {channel}'),),
        ),
    }  # fmt: skip

    @classmethod
    @contextlib.contextmanager
    def serve(cls, folder: Path) -> Iterator[Served]:
        """Run nats-server with a user that has permissions."""
        require_debian_program("nats-server")
        with started(
            ["nats-server", "-c", "nats.conf"],
            folder,
            configure=lambda port: {"nats.conf": _CONFIGURATION.format(port=port)},
        ) as port:
            yield Served(f"http://127.0.0.1:{port}")
