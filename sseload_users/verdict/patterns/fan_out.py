"""Patterns in the order in which connections receive a code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import StatisticsError, correlation, linear_regression, median

from sseload_users.core.formatting import ms
from sseload_users.verdict.patterns.buffering import buffered
from sseload_users.verdict.symptoms import Finding, Place, Symptoms

#: Share of the variance of arrivals that their order must explain, and of codes that show that:
#: a busy machine lets some arrive together.
_FITS, _MOST = 0.8, 0.5
#: Share of these codes whose slope is about the same, and by how much it may differ.
_STEADY, _ABOUT = 0.8, 0.25
#: Fewest connections whose order is compared, and fewest codes.
_MIN_PLACES, _MIN_FANS = 8, 3
#: Smallest slope of a fan-out that is worth a finding, in microseconds for each connection.
_FAN_US = 100.0
#: Fewest codes that show a pace, growth of a latency that is worth a finding, and how much later
#: slow readers have a code at least, in milliseconds: those that keep up have it a little later.
_MIN_PACES, _GROWTH_MS, _APART_MS = 5, 200.0, 500.0
#: Longest latency of the first code, as a share of that: until buffers are full, nobody waits.
_AT_FIRST = 0.25


def serial_fanout(symptoms: Symptoms) -> Finding | None:
    """Find that a broadcast takes a fixed time for each connection, one after the other."""
    fans = list(_fans(symptoms))
    fits = [(fit, slope_us) for fit, slope_us in fans if fit >= _FITS]
    if len(fits) < _MIN_FANS or len(fits) < _MOST * len(fans):
        return None
    slope_us = median(slope_us for _, slope_us in fits)
    steady = sum(abs(each - slope_us) <= _ABOUT * slope_us for _, each in fits)
    if steady < _STEADY * len(fits):
        return None
    if slope_us < _FAN_US or buffered(symptoms) is not None:
        return None  # buffers of different ages pass a code on in the same order each time
    return Finding(
        "serial_fanout",
        f"The server sends to one connection after the other, {slope_us / 1e3:.2g} ms each: with "
        f"10,000 connections, the last one would wait {slope_us / 100:.3g} s.",
        median(fit for fit, _ in fits),
        {"us_per_connection": round(slope_us, 1), "codes": len(fits)},
        "Look for what is done once for each connection in a broadcast: serialization, "
        "compression, a database query, an awaited send.",
    )


def _fans(symptoms: Symptoms) -> Iterator[tuple[float, float]]:
    """Yield how well the order of arrivals explains them, and the time for each connection.

    The order is that of an earlier code. The connections of all workers at a node have one.
    """
    nodes = {
        (worker, number): node
        for worker, evidence in symptoms.workers.items()
        for number, node in evidence.nodes.items()
    }
    by_code: dict[int, dict[int | None, dict[Place, int]]] = defaultdict(lambda: defaultdict(dict))
    for worker, evidence in symptoms.workers.items():
        for fan in evidence.fans:
            for number, arrival_us in fan.arrivals_us.items():
                place = worker, number
                by_code[fan.sequence][nodes.get(place)][place] = arrival_us
    codes = {code.sequence: code for code in symptoms.codes}
    ranks: dict[int | None, Mapping[Place, int]] = {}
    for sequence in sorted(by_code.keys() & codes.keys()):
        code, groups = codes[sequence], by_code[sequence]
        for node, arrivals in groups.items():
            before, ranks[node] = ranks.get(node, {}), _ranks(arrivals)
            both = [place for place in arrivals if place in before]
            if len(both) < _MIN_PLACES:
                continue
            try:
                fit = correlation(
                    [before[place] for place in both], [arrivals[place] for place in both]
                )
            except StatisticsError:  # all arrived at the same time
                fit = 0.0
            received = (code.owed - code.lost) / len(groups)
            yield max(fit, 0.0) ** 2, code.spread_us / received


def _ranks(arrivals: Mapping[Place, int]) -> Mapping[Place, int]:
    return {place: rank for rank, place in enumerate(sorted(arrivals, key=arrivals.__getitem__))}


def slow_consumer_blocks(symptoms: Symptoms) -> Finding | None:
    """Find that the server waits for slow readers, so that the others wait as long.

    Once the buffers on the way are full, codes reach the others no faster than the slow ones read
    them. A server that is only too slow makes all of them wait alike.
    """
    paces = symptoms.paces
    grown_us = 0.2 * max((each.fast_us for each in paces), default=0)
    start_us = next((each.fast_us for each in paces), 0)
    later = [each for each in paces if each.fast_us >= grown_us]
    sent_s = {code.sequence: code.sent_s for code in symptoms.codes}
    later = [each for each in later if each.sequence in sent_s]
    if len(later) < _MIN_PACES or symptoms.account.generator.saturated:
        return None
    times = [sent_s[each.sequence] for each in later]
    fast = _slope(times, [each.fast_us / 1e3 for each in later])
    slow = _slope(times, [each.slow_us / 1e3 for each in later])
    worst_ms = max(each.fast_us for each in later) / 1e3
    behind_ms = median(each.slow_us - each.fast_us for each in later) / 1e3
    if (
        fast is None
        or slow is None
        or worst_ms - start_us / 1e3 < max(_GROWTH_MS, 2 * start_us / 1e3)
        or behind_ms < _APART_MS
        or start_us / 1e3 > _AT_FIRST * behind_ms
        or not 0.5 <= fast[0] / slow[0] <= 2
        or fast[1] < _FITS
    ):
        return None
    return Finding(
        "slow_consumer_blocks",
        f"The latency of the other connections follows that of the slow readers: it grows from "
        f"{ms(start_us / 1e3)} to {ms(worst_ms)} ms, as fast as theirs, {ms(behind_ms)} ms behind "
        "which it stays.",
        fast[1],
        {
            "from_ms": round(start_us / 1e3, 1),
            "to_ms": round(worst_ms, 1),
            "behind_ms": round(behind_ms, 1),
            "growth_fast": round(fast[0], 2),
            "growth_slow": round(slow[0], 2),
        },
        "The server waits until a slow client has taken a message before it serves the next one: "
        "give each client a queue of its own, with a limit, and close those that fall behind.",
    )


def _slope(times_s: Sequence[float], latencies_ms: Sequence[float]) -> tuple[float, float] | None:
    """Return the growth of a latency, in ms for each second, and its fit; None unless it grows."""
    try:
        slope = linear_regression(times_s, latencies_ms).slope
        fit = correlation(times_s, latencies_ms) ** 2
    except StatisticsError:
        return None
    return (slope, fit) if slope > 0 else None
