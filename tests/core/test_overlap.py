from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.overlap import OverlapDetector


def test_codes_that_follow_each_other_do_not_overlap() -> None:
    codes = OverlapDetector()
    for sequence in (1, 2, 3):
        assert not codes.sent(sequence)
        codes.answered(sequence)


def test_codes_that_are_unanswered_together_overlap() -> None:
    codes = OverlapDetector()
    assert [codes.sent(sequence) for sequence in (1, 2, 3)] == [False, True, True]
    codes.answered(1)
    assert codes.sent(4)
    for sequence in (2, 3, 4):
        codes.answered(sequence)
    assert not codes.sent(5)


def test_a_code_sent_after_a_later_one_overlaps() -> None:
    codes = OverlapDetector()
    assert not codes.sent(3)
    codes.answered(3)
    assert codes.sent(1)
    codes.answered(1)
    assert codes.sent(2)
    codes.answered(2)
    assert not codes.sent(4)


spans_of_codes = st.tuples(st.integers(0, 30), st.integers(0, 10), st.integers(0, 10))


@given(st.lists(spans_of_codes, max_size=12))
def test_no_code_is_overtaken_by_one_that_was_sent_after_its_answer(
    spans: list[tuple[int, int, int]],
) -> None:
    """The server takes each code at some time between its sending and its answer."""
    events, taken = [], []
    for sequence, (start, until_taken, until_answered) in enumerate(spans, start=1):
        at = start + until_taken
        events.append((start, 0, sequence))
        events.append((at + until_answered, 1, sequence))
        taken.append((at, sequence))
    codes = OverlapDetector()
    overtakable_by = {}
    # Of events at the same time, sends come first: they may have happened in any order.
    for _, what, sequence in sorted(events):
        if what:
            overtakable_by[sequence] = codes.answered(sequence)
        else:
            codes.sent(sequence)
    newest = 0
    # The worst case among codes taken at the same time: the later ones first.
    for _, sequence in sorted(taken, key=lambda each: (each[0], -each[1])):
        assert newest <= max(sequence, overtakable_by[sequence])
        newest = max(newest, sequence)


@given(st.lists(spans_of_codes, max_size=12))
def test_exactly_the_codes_that_are_sent_before_the_answer_may_overtake(
    spans: list[tuple[int, int, int]],
) -> None:
    sent = sorted((start, start + length) for start, length, _ in spans)
    events = [(start, 0, sequence) for sequence, (start, _) in enumerate(sent, start=1)]
    events += [(end, 1, sequence) for sequence, (_, end) in enumerate(sent, start=1)]
    codes = OverlapDetector()
    for at, what, sequence in sorted(events):
        if what:
            expected = sum(start <= at for start, _ in sent)
            assert codes.answered(sequence) == expected
        else:
            codes.sent(sequence)
