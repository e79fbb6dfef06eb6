"""The list of pairs that were not simply delivered is bounded."""

from __future__ import annotations

from sseload_users.core.unusual_pairs import Pair, UnusualPairs, pack_pairs, unpack_pairs


def test_the_first_pairs_are_kept_and_outcomes_are_taken_back() -> None:
    pairs = UnusualPairs(most=2)
    first, second, third = (Pair(each, 7, None, "missing", None) for each in (1, 2, 3))
    for session, pair in enumerate((first, second, third)):
        pairs.add(session, pair)
    assert pairs.rows() == (first, second)
    pairs.remove(0, 7)
    pairs.remove(5, 7)
    late = Pair(1, 7, None, "late", 5_000_000)
    pairs.add(0, late)
    assert pairs.rows() == (second, late)
    assert unpack_pairs(pack_pairs(pairs.rows())) == pairs.rows()
