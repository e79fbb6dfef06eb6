"""The figures of all seconds of a run, in little memory."""

from __future__ import annotations

import math
from array import array
from operator import attrgetter

from sseload_users.core.archive import Archive, Row
from sseload_users.core.percentiles import (
    FOLDED,
    PACKED_PERCENTILES,
    Percentiles,
    SecondPercentiles,
)
from sseload_users.core.second import Second

_COUNTS = (
    "open", "connecting", "connected", "failed", "dropped", "planned", "sent", "received",
    "errors", "stall_us",
)  # fmt: skip
_MEASURES = ("cpu_percent", "busy_percent", "rss_mib")
_COLUMNS = {
    **dict.fromkeys(_COUNTS, "q"),
    **dict.fromkeys((*_MEASURES, "waited_percent"), "d"),
    **{f"delivery_{name}": code for name, code in PACKED_PERCENTILES.items()},
    **{f"lag_{name}": code for name, code in PACKED_PERCENTILES.items()},
    # Where its ranges are, and how many numbers they have.
    "ranges_at": "Q",
    "ranges": "H",
}
_NUMBERS = len(_COUNTS) + len(_MEASURES)
#: The columns from which on a row does not change any more.
_PERCENTILES = _NUMBERS + 1
_numbers = attrgetter(*_COUNTS, *_MEASURES)


class SecondArchive(Archive[Second]):
    """Seconds since the Unix epoch. Of the latencies of archived ones, percentiles are kept."""

    def __init__(self) -> None:
        super().__init__(_COLUMNS)
        self._ranges = array("I")

    def percentiles(self, second: int) -> SecondPercentiles | None:
        """Return the percentiles of a second when it was archived; None if it was not."""
        row = self.archived_row(second)
        if row is None:
            return None
        *percentiles, at, many = row[_PERCENTILES:]
        middle = len(PACKED_PERCENTILES)
        return SecondPercentiles(
            Percentiles.unpack(percentiles[:middle]),
            Percentiles.unpack(percentiles[middle:]),
            self._ranges[int(at) : int(at + many)],
        )

    def _pack(self, each: Second, before: Row | None) -> Row:
        waited = math.nan if each.waited_percent is None else each.waited_percent
        if before is not None:
            return (*_numbers(each), waited, *before[_PERCENTILES:])
        at, ranges = len(self._ranges), each.delivery.ranges()
        self._ranges.fromlist(ranges.tolist())
        delivery, lag = Percentiles.of(each.delivery), Percentiles.of(each.lag)
        return (*_numbers(each), waited, *delivery.pack(), *lag.pack(), at, len(ranges))

    def _unpack(self, row: Row) -> Second:
        second = Second(delivery=FOLDED, lag=FOLDED)
        for name, value in zip((*_COUNTS, *_MEASURES), row[:_NUMBERS], strict=True):
            setattr(second, name, value)
        waited = row[_NUMBERS]
        second.waited_percent = None if math.isnan(waited) else waited
        return second
