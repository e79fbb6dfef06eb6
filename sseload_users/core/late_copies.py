"""Copies that arrive after their code was settled."""

from __future__ import annotations

from sseload_users.core.code_tally import STRAY, CodeTally
from sseload_users.core.counting import (
    count_before,
    count_delivered,
    count_delivered_to,
    count_duplicates,
    count_leak,
    count_owed,
    note_order,
)
from sseload_users.core.pair_rules import PairRules
from sseload_users.core.sessions import Session, TrackedCode
from sseload_users.core.settled_codes import SettledCodes
from sseload_users.core.tally import Tally
from sseload_users.core.timestamps import earliest


def count_copy_of_settled(
    tally: Tally,
    settled: SettledCodes,
    rules: PairRules,
    session: Session,
    code: TrackedCode,
    arrived_ns: int,
) -> int | None:
    """Count a copy of a settled code, and correct the account if the session missed it.

    Returns:
        When it arrived (wall clock, ns) if that was in time; None otherwise.
    """
    if session is code.exempt:
        return None
    account = tally.code(code.sequence if code.announced else STRAY)
    connection, sent_ns = session.connection, code.sent_ns
    relation = session.relation(sent_ns or 0, code.channel, arrived_ns)
    if not code.owed or sent_ns is None or relation in ("before", "outside"):
        if code.owed and relation == "outside":
            count_leak(tally, session, code, 1)
        elif code.owed:
            count_before(rules, account, session, sent_ns or 0, 1)
        else:
            account.unexpected += 1
        note_order(tally.counters, session, code)
        return None
    if relation != "owed":
        if session.add_unowed(code.sequence):
            _count_repeated(account, session, code, sent_ns)
            return None
        if relation == "leaving":
            account.released += 1
            note_order(tally.counters, session, code)
            return None
    elif settled.remove_missing(code, session):
        count_owed("missing", account, session, code, -1)
    else:
        _count_repeated(account, session, code, sent_ns)
        return None
    note_order(tally.counters, session, code)
    if session.gaps is not None and session.gaps.brought(sent_ns, arrived_ns):
        count_owed("recovered", account, session, code, arrived_ns=arrived_ns)
        session.gaps.note_recovered(code.sequence, arrived_ns)
        return None
    latest_ns = sent_ns + rules.timeout_ns
    if earliest(arrived_ns) > latest_ns:
        count_owed("late", account, session, code, arrived_ns=arrived_ns)
        return None
    connection.delivered += 1
    tally.counters.in_doubt += int(arrived_ns > latest_ns)
    in_time_ns = min(arrived_ns, latest_ns)
    latencies_us = [(in_time_ns - sent_ns) // 1000]
    count_delivered(account, latencies_us, [in_time_ns])
    count_delivered_to(account, connection.node, connection.slow, latencies_us)
    return in_time_ns


def _count_repeated(account: CodeTally, session: Session, code: TrackedCode, sent_ns: int) -> None:
    """Count a further copy: a replay if an earlier stretch of the session had one."""
    gaps = session.gaps
    if gaps is not None and sent_ns < gaps.started_ns and code.sequence not in gaps.recovered:
        account.replayed += 1
    else:
        count_duplicates(account, session.connection, 1)
