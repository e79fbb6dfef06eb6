"""When accounts are closed, and what is reported before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.connection_row import received_per_connection
from sseload_users.core.ledger import Ledger
from sseload_users.core.session_set import SessionSet
from tests.support.ledger_books import DELIVERED, LATE, MISSING, MS, T0, Books, S


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
    assert len(books.ledger.codes.in_flight) == 1  # the result of its request is not known
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
    books.ledger.settle(T0 + 17)  # the third may receive it, but is not owed it
    assert len(books.ledger.codes.in_flight) == 0
    books.receive(3, T0 + 18, third)
    assert books.of(3) == {"owed": 2, "delivered": 2}


def test_a_text_with_a_different_time_is_not_the_code() -> None:
    """All of a code can be guessed from others of the run, except the time in it."""
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
    assert books.ledger.codes.pairs_in_flight(books.ledger.audience) == (2, 1)
    books.ledger.announce(2, T0)
    books.send(3, T0, "rejected")
    assert books.ledger.codes.pairs_in_flight(books.ledger.audience) == (4, 1)
    books.receive(1, T0 + 1, other)
    books.ledger.settle(T0 + 2)
    assert books.ledger.codes.pairs_in_flight(books.ledger.audience) == (2, 0)
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
