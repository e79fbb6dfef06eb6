"""Whole runs against a server of private channels, compared with its record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.private_channels import CHANNELS, PrivateChannels
from tests.support.runs import QUICK, Outcome, run

pytestmark = pytest.mark.e2e

CONNECTIONS, CODES = 6, 4
LOAD = (str(CONNECTIONS), str(CODES), "3", *QUICK)

PROFILE = """
transport = "websocket"

[connect]
path = "/ws"

[[after]]
fields = { "event" = "established" }
capture = { "socket" = { field = "data.id" } }
send = { "subscribe" = "private-a", "auth" = "{auth}" }
[after.request]
method = "POST"
path = "/auth"
body = { "socket_id" = "{socket}", "channel" = "private-a" }
capture = { "auth" = { field = "auth" } }

[[after]]
fields = { "channel" = "private-a" }
send = { "subscribe" = "private-b", "auth" = "{auth_b}" }
[after.request]
method = "POST"
path = "/auth"
body = { "socket_id" = "{socket}", "channel" = "private-b" }
capture = { "auth_b" = { field = "auth" } }

[[confirm]]
fields = { "channel" = "private-a" }
[[confirm]]
fields = { "channel" = "private-b" }

[[reply]]
fields = { "msg" = "ping" }
capture = { "id" = { field = "id" } }
send = { "msg" = "pong", "id" = "{id}" }

[[upkeep]]
every = 0.3
ping = true

[code]
regex = '\\x00\\xff\\x07(LT-[0-9a-z-]+)\\xfe'

[ingest]
method = "POST"
path = "/in"
body = "{code}"
"""


def attempt(folder: Path, server: PrivateChannels, profile: str = PROFILE) -> Outcome:
    (folder / "mine.toml").write_text(profile)
    with server.running() as url:
        return run(folder, *LOAD, "--host", url, "--target", str(folder / "mine.toml"))


def test_a_client_is_subscribed_by_signatures_and_stays_by_pings(tmp_path: Path) -> None:
    server = PrivateChannels(auth_delay=0.2)
    outcome = attempt(tmp_path, server)
    deliveries = outcome.report["deliveries"]
    assert deliveries["delivered"] == deliveries["owed"] == CONNECTIONS * CODES
    assert outcome.reasons == {}
    assert [each.channels for each in server.clients] == [[*CHANNELS]] * CONNECTIONS
    assert server.signed == 2 * CONNECTIONS
    assert [each.faults for each in server.clients] == [[]] * CONNECTIONS
    assert [each.repeated for each in server.clients] == [each.asked for each in server.clients]
    assert all(len(each.asked) == CODES for each in server.clients)
    assert all(each.pings >= 5 for each in server.clients)


def test_a_refused_signature_is_a_failed_connect_with_the_servers_words(tmp_path: Path) -> None:
    server = PrivateChannels(refused=2)
    outcome = attempt(tmp_path, server)
    assert outcome.report["connections"]["failed"] == 2
    assert outcome.causes["subscribe", "HTTP 403"] == 2
    (cause,) = outcome.report["connections"]["causes"]
    # The ID was captured, so it is not shown.
    assert cause["said"] == "*** may not listen"
    assert outcome.report["deliveries"]["delivered"] == (CONNECTIONS - 2) * CODES


def test_clients_that_send_no_pings_are_dropped(tmp_path: Path) -> None:
    server = PrivateChannels(silence=0.8)
    profile = PROFILE.replace("every = 0.3", "every = 30")
    outcome = attempt(tmp_path, server, profile)
    assert outcome.causes["session", "closed by server: 1008"] == CONNECTIONS
    assert {fault for each in server.clients for fault in each.faults} == {"silent"}


def test_a_step_takes_no_longer_than_the_connection_may(tmp_path: Path) -> None:
    server = PrivateChannels(auth_delay=5.0)
    (tmp_path / "mine.toml").write_text(PROFILE)
    words = ("2", "1", "1", *QUICK, "--connect-timeout", "0.5")
    with server.running() as url:
        outcome = run(tmp_path, *words, "--host", url, "--target", str(tmp_path / "mine.toml"))
    assert outcome.causes["subscribe", "timed out"] == 2
