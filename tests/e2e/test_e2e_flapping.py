"""Connections that are lost on purpose, and sessions that the server ends as planned."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from sseload_users.core.config_path import config_path
from sseload_users.demo.record import Record
from tests.support.returning_clients import users_file
from tests.support.runs import QUICK, Outcome, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS = 6
#: What the server sees of a loss, by who ended the connection. One that was lost silently is closed
#: at the end of the run, with a reset if there is something unread.
SEEN = {"fin": {"client"}, "rst": {"network"}, "silent": {"client", "network"}}


def play(
    folder: Path, profile: str, *arguments: str, faults: tuple[str, ...] = ()
) -> tuple[Outcome, Record]:
    """Run with a profile, and with a user for each connection."""
    users, known = users_file(folder, CONNECTIONS)
    return run_against_target(
        folder / "run", str(CONNECTIONS), "20", "2", *QUICK, "--target", profile, *users,
        *arguments, faults=(*known, *faults),
    )  # fmt: skip


@pytest.mark.parametrize("how", SEEN)
@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_connections_flap_in_turn(tmp_path: Path, how: str, processes: tuple[str, ...]) -> None:
    outcome, truth = play(tmp_path, "websocket", "--flap", "0.1", "--flap-how", how, *processes)
    lost = [each for each in truth.connections.values() if each.closed_code is None]
    assert {each.closed_by for each in lost} <= SEEN[how]
    flap, connections = outcome.report["flap"], outcome.report["connections"]
    assert flap["how"] == how
    assert flap["ended"] == flap["back"] == flap["back_ms"]["count"] == len(lost)
    assert 14 <= len(lost) <= 24
    assert (connections["dropped"], connections["failed"]) == (0, 0)
    assert connections["replaced"] == len(lost)
    # All others ended with a close frame, at the end of the run.
    assert truth.opened == CONNECTIONS + len(lost)
    assert {each.closed_code for each in truth.connections.values()} == {None, 1000}
    # Each has had its turn before one has its second.
    times = [each.username for each in sorted(lost, key=lambda each: each.connection)]
    counts = [times.count(name) for name in set(times)]
    assert len(counts) == CONNECTIONS
    assert max(counts) - min(counts) <= (2 if processes else 1)
    assert outcome.reasons == {}
    assert f"Flapping {len(lost)} connections" in " ".join(outcome.stdout.split())


def test_a_flapping_client_of_socketio_says_no_goodbye(tmp_path: Path) -> None:
    outcome, truth = play(tmp_path, "code-server", "--flap", "0.3")
    lost = [each for each in truth.connections.values() if each.closed_code is None]
    assert outcome.report["flap"]["ended"] == len(lost) > 3
    assert outcome.reasons == {}


def planning(folder: Path, profile: str) -> str:
    """Return a copy of a profile whose server ends sessions as planned."""
    text = config_path(f"targets/{profile}.toml").read_text("utf-8")
    path = folder / "mine.toml"
    path.write_text(text.replace("\n\n", "\n\nplanned_ends = true\n", 1), "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("profile", "code", "planned"),
    [
        ("websocket", 1000, True),
        ("websocket", 1001, True),
        ("websocket", 1012, True),
        ("websocket", 1011, False),
        ("sse", 1001, True),
    ],
)
def test_a_planned_end_is_no_drop(tmp_path: Path, profile: str, code: int, planned: bool) -> None:
    outcome, truth = play(
        tmp_path, planning(tmp_path, profile), "--reconnect",
        faults=("--drop", "0.5", "--drop-after", "8", "--drop-code", str(code)),
    )  # fmt: skip
    connections = outcome.report["connections"]
    dropped = sum(each.dropped == "close" for each in truth.connections.values())
    assert dropped >= CONNECTIONS // 2
    assert connections["planned_ends"] == (dropped if planned else 0)
    assert connections["dropped"] == (0 if planned else dropped)
    # Who was dropped last may be waiting still.
    assert CONNECTIONS < connections["succeeded"] == truth.opened <= CONNECTIONS + dropped
    if planned:
        # An event stream is sent what came meanwhile, as its client has asked for it.
        assert set(outcome.reasons) == set()
        assert f"{dropped} ended as planned" in " ".join(outcome.stdout.split())
    else:
        assert "connections_dropped" in outcome.reasons


def test_without_a_return_at_once_it_was_a_drop(tmp_path: Path) -> None:
    outcome, truth = play(
        tmp_path, planning(tmp_path, "sse"), "--reconnect", "--connect-attempts", "9",
        "--duration", "4",
        faults=("--drop", "0.6", "--drop-after", "6", "--refuse", "0.4"),
    )  # fmt: skip
    planned = drops = 0
    for number in range(1, CONNECTIONS + 1):
        own = [each for each in truth.connections.values() if each.username == f"u{number}"]
        for each, following in pairwise(own):
            if each.dropped == "close":
                planned += following.refused is None
                drops += following.refused is not None
        planned += own[-1].dropped == "close"
    connections = outcome.report["connections"]
    assert (connections["planned_ends"], connections["dropped"]) == (planned, drops)
    assert planned > 0
    assert drops > 0
