"""Build the run's timeline from its account; pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from sseload_users.core.second import Second, highest
from sseload_users.core.totals import Totals
from sseload_users.report.model import TimelinePoint

_S = 1_000_000_000

#: Most points of the timeline; of a longer run, several seconds share one.
POINTS = 1800

#: Seconds after which all workers have reported a second of the run in full.
_FINAL_AFTER_S = 60

#: Points that are computed in a few milliseconds, however many seconds share one.
_WITHOUT_PAUSE = 50

#: Points of the timeline by their first and last second.
Points = dict[tuple[int, int], TimelinePoint]


def timeline(
    started_ns: int,
    totals: Totals,
    *,
    until_ns: int | None = None,
    known: Points | None = None,
    pause: Callable[[], None] = lambda: None,
) -> list[TimelinePoint]:
    """Return the run over time: a point per second, or less often in a long run.

    Args:
        started_ns: when the run began (wall clock, ns).
        totals: the account.
        until_ns: leave out the seconds after this time, which are not reported in full yet.
        known: points of an earlier call. Those that do not change any more are reused, and it
            is updated.
        pause: called every few milliseconds.
    """
    seconds = totals.tally.seconds
    unix_s = sorted(seconds)
    last = (unix_s or [0])[-1] if until_ns is None else until_ns // _S
    unix_s = unix_s[bisect_left(unix_s, started_ns // _S) : bisect_right(unix_s, last)]
    step = -(-len(unix_s) // POINTS) if unix_s else 1
    points: Points = {}
    for at in range(0, len(unix_s), step):
        part = unix_s[at : at + step]
        key = part[0], part[-1]
        point = known.get(key) if known is not None and part[-1] < last - _FINAL_AFTER_S else None
        if point is None and len(points) % _WITHOUT_PAUSE == 0:
            pause()
        points[key] = point or _point(started_ns, part, seconds, totals)
    if known is not None:
        known.clear()
        known.update(points)
    return list(points.values())


def _point(
    started_ns: int, unix_s: Sequence[int], seconds: Mapping[int, Second], totals: Totals
) -> TimelinePoint:
    own = [seconds[each] for each in unix_s]
    last = own[-1]
    percentiles = [totals.percentiles.second(each) for each in unix_s]
    return TimelinePoint(
        t=round(max(0.0, unix_s[-1] + 1 - started_ns / _S), 3),
        open=last.open,
        connecting=last.connecting,
        connected=sum(each.connected for each in own),
        failed=sum(each.failed for each in own),
        dropped=sum(each.dropped for each in own),
        ended=max(0, sum(each.dropped + each.planned for each in own)),
        sent=sum(each.sent for each in own),
        received=sum(each.received for each in own),
        # Where several seconds share a point: the middle one's median, the worst one's others.
        p50_ms=_middle(each.delivery.p50 for each in percentiles),
        p90_ms=highest(each.delivery.p90 for each in percentiles),
        p95_ms=highest(each.delivery.p95 for each in percentiles),
        p99_ms=highest(each.delivery.p99 for each in percentiles),
        max_ms=highest(each.delivery.max for each in percentiles),
        latencies=_ranges(each.ranges for each in percentiles),
        errors=sum(each.errors for each in own),
        lag_p99_ms=highest(each.lag.p99 for each in percentiles),
        stall_ms=max(each.stall_us for each in own) / 1000,
        cpu_percent=max(each.cpu_percent for each in own),
        waited_percent=highest(each.waited_percent for each in own),
        rss_mib=round(max(each.rss_mib for each in own), 1),
    )


def _ranges(parts: Iterable[Sequence[int]]) -> list[int]:
    """Return the sum of some ranges of latencies."""
    total: Counter[int] = Counter()
    for part in parts:
        total.update(dict(zip(part[::2], part[1::2], strict=True)))
    return [number for pair in sorted(total.items()) for number in pair]


def _middle(values: Iterable[float | None]) -> float | None:
    known = sorted(each for each in values if each is not None)
    return known[(len(known) - 1) // 2] if known else None
