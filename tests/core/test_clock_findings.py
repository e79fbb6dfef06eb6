"""What is said of clocks that are set while a run goes on."""

from __future__ import annotations

from sseload_users.core.clock_findings import ClockFindings, came_early

S = 1_000_000_000


def test_a_host_is_told_of_once_however_many_processes_it_has() -> None:
    findings = ClockFindings()
    first = findings.was_set("here", S, "worker 1 (here)")
    assert first is not None
    assert first.startswith("The clock of worker 1 (here) was set forward by 1.000 s during")
    assert findings.was_set("here", S + 1000, "worker 2 (here)") is None
    assert findings.was_set("there", S, "worker 3 (there)") is not None
    assert findings.worst_ns == S


def test_a_clock_that_is_set_again_is_told_of_again() -> None:
    findings = ClockFindings()
    assert findings.was_set("here", S, "") is not None
    back = findings.was_set("here", -3 * S, "")
    assert back is not None
    assert back.startswith("The clock was set back by 3.000 s")
    assert findings.worst_ns == 3 * S


def test_what_came_early_is_told_with_the_error_of_the_clocks() -> None:
    assert came_early(1, 0.25) == (
        "1 code arrived before being sent, by more than the clocks' error of 0.250 ms: a clock "
        "was set, or is wrong."
    )
    assert came_early(2, 0).startswith("2 codes arrived")
