"""Phoenix channels, on a server that Phoenix's own client works with."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from sseload_users.core.config_path import config_path
from tests.protocols.contract import ProtocolContract, Served, Wrong, assert_all_delivered
from tests.protocols.node import node_client, node_server
from tests.support.npm import npm_version
from tests.support.runs import QUICK, running

#: What a publisher pushes over a channel of its own; docs/target-protocols.md has the same.
PUSH = """
[ingest]
over = "connection"
send = ["{channel}", "{code}", "room:{channel}", "new_code", { "code" = "{code}" }]
expect = { fields = { "[1]" = "{code}", "[3]" = "phx_reply", "[4].status" = "ok" } }

[[ingest.refuse]]
fields = { "[1]" = "{code}", "[3]" = "phx_reply", "[4].status" = "error" }
reason = "[4].response.reason"
"""


class TestPhoenix(ProtocolContract):
    """The serializer of version 2."""

    profile = "phoenix"
    server = "own server (Phoenix 1.7's protocol)"
    client = f"phoenix {npm_version('phoenix')}"
    channels = ()
    wrong: ClassVar = {
        "token": Wrong(
            "HTTP 403", changes=(('"vsn" = "2.0.0"', '"vsn" = "2.0.0", "token" = "stranger"'),)
        ),
        "channel": Wrong("unauthorized", options=("--value", "channel=private")),
        "topic": Wrong(
            "unmatched topic", changes=(('"room:{channel}", "phx_join"', '"hall", "phx_join"'),)
        ),
        "path": Wrong("HTTP 404", path="/nosuch"),
        "version": Wrong("HTTP 403", changes=(('"vsn" = "2.0.0"', '"vsn" = "9.0.0"'),)),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run the server on Node."""
        return node_server("phoenix.js")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by the client."""
        return node_client("phoenix.js", served, connections, codes)

    def test_codes_are_pushed_over_a_channel(self, served: Served, tmp_path: Path) -> None:
        """The broadcaster joins the channel itself, and each push is replied to."""
        text = config_path("targets/phoenix.toml").read_text("utf-8")
        (tmp_path / "push.toml").write_text(text.partition("[ingest]")[0] + PUSH, "utf-8")
        outcome = self._run(served, tmp_path, 20, 5, "--target", str(tmp_path / "push.toml"))
        assert_all_delivered(outcome, 20, 5)

    @pytest.mark.parametrize("final", [False, True])
    def test_a_channel_that_crashes_is_a_drop(
        self, served: Served, tmp_path: Path, final: bool
    ) -> None:
        """The socket stays open; clients return, unless the profile says that they must not."""
        crash = 'cause = "channel crashed"'
        changes = ((crash, f"{crash}\nreconnect = false"),) if final else ()
        words = self.words(served, tmp_path, served.url, changes)
        with running(tmp_path, "10", "20", "2", *QUICK, "--reconnect", *words) as attempt:
            attempt.wait_for("Broadcasting")
            request = urllib.request.Request(
                f"{served.url}/api/crash", json.dumps({"topic": "room:lobby"}).encode()
            )
            urllib.request.urlopen(request, timeout=5).close()
            outcome = attempt.finish()
        assert outcome.causes["session", "channel crashed"] == 10
        connections, deliveries = outcome.report["connections"], outcome.report["deliveries"]
        assert connections["dropped"] == 10
        assert connections["reconnected"] == (0 if final else 10)
        assert deliveries["missing"] == 0
        # Those who stay away are owed nothing.
        assert (deliveries["owed"] < 60) == final
