"""Action Cable and Turbo Streams, on Rails with puma and Redis."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.protocols.contract import ProtocolContract, Served, Wrong
from tests.protocols.debian import debian_version, require_debian_program, started
from tests.support.npm import FOLDER
from tests.support.runs import QUICK, running

_RAILS = f"Rails {debian_version('ruby-actioncable')}, puma {debian_version('puma')}, Redis"


@contextlib.contextmanager
def rails(folder: Path) -> Iterator[Served]:
    """Run Redis, and the application in `servers/action_cable`."""
    require_debian_program("puma", "puma ruby-actioncable ruby-railties ruby-redis")
    require_debian_program("redis-server")
    redis = ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", ""]
    application = FOLDER / "servers" / "action_cable" / "config.ru"
    with started(redis, folder / "redis") as redis_port:
        puma = ["puma", "-q", "-t", "8:8", "-b", "tcp://127.0.0.1:{port}", str(application)]
        env = {"REDIS_URL": f"redis://127.0.0.1:{redis_port}", "RAILS_ENV": "production"}
        with started(puma, folder / "puma", env=lambda _: env) as port:
            yield Served(f"http://127.0.0.1:{port}")


class ActionCable(ProtocolContract):
    """What both profiles have in common."""

    server = _RAILS
    channels = ()
    refused: ClassVar = {
        "user": Wrong("disconnected: unauthorized", options=("--username", "stranger")),
        "origin": Wrong("HTTP 404", options=("--header", "Origin: http://elsewhere.test")),
        "path": Wrong("HTTP 404", path="/nosuch"),
        "version": Wrong(
            "subprotocol", changes=(('"actioncable-v1-json"', '"actioncable-v9-json"'),)
        ),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run Rails."""
        return rails(folder)


class TestActionCable(ActionCable):
    """A channel with a parameter."""

    profile = "action-cable"
    wrong: ClassVar = {
        **ActionCable.refused,
        "room": Wrong("subscription rejected", options=("--value", "channel=private")),
        "channel": Wrong(
            "timed out", changes=(('{"channel":"CodesChannel"', '{"channel":"NoChannel"'),)
        ),
        "code": Wrong("code is missing", changes=(('"code" = "{code}"', '"text" = "{code}"'),)),
    }

    @pytest.mark.parametrize("planned", [False, True])
    def test_a_restart_is_a_drop_unless_planned(
        self, served: Served, tmp_path: Path, planned: bool
    ) -> None:
        """Rails says that clients may return, and they do."""
        changes = (('transport = "websocket"', 'transport = "websocket"\nplanned_ends = true'),)
        words = self.words(served, tmp_path, served.url, changes if planned else ())
        with running(
            tmp_path, "10", "20", "2", *QUICK, *words, *(() if planned else ("--reconnect",))
        ) as attempt:
            attempt.wait_for("Broadcasting")
            request = urllib.request.Request(f"{served.url}/restart", method="POST")
            urllib.request.urlopen(request, timeout=5).close()
            outcome = attempt.finish()
        connections = outcome.report["connections"]
        if planned:
            assert connections["dropped"] == 0
            assert connections["planned_ends"] == 10
        else:
            assert outcome.causes["session", "disconnected: server_restart"] == 10
            assert (connections["dropped"], connections["reconnected"]) == (10, 10)
        assert outcome.report["deliveries"]["missing"] == 0


class TestTurboStreams(ActionCable):
    """Signed names of streams, and HTML."""

    profile = "turbo-streams"
    wrong: ClassVar = {
        **ActionCable.refused,
        "name": Wrong(
            "subscription rejected",
            changes=(('"signed_stream_name":"{stream}"', '"signed_stream_name":"{stream}0"'),),
        ),
        "page": Wrong("HTTP 404", changes=(('path = "/rooms/{channel}"', 'path = "/room"'),)),
    }
