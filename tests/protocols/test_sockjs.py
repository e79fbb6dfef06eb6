"""SockJS, and STOMP over SockJS, on sockjs-node."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from tests.protocols.contract import ProtocolContract, Served, Wrong
from tests.protocols.node import node_client, node_server
from tests.support.npm import npm_version

#: A beat for which the server waits at most a second.
BEATS = (
    ("heart-beat:10000,10000", "heart-beat:500,1000"),
    ("every = 8", "every = 0.4"),
)
PATH = (("/{nonce}/websocket", "/{nonce}/nosuch"),)


class TestSockJS(ProtocolContract):
    """Plain messages."""

    profile = "sockjs"
    server = f"sockjs-node {npm_version('sockjs')}"
    client = f"sockjs-client {npm_version('sockjs-client')}"
    wrong: ClassVar = {
        "user": Wrong(
            "closed by the server: this user is unknown", options=("--username", "stranger")
        ),
        "path": Wrong("HTTP 404", changes=PATH),
    }

    @classmethod
    def serve(cls, folder: Path) -> AbstractContextManager[Served]:
        """Run sockjs-node."""
        return node_server("sockjs.js")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by sockjs-client."""
        return node_client("sockjs.js", served, connections, codes)

    def test_a_drop_is_named_in_the_words_of_the_server(
        self, served: Served, tmp_path: Path
    ) -> None:
        """A session ends with the reason that a message before its end gave."""
        outcome = self._run(served, tmp_path, 5, 2, "--username", "stranger")
        report = outcome.report
        assert outcome.causes == {("session", "closed by the server: this user is unknown"): 5}
        assert report["connections"]["dropped"] == 5


class TestStompOverSockJS(ProtocolContract):
    """STOMP 1.2, with heart-beats both ways."""

    profile = "stomp-sockjs"
    server = f"sockjs-node {npm_version('sockjs')} with a broker of the tests"
    client = f"stompjs {npm_version('@stomp/stompjs')}"
    changes = BEATS
    channels = ()
    wrong: ClassVar = {
        "passcode": Wrong(
            "ended by server: Access refused for this user.",
            options=("--value", "passcode=wrong"),
        ),
        "destination": Wrong(
            "ended by server: '/queue/codes' is not a valid destination.",
            changes=(("destination:/topic/{channel}", "destination:/queue/{channel}"),),
        ),
        "version": Wrong(
            "ended by server: Supported versions are 1.2.",
            changes=(("accept-version:1.2", "accept-version:1.0"),),
        ),
        "path": Wrong("HTTP 404", changes=PATH),
    }

    @classmethod
    def serve(cls, folder: Path) -> AbstractContextManager[Served]:
        """Run sockjs-node with a broker."""
        return node_server("sockjs.js", "stomp")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by stompjs over sockjs-client."""
        return node_client("stomp.js", served, connections, codes)
