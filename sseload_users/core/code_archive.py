"""The accounts of all codes of a run, in little memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from operator import attrgetter
from typing import Any, get_args

from sseload_users.core.archive import Archive, Row
from sseload_users.core.code_tally import CodeTally, Outcomes, Status
from sseload_users.core.percentiles import FOLDED, PACKED_PERCENTILES, Percentiles

_STATUSES: tuple[Status, ...] = get_args(Status)
_OUTCOMES = tuple(each.name for each in fields(Outcomes))
_TIMES = ("sent_ns", "first_ns", "last_ns")
_COLUMNS = {
    **dict.fromkeys((*_OUTCOMES, *_TIMES), "q"),
    "status": "B",
    "overlooked": "B",
    **PACKED_PERCENTILES,
}
_PERCENTILES = -len(PACKED_PERCENTILES)
_numbers = attrgetter(*_OUTCOMES, *_TIMES)


class CodeArchive(Archive[CodeTally]):
    """Codes by sequence number. Of the latencies of archived ones, percentiles are kept."""

    def __init__(self) -> None:
        super().__init__(_COLUMNS)

    def percentiles(self, sequence: int) -> Percentiles | None:
        """Return the percentiles of a code's latencies when it was archived; None if it was not."""
        row = self.archived_row(sequence)
        return None if row is None else Percentiles.unpack(row[_PERCENTILES:])

    def values_of(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Yield some attributes of each code: faster than going through the codes.

        Args:
            names: of the attributes, two or more; `latencies` and `at_nodes` are not kept.
        """
        columns = [
            map(_STATUSES.__getitem__, self._columns[name])
            if name == "status"
            else self._columns[name]
            for name in names
        ]
        yield from zip(*columns, strict=True)
        yield from map(attrgetter(*names), self._live.values())

    def _pack(self, each: CodeTally, before: Row | None) -> Row:
        percentiles = (
            Percentiles.of(each.latencies).pack() if before is None else before[_PERCENTILES:]
        )
        status = _STATUSES.index(each.status)
        return (*_numbers(each), status, each.overlooked, *percentiles)

    def _unpack(self, row: Row) -> CodeTally:
        *numbers, status, overlooked = row[:_PERCENTILES]
        code = CodeTally(*numbers[: len(_OUTCOMES)])
        code.sent_ns, code.first_ns, code.last_ns = numbers[len(_OUTCOMES) :]
        code.status = _STATUSES[int(status)]
        code.overlooked = bool(overlooked)
        code.latencies = FOLDED
        return code
