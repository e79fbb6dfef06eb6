"""Outages: when most sessions of a server, or of one of its nodes, were away."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.node_counts import NodeCounts
from sseload_users.core.outages import Change, Outage, changes_at_nodes, outages


def course(*counts: tuple[int, int]) -> list[Change]:
    """Seconds from 0 on, with the sessions that were lost and that were open at the end."""
    return [Change(at, at + 1, lost, now_open) for at, (lost, now_open) in enumerate(counts)]


def test_a_restart_is_an_outage_until_half_of_the_sessions_are_back() -> None:
    changes = course((0, 10), (0, 10), (4, 6), (6, 0), (0, 0), (0, 4), (0, 5), (0, 10))
    assert outages(changes) == [Outage(2, 7)]


def test_sessions_that_never_return_have_an_outage_without_an_end() -> None:
    assert outages(course((0, 9), (9, 0), (0, 0))) == [Outage(1, None)]


def test_few_drops_single_ones_and_slow_losses_are_no_outage() -> None:
    assert outages(course((0, 10), (4, 6), (0, 10))) == []
    assert outages(course((0, 1), (1, 0), (0, 1))) == []
    trickle = [(1 if at % 3 == 0 else 0, 12 - at // 3) for at in range(1, 25)]
    assert outages(course((0, 12), *trickle)) == []


def test_sessions_that_began_in_the_second_of_their_end_count() -> None:
    assert outages(course((3, 0), (0, 1), (0, 3))) == [Outage(0, 3)]


def test_sessions_that_return_at_once_have_a_short_outage() -> None:
    assert outages(course((0, 8), (8, 8), (0, 8))) == [Outage(1, 2)]


def test_outages_in_quick_succession_are_one() -> None:
    changes = course((0, 8), (8, 8), (0, 8), (8, 8), (0, 8), *[(0, 8)] * 9, (8, 8))
    assert outages(changes) == [Outage(1, 4), Outage(14, 15)]


@given(
    st.integers(2, 400),
    st.integers(1, 20),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(0, 30),
    st.integers(1, 10),
)
def test_any_restart_is_found(
    sessions: int, before: int, shares: list[int], away: int, ramp: int
) -> None:
    """All sessions end within four seconds, are away, and return one by one."""
    counts = [(0, sessions)] * before
    left = sessions
    for at, share in enumerate(shares):
        lost = left if at == len(shares) - 1 else sessions * share // (2 * sum(shares))
        left -= lost
        counts.append((lost, left))
    first = next(at for at, (lost, _) in enumerate(counts) if lost)
    counts += [(0, 0)] * away
    counts += [(0, -(-sessions * step // ramp)) for step in range(1, ramp + 1)]
    down = next(at for at, (lost, _) in enumerate(counts) if at >= first and not counts[at][1])
    back = next(at for at in range(down, len(counts)) if 2 * counts[at][1] >= sessions)
    assert outages(course(*counts)) == [Outage(first, back + 1)]


def test_the_sessions_of_each_node_are_followed_from_second_to_second() -> None:
    seconds: dict[int, NodeCounts] = {
        104: Counter({(1, "connected"): 3, (1, "dropped"): 1}),
        100: Counter({(1, "connected"): 10}),
        102: Counter({(1, "planned"): 4, (1, "dropped"): 4, (1, "failed"): 9}),
        105: Counter({(1, "left"): 5}),
    }
    assert changes_at_nodes(seconds, 99.5) == {
        1: [
            Change(0.5, 1.5, 0, 10),
            Change(2.5, 3.5, 8, 2),
            Change(4.5, 5.5, 1, 4),
            Change(5.5, 6.5, 0, -1),
        ]
    }
