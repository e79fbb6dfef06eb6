"""The fuzzers' targets with what they begin with, what they found, and a little chance."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.seeds import FOUND, SEEDS
from tests.fuzz.targets import TARGETS

#: Changed copies of each seed.
COPIES = 20


def test_each_target_has_seeds() -> None:
    assert set(SEEDS) == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_taken(name: str) -> None:
    target = TARGETS[name]
    for seeds in (*SEEDS.values(), *FOUND.values()):
        for seed in seeds:
            target(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_bytes_are_taken(name: str) -> None:
    target, chance = TARGETS[name], random.Random(name)
    target(b"")
    for seed in SEEDS[name] + FOUND.get(name, []):
        for _ in range(COPIES):
            data = bytearray(seed)
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(data) + 1)
                data[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
            target(bytes(data))
