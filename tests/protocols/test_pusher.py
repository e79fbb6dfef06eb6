"""Pusher Channels on a test server, with Pusher's own libraries."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tests.protocols.contract import (
    Changes,
    ProtocolContract,
    Served,
    Wrong,
    assert_equal,
)
from tests.protocols.node import node_client, node_server
from tests.support.npm import npm_version

_USERS = "username,token\nann,user-token\nbob,user-token\n"
#: What is wrong with every kind of channel.
_WRONG = {
    "key": Wrong("not in this cluster", options=("--value", "app_key=no-such")),
    "secret": Wrong("Invalid signature", options=("--value", "app_secret=no-such")),
    "app": Wrong("Not found", options=("--value", "app_id=no-such")),
    "version": Wrong(
        "Unsupported protocol version: 4", changes=(('"protocol" = "7"', '"protocol" = "4"'),)
    ),
    "path": Wrong("HTTP 404", path="/no-such"),
    "channel": Wrong("Invalid channel name", options=("--value", "channel=no#such")),
}
#: A user whom the application does not know, and an application that signs with another secret.
_UNSIGNED = {
    "user": Wrong("Unauthenticated.", changes=(("Bearer {token}", "Bearer no-such"),)),
    "signature": Wrong(
        "The connection is unauthorized.",
        changes=(('{ field = "auth" }', '{ regex = "app-key" }'),),
    ),
}
#: Clients emit codes themselves, by client events.
_CLIENT_EVENTS: Changes = (
    ('{ "event" = "new_code" }', '{ "event" = "client-new_code" }'),
    ('method = "POST"\npath = "/apps/{app_id}/events"', 'over = "listener"'),
    ('body = { "name" = "new_code", "channels" = ["private-{channel}"]', 'send = { "event" = "e"'),
    ('"e"', '"client-new_code", "channel" = "private-{channel}"'),
    ("""'{"code":"{code}","padding":"{padding}"}'""", '{ "code" = "{code}" }'),
    ('[ingest.sign]\nscheme = "pusher"\nkey = "{app_key}"\nsecret = "{app_secret}"\n', ""),
)


class PusherContract(ProtocolContract):
    """What all kinds of channels have in common.

    Attributes:
        kind: with which the names of such channels begin.
    """

    server = f"test server with pusher {npm_version('pusher')}"
    client = f"pusher-js {npm_version('pusher-js')}, pusher {npm_version('pusher')}"
    channels: ClassVar[Changes] = ()
    kind: ClassVar[str]

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run the server, and the application that signs subscriptions."""
        return node_server("pusher.js")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by pusher-js and pusher."""
        channel = f"{cls.kind}codes"
        return node_client("pusher.js", served, connections, codes, channel=channel)


class TestPusher(PusherContract):
    """Public channels."""

    profile = "pusher"
    kind = ""
    wrong = _WRONG


class TestPusherPrivate(PusherContract):
    """Private channels, whose subscriptions the application signs."""

    profile = "pusher-private"
    kind = "private-"
    users = _USERS
    wrong: ClassVar = {**_WRONG, **_UNSIGNED}

    def test_client_events(self, served: Served, tmp_path: Path) -> None:
        """Codes that the clients emit reach all others."""
        connections, codes = 10, 10
        outcome, sent = self._count(served, tmp_path, connections, codes, changes=_CLIENT_EVENTS)
        deliveries = outcome.report["deliveries"]
        assert outcome.reasons == {}
        assert deliveries["owed"] == deliveries["delivered"] == (connections - 1) * codes
        assert_equal(outcome, sent)


class TestPusherPresence(PusherContract):
    """Presence channels, whose members are told who joins and leaves."""

    profile = "pusher-presence"
    kind = "presence-"
    users = _USERS
    wrong: ClassVar = {**_WRONG, **_UNSIGNED}
