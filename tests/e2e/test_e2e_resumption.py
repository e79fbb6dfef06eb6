"""Clients that return, to a server that promises to lose nothing and to ones that break that."""

from __future__ import annotations

from pathlib import Path

import pytest

from sseload_users.core.config_path import config_path
from sseload_users.demo.record import Record
from tests.servers.socketio_servers import socketio_server
from tests.support.returning_clients import Pairs, clients_of, pairs_of, users_file
from tests.support.runs import QUICK, Outcome, run, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES, DURATION = 8, 40, 2
#: Each way in which sessions end, and all return.
ENDS = {
    "storm": ("--storm-after", "0.5", "--storm-jitter", "0.6"),
    "flap": ("--flap", "0.15", "--storm-jitter", "0.4"),
    "flap, reset": ("--flap", "0.15", "--flap-how", "rst", "--storm-jitter", "0.4"),
    "flap, silent": ("--flap", "0.15", "--flap-how", "silent", "--storm-jitter", "0.4"),
    "session length": ("--session-length", "0.5"),
    "storm on two processes": (
        "--storm-after", "0.5", "--storm-jitter", "0.6", "--processes", "2",
    ),
    "flap on two processes": ("--flap", "0.15", "--storm-jitter", "0.4", "--processes", "2"),
}  # fmt: skip


def play(
    folder: Path,
    *arguments: str,
    faults: tuple[str, ...] = (),
    profile: str = "rooms-sse",
    changed: tuple[tuple[str, str], ...] = (),
) -> tuple[Outcome, Record, Pairs]:
    """Run with a client for each user, and compare the report with the record."""
    text = config_path(f"targets/{profile}.toml").read_text("utf-8")
    for old, new in changed:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "mine.toml").write_text(text, "utf-8")
    users, known = users_file(folder, CONNECTIONS)
    outcome, truth = run_against_target(
        folder / "run", *map(str, (CONNECTIONS, CODES, DURATION)), *QUICK, *users,
        "--target", str(folder / "mine.toml"), "--channels", "2", *arguments,
        faults=(*known, *faults),
    )  # fmt: skip
    assert len(clients_of(truth)) == CONNECTIONS
    pairs = pairs_of(truth)
    assert pairs.owed == CODES * CONNECTIONS // 2
    pairs.check(outcome.report["deliveries"])
    return outcome, truth, pairs


@pytest.mark.parametrize("end", ENDS)
def test_a_server_that_replays_the_gap_is_good(tmp_path: Path, end: str) -> None:
    outcome, truth, pairs = play(tmp_path, *ENDS[end])
    assert pairs.missing == pairs.replayed == 0
    assert truth.withheld == 0
    assert outcome.reasons == {}
    assert outcome.grade == "good"
    connections = outcome.report["connections"]
    assert connections["dropped"] == 0
    assert connections["replaced"] > 0
    if end != "session length":
        assert pairs.recovered > 0


def test_a_server_that_loses_the_gap_is_not_good(tmp_path: Path) -> None:
    outcome, truth, pairs = play(tmp_path, *ENDS["flap"], faults=("--lose-gap",))
    assert pairs.missing == truth.withheld > 0
    assert pairs.recovered == 0
    assert outcome.grade == "issues"
    assert outcome.status == 1


def test_a_server_with_a_short_history_loses_a_part(tmp_path: Path) -> None:
    outcome, _, pairs = play(tmp_path, *ENDS["storm"], faults=("--history", "3"))
    assert pairs.missing > 0
    assert pairs.recovered > 0
    assert outcome.grade != "good"


def test_a_server_that_replays_everything_is_told_apart(tmp_path: Path) -> None:
    _, truth, pairs = play(tmp_path, *ENDS["storm"], faults=("--replay-all",))
    assert pairs.missing == 0
    assert pairs.replayed > 0
    brought = pairs.replayed + pairs.recovered
    assert brought <= truth.replayed <= brought + pairs.joining


TRANSPORT = 'transport = "websocket"\n'
RESUMED = (TRANSPORT, TRANSPORT + 'guarantee = "resume"\n')
CAPTURE = '[resume]\ncapture = { offset = { field = "offset" } }\n'
SUBSCRIBE = '{ type = "subscribe", channel = "{channel}" }'
AGAIN = '{"type":"subscribe","channel":"{channel}","offset":{offset}}'
#: Ways in which a WebSocket tells the server the offset of what it had last, as changes of a
#: profile.
OFFSETS = {
    "in the query": (
        RESUMED,
        ("[code]\n", CAPTURE + 'query = { offset = "{offset}" }\n\n[code]\n'),
    ),
    "in a message": (
        RESUMED,
        (
            '"channel" = "{channel}" }\n\n#',
            f'"subscribe" = "message" }}\nsend = [{SUBSCRIBE}]\n\n#',
        ),
        ('"type" = "connected"', '"type" = "subscribed"'),
        ("[code]\n", CAPTURE + f"send = ['{AGAIN}']\n\n[code]\n"),
    ),
}


@pytest.mark.parametrize("way", OFFSETS)
@pytest.mark.parametrize("end", ["storm", "flap on two processes"])
def test_a_websocket_resumes_from_the_offset_of_its_last_message(
    tmp_path: Path, way: str, end: str
) -> None:
    outcome, truth, pairs = play(tmp_path, *ENDS[end], profile="rooms", changed=OFFSETS[way])
    assert pairs.missing == pairs.replayed == truth.withheld == 0
    assert pairs.recovered > 0
    assert outcome.reasons == {}


def test_a_server_that_ends_sessions_as_planned_is_good(tmp_path: Path) -> None:
    outcome, truth, pairs = play(
        tmp_path,
        changed=(('transport = "sse"\n', 'transport = "sse"\nplanned_ends = true\n'),),
        faults=("--drop", "0.5", "--drop-after", "5"),
    )
    connections = outcome.report["connections"]
    assert connections["planned_ends"] == truth.dropped > 0
    assert connections["dropped"] == pairs.missing == 0
    assert pairs.recovered > 0
    assert outcome.reasons == {}


@pytest.mark.parametrize("end", ["storm", "flap"])
def test_socketio_restores_the_state_of_clients_that_return(tmp_path: Path, end: str) -> None:
    text = config_path("targets/socketio.toml").read_text("utf-8")
    # A server does not notice at once that a client no longer polls, and restores nothing then.
    assert "# transports =" in text
    text = text.replace("# transports =", "transports =")
    (tmp_path / "mine.toml").write_text('guarantee = "resume"\n' + text, "utf-8")
    with socketio_server("node recovery") as server:
        host = server.url.replace("ws", "http", 1).partition("/socket.io")[0]
        outcome = run(
            tmp_path / "run", *map(str, (CONNECTIONS, CODES, DURATION)), *QUICK,
            "--target", str(tmp_path / "mine.toml"), "--host", host, *ENDS[end],
        )  # fmt: skip
    deliveries, connections = outcome.report["deliveries"], outcome.report["connections"]
    assert deliveries["owed"] == CONNECTIONS * CODES
    assert deliveries["missing"] == deliveries["duplicate"] == deliveries["replayed"] == 0
    assert deliveries["delivered"] == deliveries["owed"] - deliveries["recovered"]
    assert deliveries["recovered"] > 0
    assert connections["resumed"] == connections["replaced"]
    assert outcome.reasons == {}
