"""Patterns in time: when codes are lost, sessions end, and messages come."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from statistics import StatisticsError, correlation, linear_regression, median, pstdev

from sseload_users.core.evidence import Drop
from sseload_users.core.formatting import count, ms, share
from sseload_users.verdict.patterns.loss_matrix import LossMatrix
from sseload_users.verdict.symptoms import Finding, Symptoms

_EXPLAINS, _SPARES = 0.8, 0.05
#: Fewest drops that show a pattern.
_MIN_DROPS = 5
#: Fewest codes after a moment, which show that it is over.
_MIN_AFTER = 2
#: Fewest codes that show a trend.
_MIN_CODES = 8
#: Sessions that end within so many milliseconds end at one moment.
_MOMENT_MS = 300
#: Growth over the run that is worth a finding, in milliseconds, and as a multiple of the start.
_GROWTH_MS, _GROWTH = 200.0, 3.0
#: Share of a line's variance that it must explain.
_FITS = 0.8


def one_moment(symptoms: Symptoms, _: LossMatrix) -> Finding | None:
    """Find a window of time into which nearly all losses fall."""
    codes = [code for code in symptoms.codes if code.owed]
    total = sum(code.lost for code in codes)
    lossy = [at for at, code in enumerate(codes) if code.lost >= 0.2 * code.owed]
    if len(lossy) < 2 or not total:
        return None
    window = codes[lossy[0] : lossy[-1] + 1]
    after = codes[lossy[-1] + 1 :]
    outside = [*codes[: lossy[0]], *after]
    lost = sum(code.lost for code in window)
    if (
        lossy[0] == 0  # it may be the sessions that were new
        or len(after) < _MIN_AFTER
        or len(outside) < max(4, 2 * len(window))
        or len(window) > 2 * len(lossy)
        or lost < _EXPLAINS * total
        or lost < 0.5 * sum(code.owed for code in window)
        or total - lost > _SPARES * sum(code.owed for code in outside)
    ):
        return None
    first_s, last_s = window[0].sent_s, window[-1].sent_s
    return Finding(
        "one_moment",
        f"{share(lost, total)} of the losses are codes that were sent from {first_s:.1f} to "
        f"{last_s:.1f} s after the run's start{_also(symptoms, first_s, last_s)}; before and "
        "after, all is well.",
        lost / total,
        {"from_s": round(first_s, 1), "to_s": round(last_s, 1), "codes": len(window)},
        "Look at what the server's log and its machine's figures say of that moment: a restart, a "
        "deploy, a failover, a long pause.",
    )


def _also(symptoms: Symptoms, first_s: float, last_s: float) -> str:
    """Say how many sessions of the sample ended at that moment."""
    dropped = sum(
        first_s - 2 <= drop.at_ms / 1e3 - symptoms.started_ns / 1e9 <= last_s + 2
        for drop in symptoms.drops
    )
    return f", when {count(dropped, 'session')} of the sample ended" if dropped else ""


def session_age(symptoms: Symptoms) -> Finding | None:
    """Find that sessions end at one age."""
    drops = symptoms.drops
    ages_s = [drop.age_ms / 1e3 for drop in drops]
    found = _constant(ages_s)
    if found is None:
        return None
    age_s, own = found
    began_s = [drop.at_ms / 1e3 - age for drop, age in zip(drops, ages_s, strict=True)]
    # Sessions that began together and are all cut at once have one age, too.
    together = pstdev(began_s) <= 2 * pstdev(ages_s)
    if together or _is_closer([drop.idle_ms / 1e3 for drop in drops], ages_s):
        return None
    if _with_a_code(symptoms):
        return None
    return Finding(
        "session_age",
        f"Sessions end {age_s:.1f} s after they were subscribed ({share(own, len(drops))} of "
        f"{count(len(drops), 'drop')} in the sample).",
        own / len(drops),
        {"seconds": round(age_s, 1), "drops": len(drops), **_when(symptoms)},
        "Something limits the lifetime of a connection: a balancer's or server's maximum, or a "
        "token that expires.",
    )


def idle_cut(symptoms: Symptoms) -> Finding | None:
    """Find that sessions end a certain time after their last message."""
    drops = symptoms.drops
    found = _constant([drop.idle_ms / 1e3 for drop in drops])
    if found is None:
        return None
    idle_s, own = found
    ages_s = [drop.age_ms / 1e3 for drop in drops]
    nothing = all(drop.idle_ms == drop.age_ms for drop in drops)
    if not nothing and _is_closer(ages_s, [drop.idle_ms / 1e3 for drop in drops]):
        return None
    if _at_once(drops):
        return None  # that may have had any cause
    return Finding(
        "idle_cut",
        f"Sessions end {idle_s:.1f} s after they last received something "
        f"({share(own, len(drops))} of {count(len(drops), 'drop')} in the sample).",
        own / len(drops),
        {"seconds": round(idle_s, 1), "drops": len(drops), **_when(symptoms)},
        "A proxy or balancer closes idle connections: raise its timeout, or send pings more often "
        "than that ([[upkeep]] in the profile, if real clients do)."
        + (
            " As these sessions received nothing, their lifetime may be limited instead."
            if nothing
            else ""
        ),
    )


def falling_behind(symptoms: Symptoms) -> Finding | None:
    """Find that latency grows from code to code."""
    codes = [code for code in symptoms.codes if code.p50_ms is not None]
    if len(codes) < _MIN_CODES or symptoms.account.generator.saturated:
        return None
    latencies = [code.p50_ms or 0.0 for code in codes]
    places = list(range(len(codes)))
    try:
        slope_ms = linear_regression(places, latencies).slope
        fit = correlation(places, latencies) ** 2
    except StatisticsError:
        return None
    start_ms = median(latencies[: max(2, len(codes) // 8)])
    growth_ms = slope_ms * (len(codes) - 1)
    if fit < _FITS or growth_ms < max(_GROWTH_MS, _GROWTH * start_ms):
        return None
    interval_ms = 1e3 * (codes[-1].sent_s - codes[0].sent_s) / (len(codes) - 1)
    rate = 1e3 / (interval_ms + slope_ms)
    offered = f"{1e3 / interval_ms:.3g} a second" if interval_ms else "all at once"
    return Finding(
        "falling_behind",
        f"The latency grows by {ms(slope_ms)} ms from each code to the next: the server takes "
        f"{rate:.3g} codes a second to so many connections, and {offered} were sent.",
        fit,
        {"ms_per_code": round(slope_ms, 2), "codes_per_second": round(rate, 3)},
        "The server's queue only grows at this rate: look at its CPU, at what a broadcast costs "
        "for each connection, and at serial sending.",
    )


def _constant(values_s: Sequence[float]) -> tuple[float, int] | None:
    """Return the value that most have nearly, and how many; None if there is none."""
    if len(values_s) < _MIN_DROPS:
        return None
    middle = median(values_s)
    own = sum(abs(each - middle) <= _tolerance(middle) for each in values_s)
    return (middle, own) if middle >= 0.5 and own >= _EXPLAINS * len(values_s) else None


def _when(symptoms: Symptoms) -> dict[str, float]:
    """Return when the first and the last session of the sample ended, as evidence."""
    times_s = [drop.at_ms / 1e3 - symptoms.started_ns / 1e9 for drop in symptoms.drops]
    return {"from_s": round(min(times_s), 1), "to_s": round(max(times_s), 1)}


def _at_once(drops: Sequence[Drop]) -> bool:
    """Whether most sessions ended at one moment."""
    at_ms = sorted(drop.at_ms for drop in drops)
    most = max(bisect_right(at_ms, each + _MOMENT_MS) - at for at, each in enumerate(at_ms))
    return 3 * most > 2 * len(drops)


def _is_closer(others_s: Sequence[float], values_s: Sequence[float]) -> bool:
    """Whether other values are constant, too, and not clearly less so than these."""
    return _constant(others_s) is not None and _deviation(others_s) <= 2 * _deviation(values_s)


def _deviation(values_s: Sequence[float]) -> float:
    middle = median(values_s)
    return median(abs(each - middle) for each in values_s)


def _with_a_code(symptoms: Symptoms) -> bool:
    """Whether most sessions ended just when a code arrived: then it is not their age."""
    codes, drops = symptoms.codes, symptoms.drops
    if len(codes) < 2:
        return False
    interval_ms = 1e3 * (codes[-1].sent_s - codes[0].sent_s) / (len(codes) - 1)
    return sum(drop.idle_ms <= 0.1 * interval_ms for drop in drops) >= 0.5 * len(drops)


def _tolerance(seconds: float) -> float:
    """Return how far a time may be from another that is the same, for timers are not exact."""
    return max(min(0.3, 0.1 * seconds), 0.02 * seconds)
