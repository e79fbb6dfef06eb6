from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core import ledger as ledger_module
from sseload_users.core import settled_codes
from sseload_users.core.code_tally import CodeTally, Status
from sseload_users.core.connection_row import received_per_connection
from sseload_users.core.ledger import STRAY, Ledger
from sseload_users.core.sessions import Session, SessionSet
from sseload_users.core.tally import PackedTally, Tally
from sseload_users.core.timestamps import SharedStamp
from tests.support.ledger_model import KINDS, OUTCOMES, Event, World, events, total_of

T0 = 1_700_000_000 * 10**9
S = 10**9
MS = 10**6

# Any order of events


@settings(max_examples=600, deadline=None)
@given(events, st.booleans(), st.sampled_from([0, 1, 256]))
def test_the_ledger_agrees_with_the_model(history: list[Event], release: bool, recent: int) -> None:
    world = World([1])
    with mock.patch.object(settled_codes, "_MAX_RECENT", recent):
        world.run(history)
        world.end(release=release)
    (group,) = world.groups
    world.check(group, group.total(0))


@settings(max_examples=300, deadline=None)
@given(events, st.booleans(), st.integers(2, 4), st.integers())
def test_several_workers_have_the_same_account_as_one(
    history: list[Event], release: bool, workers: int, seed: int
) -> None:
    world = World([1, workers])
    world.run(history)
    world.end(release=release)
    alone, divided = world.groups
    one, sum_of_all = alone.total(0), divided.total(seed)
    world.check(divided, sum_of_all)
    assert comparable(one) == comparable(sum_of_all)


@pytest.mark.parametrize("seed", range(20))
def test_long_histories_agree_with_the_model(seed: int) -> None:
    # Hypothesis finds short ones; these go on for long, and everything happens in them.
    draw = random.Random(seed)
    history: list[Event] = [
        (kind, draw.randrange(31), draw.randrange(15), draw.randrange(8))
        for kind in draw.choices(KINDS, k=800)
    ]
    world = World([1, 3])
    world.run(history)
    world.end(release=seed % 2 == 0)
    for group in world.groups:
        world.check(group, group.total(seed))
    total = world.groups[0].total(seed)
    assert all(total_of(total, outcome) > 0 for outcome in OUTCOMES)
    assert total.counters.out_of_order > 0


def comparable(tally: Tally) -> PackedTally:
    packed = tally.pack()
    packed["codes"] = {k: row for k, row in packed["codes"].items() if row != CodeTally().pack()}
    return packed


# One code, one session


class Books:
    """A ledger with a timeout of one second, and all that was taken from it."""

    def __init__(self, *, started_ns: int = T0 - 5 * MS, subscribed_ns: int = T0) -> None:
        self.reported: list[tuple[int, int]] = []
        self.ledger = Ledger(1.0, lambda us, at: self.reported.extend(zip(us, at, strict=True)))
        self.total = Tally()
        self.session = self.open(started_ns, subscribed_ns)

    def open(self, started_ns: int = T0 - 5 * MS, subscribed_ns: int = T0) -> Session:
        connection = self.ledger.add_connection()
        return self.ledger.open_session(connection, started_ns, subscribed_ns)

    def send(self, sequence: int, sent_ns: int, status: Status = "accepted") -> None:
        self.ledger.announce(sequence, sent_ns)
        self.ledger.set_status(sequence, status)

    def receive(self, sequence: int, arrived_ns: int, session: Session | None = None) -> None:
        (session or self.session).receive(self.ledger.code(sequence), arrived_ns)

    def close(self, at_ns: int, *, released: bool = False) -> None:
        self.ledger.close_session(self.session, at_ns, released=released)

    def of(self, sequence: int) -> dict[str, int]:
        """What is not zero of a code's account."""
        self.total.merge(self.ledger.take())
        row = self.total.code(sequence)
        return {name: getattr(row, name) for name in OUTCOMES if getattr(row, name)}

    def out_of_order(self) -> int:
        self.total.merge(self.ledger.take())
        return self.total.counters.out_of_order


DELIVERED, LATE = {"owed": 1, "delivered": 1}, {"owed": 1, "late": 1}
MISSING, INTERRUPTED = {"owed": 1, "missing": 1}, {"owed": 1, "interrupted": 1}


def books_with_a_copy(arrived_ns: int, *, settled_before: bool) -> Books:
    """Books in which one code was sent at T0, and a copy came, maybe after it was settled."""
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
        # Before its time is over: only at the end of a run.
        books.ledger.settle(T0, final=True)
        assert books.of(1) == MISSING
    books.close(closed_ns, released=released)
    books.close(T0 - 1, released=not released)  # it has ended as it did
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
    # Those that ended are long forgotten, but for what they had.
    assert books.of(1) == {"owed": 3, "delivered": 3}


def test_closed_sessions_are_kept_while_announcements_may_follow() -> None:
    books = Books()
    books.receive(10**9, T0 + 1)  # made up; keeps nobody
    made_up = books.ledger.code(10**9 + 1, 1)
    books.session.receive(made_up, T0 + 2)
    books.close(T0 + 3)
    books.ledger.settle(T0 + 9 * S)
    books.send(1, T0)
    books.ledger.settle(T0 + 9 * S)
    assert books.of(1) == INTERRUPTED
    books.ledger.announce(2, T0)
    books.ledger.settle(T0 + 50 * S)  # one in flight keeps those that may be owed it
    books.ledger.set_status(2, "accepted")
    books.ledger.settle(T0 + 50 * S)
    assert books.of(2) == INTERRUPTED
    books.ledger.settle(T0 + 50 * S)
    assert not books.ledger._closed


@pytest.mark.parametrize("settled_between", [False, True])
@pytest.mark.parametrize(
    ("came", "out_of_order"),
    [
        ([1, 2, 3], 0),
        ([1, 3, 2], 1),
        ([3, 2, 1], 2),
        ([2, 1, 3], 1),
        ([1, 2, 1, 2, 3, 3], 0),  # duplicates are that, and nothing else
        ([2, 1, 1, 2], 1),
        ([9, 1, 2], 2),  # nobody can tell yet that 9 is made up
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
    with mock.patch.object(ledger_module, "_MAX_UNANNOUNCED", 2):
        for sequence in (7, 8):
            books.ledger.code(sequence)
    assert held.settled
    books.send(1, T0)
    books.session.receive(held, T0 + 1)
    books.ledger.settle(T0 + 2)
    assert books.of(1) == DELIVERED


# When accounts are closed, and what is told before


def test_a_code_is_settled_once_all_have_it_or_its_time_is_over() -> None:
    books = Books()
    other = books.open()
    books.ledger.announce(1, T0)
    books.send(9, T0)
    books.ledger.settle(T0)
    assert (len(books.ledger.codes.in_flight), books.ledger.codes.settled.count) == (2, 0)
    books.receive(9, T0 + 1)
    books.receive(9, T0 + 1, other)
    books.receive(1, T0 + 1)
    books.receive(1, T0 + 1, other)
    books.ledger.settle(T0 + 9 * S)
    assert len(books.ledger.codes.in_flight) == 1  # nobody knows what became of its request
    books.ledger.set_status(1, "accepted")
    books.ledger.settle(T0 + 2)
    assert (len(books.ledger.codes.in_flight), books.ledger.codes.settled.count) == (0, 2)
    books.send(2, T0 + 10)
    books.receive(2, T0 + 11)
    books.ledger.settle(T0 + 10 + S)
    assert len(books.ledger.codes.in_flight) == 1
    books.ledger.close_session(other, T0 + 12, released=False)
    books.ledger.settle(T0 + 13)
    assert len(books.ledger.codes.in_flight) == 0
    assert books.of(2) == {"owed": 2, "delivered": 1, "interrupted": 1}
    third = books.open(T0 + 14, T0 + 15)
    books.send(3, T0 + 14)
    books.receive(3, T0 + 16)
    books.ledger.settle(T0 + 17)  # the third may get it, but is not owed it
    assert len(books.ledger.codes.in_flight) == 0
    books.receive(3, T0 + 18, third)
    assert books.of(3) == {"owed": 2, "delivered": 2}


def test_a_text_with_a_different_time_is_not_the_code() -> None:
    """Whoever knows the run and counts on can guess all of a code but the time in it."""
    books = Books()
    ledger, session = books.ledger, books.session
    # Before it was sent; on time; when it is settled; and long after.
    session.receive(ledger.code(1, T0 - 1), T0)
    ledger.announce(1, T0, T0 + 7)
    ledger.set_status(1, "accepted")
    session.receive(ledger.code(1, T0 + 6), T0 + 1)
    ledger.settle(T0 + 9 * S)
    assert books.of(1) == MISSING
    for number in range(2, 300):
        ledger.announce(number, T0 + number, T0 + number)
        ledger.set_status(number, "accepted")
        session.receive(ledger.code(number, T0 + number), T0 + number)
    ledger.settle(T0 + 20 * S)
    assert books.of(2) == DELIVERED
    for text_ns in (T0 + 3, T0 + 2):
        session.receive(ledger.code(2, text_ns), T0 + 9 * S)
    ledger.settle(T0 + 30 * S, final=True)
    assert books.of(1) == MISSING
    assert books.of(2) == {**DELIVERED, "duplicate": 1}
    assert books.total.code(0).unexpected == 3


def test_the_real_text_counts_before_its_announcement() -> None:
    books = Books()
    books.session.receive(books.ledger.code(1, T0 - 1), T0)
    books.session.receive(books.ledger.code(1, T0 + 7), T0 + 1)
    books.ledger.announce(1, T0, T0 + 7)
    books.ledger.set_status(1, "accepted")
    books.ledger.settle(T0 + 9 * S, final=True)
    assert books.of(1) == DELIVERED
    assert books.total.code(0).unexpected == 1


def test_a_status_without_a_send_time_waits_for_it() -> None:
    books = Books()
    books.ledger.set_status(1, "accepted")
    books.ledger.settle(T0 + 9 * S)
    assert len(books.ledger.codes.in_flight) == 1
    books.ledger.announce(1, T0)
    books.ledger.settle(T0 + 9 * S)
    assert books.of(1) == MISSING


def test_the_time_in_a_text_is_used_without_an_announced_one() -> None:
    books = Books()
    books.session.receive(books.ledger.code(1, T0 + 3), T0 + 5)
    books.session.receive(books.ledger.code(2, T0 + 3), T0 + 5)
    books.ledger.set_status(1, "accepted")
    books.send(2, T0 + 4)
    books.ledger.settle(T0 + 6)
    assert (books.of(1), books.of(2)) == (DELIVERED, DELIVERED)
    assert books.reported == [(0, T0 + 5)] * 2
    assert not books.ledger.codes.unannounced


def test_owed_arrivals_are_reported_once() -> None:
    books = Books()
    stranger = books.open(T0 + 8 * MS, T0 + 9 * MS)
    books.receive(1, T0 + 3 * MS)
    books.receive(1, T0 + 9 * MS, stranger)
    books.ledger.report_arrivals()
    assert books.reported == []  # it may be made up
    books.ledger.announce(1, T0 + MS)
    books.ledger.report_arrivals()
    assert books.reported == [(2000, T0 + 3 * MS)]
    other = books.open()
    books.receive(1, T0 + 4 * MS, other)
    books.receive(1, T0 + 4 * MS, other)
    books.ledger.report_arrivals()
    books.ledger.report_arrivals()
    books.ledger.set_status(1, "accepted")
    books.ledger.settle(T0 + 9 * S)
    books.receive(1, T0 + 4 * MS, other)
    assert books.reported == [(2000, T0 + 3 * MS), (3000, T0 + 4 * MS)]


def test_repeated_announcements_change_nothing() -> None:
    books = Books()
    books.send(1, T0)
    books.ledger.settle(T0 + 2 * S)
    books.send(1, T0 + 50, "rejected")
    books.receive(1, T0 + S + 10)
    assert books.of(1) == LATE
    assert (len(books.ledger.codes.in_flight), books.ledger.codes.settled.count) == (0, 1)


def test_pairs_in_flight_are_counted() -> None:
    books = Books()
    other = books.open()
    books.ledger.add_connection()  # never connects
    assert books.ledger.open_sessions == 2
    books.send(1, T0)
    books.receive(1, T0 + 1)
    books.receive(99, T0 + 1)
    assert books.ledger.codes.pairs_in_flight(books.ledger.open_sessions) == (2, 1)
    books.ledger.announce(2, T0)
    books.send(3, T0, "rejected")
    assert books.ledger.codes.pairs_in_flight(books.ledger.open_sessions) == (4, 1)
    books.receive(1, T0 + 1, other)
    books.ledger.settle(T0 + 2)
    assert books.ledger.codes.pairs_in_flight(books.ledger.open_sessions) == (2, 0)
    books.receive(2, T0 + 3)
    books.ledger.set_status(2, "accepted")
    books.ledger.release_all(T0 + 4)
    assert books.ledger.open_sessions == 0
    books.ledger.settle(T0 + 5, final=True)
    assert books.of(2) == {"owed": 1, "delivered": 1, "released": 1}
    assert received_per_connection(books.ledger.connections) == {2: 1, 1: 1}
    assert [each.sessions for each in books.ledger.connections] == [1, 1, 0]


@settings(deadline=None)
@given(
    st.sets(st.integers(0, 90)),
    st.lists(st.tuples(st.booleans(), st.integers(0, 200)), max_size=60),
)
def test_a_session_set_is_a_set(first: set[int], changes: list[tuple[bool, int]]) -> None:
    ledger = Ledger(1.0)
    sessions = [ledger.open_session(ledger.add_connection(), T0, T0) for _ in range(201)]
    bits, plain = SessionSet.of(sessions[number] for number in first), set(first)
    if bits is None:
        assert not first
        bits = SessionSet(0, 0)
    lowest = min(first, default=0)
    for add, number in changes:
        if add and number >= lowest and number not in plain:
            bits.add(sessions[number])
            plain.add(number)
        elif not add:
            assert bits.remove(sessions[number]) == (number in plain)
            plain.discard(number)
        assert len(bits) == len(plain)


# Memory and speed


def test_a_settled_code_keeps_its_times() -> None:
    ledger = Ledger(10.0)
    sessions = [ledger.open_session(ledger.add_connection(), T0, T0) for _ in range(50)]
    sizes: list[int] = []
    for sequence in range(1, 100_001):
        at_ns = T0 + sequence * 10 * MS
        ledger.announce(sequence, at_ns)
        ledger.set_status(sequence, "accepted")
        code = ledger.code(sequence)
        for session in sessions:
            session.receive(code, at_ns + MS)
        if sequence % 100 == 0:
            ledger.settle(at_ns + 2 * MS)
            taken = ledger.take()
            assert total_of(taken, "delivered") == 5000
        if sequence % 50_000 == 0:
            sizes.append(size_of(ledger))
    assert len(ledger.codes.in_flight) == 0
    # Twice eight bytes, and what arrays keep in reserve.
    assert (sizes[1] - sizes[0]) / 50_000 < 24
    assert sizes[1] < 2_200_000


def test_a_server_that_delivers_nothing_costs_a_few_hundred_bytes_a_code() -> None:
    ledger = Ledger(10.0)
    for _ in range(500):
        ledger.open_session(ledger.add_connection(), T0, T0)
    empty = size_of(ledger)
    missing = 0
    for sequence in range(1, 2001):
        at_ns = T0 + sequence * 100 * MS
        ledger.announce(sequence, at_ns)
        ledger.set_status(sequence, "accepted")
        if sequence % 10 == 0:
            ledger.settle(at_ns)
            missing += total_of(ledger.take(), "missing")
    ledger.settle(at_ns + 11 * S)
    missing += total_of(ledger.take(), "missing")
    assert missing == 500 * 2000
    assert (size_of(ledger) - empty) / 2000 < 600
    # When they all come after all, only the latest codes remain as such.
    for sequence in range(1, 2001):
        for session in list(ledger._open):
            session.receive(ledger.code(sequence), T0 + 1000 * S)
    late = ledger.take()
    assert (total_of(late, "late"), total_of(late, "missing")) == (500 * 2000, -500 * 2000)
    assert size_of(ledger) - empty < settled_codes._MAX_RECENT * 1000


def test_made_up_numbers_use_bounded_memory_and_time() -> None:
    ledger = Ledger(10.0)
    sessions = [ledger.open_session(ledger.add_connection(), T0, T0) for _ in range(10)]
    draw, total, seconds = random.Random(1), Tally(), []
    for _ in range(10):
        before = time.perf_counter()
        for number in range(100_000):
            sessions[number % 10].receive(ledger.code(draw.randrange(1, 10**18)), T0)
            if number % 10_000 == 0:
                ledger.report_arrivals()
                ledger.settle(T0)
                total.merge(ledger.take())
        seconds.append(time.perf_counter() - before)
        assert size_of(ledger) < 10_000_000
    assert sorted(seconds[5:])[1] < 5 * sorted(seconds[:5])[2]
    # The run's own codes are none the worse for it.
    for session in sessions:
        session.receive(ledger.code(1), T0 + MS)
    ledger.announce(1, T0)
    ledger.set_status(1, "accepted")
    ledger.settle(T0 + 2 * MS)
    ledger.settle(T0, final=True)
    total.merge(ledger.take())
    assert total.codes[1].delivered == 10
    assert total.codes[STRAY].unexpected == 1_000_000
    assert set(total.codes) == {1, STRAY}


def test_made_up_numbers_to_all_sessions_use_bounded_memory() -> None:
    ledger = Ledger(10.0)
    sessions = [ledger.open_session(ledger.add_connection(), T0, T0) for _ in range(1000)]
    with mock.patch.object(ledger_module, "_MAX_UNANNOUNCED_COPIES", 20_000):
        for sequence in range(10**6, 10**6 + 300):
            code = ledger.code(sequence)
            for session in sessions:
                session.receive(code, T0)
                session.receive(code, T0)
            ledger.settle(T0)
            unannounced = ledger.codes.unannounced.values()
            assert sum(len(code.copies or ()) for code in unannounced) <= 20_000
    ledger.settle(T0, final=True)
    assert ledger.take().codes[STRAY].unexpected == 600_000


def size_of(ledger: Ledger) -> int:
    """Bytes of everything that can be reached from a ledger, but for code and classes."""
    seen: set[int] = set()
    todo: list[object] = [ledger]
    total = 0
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, type) or callable(each):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        if isinstance(each, dict):
            todo.extend(each)
            todo.extend(each.values())
        elif isinstance(each, list | tuple | set):
            todo.extend(each)
        todo.extend(
            getattr(each, name)
            for kind in type(each).__mro__
            for name in getattr(kind, "__slots__", ())
            if hasattr(each, name)
        )
        todo.extend(getattr(each, "__dict__", {}).values())
    return total
