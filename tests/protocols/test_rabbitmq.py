"""STOMP over WebSocket, on RabbitMQ with its plugin Web STOMP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from tests.protocols.contract import ProtocolContract, Served, Wrong
from tests.protocols.debian import debian_version, require_debian_program, started
from tests.support.ports import free_port

#: Debian's script of this name changes the user; this is what it calls.
_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"

_CONFIGURATION = """\
listeners.tcp = none
stomp.listeners.tcp = none
web_stomp.tcp.ip = 127.0.0.1
web_stomp.tcp.port = {port}
default_user = app
default_pass = secret
log.console = true
log.file = false
"""


class TestRabbitMQ(ProtocolContract):
    """The server of Debian."""

    profile = "stomp"
    server = f"RabbitMQ {debian_version('rabbitmq-server')}, Web STOMP"
    changes = (('login = "guest"', 'login = "app"'), ('passcode = "guest"', 'passcode = "secret"'))
    channels = ()
    wrong: ClassVar = {
        "password": Wrong(
            "Access refused for user 'app'",
            changes=(('passcode = "secret"', 'passcode = "wrong"'),),
        ),
        "virtual host": Wrong(
            "Virtual host 'nosuch' access denied",
            changes=(('vhost = "/"', 'vhost = "nosuch"'),),
        ),
        "destination": Wrong(
            "'/nosuch/codes' is not a valid destination",
            changes=(("SUBSCRIBE\\nid:{channel}\\ndestination:/topic/",
                      "SUBSCRIBE\\nid:{channel}\\ndestination:/nosuch/"),),
        ),
        "publisher's destination": Wrong(
            "'/nosuch/codes' is not a valid destination",
            changes=(("SEND\\ndestination:/topic/", "SEND\\ndestination:/nosuch/"),),
        ),
        "version": Wrong(
            "Supported versions are 1.0,1.1,1.2",
            changes=(('a NUL.\nsend = [\n    "CONNECT\\naccept-version:1.2',
                      'a NUL.\nsend = [\n    "CONNECT\\naccept-version:3.0'),),
        ),
        "path": Wrong("HTTP 404", path="/nosuch"),
    }  # fmt: skip

    @classmethod
    @contextlib.contextmanager
    def serve(cls, folder: Path) -> Iterator[Served]:
        """Run a node of RabbitMQ, and the port mapper that Erlang needs."""
        require_debian_program(_SERVER, "rabbitmq-server")
        mapper = {"ERL_EPMD_ADDRESS": "127.0.0.1"}
        with (
            # Otherwise RabbitMQ starts one that outlives it.
            started(["epmd", "-port", "{port}"], folder / "epmd", env=lambda _: mapper) as epmd,
            started(
                [_SERVER],
                folder,
                configure=lambda port: {
                    "rabbitmq.conf": _CONFIGURATION.format(port=port),
                    "plugins": "[rabbitmq_web_stomp].\n",
                },
                env=lambda port: {
                    **mapper,
                    "ERL_EPMD_PORT": str(epmd),
                    "HOME": str(folder),  # for its cookie
                    "RABBITMQ_NODENAME": f"test{port}@localhost",
                    "RABBITMQ_DIST_PORT": str(free_port()),
                    "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
                    "RABBITMQ_LOG_BASE": str(folder / "log"),
                    "RABBITMQ_PID_FILE": str(folder / "pid"),
                    "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
                    "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
                    "RABBITMQ_CONF_ENV_FILE": "/dev/null",
                },
            ) as port,
        ):
            yield Served(f"http://127.0.0.1:{port}")
