"""SignalR on a test server, with the official client, and on aiosignalr."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import requests

from sseload_users.core.config_path import config_path
from tests.protocols.contract import (
    CLIENTS,
    Changes,
    ProtocolContract,
    Recovery,
    Served,
    Wrong,
    assert_equal,
)
from tests.protocols.node import node_client, node_server
from tests.protocols.python import python_server
from tests.protocols.relay import Harm, relay
from tests.protocols.uncommented import uncommented
from tests.support.npm import npm_version
from tests.support.pip import pip_version, require_pip_packages
from tests.support.runs import QUICK, running

_PROFILE = config_path("targets/signalr.toml").read_text("utf-8")
#: Clients join a group by a method of the hub, and each code goes to one.
_GROUPS: Changes = (
    ("[confirm]\nregex = '^\\{\\}$|^\\{\"type\":9,' # the hub", "# the hub"),
    uncommented(_PROFILE, "# [[after]]", "# Stateful"),
    ('"padding" = "{padding}" }', '"channel" = "{channel}" }'),
)
_STATEFUL: Changes = (
    ('# guarantee = "resume"', 'guarantee = "resume"'),
    ('stateful = "false"', 'stateful = "true"'),
    ('version = "1"', 'version = "2"'),
    uncommented(_PROFILE, "# [resume]", "[code]"),
)


class TestSignalR(ProtocolContract):
    """The JSON protocol, groups, and stateful reconnect."""

    profile = "signalr"
    server = "test server"
    client = f"@microsoft/signalr {npm_version('@microsoft/signalr')}"
    users = "username,token\nann,user-token\n"
    channels = _GROUPS
    recovery = Recovery(_STATEFUL)
    wrong: ClassVar = {
        "token": Wrong("the token is invalid", changes=(("Bearer {token}", "Bearer no-such"),)),
        "version": Wrong(
            "The server does not support version 3 of the 'json' protocol",
            options=("--value", "version=3"),
        ),
        "protocol": Wrong(
            "The protocol 'no-such' is not supported", changes=(('"json\\"', '"no-such\\"'),)
        ),
        "negotiation": Wrong(
            "The client requested version '-1'",
            changes=(('"negotiateVersion" = "1"', '"negotiateVersion" = "-1"'),),
        ),
        "method": Wrong(
            "Failed to invoke 'no-such'",
            changes=(*_GROUPS[:2], ("Join", "no-such"), ("{channel}", "a")),
        ),
        "path": Wrong("HTTP 404", path="/no-such"),
        "connection": Wrong("HTTP 404", changes=(('"id" = "{connection}"', '"id" = "1"'),)),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run the server."""
        return node_server("signalr.js")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by @microsoft/signalr."""
        return node_client("signalr.js", served, connections, codes)

    def test_client_returns(self, served: Served) -> None:
        """The official client resumes cut sessions, too, and gets every code once."""
        connections, codes = CLIENTS
        with relay(served.url, Harm(cut_after=2, cuts=connections)) as (url, truth):
            through = Served(url, served.options, served.sent)
            received = self.complete(through, connections, codes)
        # The session that publishes is not cut; another one may be cut again.
        assert connections - 1 <= truth.cut <= connections
        assert len(received) == codes
        assert set(received.values()) == {connections}

    def test_acknowledgements(self, tmp_path: Path) -> None:
        """A server that waits for acknowledgements sends on, because they come."""
        connections, codes = 5, 100
        with node_server("signalr.js", "4000") as served:
            outcome, sent = self._count(served, tmp_path, connections, codes, changes=_STATEFUL)
        deliveries = outcome.report["deliveries"]
        assert deliveries["owed"] == deliveries["delivered"] == connections * codes
        assert_equal(outcome, sent)
        # Some codes had to wait for the acknowledgement that comes every second.
        assert outcome.report["delivery_ms"]["max"] > 100

    def test_close(self, served: Served, tmp_path: Path) -> None:
        """The server ends sessions by a message, and clients do not return."""
        words = self.words(served, tmp_path, served.url, ())
        with running(tmp_path / "run", "5", "10", "2", *QUICK, "--reconnect", *words) as started:
            started.wait_for("Broadcasting")
            requests.post(f"{served.url}/api/close", timeout=10)
            outcome = started.finish()
        assert outcome.causes["session", "ended by server: The hub closes."] == 5
        assert outcome.report["connections"]["reconnected"] == 0


class TestAiosignalr(ProtocolContract):
    """The same on aiosignalr, which lets everybody in."""

    profile = "signalr"
    server = f"aiosignalr {pip_version('aiosignalr')}"
    channels = _GROUPS
    recovery = Recovery(_STATEFUL)
    wrong: ClassVar = {
        "version": Wrong(
            "The server does not support version 3 of the 'json' protocol",
            options=("--value", "version=3"),
        ),
        "protocol": Wrong(
            "The protocol 'no-such' is not supported", changes=(('"json\\"', '"no-such\\"'),)
        ),
        "negotiation": Wrong(
            "negotiateVersion must be >= 0",
            changes=(('"negotiateVersion" = "1"', '"negotiateVersion" = "-1"'),),
        ),
        "method": Wrong(
            "Unknown hub method 'no-such'",
            changes=(*_GROUPS[:2], ("Join", "no-such"), ("{channel}", "a")),
        ),
        "path": Wrong("HTTP 404", path="/no-such"),
        "connection": Wrong(
            "Connection not found", changes=(('"id" = "{connection}"', '"id" = "1"'),)
        ),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run the hub."""
        packages = require_pip_packages("aiosignalr")
        return python_server("signalr_python", packages=packages)
