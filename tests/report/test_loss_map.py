"""The map of losses: sums that are those of the evidence, and the shape that one sees."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from sseload_users.core.evidence import SAMPLE, Evidence
from sseload_users.report import charts
from sseload_users.report.charts.losses import MOST_RANGES
from sseload_users.report.loss_map import MOST_COLUMNS, MOST_ROWS, loss_map
from sseload_users.report.model import LossMap
from sseload_users.verdict.symptoms import CodeSymptoms, Symptoms
from tests.support.pages import cells, parse, words
from tests.support.reports import sample


def map_of(
    lacks: Callable[[int, int], bool],
    *,
    connections: int = 40,
    codes: int = 20,
    rooms: int = 0,
    workers: int = 2,
) -> LossMap | None:
    """The map of a run whose workers have the same number of connections each.

    Args:
        lacks: whether a connection (from 0) lacks a code (from 1).
        connections: their number on all workers.
        codes: their number.
        rooms: number of channels, which codes and connections have in turn; 0 for none.
        workers: their number.
    """
    evidence = {f"worker {at}": Evidence() for at in range(workers)}
    rows = []
    for code in range(1, codes + 1):
        everybody = lost_by_all = 0
        for at, each in enumerate(evidence.values()):
            owed = lacking = 0
            for number in range(connections // workers):
                place = at * (connections // workers) + number
                each.users[number] = f"user {place}"
                if rooms:
                    each.channels[number] = f"room {place % rooms}"
                if not rooms or place % rooms == code % rooms:
                    owed |= 1 << number
                    lacking |= lacks(place, code) << number
            if lacking:
                each.add(code, owed, lacking)
            everybody += owed.bit_count()
            lost_by_all += lacking.bit_count()
        rows.append(CodeSymptoms(code, float(code), everybody, lost_by_all, 0, 5.0))
    symptoms = Symptoms(sample(connections, codes), rows, evidence)
    return loss_map(symptoms, lambda code: f"room {code % rooms}" if rooms else "")


@pytest.mark.parametrize("seed", range(20))
def test_the_sums_are_those_of_the_pairs(seed: int) -> None:
    draw = random.Random(seed)
    rooms, workers = draw.choice([0, 0, 4]), draw.choice([1, 2, 3])
    connections = workers * draw.randrange(1, SAMPLE + 1)
    codes, share = draw.choice([1, 7, 60, 61, 500]), draw.choice([0.002, 0.3, 1.0])
    lacking = {
        (place, code): draw.random() < share
        for place in range(connections)
        for code in range(1, codes + 1)
        if not rooms or place % rooms == code % rooms
    }
    found = map_of(
        lambda *pair: lacking[pair],
        connections=connections,
        codes=codes,
        rooms=rooms,
        workers=workers,
    )
    if not any(lacking.values()):
        assert found is None
        return
    assert found is not None
    assert sum(found.connections) == connections
    assert sum(found.codes) == codes
    assert len(found.connections) <= MOST_ROWS
    assert len(found.codes) <= MOST_COLUMNS
    assert sum(map(sum, found.lost)) == sum(lacking.values())
    assert sum(map(sum, found.owed)) == len(lacking)


def lines(found: LossMap | None) -> list[str]:
    """A map with a character for each cell: how many tenths of it were lost."""
    assert found is not None
    return [
        "".join(
            " 123456789#"[10 * many // due] if due else "-"
            for many, due in zip(lost, owed, strict=True)
        )
        for lost, owed in zip(found.lost, found.owed, strict=True)
    ]


def test_separate_instances_are_two_blocks_of_stripes() -> None:
    found = map_of(lambda place, code: (place + code) % 2 == 0, connections=8, codes=6)
    assert lines(found) == ["# # # "] * 4 + [" # # #"] * 4


def test_connections_that_fell_silent_are_a_staircase() -> None:
    found = map_of(lambda place, code: place < 3 and code > 3 + place, connections=6, codes=8)
    assert lines(found) == ["   #####", "    ####", "     ###", *[" " * 8] * 3]


def test_a_moment_is_a_bar() -> None:
    found = map_of(lambda _, code: code in (3, 4), connections=4, codes=6)
    assert lines(found) == ["  ##  "] * 4


def test_the_chart_has_a_text_of_what_it_shows() -> None:
    found = map_of(lambda place, code: place == 1 and code > 12)
    assert found is not None
    figure = charts.losses(found)
    root = parse(str(figure))
    assert "Of 40 connections in the sample and 20 codes, 8 of 800" in words(root)
    table = [row for row in cells(root) if row[1:2] != ["0"]]
    assert table[1:] == [["2", "8", "40", "13-20 (50 %)"]]


def test_the_chart_of_scattered_losses_stays_small() -> None:
    draw = random.Random(1)
    found = map_of(lambda *_: draw.random() < 0.5, connections=4 * SAMPLE, codes=512, workers=4)
    assert found is not None
    figure = str(charts.losses(found))
    assert len(figure.encode()) < 100_000
    assert figure.count("further range") <= MOST_ROWS
    # Each row of the table is bounded, too.
    one_each = map_of(lambda place, code: place == 1 and code % 2 == 0, codes=60)
    assert one_each is not None
    (row,) = (each for each in cells(parse(str(charts.losses(one_each)))) if "30" in each)
    assert row[3].count("(") == MOST_RANGES
    assert "and 22 further ranges" in row[3]


def test_a_report_without_losses_has_no_map() -> None:
    assert map_of(lambda *_: False) is None
    symptoms = Symptoms(sample(4, 2), [], {})
    assert loss_map(replace(symptoms, partial=True), lambda _: "") is None
