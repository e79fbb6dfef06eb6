"""Which connections of the sample lacked which codes, as a grid."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from sseload_users.report.model import LossMap
from sseload_users.verdict.patterns.loss_matrix import LossMatrix
from sseload_users.verdict.symptoms import Place, Symptoms

_T = TypeVar("_T")

#: The most rows and columns.
MOST_ROWS, MOST_COLUMNS = 32, 60


def loss_map(symptoms: Symptoms, channel_of: Callable[[int], str]) -> LossMap | None:
    """Return the map of a run's losses; None if the sample has none.

    Args:
        symptoms: of the run.
        channel_of: returns the channel of a code; empty without channels.
    """
    matrix = LossMatrix.of(symptoms)
    if not matrix.losses:
        return None
    order = [code.sequence for code in matrix.all_codes]
    columns = _parts(order, MOST_COLUMNS)
    rows = _parts(_alike(symptoms, matrix), MOST_ROWS)
    pairs = _Pairs(symptoms, matrix, columns, channel_of)
    cells = [pairs.of(places) for places in rows]
    return LossMap(
        connections=[len(each) for each in rows],
        codes=[len(each) for each in columns],
        first_codes=[part[0] for part in columns],
        owed=[owed for owed, _ in cells],
        lost=[lost for _, lost in cells],
    )


class _Pairs:
    """Counts the pairs of codes and connections in each column.

    A run has many codes and a sample many connections: each is gone through once, not each code
    for each connection.
    """

    def __init__(
        self,
        symptoms: Symptoms,
        matrix: LossMatrix,
        columns: Sequence[Sequence[int]],
        channel_of: Callable[[int], str],
    ) -> None:
        self._workers, self._matrix = symptoms.workers, matrix
        self._column = {code: column for column, codes in enumerate(columns) for code in codes}
        self._columns = len(columns)
        # By channel, how many codes are in each column; and by worker, how many of them are among
        # those of which it knows whom they are owed to.
        self._codes: dict[str, list[int]] = {}
        for code, column in self._column.items():
            self._codes.setdefault(channel_of(code), [0] * self._columns)[column] += 1
        self._told = {
            worker: Counter(
                (channel_of(code), self._column[code])
                for code in evidence.owed
                if code in self._column
            )
            for worker, evidence in self._workers.items()
        }

    def of(self, places: Sequence[Place]) -> tuple[list[int], list[int]]:
        """Return how many pairs of some connections were owed in each column, and how many lost."""
        owed, lost = [0] * self._columns, [0] * self._columns
        for place in places:
            worker, number = place
            told = self._told[worker]
            # Of the codes that are not told of, none of this worker's connections lacks any.
            for channel in self._workers[worker].channels.get(number, "").split(","):
                for column, many in enumerate(self._codes.get(channel, ())):
                    owed[column] += many - told[channel, column]
            for code in self._matrix.owed.get(place, ()):
                owed[self._column[code]] += 1
            for code in self._matrix.lacking.get(place, ()):
                lost[self._column[code]] += 1
        return owed, lost


def _alike(symptoms: Symptoms, matrix: LossMatrix) -> list[Place]:
    """Return the connections of the sample, those that lack the same codes side by side."""
    places = [
        (worker, number)
        for worker, evidence in symptoms.workers.items()
        for number in sorted(evidence.users)
    ]
    # The earlier and the more they lack, the further up.
    return sorted(places, key=lambda place: [*sorted(matrix.lacking.get(place, ())), math.inf])


def _parts(whole: Sequence[_T], most: int) -> list[Sequence[_T]]:
    """Return the parts of a sequence, of one size but for the last."""
    size = -(-len(whole) // most)
    return [whole[start : start + size] for start in range(0, len(whole), size)]
