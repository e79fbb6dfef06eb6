"""Notes about clocks that are set during a run."""

from __future__ import annotations

from sseload_users.core.clock_steps import ClockStepLog, before_sent_note

S = 1_000_000_000


def test_a_step_is_noted_once_per_host() -> None:
    steps = ClockStepLog()
    first = steps.add("here", S, "worker 1 (here)")
    assert first is not None
    assert first.startswith("The clock of worker 1 (here) was set forward by 1.000 s during")
    assert steps.add("here", S + 1000, "worker 2 (here)") is None
    assert steps.add("there", S, "worker 3 (there)") is not None
    assert steps.worst_ns == S


def test_a_second_step_is_noted_again() -> None:
    steps = ClockStepLog()
    assert steps.add("here", S, "") is not None
    back = steps.add("here", -3 * S, "")
    assert back is not None
    assert back.startswith("The clock was set back by 3.000 s")
    assert steps.worst_ns == 3 * S


def test_early_arrivals_are_noted_with_the_clock_error() -> None:
    assert before_sent_note(1, 0.25) == (
        "1 code arrived before being sent, by more than the clocks' error of 0.250 ms: a clock "
        "was set, or is wrong."
    )
    assert before_sent_note(2, 0).startswith("2 codes arrived")
