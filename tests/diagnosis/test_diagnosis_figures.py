"""The figures of findings are those of what was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.diagnosis.planting import CONNECTIONS, Named, perform
from tests.diagnosis.plants import PLANTS
from tests.support.ground_truth import listeners_of

pytestmark = [pytest.mark.e2e, pytest.mark.dear]


def planted(name: str, folder: Path, processes: int = 1) -> tuple[Named, dict[str, Any]]:
    """A run with a plant, and the evidence of its finding."""
    (plant,) = (each for each in PLANTS if each.name == name)
    named = perform(plant, 3, processes, folder)
    if not named.judged:
        pytest.skip("the machine is too busy")
    assert not named.missed, named
    assert not named.wrong, named
    return named, next(
        each["evidence"] for each in named.report["diagnosis"] if each["pattern"] == plant.pattern
    )


@pytest.mark.parametrize(("name", "processes"), [("a storm", 2), ("a herd of the server's", 3)])
def test_the_failures_of_a_thundering_herd_are_those_that_were_refused(
    tmp_path: Path, name: str, processes: int
) -> None:
    named, evidence = planted(name, tmp_path, processes)
    refused = sum(each.refused == "too fast" for each in listeners_of(named.records[0]).values())
    assert evidence["failed"] == refused > 0
    assert evidence["connections"] == CONNECTIONS


def test_the_codes_of_a_publisher_are_those_that_were_forgotten(tmp_path: Path) -> None:
    named, evidence = planted("one of two publishers", tmp_path)
    forgotten = [each for each in named.records[0].ingests if each.fault == "lose"]
    assert evidence["lost"] == CONNECTIONS * len(forgotten) > 0
    (bad,) = {(int(each.code.split("-")[2]) - 1) % 2 + 1 for each in forgotten}
    assert evidence["names"] == str(bad)


def test_copies_after_a_return_are_those_that_were_sent_again(tmp_path: Path) -> None:
    named, evidence = planted("everything again", tmp_path)
    assert evidence["again"] == named.records[0].replayed > 0
    assert evidence["first"] == 0


@pytest.mark.parametrize("processes", [1, 3])
def test_altered_codes_are_all_that_came(tmp_path: Path, processes: int) -> None:
    named, evidence = planted("cut off", tmp_path, processes)
    assert evidence == {
        "altered": CONNECTIONS * named.plant.codes,
        "how": "cut off at the end",
    }


def test_the_limit_of_sizes_is_that_of_the_server(tmp_path: Path) -> None:
    named, evidence = planted("large payloads", tmp_path)
    assert evidence["up_to_bytes"] < 1500 < evidence["from_bytes"] + 200
    lost = sum(bool(code.lost) for code in named.records[0].codes.values())
    assert evidence["codes"] == lost


@pytest.mark.parametrize("processes", [1, 3])
def test_serial_fan_out_has_the_servers_cost(tmp_path: Path, processes: int) -> None:
    _, evidence = planted("serial", tmp_path, processes)
    assert 1800 < evidence["us_per_connection"] < 4000


@pytest.mark.parametrize("processes", [1, 2])
def test_the_source_address_of_mute_connections_is_named(tmp_path: Path, processes: int) -> None:
    _, evidence = planted("a mute source address", tmp_path, processes)
    assert evidence["source address"] == "127.0.0.3"


def test_flushes_are_counted(tmp_path: Path) -> None:
    named, evidence = planted("an unflushed stream", tmp_path)
    assert evidence["flushes"] == CONNECTIONS * named.plant.codes // named.plant.flush_every
    assert evidence["received"] == named.report["deliveries"]["delivered"]
