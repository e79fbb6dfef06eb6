"""Bayeux on Faye's server."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from sseload_users.core.config_path import config_path
from tests.protocols.contract import ProtocolContract, Served, Wrong, assert_all_delivered
from tests.protocols.node import node_client, node_server
from tests.support.npm import npm_version
from tests.support.runs import ROOT

PAGE = ROOT / "docs" / "target-protocols.md"


class TestBayeux(ProtocolContract):
    """Bayeux over WebSocket."""

    profile = "bayeux"
    server = f"faye {npm_version('faye')}"
    client = f"faye {npm_version('faye')}"
    channels = ()
    wrong: ClassVar = {
        "user": Wrong("this user is unknown", options=("--username", "stranger")),
        "channel": Wrong(
            "this channel is closed", changes=(('channel = "codes"', 'channel = "secret"'),)
        ),
        "path": Wrong("HTTP 404", options=("--value", "path=/nosuch")),
        "connection type": Wrong(
            "Connection types not supported",
            changes=(
                (
                    '"supportedConnectionTypes" = ["websocket"]',
                    '"supportedConnectionTypes" = ["x"]',
                ),
            ),
        ),
    }

    @classmethod
    def serve(cls, folder: Path) -> AbstractContextManager[Served]:
        """Run faye."""
        return node_server("bayeux.js")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by faye's client."""
        return node_client("bayeux.js", served, connections, codes)

    def test_codes_over_a_connection(self, served: Served, tmp_path: Path) -> None:
        """Codes are handed in by a client, as the documentation shows it for CometD."""
        section = PAGE.read_text("utf-8").partition("## Bayeux\n")[2]
        example = section.partition("```toml\n")[2].partition("```")[0]
        profile = config_path("targets/bayeux.toml").read_text("utf-8")
        by_request = profile[profile.index("[ingest]") :]
        outcome = self._run(served, tmp_path, 10, 20, changes=((by_request, example),))
        assert_all_delivered(outcome, 10, 20)
