"""The outcomes of codes and sessions."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import pytest

from sseload_users.core import code_registry, settled_codes
from sseload_users.core.code_tally import STRAY, Status
from sseload_users.core.counting import note_overlooked
from sseload_users.core.sessions import Session
from sseload_users.core.timestamps import SharedStamp
from tests.support.ledger_books import DELIVERED, INTERRUPTED, LATE, MISSING, MS, T0, Books, S


def books_with_a_copy(arrived_ns: int, *, settled_before: bool) -> Books:
    """Books with a code sent at T0, and a copy that arrived before or after settling."""
    books = Books()
    books.send(1, T0)
    if settled_before:
        books.ledger.settle(T0 + S + 1)
        assert books.of(1) == MISSING
    books.receive(1, arrived_ns)
    books.ledger.settle(T0 + 60 * S)
    return books


@pytest.mark.parametrize("settled_before", [False, True])
@pytest.mark.parametrize(
    ("after_ns", "outcome"),
    [(0, DELIVERED), (-20, DELIVERED), (S, DELIVERED), (S + 1, LATE), (60 * S, LATE)],
)
def test_a_copy_is_in_time_up_to_the_timeout_whenever_it_is_read(
    after_ns: int, outcome: dict[str, int], settled_before: bool
) -> None:
    books = books_with_a_copy(T0 + after_ns, settled_before=settled_before)
    assert books.of(1) == outcome
    assert books.session.connection.missing == 0
    in_time = [(after_ns // 1000, T0 + after_ns)] if outcome == DELIVERED else []
    assert books.reported == in_time
    row = books.total.code(1)
    assert (row.first_ns, row.last_ns) == ((T0 + after_ns,) * 2 if in_time else (0, 0))


@pytest.mark.parametrize("settled_before", [False, True])
@pytest.mark.parametrize(
    ("latest_ns", "earliest_ns", "outcome", "in_doubt"),
    [
        (S, 0, DELIVERED, 0),
        (S + 1, S, DELIVERED, 1),
        (60 * S, 0, DELIVERED, 1),
        (S + 2, S + 1, LATE, 0),
    ],
)
def test_a_copy_that_may_have_been_in_time_is_not_late(
    latest_ns: int, earliest_ns: int, outcome: dict[str, int], in_doubt: int, settled_before: bool
) -> None:
    stamp = SharedStamp.of(T0 + latest_ns, T0 + earliest_ns)
    books = books_with_a_copy(stamp, settled_before=settled_before)
    assert books.of(1) == outcome
    assert books.total.counters.in_doubt == in_doubt
    # A latency beyond the timeout would be one of a late copy.
    told_ns = min(latest_ns, S)
    assert books.reported == ([(told_ns // 1000, T0 + told_ns)] if outcome == DELIVERED else [])


@pytest.mark.parametrize("settled_before", [False, True])
@pytest.mark.parametrize(
    ("sent_ns", "owed_if_it_comes", "owed_if_not"),
    [
        (T0, True, True),
        (T0 - 1, True, False),
        (T0 - 5 * MS, True, False),
        (T0 - 5 * MS - 1, False, False),
    ],
)
def test_codes_sent_while_connecting_are_owed_only_if_they_arrive(
    sent_ns: int, owed_if_it_comes: bool, owed_if_not: bool, settled_before: bool
) -> None:
    books = Books()
    books.send(1, sent_ns)
    books.send(2, sent_ns)
    if settled_before:
        books.ledger.settle(T0 + 2 * S)
    for _ in range(3):
        books.receive(1, T0 + 1)
    books.ledger.settle(T0 + 2 * S)
    came = {**DELIVERED, "duplicate": 2} if owed_if_it_comes else {"unexpected": 3}
    assert books.of(1) == came
    assert books.of(2) == (MISSING if owed_if_not else {})
    connection = books.session.connection
    assert connection.owed == owed_if_it_comes + owed_if_not
    assert connection.duplicate == 2 * owed_if_it_comes


def test_a_connect_that_starts_after_its_end_owes_from_the_end() -> None:
    books = Books(started_ns=T0 + 9, subscribed_ns=T0)
    books.send(1, T0)
    books.receive(1, T0 + 20)
    books.ledger.settle(T0 + 2 * S)
    assert books.of(1) == DELIVERED


@pytest.mark.parametrize("settled_before", [False, True])
@pytest.mark.parametrize(
    ("closed_ns", "released", "outcome"),
    [
        (T0, False, {}),
        (T0, True, {}),
        (T0 + 1, False, INTERRUPTED),
        (T0 + 1, True, {"released": 1}),
        (T0 + S, False, INTERRUPTED),
        (T0 + S, True, {"released": 1}),
        (T0 + S + 1, False, MISSING),
        (T0 + S + 1, True, MISSING),
    ],
)
def test_a_closed_session_is_judged_by_when_and_by_whom_it_was_closed(
    closed_ns: int, released: bool, outcome: dict[str, int], settled_before: bool
) -> None:
    books = Books()
    books.send(1, T0)
    if settled_before:
        # Before its timeout: only at the end of a run.
        books.ledger.settle(T0, final=True)
        assert books.of(1) == MISSING
    books.close(closed_ns, released=released)
    books.close(T0 - 1, released=not released)  # it is closed already
    books.ledger.settle(T0 + 5 * S)
    assert books.of(1) == outcome
    connection = books.session.connection
    assert connection.owed == connection.missing + connection.interrupted
    assert connection.owed == outcome.get("owed", 0)


def test_copies_before_a_close_are_delivered() -> None:
    books = Books()
    books.send(1, T0)
    books.receive(1, T0 + 1)
    books.close(T0 + 2)
    books.send(2, T0 + 10)
    books.ledger.settle(T0 + 2 * S)
    assert (books.of(1), books.of(2)) == (DELIVERED, {})


@pytest.mark.parametrize(
    ("then", "outcome"),
    [
        (lambda books, late: None, {"owed": 2, "delivered": 1, "missing": 1}),
        (
            lambda books, late: books.receive(1, T0 + 20, late),
            {"owed": 2, "delivered": 2},
        ),
        (
            lambda books, late: [books.receive(1, T0 + S + 11, late) for _ in range(3)],
            {"owed": 2, "delivered": 1, "late": 1, "duplicate": 2},
        ),
        (
            lambda books, late: books.ledger.close_session(late, T0 + 30, released=False),
            {"owed": 2, "delivered": 1, "interrupted": 1},
        ),
        (
            lambda books, late: books.ledger.close_session(late, T0 + 30, released=True),
            {"owed": 1, "delivered": 1, "released": 1},
        ),
    ],
)
@pytest.mark.parametrize("others", [0, 300])
def test_a_session_added_after_settling_is_owed_the_code(
    then: Callable[[Books, Session], object], outcome: dict[str, int], others: int
) -> None:
    books = Books()
    for sequence in range(1, others + 2):
        books.send(sequence, T0 + 10)
        books.receive(sequence, T0 + 11)
    books.ledger.settle(T0 + 12)
    assert books.of(1) == DELIVERED
    assert len(books.ledger.codes.in_flight) == 0
    late = books.open(T0 + 1, T0 + 10)
    after = books.open(T0 + 1, T0 + 11)
    then(books, late)
    books.ledger.settle(T0 + 5 * S)
    assert books.of(1) == outcome
    assert after.connection.owed == 0


@pytest.mark.parametrize("status", ["rejected", "unsent"])
@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_copies_of_a_failed_code_are_unexpected_at_any_time(status: Status, when: str) -> None:
    books = Books()

    def copies() -> None:
        for _ in range(2):
            books.receive(1, T0 + 5)

    if when == "before":
        copies()
    if status == "rejected":
        books.ledger.announce(1, T0)
    if when == "between":
        copies()
    books.ledger.set_status(1, status)
    books.ledger.settle(T0 + 1)
    assert len(books.ledger.codes.in_flight) == 0
    if when == "after":
        copies()
    assert books.of(1) == {"unexpected": 2}
    assert books.session.connection.owed == 0


def test_unanswered_codes_are_owed() -> None:
    books = Books()
    books.send(1, T0, "unanswered")
    books.ledger.settle(T0 + S + 1)
    assert books.of(1) == MISSING


@pytest.mark.parametrize("many", [1, 4])
def test_copies_of_codes_that_nobody_sent_are_unexpected_and_have_no_account(many: int) -> None:
    books = Books()
    for _ in range(many):
        books.receive(7, T0 + 1)
        books.receive(10**18, T0 + 2)
    books.ledger.settle(T0 + 100 * S)
    assert books.of(STRAY) == {}  # they may still be announced
    held = books.ledger.code(7)
    books.ledger.settle(T0 + 100 * S, final=True)
    assert books.of(STRAY) == {"unexpected": 2 * many}
    books.session.receive(held, T0 + 3)
    assert books.of(STRAY) == {"unexpected": 2 * many + 1}
    assert set(books.total.codes) == {STRAY}
    assert books.ledger.codes.settled.count == 0


def test_a_code_may_be_announced_long_after_its_copies() -> None:
    books = Books()
    gone, left = books.open(), books.open()
    for session in (gone, left, books.session):
        books.receive(1, T0 + 10, session)
    books.ledger.close_session(gone, T0 + 20, released=False)
    books.ledger.close_session(left, T0 + 20, released=True)
    for second in range(100):
        books.ledger.settle(T0 + second * S)
    books.send(1, T0 + 5)
    books.ledger.settle(T0 + 100 * S)
    # The closed ones are forgotten, except for what they received.
    assert books.of(1) == {"owed": 3, "delivered": 3}


def test_closed_sessions_are_kept_while_announcements_may_follow() -> None:
    books = Books()
    books.receive(10**9, T0 + 1)  # made up; keeps no session
    made_up = books.ledger.code(10**9 + 1, 1)
    books.session.receive(made_up, T0 + 2)
    books.close(T0 + 3)
    books.ledger.settle(T0 + 9 * S)
    books.send(1, T0)
    books.ledger.settle(T0 + 9 * S)
    assert books.of(1) == INTERRUPTED
    books.ledger.announce(2, T0)
    books.ledger.settle(T0 + 50 * S)  # a code in flight keeps the sessions that may be owed it
    books.ledger.set_status(2, "accepted")
    books.ledger.settle(T0 + 50 * S)
    assert books.of(2) == INTERRUPTED
    books.ledger.settle(T0 + 50 * S)
    assert not books.ledger.audience.closed


@pytest.mark.parametrize("settled_between", [False, True])
@pytest.mark.parametrize(
    ("came", "out_of_order"),
    [
        ([1, 2, 3], 0),
        ([1, 3, 2], 1),
        ([3, 2, 1], 2),
        ([2, 1, 3], 1),
        ([1, 2, 1, 2, 3, 3], 0),  # duplicates are not out of order
        ([2, 1, 1, 2], 1),
        ([9, 1, 2], 2),  # it is not known yet that 9 is made up
    ],
)
def test_out_of_order_is_a_lower_number_after_a_higher_one(
    came: list[int], out_of_order: int, settled_between: bool
) -> None:
    books = Books()
    for sequence in (1, 2, 3):
        books.send(sequence, T0)
    for sequence in came:
        books.receive(sequence, T0 + 1)
        if settled_between:
            books.ledger.settle(T0 + 2 * S)
    books.ledger.settle(T0 + 2 * S, final=True)
    assert books.out_of_order() == out_of_order


@pytest.mark.parametrize("settled_between", [False, True])
@pytest.mark.parametrize(
    ("status", "overtakable_by", "came", "out_of_order"),
    [
        ("accepted", 2, [2, 1], 0),
        ("accepted", 2, [3, 1], 1),
        ("accepted", 2, [2, 3, 1], 1),
        ("accepted", 3, [3, 2, 1], 1),  # only 1 was in flight with 3
        ("rejected", 3, [3, 1], 0),
        ("unanswered", 0, [3, 1], 0),  # the server may take it at any time
        ("pending", 0, [3, 1], 0),
    ],
)
def test_only_codes_in_flight_together_may_overtake_each_other(
    status: Status, overtakable_by: int, came: list[int], out_of_order: int, settled_between: bool
) -> None:
    books = Books()
    for sequence in (1, 2, 3):
        books.ledger.announce(sequence, T0)
    books.ledger.set_status(1, status, overtakable_by)
    for sequence in (2, 3):
        books.ledger.set_status(sequence, "accepted", sequence)
    with mock.patch.object(settled_codes, "_MAX_RECENT", 0):
        for sequence in came:
            books.receive(sequence, T0 + 1)
            if settled_between:
                books.ledger.settle(T0 + 2 * S)
        books.ledger.settle(T0 + 2 * S, final=True)
    assert books.out_of_order() == out_of_order


@pytest.mark.parametrize("settled_before", [False, True])
def test_replayed_history_is_unexpected_each_time(settled_before: bool) -> None:
    books = Books(started_ns=T0 + 5, subscribed_ns=T0 + 6)
    for sequence in (1, 2, 3):
        books.send(sequence, T0)
    if settled_before:
        books.ledger.settle(T0 + 7)
    for sequence in (3, 1, 2, 2, 1, 3):
        books.receive(sequence, T0 + 8)
    books.ledger.settle(T0 + 2 * S)
    assert [books.of(sequence) for sequence in (1, 2, 3)] == [{"unexpected": 2}] * 3
    assert books.out_of_order() == 4
    assert books.session.connection.duplicate == 0
    assert books.reported == []


def test_a_memoized_code_is_found_after_it_was_forgotten() -> None:
    books = Books()
    books.send(1, T0)
    held = books.ledger.code(1)
    books.receive(1, T0 + 1)
    for sequence in range(2, 2 * settled_codes._MAX_RECENT):
        books.send(sequence, T0 + 2)
        books.receive(sequence, T0 + 3)
    books.ledger.settle(T0 + 4)
    late = books.open(T0, T0)
    late.receive(held, T0 + 5)
    late.receive(held, T0 + 6)
    books.session.receive(held, T0 + 6)
    assert books.of(1) == {"owed": 2, "delivered": 2, "duplicate": 2}


def test_a_discarded_code_counts_from_its_announcement_on() -> None:
    books = Books()
    held = books.ledger.code(1)
    with mock.patch.object(code_registry, "_MAX_UNANNOUNCED", 2):
        for sequence in (7, 8):
            books.ledger.code(sequence)
    assert held.settled
    books.send(1, T0)
    books.session.receive(held, T0 + 1)
    books.ledger.settle(T0 + 2)
    assert books.of(1) == DELIVERED


def test_a_code_that_was_refused_and_is_sent_again_counts_from_its_second_sending() -> None:
    books = Books()
    books.ledger.announce(1, T0, T0)
    refused = books.ledger.code(1, T0)
    books.ledger.announce(1, T0 + S // 2, T0 + S // 2)
    books.ledger.set_status(1, "accepted")
    # The server broadcast what it had refused.
    books.session.receive(refused, T0 + S // 2 + 1)
    books.session.receive(books.ledger.code(1, T0 + S // 2), T0 + S)
    books.ledger.settle(T0 + 60 * S, final=True)
    assert books.of(1) == DELIVERED
    assert books.of(STRAY) == {"unexpected": 1}
    assert books.reported == [(S // 2 // 1000, T0 + S)]


def test_a_code_without_a_time_in_its_text_can_be_sent_again() -> None:
    books = Books()
    books.ledger.announce(1, T0)
    books.send(1, T0 + S // 2)
    books.receive(1, T0 + S + S // 2)
    books.ledger.settle(T0 + 60 * S)
    assert books.of(1) == DELIVERED


@pytest.mark.parametrize("when", ["before it is announced", "in flight", "settled"])
def test_a_code_that_the_profile_does_not_look_for_is_marked(when: str) -> None:
    books = Books()
    if when == "before it is announced":
        note_overlooked(books.ledger.tally, books.ledger.code(1))
    books.send(1, T0)
    if when == "in flight":
        note_overlooked(books.ledger.tally, books.ledger.code(1))
    books.send(2, T0)
    books.ledger.settle(T0 + S + 1)
    if when == "settled":
        note_overlooked(books.ledger.tally, books.ledger.code(1))
    assert (books.of(1), books.of(2)) == (MISSING, MISSING)
    assert [books.total.code(each).overlooked for each in (1, 2)] == [True, False]


def test_codes_that_a_server_makes_up_have_no_account_for_being_overlooked() -> None:
    books = Books()
    for sequence in range(1, 100):
        note_overlooked(books.ledger.tally, books.ledger.code(sequence, T0))
    books.ledger.settle(T0 + 60 * S, final=True)
    assert {*books.ledger.take().codes} <= {STRAY}


@pytest.mark.parametrize("copies", [0, 1, 2])
@pytest.mark.parametrize("late", [False, True])
def test_what_a_session_gets_of_its_own_code_does_not_count(copies: int, late: bool) -> None:
    books = Books()
    other = books.open()
    books.send(1, T0)
    own = books.ledger.code(1)
    own.set_exempt(books.session)
    books.receive(1, T0 + 10, other)
    if late:
        books.ledger.settle(T0 + 20)
        assert own.settled
    for _ in range(copies):
        books.receive(1, T0 + 30)
    books.ledger.settle(T0 + 60 * S)
    assert books.of(1) == DELIVERED
    assert books.reported == [(0, T0 + 10)]
    assert books.session.connection.owed == 0


def test_an_exempt_session_is_not_waited_for_and_misses_nothing() -> None:
    books = Books()
    books.send(1, T0, "rejected")
    books.ledger.code(1).set_exempt(books.session)
    books.send(2, T0 + 1)
    books.ledger.code(2).set_exempt(books.session)
    assert not books.ledger.awaits(books.session, T0 + 2)
    books.ledger.settle(T0 + 60 * S)
    assert (books.of(1), books.of(2)) == ({}, {})
