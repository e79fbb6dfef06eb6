"""How fast connections were opened: in any order, and merged in any way."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.ramp import Ramp

S = 1_000_000_000


@dataclass
class Connect:
    due_ns: int
    done_ns: int
    own_us: int
    connect_us: int


CONNECTS = st.lists(
    st.builds(
        Connect,
        st.integers(S, 9 * S),
        st.integers(S, 9 * S),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
    )
)


def ramp_of(connects: list[Connect]) -> Ramp:
    ramp = Ramp()
    for each in connects:
        ramp.add(*astuple(each))
    return ramp


@given(st.lists(CONNECTS, max_size=4))
def test_merged_ramps_are_one_ramp(parts: list[list[Connect]]) -> None:
    merged = Ramp()
    for each in parts:
        merged.merge(Ramp.unpack(ramp_of(each).pack()))
    every = [each for part in parts for each in part]
    assert merged.pack() == ramp_of(every).pack()
    if every:
        assert merged.due_ns == (min(e.due_ns for e in every), max(e.due_ns for e in every))
        assert merged.done_ns == (min(e.done_ns for e in every), max(e.done_ns for e in every))


@pytest.mark.parametrize(
    ("done_s", "achieved", "reached"),
    [([1.0, 1.5, 2.0], 2.0, True), ([1.0, 2.0, 3.0], 1.0, False), ([1.0, 1.05, 1.1], 20.0, True)],
)
def test_rates_are_between_the_first_and_the_last(
    done_s: list[float], achieved: float, *, reached: bool
) -> None:
    ramp = ramp_of(
        [Connect(round((1 + i / 2) * S), round(at * S), 0, 0) for i, at in enumerate(done_s)]
    )
    assert ramp.offered == 2.0
    assert ramp.achieved == pytest.approx(achieved)
    assert ramp.is_reached is reached


def test_nothing_is_said_of_one_connection_and_times_are_converted() -> None:
    assert (Ramp().offered, Ramp().achieved) == (None, None)
    ramp = ramp_of([Connect(S, 2 * S, 1, 2)])
    assert (ramp.offered, ramp.achieved, ramp.is_reached) == (None, None, True)
    ramp.convert_times(lambda ns: ns + 5)
    assert (ramp.due_ns, ramp.done_ns) == ((S + 5, S + 5), (2 * S + 5, 2 * S + 5))
    empty = Ramp()
    empty.convert_times(lambda ns: ns + 5)
    assert empty.due_ns == (0, 0)
