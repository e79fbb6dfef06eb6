"""What would be lost in a large sum, or in another figure, is judged by a rule of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import QUICK, Outcome, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

WEBSOCKET = (*QUICK, "--target", "websocket")


def reason(outcome: Outcome, rule: str) -> dict[str, Any]:
    """Return the reason that a rule gives."""
    (found,) = (each for each in outcome.report["verdict"]["reasons"] if each["rule"] == rule)
    return dict(found)


def test_many_codes_do_not_dilute_a_refused_share(tmp_path: Path) -> None:
    outcome, truth = run_against_target(
        tmp_path, "150", "500", "3", *WEBSOCKET, faults=("--refuse", "0.04")
    )
    assert sum(each.refused is not None for each in truth.connections.values()) == 6
    assert outcome.report["connections"]["failed"] == 6
    assert outcome.report["errors"]["error_rate"] < 0.01
    found = reason(outcome, "error_rate")
    assert found["grade"] == outcome.grade == "warning"
    assert found["sentence"].startswith("6 of 150 connect attempts failed (4 %)")


def test_a_health_check_that_fails_in_mid_run_is_seen(tmp_path: Path) -> None:
    outcome, _ = run_against_target(
        tmp_path, "3", "8", "4", *WEBSOCKET, "--watch-health", faults=("--unhealthy-after", "2")
    )
    health = outcome.report["health"]
    assert 0 < health["failed"] < health["checks"]
    assert [(each["cause"], each["count"]) for each in health["causes"]] == [
        ("HTTP 503", health["failed"])
    ]
    # Everything else was well.
    assert set(outcome.reasons) == {"health"}
    assert outcome.grade != "good"


def test_codes_that_are_owed_to_nobody_are_seen(tmp_path: Path) -> None:
    outcome, truth = run_against_target(
        tmp_path, "1", "4", "2", *WEBSOCKET, faults=("--drop", "1", "--drop-after", "2")
    )
    nobody = sum(not code.subscribers for code in truth.codes.values())
    assert outcome.report["codes"]["unowed"] == nobody == 2
    assert outcome.report["deliveries"]["delivered"] == outcome.report["deliveries"]["owed"] == 2
    assert "codes_owed" in outcome.reasons
    assert (
        "2 codes of 4 went out while no session was subscribed"
        in (reason(outcome, "codes_owed")["sentence"])
    )
    assert "every connected client got every code" not in outcome.stdout.lower()
