"""Runs with channels, leaks between them, and sessions that are resumed, against real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.nchan import Nchan, missing, nchan
from tests.servers.rooms import Rooms
from tests.support.distributed import check_workers, distributed
from tests.support.runs import QUICK, Outcome, run

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

ROOMS = """
transport = "websocket"

[connect]
path = "/listen"
query = { room = "{channel}" }

[code]
whole = true

[ingest]
method = "POST"
path = "/publish"
query = { room = "{channel}" }
body = "{code}"
"""
#: nchan, which sends what a client has missed where the client says what it had last.
RESUMED = """
transport = "%s"
guarantee = "resume"

[connect]
path = "/sub"
query = { id = "resumed" }

[code]
whole = true

[ingest]
method = "POST"
path = "/pub"
query = { id = "resumed" }
body = "{code}"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Nchan]:
    if (why := missing()) is not None:
        pytest.skip(why)
    with nchan() as running:
        yield running


def reason(outcome: Outcome, rule: str) -> dict[str, Any]:
    (found,) = (each for each in outcome.report["verdict"]["reasons"] if each["rule"] == rule)
    return dict(found)


def check_four_channels(outcome: Outcome) -> None:
    """Check a run of 40 connections and 20 codes in four channels: 200 deliveries."""
    report = outcome.report
    assert outcome.reasons == {}
    assert (report["deliveries"]["owed"], report["deliveries"]["delivered"]) == (200, 200)
    rows = {each["name"]: each for each in report["channels"]}
    assert sorted(rows) == ["c1", "c2", "c3", "c4"]
    for row in rows.values():
        figures = ("connections", "codes", "owed", "delivered", "leaked")
        assert [row[name] for name in figures] == [10, 5, 50, 50, 0]
        assert 0 < row["p50"] <= row["p99"] <= row["max"]
    assert report["received_per_connection"] == {"5": 40}
    assert report["leaks"] == []
    assert reason(outcome, "isolation")["grade"] == "good"
    table = outcome.table("channels")
    assert [row["name"] for row in table] == [each["name"] for each in report["channels"]]
    assert {row["owed"] for row in table} == {"50"}
    for row in outcome.table("connections"):
        assert (row["channels"] in rows, row["owed"], row["delivered"]) == (True, "5", "5")
    for row in outcome.table("codes"):
        assert row["channel"] == f"c{(int(row['seq']) - 1) % 4 + 1}"
    assert "Channel" in outcome.stdout


def test_each_channel_gets_its_codes(tmp_path: Path, server: Nchan) -> None:
    outcome = run(
        tmp_path, "40", "20", "1", *QUICK, "--host", server.origin(), "--target", "nchan",
        "--channels", "4",
    )  # fmt: skip
    check_four_channels(outcome)


def test_each_channel_gets_its_codes_on_three_workers(tmp_path: Path, server: Nchan) -> None:
    words = ("--target", "nchan", "--channels", "4", "--codes", "20", "--duration", "1")
    with distributed(tmp_path, *words, host=server.origin(), connections=40) as swarm:
        outcome = swarm.finish()
    check_four_channels(outcome)
    check_workers(outcome.report)
    assert outcome.report["run"]["workers"] == 3


def test_leaks_are_counted_and_named(tmp_path: Path) -> None:
    (tmp_path / "rooms.toml").write_text(ROOMS)

    def every_third(number: int, room: str) -> list[str]:
        return ["c2"] if number % 3 == 0 and room != "c2" else []

    with Rooms(every_third).running() as rooms:
        outcome = run(
            tmp_path, "12", "12", "1", *QUICK, "--host", rooms.url, "--channels", "4",
            "--target", str(tmp_path / "rooms.toml"),
        )  # fmt: skip
    report = outcome.report
    assert outcome.status == 1
    assert report["deliveries"]["leaked"] == rooms.leaked == 9
    assert (report["deliveries"]["owed"], report["deliveries"]["delivered"]) == (36, 36)
    # Codes 3 and 9 and 12 leaked; 6 went to c2 itself.
    leaked = {each["name"]: each["leaked"] for each in report["channels"]}
    assert leaked == {"c1": 3, "c2": 0, "c3": 3, "c4": 3}
    rows = {row["connection"]: row for row in outcome.table("connections")}
    assert {each["code"] for each in report["leaks"]} == {3, 9, 12}
    for leak in report["leaks"]:
        assert (leak["worker"], leak["own_channels"]) == ("local", ["c2"])
        assert rows[str(leak["connection"])]["channels"] == "c2"
    assert outcome.reasons == {"isolation": "issues"}
    isolation = reason(outcome, "isolation")
    assert isolation["measured"] == "9"
    assert "code 3 of channel c3 reached connection" in isolation["sentence"]
    assert isolation["hint"]


def test_leaks_on_three_workers_name_the_rows_of_the_connections(tmp_path: Path) -> None:
    (tmp_path / "rooms.toml").write_text(ROOMS)
    words = ("--target", str(tmp_path / "rooms.toml"), "--channels", "4", "--codes", "8")
    with (
        Rooms(lambda number, _: ["c2"] if number == 3 else []).running() as rooms,
        distributed(tmp_path, *words, "--duration", "1", host=rooms.url, connections=12) as swarm,
    ):
        outcome = swarm.finish()
    report = outcome.report
    check_workers(report)
    assert report["deliveries"]["leaked"] == rooms.leaked == 3
    assert sum(worker["leaked"] for worker in report["workers"]) == 3
    rows = {row["connection"]: row for row in outcome.table("connections")}
    for leak in report["leaks"]:
        row = rows[str(leak["connection"])]
        assert (row["worker"], row["channels"]) == (leak["worker"], "c2")


def test_a_server_that_broadcasts_to_everybody_gets_that_hint(tmp_path: Path) -> None:
    (tmp_path / "rooms.toml").write_text(ROOMS)

    def all_others(_: int, room: str) -> list[str]:
        return [each for each in ("c1", "c2") if each != room]

    with Rooms(all_others).running() as rooms:
        outcome = run(
            tmp_path, "6", "4", "1", *QUICK, "--host", rooms.url, "--channels", "2",
            "--target", str(tmp_path / "rooms.toml"),
        )  # fmt: skip
    assert outcome.report["deliveries"]["leaked"] == rooms.leaked == 12
    assert "broadcasts to everybody" in reason(outcome, "isolation")["hint"]


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_server_keeps_its_promise_or_not(tmp_path: Path, server: Nchan, transport: str) -> None:
    (tmp_path / "resumed.toml").write_text(RESUMED % transport)
    outcome = run(
        tmp_path, "10", "30", "3", *QUICK, "--host", server.origin(),
        "--target", str(tmp_path / "resumed.toml"), "--storm-after", "1", "--storm-jitter", "1",
    )  # fmt: skip
    deliveries, resume = outcome.report["deliveries"], outcome.report["resume"]
    assert deliveries["owed"] == 300
    assert resume["guarantee"] == "resume"
    if transport == "sse":
        # By Last-Event-ID it knows what each client has missed.
        assert outcome.reasons == {}
        assert deliveries["recovered"] == resume["recovered"] > 0
        assert deliveries["delivered"] + deliveries["recovered"] == 300
        assert outcome.report["delivery_ms"]["count"] == deliveries["delivered"]
        assert 0 < resume["recovery_ms"]["count"] <= 10
        assert "recovered" in outcome.stdout
    else:
        # Over WebSocket, the profile does not tell it.
        assert deliveries["recovered"] == 0
        assert deliveries["missing"] > 0
        assert "codes_received" in outcome.reasons
