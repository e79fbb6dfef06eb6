"""Find out how soon the latest codes reached the sessions that they were owed to; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.histogram import Histogram
from sseload_users.core.percentile_history import KEPT_CODES
from sseload_users.core.totals import Totals
from sseload_users.report.model import CodeReach, CodeRow


def latest_reach(
    per_code: Sequence[CodeRow],
    totals: Totals,
    summarize: Callable[[Histogram], LatencySummary] = Histogram.summary,
) -> list[CodeReach]:
    """Return the reach of the latest codes that are owed, as far as their latencies are kept.

    Args:
        per_code: rows of codes, in order of sequence.
        totals: the account.
        summarize: sums up a code's latencies.
    """
    owed = [row for row in per_code if row.owed][-KEPT_CODES:]
    return [
        CodeReach(seq=row.seq, owed=row.owed, delivery_ms=summarize(latencies))
        for row in owed
        if (latencies := totals.percentiles.histogram(row.seq)) is not None
    ]
