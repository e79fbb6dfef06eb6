"""Channels in real runs: what each connection is owed, and what reaches it beside that."""

from __future__ import annotations

from pathlib import Path

import pytest

from sseload_users.demo.record import Record
from tests.support.runs import QUICK, Outcome, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES, CHANNELS = 12, 20, 4
TWO = ("--processes", "2")


def play(
    folder: Path, *arguments: str, faults: tuple[str, ...] = (), profile: str = "rooms"
) -> tuple[Outcome, Record]:
    """Run in channels, and compare the report with the record."""
    outcome, truth = run_against_target(
        folder, str(CONNECTIONS), str(CODES), "1", *QUICK, "--target", profile,
        "--channels", str(CHANNELS), *arguments, faults=faults,
    )  # fmt: skip
    deliveries = outcome.report["deliveries"]
    assert deliveries["owed"] == truth.subscribers
    assert deliveries["delivered"] == truth.sent
    assert deliveries["missing"] == truth.misrouted
    assert deliveries["leaked"] == truth.leaked
    assert deliveries["unexpected"] == deliveries["duplicate"] == 0
    return outcome, truth


@pytest.mark.parametrize("processes", [(), TWO])
@pytest.mark.parametrize("profile", ["rooms", "rooms-sse"])
def test_each_code_is_owed_to_its_channel(
    tmp_path: Path, profile: str, processes: tuple[str, ...]
) -> None:
    outcome, truth = play(tmp_path, *processes, profile=profile)
    assert truth.subscribers == CODES * CONNECTIONS // CHANNELS
    # In turn.
    channels = [code.channel for _, code in sorted(truth.codes.items())]
    assert [channels.count(f"c{number}") for number in range(1, 5)] == [CODES // CHANNELS] * 4
    assert outcome.grade == "good"
    assert outcome.status == 0


def test_sizes_and_order_differ(tmp_path: Path) -> None:
    _, truth = play(tmp_path, "--channel-sizes", "zipf", "--channel-order", "weighted")
    sizes = {code.channel: code.subscribers for code in truth.codes.values()}
    assert max(sizes.values()) > CONNECTIONS // CHANNELS


@pytest.mark.parametrize("processes", [(), TWO])
def test_leaks_are_counted(tmp_path: Path, processes: tuple[str, ...]) -> None:
    outcome, truth = play(tmp_path, *processes, faults=("--leak", "0.2"))
    assert truth.leaked
    assert outcome.reasons == {"isolation": "issues"}
    assert outcome.status == 1


@pytest.mark.parametrize("processes", [(), TWO])
def test_a_wrong_room_both_misses_and_leaks(tmp_path: Path, processes: tuple[str, ...]) -> None:
    outcome, truth = play(tmp_path, *processes, faults=("--wrong-room", "0.25"))
    assert truth.misrouted == truth.leaked == CODES // 4 * CONNECTIONS // CHANNELS
    assert outcome.reasons["isolation"] == "issues"
    assert outcome.reasons["codes_received"] == "issues"
