"""Locust's time limit: codes that fit into it, and codes that cannot."""

from __future__ import annotations

from typing import Any

import pytest

from sseload_users.core.clock import wall_ns
from sseload_users.core.formatting import seconds
from sseload_users.core.schedule import Schedule
from sseload_users.options import Options
from sseload_users.run import time_limit
from tests.support import lives


@pytest.mark.parametrize(
    ("run_time", "given", "needed"),
    [
        # Ten codes in 60 s: the last one is due after 54 s, with the settle time after 55 s.
        (None, {"duration": 60.0}, ""),
        (56, {"duration": 60.0}, ""),
        (55, {"duration": 60.0}, "55 s"),
        (20, {"duration": 60.0}, "55 s"),
        (20, {"duration": 60.0, "codes": 1, "settle": 30.0}, "30 s"),
        # A duration that was left out is fitted, but not in the steps of a ladder.
        (20, {}, ""),
        (20, {"ladder": (5, 10)}, "110 s"),
        (20, {"ladder": (5, 10), "duration": 5.0}, ""),
        # Nobody knows how long a search takes.
        (1, {"search": "connections", "duration": 60.0}, ""),
    ],
)
def test_a_clash_is_found_before_the_run(
    run_time: float | None, given: dict[str, Any], needed: str
) -> None:
    said = time_limit.clash(Options(**given), run_time)
    if not needed:
        assert said == ""
    else:
        assert said.startswith(
            f"-t ends the run after {seconds(run_time or 0)}, before its last code"
        )
        assert f"ask for {needed} until then" in said


def test_what_is_left_of_a_limit() -> None:
    run = lives.live(lives.account(1), 1).run
    run.started_ns = wall_ns()
    assert time_limit.left_s(run) is None
    run.options = {**run.options, "run_time": 20}
    assert time_limit.left_s(run) == pytest.approx(20, abs=5)
    run.started_ns -= 60_000_000_000
    assert time_limit.left_s(run) == 0


@pytest.mark.parametrize(
    ("left", "timeout", "length"),
    [
        (100, 10, 54),  # it fits as it is
        (70, 10, 54),
        (50, 10, 36),  # 40 s, of which one interval follows the last code
        (18, 10, 8.1),  # half of what is left
        (0, 10, 0),
    ],
)
def test_codes_are_spread_over_what_is_left(left: float, timeout: float, length: float) -> None:
    fitted = time_limit.fitted(Schedule.spread(10, 60), left, timeout)
    assert fitted.codes == 10
    assert fitted.length_s == pytest.approx(length)
