"""The ledger at servers that promise that nothing is lost in the gaps of a connection."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.ledger import Ledger
from tests.support.ledger_books import MS, T0, S
from tests.support.ledger_model import total_of
from tests.support.resume_model import KINDS, Event, ResumeWorld, events


@settings(max_examples=400, deadline=None)
@given(events, st.booleans())
def test_the_ledger_agrees_with_the_model(history: list[Event], sends_history: bool) -> None:
    world = ResumeWorld(history=sends_history)
    world.run(history)
    world.end()
    world.check()


@pytest.mark.parametrize("seed", range(6))
def test_long_histories_agree_with_the_model(seed: int) -> None:
    draw = random.Random(seed)
    world = ResumeWorld(history=seed % 2 == 0)
    world.run((kind, draw.randrange(31), draw.randrange(8)) for kind in draw.choices(KINDS, k=1000))
    world.end()
    world.check()
    for outcome in ("delivered", "recovered", "replayed", "duplicate", "missing"):
        assert total_of(world.total, outcome) > 0, outcome
    assert world.total.catch_up.total > 0


def test_what_was_sent_in_a_gap_is_recovered() -> None:
    ledger = Ledger(1.0, resume=True)
    connection = ledger.add_connection()
    session = ledger.open_session(connection, T0, T0)
    ledger.pause_session(session, T0 + S, released=False)
    assert ledger.open_sessions == 0
    for sequence in (1, 2):
        ledger.announce(sequence, T0 + S + sequence * MS)
        ledger.set_status(sequence, "accepted", sequence)
    ledger.settle(T0 + 10 * S)
    assert total_of(ledger.take(), "missing") == 2  # as far as is known
    assert ledger.open_session(connection, T0 + 20 * S, T0 + 20 * S + MS) is session
    assert ledger.open_sessions == 1
    for sequence in (1, 2):
        session.receive(ledger.code(sequence), T0 + 20 * S + sequence * 10 * MS)
    session.receive(ledger.code(2), T0 + 21 * S)
    ledger.release_all(T0 + 30 * S)
    ledger.settle(T0 + 30 * S, final=True)
    taken = ledger.take()
    assert (total_of(taken, "recovered"), total_of(taken, "missing")) == (2, -2)
    assert (total_of(taken, "duplicate"), total_of(taken, "replayed")) == (1, 0)
    assert taken.catch_up.percentile_ms(50) == pytest.approx(19, rel=0.01)
    assert (connection.owed, connection.recovered, connection.sessions) == (2, 2, 2)


@pytest.mark.parametrize("away", [True, False])
def test_codes_that_are_recovered_together_are_no_sign_of_a_buffer(away: bool) -> None:
    ledger = Ledger(1.0, resume=True)
    connection = ledger.add_connection()
    session = ledger.open_session(connection, T0, T0)
    if away:
        ledger.pause_session(session, T0 + MS, released=False)
    for sequence in range(1, 6):
        ledger.announce(sequence, T0 + sequence * 100 * MS)
        ledger.set_status(sequence, "accepted", sequence)
    if away:
        ledger.open_session(connection, T0 + 600 * MS, T0 + 601 * MS)
    for sequence in range(1, 6):
        session.receive(ledger.code(sequence), T0 + 602 * MS)
    ledger.settle(T0 + 10 * S)
    taken = ledger.take()
    assert total_of(taken, "recovered" if away else "delivered") == 5
    assert (taken.evidence.apart, taken.evidence.together) == ((0, 0) if away else (4, 4))


def test_without_the_promise_a_paused_session_is_closed() -> None:
    ledger = Ledger(1.0)
    connection = ledger.add_connection()
    session = ledger.open_session(connection, T0, T0)
    ledger.pause_session(session, T0 + S, released=False)
    ledger.announce(1, T0 + S + MS)
    ledger.set_status(1, "accepted", 1)
    again = ledger.open_session(connection, T0 + 2 * S, T0 + 2 * S)
    assert again is not session
    again.receive(ledger.code(1), T0 + 2 * S + MS)
    ledger.settle(T0 + 10 * S)
    taken = ledger.take()
    assert (total_of(taken, "owed"), total_of(taken, "unexpected")) == (0, 1)


def test_what_a_client_asks_for_is_history() -> None:
    ledger = Ledger(10.0)
    connection = ledger.add_connection()
    first = ledger.open_session(connection, T0, T0)
    for sequence, sent_ns in ((1, T0 + S), (2, T0 + 11 * S), (3, T0 + 12 * S)):
        ledger.announce(sequence, sent_ns)
        ledger.set_status(sequence, "accepted", sequence)
        if sequence < 3:
            first.receive(ledger.code(sequence), sent_ns + MS)
        else:
            ledger.close_session(first, T0 + 11 * S + 500 * MS, released=False)
    # It tells the server that it has the second code, and gets everything again.
    again = ledger.open_session(connection, T0 + 13 * S, T0 + 13 * S, (), first.closed_ns)
    for sequence in (1, 2, 3):
        again.receive(ledger.code(sequence), T0 + 13 * S + MS)
    ledger.settle(T0 + 60 * S)
    taken = ledger.take()
    assert [taken.codes[each].history for each in (1, 2, 3)] == [0, 1, 1]
    assert taken.codes[1].unexpected == 1


@pytest.mark.parametrize("resume", [True, False])
def test_planned_ends_are_no_evidence_of_drops(resume: bool) -> None:
    ledger = Ledger(1.0, resume=resume)
    for planned in (True, False):
        session = ledger.open_session(ledger.add_connection(), T0, T0)
        ledger.pause_session(session, T0 + S, released=False, planned=planned)
    assert len(ledger.take().evidence.drops) == 1


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_what_was_not_owed_and_comes_again_is_replayed(settled: bool, again: bool) -> None:
    ledger = Ledger(1.0, resume=True)
    connection = ledger.add_connection()
    # Sent while the session connects: what comes is not asked for, and no defect.
    ledger.announce(1, T0 + MS)
    ledger.set_status(1, "accepted", 1)
    session = ledger.open_session(connection, T0, T0 + 2 * MS)
    session.receive(ledger.code(1), T0 + 3 * MS)
    if settled:
        ledger.settle(T0 + 10 * S)
    if again:
        ledger.pause_session(session, T0 + 20 * S, released=False)
        ledger.open_session(connection, T0 + 30 * S, T0 + 31 * S)
    session.receive(ledger.code(1), T0 + 32 * S)
    ledger.settle(T0 + 60 * S)
    taken = ledger.take()
    assert (total_of(taken, "replayed"), total_of(taken, "duplicate")) == (again, not again)


def test_what_came_before_a_gap_is_not_recovered() -> None:
    ledger = Ledger(1.0, resume=True)
    connection = ledger.add_connection()
    session = ledger.open_session(connection, T0, T0)
    for sequence in (1, 2):
        ledger.announce(sequence, T0 + sequence * MS)
        ledger.set_status(sequence, "accepted", sequence)
    session.receive(ledger.code(1), T0 + 3 * MS)
    ledger.report_arrivals()
    ledger.pause_session(session, T0 + 4 * MS, released=False)
    # The second code may still be meant for the session that returns.
    ledger.open_session(connection, T0 + 2 * MS, T0 + 6 * MS)
    session.receive(ledger.code(2), T0 + 7 * MS)
    ledger.settle(T0 + 10 * S)
    taken = ledger.take()
    assert (taken.codes[1].delivered, taken.codes[1].recovered) == (1, 0)
    assert (taken.codes[2].delivered, taken.codes[2].recovered) == (0, 1)
    assert (connection.owed, connection.delivered, connection.recovered) == (2, 1, 1)
