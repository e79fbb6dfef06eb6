"""Which connections of the sample lacked which codes, as a grid."""

from __future__ import annotations

from bisect import bisect_right
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
    first_codes = [part[0] for part in columns]
    rows = _parts(_alike(symptoms, matrix), MOST_ROWS)
    owed, lost = [], []
    for places in rows:
        here, lacking = Counter[int](), Counter[int]()
        for worker, number in places:
            place = worker, number
            evidence = symptoms.workers[worker]
            channels = evidence.channels.get(number, "").split(",")
            # Of the other codes, none of this worker's connections lacks any.
            here.update(
                sequence
                for sequence in order
                if sequence not in evidence.owed and channel_of(sequence) in channels
            )
            here.update(matrix.owed.get(place, ()))
            lacking.update(matrix.lacking.get(place, ()))
        owed.append(_in_columns(here, first_codes))
        lost.append(_in_columns(lacking, first_codes))
    return LossMap(
        connections=[len(each) for each in rows],
        codes=[len(each) for each in columns],
        first_codes=first_codes,
        owed=owed,
        lost=lost,
    )


def _alike(symptoms: Symptoms, matrix: LossMatrix) -> list[Place]:
    """Return the connections of the sample, those that lack the same codes side by side."""
    places = [
        (worker, number)
        for worker, evidence in symptoms.workers.items()
        for number in sorted(evidence.users)
    ]
    # The earlier and the more they lack, the further up.
    return sorted(
        places,
        key=lambda place: [code not in matrix.lacking.get(place, ()) for code in matrix.codes],
    )


def _parts(whole: Sequence[_T], most: int) -> list[Sequence[_T]]:
    """Return the parts of a sequence, of one size but for the last."""
    size = -(-len(whole) // most)
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _in_columns(codes: Counter[int], first_codes: Sequence[int]) -> list[int]:
    """Return how many pairs fall into each column."""
    counts = [0] * len(first_codes)
    for sequence, pairs in codes.items():
        at = bisect_right(first_codes, sequence) - 1
        if at >= 0:
            counts[at] += pairs
    return counts
