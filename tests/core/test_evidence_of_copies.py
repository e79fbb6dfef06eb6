"""What the evidence says about copies that come after a connection has returned."""

from __future__ import annotations

import pytest

from sseload_users.core.ledger import Ledger
from tests.support.ledger_books import MS, T0, S


@pytest.mark.parametrize("came", [True, False])
@pytest.mark.parametrize("settled", [True, False])
def test_a_code_on_its_way_to_a_session_that_ended_has_not_come_before(
    came: bool, settled: bool
) -> None:
    ledger = Ledger(1.0)
    connection = ledger.add_connection()
    first = ledger.open_session(connection, T0, T0)
    ledger.announce(1, T0 + S)
    ledger.set_status(1, "accepted")
    if came:
        first.receive(ledger.code(1), T0 + S + MS)
    ledger.close_session(first, T0 + S + 5 * MS, released=True)
    # Another connection gets it: it is owed.
    other = ledger.open_session(ledger.add_connection(), T0, T0)
    other.receive(ledger.code(1), T0 + S + MS)
    returned = ledger.open_session(connection, T0 + S + 20 * MS, T0 + S + 30 * MS)
    if settled:
        ledger.settle(T0 + 5 * S)
    returned.receive(ledger.code(1), T0 + S + 90 * MS)
    ledger.settle(T0 + 5 * S)
    copies = ledger.take().evidence.copies
    assert (copies.further, copies.further_again) == (0, came)


def test_a_second_copy_within_a_session_does_not_count_as_one_after_a_return() -> None:
    ledger = Ledger(1.0)
    connection = ledger.add_connection()
    first = ledger.open_session(connection, T0, T0)
    ledger.close_session(first, T0 + S, released=True)
    returned = ledger.open_session(connection, T0 + S, T0 + S)
    ledger.announce(1, T0 + 2 * S)
    ledger.set_status(1, "accepted")
    returned.receive(ledger.code(1), T0 + 2 * S + MS)
    ledger.settle(T0 + 5 * S)
    returned.receive(ledger.code(1), T0 + 5 * S)
    assert ledger.take().evidence.copies.further_again == 0


def test_numbers_of_observed_messages_may_be_large_and_come_in_any_order() -> None:
    ledger = Ledger(1.0)
    connection = ledger.add_connection()
    first = ledger.open_session(connection, T0, T0)
    numbers = (10**15 + 2, 10**15, 10**15 + 1)
    for place, sequence in enumerate(numbers):
        ledger.announce(sequence, T0 + place * S)
        ledger.set_status(sequence, "accepted")
        first.receive(ledger.code(sequence), T0 + place * S + MS)
        ledger.settle(T0 + place * S + 2 * S)
    ledger.close_session(first, T0 + 6 * S, released=True)
    returned = ledger.open_session(connection, T0 + 6 * S, T0 + 6 * S)
    for sequence in numbers:
        returned.receive(ledger.code(sequence), T0 + 7 * S)
    assert ledger.take().evidence.copies.further_again == 3
