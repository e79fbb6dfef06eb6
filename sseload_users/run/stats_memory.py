"""The memory of Locust's own statistics, which grow with every second of a run."""

from __future__ import annotations

import time
from collections import defaultdict

import gevent
from locust.env import Environment
from locust.stats import RequestStats

#: Seconds from one look at the statistics to the next.
_EVERY_S = 60.0
#: Seconds of which the numbers of requests are kept: Locust's rates look at the last 12.
_KEPT_S = 300
#: Points of the history that are kept where nothing shows it, one each 5 s.
_KEPT_POINTS = 720


def keep_small(environment: Environment) -> None:
    """Drop what Locust has no more use for, again and again; for a greenlet.

    In eight hours, it would take more memory than the account of the run.
    """
    options = environment.parsed_options
    while True:
        gevent.sleep(_EVERY_S)
        shown = environment.web_ui is not None or getattr(options, "html_file", None)
        drop_old(environment.stats, keep_history=bool(shown))


def drop_old(stats: RequestStats, *, keep_history: bool) -> None:
    """Drop the numbers of requests in each second but for the last minutes.

    Args:
        stats: Locust's statistics.
        keep_history: whether Locust shows its history, in its web UI or its report.
    """
    since = int(time.time()) - _KEPT_S
    for entry in (stats.total, *stats.entries.values()):
        for name in ("num_reqs_per_sec", "num_fail_per_sec"):
            numbers: dict[int, int] = getattr(entry, name)
            if min(numbers, default=since) < since:
                kept = {second: many for second, many in numbers.items() if second >= since}
                setattr(entry, name, defaultdict(int, kept))
    if not keep_history:
        del stats.history[:-_KEPT_POINTS]
