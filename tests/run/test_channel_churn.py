"""Where connections move, and when."""

from __future__ import annotations

from collections import Counter

import pytest

from sseload_users.core.channels import ChannelPlan
from sseload_users.run.channel_churn import ChannelChurn

PLAN = ChannelPlan(("all", "big", "small"), sizes=(100, 90, 10))


def test_connections_wait_as_long_as_asked_on_average() -> None:
    churn = ChannelChurn(20.0, PLAN, 100, "seed")
    chance = churn.chance_of(1)
    waits = [churn.wait_s(chance) for _ in range(5000)]
    assert sum(waits) / len(waits) == pytest.approx(20, rel=0.1)
    assert min(waits) < 1


def test_the_seed_decides() -> None:
    def moves(seed: str, number: int) -> list[object]:
        churn = ChannelChurn(20.0, PLAN, 100, seed)
        chance = churn.chance_of(number)
        return [churn.wait_s(chance) for _ in range(5)]

    assert moves("a", 1) == moves("a", 1)
    assert moves("a", 1) != moves("a", 2)
    assert moves("a", 1) != moves("b", 1)


def test_channels_of_everybody_are_neither_left_nor_joined() -> None:
    churn = ChannelChurn(20.0, PLAN, 100, "seed")
    chance = churn.chance_of(1)
    assert churn.move(("all", "big"), chance) == ("big", "small")
    assert churn.move(("big",), chance) == ("big", "small")
    assert churn.move(("all",), chance) in [(None, "big"), (None, "small")]
    assert churn.move(("big", "small"), chance) is None


def test_large_channels_stay_large() -> None:
    churn = ChannelChurn(20.0, PLAN, 100, "seed")
    chance = churn.chance_of(1)
    joined = Counter(churn.move(("all",), chance) for _ in range(1000))
    assert joined[None, "big"] > 5 * joined[None, "small"] > 0
