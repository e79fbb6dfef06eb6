"""Counting copies, and pairs of a code and a session, for the code and for the connection."""

from __future__ import annotations

from typing import Literal, TypeAlias

from sseload_users.core.code_tally import CodeTally
from sseload_users.core.counters import Counters
from sseload_users.core.pair_rules import PairRules, Undelivered
from sseload_users.core.sessions import Connection, Session, TrackedCode
from sseload_users.core.timestamps import earliest

OwedOutcome: TypeAlias = Literal["late", "missing", "interrupted"]


def count_owed(
    outcome: OwedOutcome, account: CodeTally, connection: Connection, pairs: int = 1
) -> None:
    """Count owed pairs that were not delivered."""
    setattr(account, outcome, getattr(account, outcome) + pairs)
    setattr(connection, outcome, getattr(connection, outcome) + pairs)
    account.owed += pairs


def count_duplicates(account: CodeTally, connection: Connection, copies: int) -> None:
    """Count further copies."""
    account.duplicate += copies
    connection.duplicate += copies


def count_delivered(account: CodeTally, latencies_us: list[int], arrived_ns: list[int]) -> None:
    """Count copies that came in time, in the order of their arrival, for their code.

    Args:
        account: the code's account.
        latencies_us: the latencies, in microseconds; at least one.
        arrived_ns: the arrivals (wall clock, ns).
    """
    account.owed += len(arrived_ns)
    account.delivered += len(arrived_ns)
    account.add_arrivals(arrived_ns[0], arrived_ns[-1])
    account.latencies.add_all(latencies_us)


def count_first_copies(
    counters: Counters, account: CodeTally, code: TrackedCode, latest_ns: int
) -> None:
    """Count the first copies of an owed code. In a large run this is most of what settling costs.

    The server subscribes a session before it can confirm that. A code that was sent after the
    session's connect began, and arrived, was meant for it; one that did not arrive was owed only
    if the session was subscribed. A code that was sent after the session began to leave is not
    owed, and its arrival is no defect.

    Args:
        counters: where deliveries in doubt are counted.
        account: the code's account.
        code: the code.
        latest_ns: until when it had to arrive (wall clock, ns).
    """
    if code.in_time is not None:
        account.merge(code.in_time)
    sent_ns = code.sent_ns or 0
    for session, arrived_ns in (code.copies or {}).items():
        if session.subscribed_ns > sent_ns:
            if session.started_ns > sent_ns:
                account.unexpected += 1
                continue
            session.add_unowed(code.sequence)
        elif session.leaving_ns < sent_ns:
            account.released += 1
            session.add_unowed(code.sequence)
            continue
        if arrived_ns <= latest_ns:
            session.connection.delivered += 1
        elif earliest(arrived_ns) <= latest_ns:
            session.connection.delivered += 1
            counters.in_doubt += 1
        else:
            count_owed("late", account, session.connection)


def count_further_copies(counters: Counters, account: CodeTally, code: TrackedCode) -> None:
    """Count the further copies, as duplicates if the code was meant for the session.

    Count which of its copies came out of order, too.
    """
    counters.out_of_order += code.count_out_of_order(code.overtaken or {})
    for session, copies in (code.further or {}).items():
        if code.owed and session.started_ns <= (code.sent_ns or 0):
            count_duplicates(account, session.connection, sum(copies.values()))
        else:
            account.unexpected += sum(copies.values())
            counters.out_of_order += code.count_out_of_order(copies)
    code.further = code.overtaken = None


def count_without_copy(
    rules: PairRules, account: CodeTally, session: Session, sent_ns: int
) -> Undelivered:
    """Count a session without a copy of a code; return the outcome."""
    outcome = rules.outcome(session, sent_ns)
    if outcome == "released":
        account.released += 1
    elif outcome is not None:
        count_owed(outcome, account, session.connection)
    return outcome


def note_order(counters: Counters, session: Session, code: TrackedCode) -> None:
    """Count a first copy of a settled code if it came out of order."""
    if code.sequence >= session.newest:
        session.newest = code.sequence
    elif code.is_out_of_order_after(session.newest):
        counters.out_of_order += 1
