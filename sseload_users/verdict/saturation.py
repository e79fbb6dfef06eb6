"""Whether the generator kept up with the planned load, and what to do if not."""

from __future__ import annotations

from collections.abc import Sequence

from sseload_users.core.figures import GeneratorFigures
from sseload_users.core.formatting import NOTABLE_WAIT, count, ms
from sseload_users.verdict.reasons import Reason, make_reason

#: A generator is saturated if it was this busy (using a core, or waiting for one) for this share
#: of the time in which codes were in flight; if it read or sent so late, or one of its processes
#: stood still for so long, that the load was not as planned; or if it read so rarely that the
#: lateness of a delivery is in doubt.
_BUSY_PERCENT, _BUSY_SHARE, _BUSY_AT_LEAST_S = 90.0, 0.2, 3
LATE_MS = 1000.0

#: The advice depends on whether it used up a core or waited for one this long.
_STARVED_PERCENT = 20.0
_FULL = "use more workers (--processes -1) or machines, or fewer connections"
_STARVED = (
    "the generator waited for a core while other processes ran (other programs, more workers than "
    "cores, a server on the same machine), or a CPU limit throttled it: give it more cores, or a "
    "machine of its own"
)
_SUSPENDED = (
    "one of its processes stood still: look for what suspended it (another program, swapping, a "
    "paused container or virtual machine) and repeat the run"
)


def is_saturated(
    busy_percent: Sequence[float],
    lag_p99_ms: float | None,
    slip_p99_ms: float | None,
    stalled_ms: float | None,
    in_doubt: int,
) -> bool:
    """Whether the generator was too busy for its load.

    Args:
        busy_percent: time that its busiest process used a core or waited for one, in percent
            of each second in which codes were in flight.
        lag_p99_ms: 99th percentile of its lag; None if nothing was read.
        slip_p99_ms: 99th percentile of the schedule's slip; None if nothing was sent.
        stalled_ms: longest stall of one of its processes while codes were in flight; None if
            unknown.
        in_doubt: deliveries that came in time, or late by less than the stamp error.
    """
    busy = sum(each >= _BUSY_PERCENT for each in busy_percent)
    return (
        (busy >= _BUSY_AT_LEAST_S and busy >= _BUSY_SHARE * len(busy_percent))
        or (lag_p99_ms or 0) > LATE_MS
        or (slip_p99_ms or 0) > LATE_MS
        or stood_still(stalled_ms)
        or in_doubt > 0
    )


def stood_still(stalled_ms: float | None) -> bool:
    """Whether a process stood still for so long that the load was not as planned."""
    return (stalled_ms or 0) > LATE_MS


def judge_generator(generator: GeneratorFigures) -> Reason:
    """Return the reason about the generator."""
    cpu, lag = generator.cpu_percent_max, generator.lag_ms.p99
    waited = generator.waited_percent_max or 0.0
    figures = [] if cpu is None else [f"CPU up to {cpu:.0f} %"]
    if waited >= NOTABLE_WAIT:
        figures.append(f"waited for a core up to {waited:.0f} %")
    if lag is not None:
        figures.append(f"lag p99 {ms(lag)} ms")
    still = stood_still(generator.stalled_ms)
    if still:
        figures.append(f"stalled for up to {ms(generator.stalled_ms)} ms")
    measured = ", ".join(figures) or "not measured"
    if not generator.saturated:
        kept = f"The generator kept up ({measured})."
        return make_reason("generator", "good", kept, measured=measured)
    error = generator.stamp_error_ms
    within = f" within {ms(error.max)} ms" if error.count else ""
    effect = (
        f"latencies remain accurate{within}, as the kernel stamped the arrivals, but the load may "
        "have been lighter than planned"
        if generator.timestamps == "kernel"
        else "the latencies include its own delay"
    )
    if generator.imprecise:
        which = count(generator.imprecise, "delivery", "deliveries")
        effect += f". The latencies of {which} may be too long by more than 100 ms"
    if in_doubt := generator.in_doubt:
        effect += (
            f". It read too rarely to tell whether {count(in_doubt, 'delivery', 'deliveries')} "
            "came in time; they count as delivered"
        )
    advice = _FULL
    if waited >= _STARVED_PERCENT:
        advice = _STARVED
    elif still:
        advice = _SUSPENDED
    what = "did not keep up" if still else "was saturated"
    return make_reason(
        "generator",
        "warning",
        f"The generator {what} ({measured}): {effect}.",
        measured=measured,
        hint=f"This is not the server's fault: {advice}.",
    )
