"""Centrifugo's protocol on a test server, with the official client."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import requests

from sseload_users.core.config_path import config_path
from tests.protocols.contract import (
    Changes,
    ProtocolContract,
    Recovery,
    Served,
    Wrong,
    assert_all_delivered,
    assert_equal,
)
from tests.protocols.node import node_client, node_server
from tests.protocols.tokens import web_token
from tests.protocols.uncommented import uncommented
from tests.support.npm import npm_version
from tests.support.runs import QUICK, running

_SECRET = "token-secret"
_PROFILE = config_path("targets/centrifugo.toml").read_text("utf-8")


def _with_token(token: str) -> Wrong:
    sent = 'send = [\n    { "id" = 1, "connect" = { "token" = "{token}" } }'
    words = {"": "bad request", "old": "token expired"}.get(token, "invalid token")
    token = web_token(_SECRET, lives=-60) if token == "old" else token
    return Wrong(words, changes=((sent, sent.replace("{token}", token)),))


class TestCentrifugo(ProtocolContract):
    """The JSON protocol, the HTTP API, and recovery from a channel's history."""

    profile = "centrifugo"
    server = "test server"
    client = f"centrifuge {npm_version('centrifuge')}"
    users = f"username,token\nann,{web_token(_SECRET, sub='ann')}\n"
    channels: ClassVar[Changes] = ()
    recovery = Recovery(
        (
            ('# guarantee = "resume" #', 'guarantee = "resume" #'),
            uncommented(_PROFILE, "# [resume]", "\n[confirm]"),
        )
    )
    wrong: ClassVar = {
        "no token": _with_token(""),
        "token of another application": _with_token(web_token("another secret", sub="ann")),
        "expired token": _with_token("old"),
        "channel": Wrong("unknown channel", options=("--value", "channel=no:such")),
        "permission": Wrong("permission denied", options=("--value", "channel=$codes")),
        "API key": Wrong("HTTP 401", options=("--value", "api_key=no-such")),
        "path": Wrong("HTTP 404", path="/no-such"),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run the server; the tokens that it gives are valid for two seconds."""
        return node_server("centrifugo.js", "2")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by centrifuge."""
        return node_client("centrifugo.js", served, connections, codes)

    def test_refresh(self, served: Served, tmp_path: Path) -> None:
        """Connections outlive their tokens, because they are refreshed with new ones."""
        connections, codes = 10, 10
        begin, part = uncommented(_PROFILE, "# [[before]]", "[connect]")
        changes = (
            (begin, part),
            ("https://app.example/centrifugo/token", "/token"),
            ("valid_for = 30", "valid_for = 0.8"),
            ("every = 20", "every = 0.4"),
        )
        outcome, sent = self._count(
            served, tmp_path, connections, codes, seconds=4, changes=changes
        )
        assert_all_delivered(outcome, connections, codes)
        assert_equal(outcome, sent)
        # Without it, they end.
        frozen = (*changes[:3], ("every = 20", "every = 60"))
        outcome, _ = self._count(
            served, tmp_path / "frozen", connections, codes, seconds=4, changes=frozen
        )
        assert outcome.causes["session", "closed by server: 3005"] == connections

    def test_unsubscribe(self, served: Served, tmp_path: Path) -> None:
        """The server takes subscriptions away; clients that return have new ones."""
        words = self.words(served, tmp_path, served.url, ())
        with running(tmp_path / "run", "5", "10", "3", *QUICK, "--reconnect", *words) as started:
            started.wait_for("Broadcasting")
            requests.post(
                f"{served.url}/api/unsubscribe",
                json={"channel": "codes"},
                headers={"X-API-Key": "api-key"},
                timeout=10,
            )
            outcome = started.finish()
        assert outcome.causes["session", "unsubscribed by server: server unsubscribe"] == 5
        assert outcome.report["connections"]["reconnected"] == 5
        assert outcome.report["deliveries"]["missing"] == 0
