"""Locust's time limit (`-t`), and whether a run's codes fit into it."""

from __future__ import annotations

from sseload_users.core.clock import wall_ns
from sseload_users.core.formatting import seconds
from sseload_users.core.schedule import Schedule
from sseload_users.options import Options
from sseload_users.report.account import Run


def clash(options: Options, run_time_s: float | None) -> str:
    """Return why a run cannot reach its end within a time limit; empty if it may.

    Args:
        options: the run's options.
        run_time_s: the limit, in seconds; None if there is none.
    """
    # How many steps a search takes is not known, and a duration that was left out is fitted.
    if not run_time_s or options.search or (options.duration is None and not options.ladder):
        return ""
    schedule = Schedule.spread(options.all_codes, options.duration_s)
    needed_s = (options.settle + schedule.length_s) * max(1, len(options.ladder))
    if needed_s < run_time_s:
        return ""
    return (
        f"-t ends the run after {seconds(run_time_s)}, before its last code: --settle and "
        f"--duration ask for {seconds(needed_s)} until then. Use a smaller --duration or a larger "
        "-t; otherwise the run will be incomplete."
    )


def left_s(run: Run) -> float | None:
    """Return the seconds until the time limit ends a run; None if it has none."""
    run_time_s = run.options.get("run_time")
    if not run_time_s:
        return None
    return max(0.0, float(run_time_s) - (wall_ns() - run.started_ns) / 1e9)


def fitted(schedule: Schedule, left: float, delivery_timeout_s: float) -> Schedule:
    """Return a schedule that ends early enough for its last code to arrive.

    Args:
        schedule: returned unchanged if it fits.
        left: seconds until the run ends.
        delivery_timeout_s: how long a code may take; at most half of what is left is kept for it.
    """
    return schedule.within(left - min(delivery_timeout_s, left / 2))
