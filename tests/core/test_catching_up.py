"""Whom a run waits for at its end: connections that were away and may still catch up."""

from __future__ import annotations

from sseload_users.core.catching_up import count_catching_up
from sseload_users.core.ledger import Ledger

_S = 1_000_000_000
TIMEOUT_S = 2


def catching_up(ledger: Ledger, now_ns: int) -> int:
    return count_catching_up(ledger.audience, ledger.codes.settled, TIMEOUT_S * _S, now_ns)


def test_who_is_away_or_back_is_waited_for_while_it_misses_codes() -> None:
    ledger = Ledger(TIMEOUT_S, resume=True)
    there, away = (ledger.open_session(ledger.add_connection(), 0, 0) for _ in range(2))
    code = ledger.code(1)
    ledger.announce(1, 10 * _S)
    ledger.set_status(1, "accepted")
    there.receive(code, 10 * _S + 1)
    ledger.pause_session(away, 11 * _S, released=True)
    ledger.settle(12 * _S + 1)
    assert not ledger.codes.in_flight
    # Away since 11 s: for as long as the delivery timeout.
    assert catching_up(ledger, 13 * _S - 1) == 1
    assert catching_up(ledger, 13 * _S + 1) == 0
    # Back at 14 s: again for as long.
    ledger.open_session(away.connection, 14 * _S - 1, 14 * _S)
    assert catching_up(ledger, 16 * _S - 1) == 1
    assert catching_up(ledger, 16 * _S + 1) == 0
    # Nothing is missing any more.
    away.receive(code, 15 * _S)
    assert catching_up(ledger, 15 * _S) == 0
    ledger.release_all(17 * _S)
    assert ledger.take().code(1).recovered == 1


def test_nobody_is_waited_for_where_gaps_owe_nothing() -> None:
    ledger = Ledger(TIMEOUT_S)
    session = ledger.open_session(ledger.add_connection(), 0, 0)
    ledger.announce(1, 10 * _S)
    ledger.set_status(1, "accepted")
    ledger.settle(12 * _S + 1)
    ledger.pause_session(session, 12 * _S + 2, released=False)
    assert catching_up(ledger, 12 * _S + 3) == 0
