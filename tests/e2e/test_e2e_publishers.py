"""Whole runs with several publishers, against the embedded target's record."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sseload_users.demo.record import Record
from tests.support.ground_truth import sequence_of
from tests.support.runs import QUICK, run, run_against_target

pytestmark = pytest.mark.e2e

TOKEN = "publishers"
SOCKET = ("--target", "code-server-socket", "--value", f"ingest_token={TOKEN}")


def users_file(folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "users.csv"
    path.write_text("username\nalice\nbob\n", "utf-8")
    return str(path)


def publishers_of(truth: Record) -> dict[int, set[int]]:
    """Return the codes of each connection that handed codes in."""
    found: dict[int, set[int]] = {}
    for each in truth.ingests:
        assert each.connection is not None
        found.setdefault(each.connection, set()).add(sequence_of(each.code))
    return found


@pytest.mark.parametrize("processes", ["1", "2"])
def test_publishers_with_connections_of_their_own_take_turns(
    tmp_path: Path, processes: str
) -> None:
    outcome, truth = run_against_target(
        tmp_path, "4", "4", "1", *QUICK, *SOCKET, "--publishers", "3",
        "--users-file", users_file(tmp_path / "users"),
        *(["--processes", processes] if processes != "1" else []),
        faults=("--ingest-token", TOKEN),
    )  # fmt: skip
    codes, deliveries = outcome.report["codes"], outcome.report["deliveries"]
    assert (codes["scheduled"], codes["accepted"]) == (12, 12)
    assert (deliveries["owed"], deliveries["delivered"]) == (48, 48)
    found = publishers_of(truth)
    assert sorted(map(sorted, found.values())) == [[1, 4, 7, 10], [2, 5, 8, 11], [3, 6, 9, 12]]
    by_first = sorted(found, key=lambda connection: min(found[connection]))
    assert [truth.connections[each].username for each in by_first] == ["alice", "bob", "alice"]
    said = "3 publishers send 4 codes each, 12 together: their rates add up."
    assert said in outcome.stderr
    assert outcome.grade == "good"


def test_publishers_hand_codes_in_by_http_as_users_in_turn(tmp_path: Path) -> None:
    outcome, truth = run_against_target(
        tmp_path, "3", "5", "1", *QUICK, "--publishers", "2", "--sender", "loadtest",
        "--users-file", users_file(tmp_path / "users"),
    )  # fmt: skip
    assert outcome.report["codes"]["accepted"] == 10
    assert Counter(sequence_of(each.code) for each in truth.ingests) == Counter(range(1, 11))
    assert outcome.grade == "good"


def test_listeners_that_emit_have_no_publishers(tmp_path: Path) -> None:
    profile = tmp_path / "chat.toml"
    profile.write_text(
        'transport = "websocket"\n[connect]\npath = "/"\n[code]\nfield = "code"\n'
        '[ingest]\nover = "listener"\nsend = { "code" = "{code}" }\n',
        "utf-8",
    )
    outcome = run(
        tmp_path, "2", "2", "1", "--target", str(profile), "--host", "http://127.0.0.1:9",
        "--publishers", "2",
    )  # fmt: skip
    assert outcome.status == 2
    (message,) = outcome.error_messages
    assert message.startswith("sseload: --publishers: in target ")
    assert message.endswith("chat.toml, the listeners emit the codes; leave it out.")
