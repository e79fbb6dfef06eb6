from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.in_flight import InFlight


def test_one_after_the_other_has_an_order() -> None:
    codes = InFlight()
    for sequence in (1, 2, 3):
        assert not codes.sent(sequence)
        codes.answered(sequence)


def test_side_by_side_there_is_none() -> None:
    codes = InFlight()
    assert [codes.sent(sequence) for sequence in (1, 2, 3)] == [False, True, True]
    codes.answered(1)
    assert codes.sent(4)
    for sequence in (2, 3, 4):
        codes.answered(sequence)
    assert not codes.sent(5)


def test_who_waits_longer_for_a_connection_is_sent_late_and_owed_no_order() -> None:
    codes = InFlight()
    assert not codes.sent(3)
    codes.answered(3)
    assert codes.sent(1)
    codes.answered(1)
    assert codes.sent(2)
    codes.answered(2)
    assert not codes.sent(4)


moments = st.tuples(st.integers(0, 30), st.integers(0, 10), st.integers(0, 10))


@given(st.lists(moments, max_size=12))
def test_it_explains_whatever_the_server_can_make_of_it(spans: list[tuple[int, int, int]]) -> None:
    """Each code is taken by the server at some moment between its sending and its answer."""
    events, taken = [], []
    for sequence, (start, until_taken, until_answered) in enumerate(spans, start=1):
        at = start + until_taken
        events.append((start, 0, sequence))
        events.append((at + until_answered, 1, sequence))
        taken.append((at, sequence))
    codes, explained = InFlight(), 0
    # What happens at the same moment may have happened in any order: sent before answered.
    for _, what, sequence in sorted(events):
        if what:
            codes.answered(sequence)
        else:
            explained += codes.sent(sequence)
    newest = out_of_order = 0
    # The server is as unkind as it can be at one moment: the later ones first.
    for _, sequence in sorted(taken, key=lambda each: (each[0], -each[1])):
        out_of_order += sequence < newest
        newest = max(newest, sequence)
    assert out_of_order <= explained
