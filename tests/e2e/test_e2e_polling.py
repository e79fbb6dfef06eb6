"""Runs of clients that poll first, against the embedded target's record of the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from sseload_users.core.config_path import config_path
from tests.support.ground_truth import expected_figures, reported_figures
from tests.support.runs import QUICK, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES = 30, 6
FAULTS = ("--lose", "0.1", "--duplicate", "0.1", "--drop", "0.2", "--drop-after", "3")


def profile(folder: Path, transports: str) -> str:
    """Write the code server's profile with other transports; return its path."""
    text = config_path("targets/code-server.toml").read_text("utf-8")
    changed = text.replace('transports = ["websocket", "polling"]', f"transports = {transports}")
    assert changed != text
    path = folder / "polling.toml"
    path.write_text(changed, "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("transports", "faults", "more"),
    [
        ('["polling", "websocket"]', (), ("--processes", "2")),
        ('["polling"]', (), ()),
        ('["polling", "websocket"]', FAULTS, ()),
        ('["polling"]', FAULTS, ()),
    ],
    ids=("upgraded", "polling", "upgraded, with faults", "polling, with faults"),
)
def test_the_account_is_the_targets(
    tmp_path: Path, transports: str, faults: tuple[str, ...], more: tuple[str, ...]
) -> None:
    outcome, truth = run_against_target(
        tmp_path / "run",
        str(CONNECTIONS), str(CODES), "2", "-r", "100", *QUICK, *more,
        "--target", profile(tmp_path, transports),
        faults=faults,
    )  # fmt: skip
    report = outcome.report
    figures = expected_figures(report, truth, scheduled=CODES)
    figures["deliveries"]["foreign"] += CONNECTIONS  # the greeting is an event
    assert reported_figures(report, figures) == figures
    over = "websocket" in transports
    polling = report["connections"]["polling"]
    assert polling == {
        "sessions": CONNECTIONS,
        "upgraded": CONNECTIONS * over,
        "failed": 0,
        "causes": [],
    }
    upgraded = [each for each in truth.connections.values() if each.upgraded_ns]
    assert len(upgraded) == polling["upgraded"]
    notes = [note for note in report["run"]["notes"] if "polling" in note]
    assert len(notes) == (not over)
    assert f"{CONNECTIONS} polled first" in outcome.stdout
    if not faults:
        assert (outcome.status, outcome.reasons) == (0, {}), outcome.stderr
