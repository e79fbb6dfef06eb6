"""Sizes of payloads: what is asked for, the same in every process."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.errors import ConfigError
from sseload_users.core.payload_sizes import MAX_BYTES, PayloadSizes

SEQUENCES = st.integers(1, 10**9)
SIZES = st.integers(1, MAX_BYTES)


def sizes(text: str) -> PayloadSizes:
    found = PayloadSizes.parse(text)
    assert found is not None
    return found


@given(SIZES, SEQUENCES)
def test_one_size_is_that_of_all(size: int, sequence: int) -> None:
    assert sizes(str(size)).size_of(sequence) == size


@given(st.lists(SIZES, min_size=1, max_size=5), SEQUENCES)
def test_a_list_has_no_other_sizes(listed: list[int], sequence: int) -> None:
    text = ",".join(map(str, listed))
    assert sizes(text).size_of(sequence) in listed
    assert sizes(text).size_of(sequence) == sizes(f" {text} ").size_of(sequence)


@given(st.lists(SIZES, min_size=2, max_size=2), SEQUENCES)
def test_a_range_has_its_bounds(bounds: list[int], sequence: int) -> None:
    low, high = sorted(bounds)
    assert low <= sizes(f"{low}-{high}").size_of(sequence) <= high


@given(SIZES, SEQUENCES)
def test_exponential_sizes_are_bounded(mean: int, sequence: int) -> None:
    assert 1 <= sizes(f"{mean}:exponential").size_of(sequence) <= MAX_BYTES


@pytest.mark.parametrize(
    ("text", "mean"), [("100,900", 500), ("200-2000", 1100), ("1000:exponential", 1000)]
)
def test_the_mean_is_that_of_the_distribution(text: str, mean: float) -> None:
    drawn = [sizes(text).size_of(sequence) for sequence in range(1, 20_001)]
    assert fmean(drawn) == pytest.approx(mean, rel=0.03)
    # In a channel that gets every second code, too.
    assert fmean(drawn[::2]) == pytest.approx(mean, rel=0.04)


def test_both_ends_of_a_range_occur() -> None:
    assert {sizes("7-9").size_of(sequence) for sequence in range(1, 100)} == {7, 8, 9}


@pytest.mark.parametrize(
    "text",
    ["0", "-5", "1.5", "2k", "9-", "20-10", "0-10", "1,,2", "1000001", "10:uniform", "\u0662",
     "0,5", "1-2-3", "5:exponential:6", "9" * 5000],
)  # fmt: skip
def test_anything_else_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        PayloadSizes.parse(text)
    assert str(refused.value).startswith("Invalid --payload-bytes")
    assert str(refused.value).endswith(".")


def test_no_text_is_no_padding() -> None:
    assert PayloadSizes.parse("") is None
