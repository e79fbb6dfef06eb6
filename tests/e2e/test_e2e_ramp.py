"""How connections are opened: as --spawn-rate says, against the target's record."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.support.runs import run_against_target

pytestmark = pytest.mark.e2e

CONNECTIONS, RATE = 40, 40


def test_connects_are_spread_over_the_second_and_the_report_has_their_rates(tmp_path: Path) -> None:
    outcome, truth = run_against_target(
        tmp_path,
        *("-u", str(CONNECTIONS + 1), "-r", str(RATE), "--codes", "2", "--duration", "1"),
        *("--connect-concurrency", "2"),
    )
    assert outcome.status == 0, outcome
    connections = outcome.report["connections"]
    opened = sorted(each.opened_ns or 0 for each in truth.connections.values())
    assert len(opened) == connections["succeeded"] == CONNECTIONS
    # None came before it was due; only a busy machine makes one late.
    for number, at_ns in enumerate(opened):
        assert at_ns - opened[0] > (number / RATE - 0.2) * 1e9
    # By its end, an interval has as many connects as the server had seen by then, or nearly.
    began = datetime.fromisoformat(outcome.report["run"]["started_at"]).timestamp()
    connects = 0
    for point in outcome.report["timeline"]:
        connects += point["connected"]
        seen = sum(at_ns / 1e9 < began + point["t"] for at_ns in opened)
        assert abs(connects - seen) <= RATE / 4, point
    ramp = connections["ramp"]
    assert ramp["offered_per_s"] == pytest.approx(RATE, rel=0.05)
    seen_per_s = (CONNECTIONS - 1) * 1e9 / (opened[-1] - opened[0])
    assert ramp["achieved_per_s"] == pytest.approx(seen_per_s, rel=0.2)
    assert (ramp["limited_by"] is None) == (ramp["achieved_per_s"] >= 0.9 * ramp["offered_per_s"])
    assert connections["connect_parts"]["queue_ms"]["count"] == CONNECTIONS
