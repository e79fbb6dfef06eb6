"""Sessions that sseload itself ends: those that leave in good order, and those that it cuts off."""

from __future__ import annotations

import pytest

from tests.support.ledger_books import DELIVERED, LATE, MISSING, MS, T0, Books, S

#: By how much a pair may be older than the slowest delivery and still be undecided.
MARGIN = S


def long_books(slowest_ns: int = 0) -> Books:
    """Return books with a timeout of ten seconds."""
    books = Books(timeout_s=10.0)
    books.ledger.rules.note_delivery(slowest_ns)
    return books


@pytest.mark.parametrize("slowest_ns", [0, 5 * MS, 2 * S])
def test_a_pair_that_is_cut_off_is_missing_if_deliveries_take_less_time(slowest_ns: int) -> None:
    books = long_books(slowest_ns)
    for sequence in range(1, 7):
        books.send(sequence, T0 + sequence * S)
    books.close(T0 + 6 * S, released=True)
    books.ledger.settle(T0 + 7 * S, final=True)
    ages = {sequence: (6 - sequence) * S for sequence in range(1, 6)}
    assert {sequence: books.of(sequence) for sequence in ages} == {
        sequence: {"released": 1} if age <= slowest_ns + MARGIN else MISSING
        for sequence, age in ages.items()
    }
    assert books.of(6) == {}  # it was sent when the session closed


def test_a_cut_waits_for_what_deliveries_will_take() -> None:
    """With a latency of two seconds, nothing has arrived when a storm comes after 1.7."""
    books = long_books()
    books.send(1, T0)
    books.close(T0 + 1700 * MS, released=True)
    books.ledger.settle(T0 + 2 * S)
    assert books.ledger.codes.in_flight
    books.ledger.rules.note_delivery(2 * S)
    books.ledger.settle(T0 + 3 * S)
    assert not books.ledger.codes.in_flight
    assert books.of(1) == {"released": 1}


def test_a_cut_is_decided_at_the_timeout() -> None:
    books = long_books()
    books.send(1, T0)
    books.close(T0 + 5 * S, released=True)
    books.ledger.settle(T0 + 10 * S)
    assert books.ledger.codes.in_flight
    books.ledger.settle(T0 + 10 * S + 1)
    assert books.of(1) == MISSING
    assert books.session.connection.missing == 1


def test_a_session_that_is_cut_off_just_after_a_code_holds_nothing_up() -> None:
    books = long_books()
    books.send(1, T0)
    books.close(T0 + MS, released=True)
    books.ledger.settle(T0 + 2 * MS)
    assert books.of(1) == {"released": 1}


def test_a_leaving_session_awaits_what_it_is_owed() -> None:
    books = long_books()
    ledger, session = books.ledger, books.session
    books.send(1, T0)
    books.send(2, T0 + S)
    ledger.begin_leaving(session, T0 + 2 * S)
    books.send(3, T0 + 3 * S)
    assert ledger.awaits(session, T0 + 4 * S)
    books.receive(2, T0 + 4 * S)
    assert ledger.awaits(session, T0 + 10 * S)
    assert not ledger.awaits(session, T0 + 10 * S + 1)  # the first has timed out
    books.close(T0 + 10 * S + 1, released=True)
    ledger.settle(T0 + 10 * S + 1)
    assert [books.of(sequence) for sequence in (1, 2, 3)] == [MISSING, DELIVERED, {}]


def test_a_leaving_session_does_not_await_a_rejected_code() -> None:
    books = long_books()
    books.ledger.announce(1, T0)
    books.ledger.begin_leaving(books.session, T0 + S)
    assert books.ledger.awaits(books.session, T0 + S)
    books.ledger.set_status(1, "rejected")
    assert not books.ledger.awaits(books.session, T0 + S)


def test_a_leaving_session_is_owed_what_is_announced_later() -> None:
    books = long_books()
    books.ledger.begin_leaving(books.session, T0 + S)
    assert not books.ledger.awaits(books.session, T0 + S)
    books.send(1, T0 + S)
    assert books.ledger.awaits(books.session, T0 + S)
    books.receive(1, T0 + 12 * S)
    books.ledger.settle(T0 + 12 * S)
    assert books.of(1) == LATE


@pytest.mark.parametrize("settled_before", [False, True])
def test_what_comes_to_a_leaving_session_unowed_is_released(settled_before: bool) -> None:
    books = long_books()
    books.ledger.begin_leaving(books.session, T0 + S)
    books.send(1, T0 + 2 * S)
    if settled_before:
        books.ledger.settle(T0 + 2 * S)
        assert not books.ledger.codes.in_flight
    books.receive(1, T0 + 3 * S)
    books.ledger.report_arrivals()
    books.ledger.settle(T0 + 3 * S)
    assert books.of(1) == {"released": 1}
    books.receive(1, T0 + 4 * S)
    assert books.of(1) == {"released": 1, "duplicate": 1}
    assert books.reported == []


def test_a_drop_while_leaving_interrupts_what_is_owed() -> None:
    books = long_books()
    books.send(1, T0)
    books.ledger.begin_leaving(books.session, T0 + S)
    books.send(2, T0 + 2 * S)
    books.close(T0 + 3 * S)
    books.ledger.settle(T0 + 4 * S)
    assert [books.of(sequence) for sequence in (1, 2)] == [{"owed": 1, "interrupted": 1}, {}]
