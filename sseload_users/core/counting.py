"""Counting copies, and pairs of a code and a session, for the code and for the connection."""

from __future__ import annotations

from typing import Literal, TypeAlias

from sseload_users.core.arrivals import arrivals_in_time, new_arrivals_in_time
from sseload_users.core.code_tally import CodeTally
from sseload_users.core.counters import Counters
from sseload_users.core.leaks import Leak
from sseload_users.core.pair_rules import Members, PairRules, Undelivered
from sseload_users.core.sessions import Connection, Session, TrackedCode
from sseload_users.core.spans import NEVER
from sseload_users.core.tally import Tally
from sseload_users.core.timestamps import earliest
from sseload_users.core.unusual_pairs import Pair, UnusualPairs

OwedOutcome: TypeAlias = Literal["late", "missing", "interrupted", "recovered"]


def count_owed(
    outcome: OwedOutcome,
    account: CodeTally,
    session: Session,
    code: TrackedCode,
    pairs: int = 1,
    arrived_ns: int | None = None,
) -> None:
    """Count an owed pair that was not delivered in time, or take it back.

    Args:
        outcome: its outcome.
        account: the code's account.
        session: the session.
        code: the code.
        pairs: 1, or -1 to take it back.
        arrived_ns: when the code came (wall clock, ns); None if it did not.
    """
    connection = session.connection
    if connection.unusual is not None:
        _note_pair(connection.unusual, outcome, session, code, pairs, arrived_ns)
    setattr(account, outcome, getattr(account, outcome) + pairs)
    setattr(connection, outcome, getattr(connection, outcome) + pairs)
    account.owed += pairs
    if connection.is_grouped:
        for group in account.groups(connection.node, connection.slow):
            setattr(group, outcome, getattr(group, outcome) + pairs)
            group.owed += pairs


def _note_pair(
    unusual: UnusualPairs,
    outcome: OwedOutcome,
    session: Session,
    code: TrackedCode,
    pairs: int,
    arrived_ns: int | None,
) -> None:
    if pairs < 0:
        unusual.remove(session.number, code.sequence)
        return
    latency_us = None if arrived_ns is None else (arrived_ns - (code.sent_ns or 0)) // 1000
    connection = session.connection
    pair = Pair(connection.number, code.sequence, connection.node, outcome, latency_us)
    unusual.add(session.number, pair)


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


def count_new_arrivals(code: TrackedCode, timeout_ns: int) -> tuple[list[int], list[int]]:
    """Count the first copies of a code that came in time since the last call.

    Returns:
        Their latencies (in microseconds) and arrivals (wall clock, ns), in the order of arrival.
    """
    sent_ns = code.sent_ns
    if sent_ns is None or not code.is_owed:
        return [], []
    in_time = new_arrivals_in_time(code, sent_ns, timeout_ns)
    latencies_us = [(each - sent_ns) // 1000 for each in in_time]
    if in_time:
        if code.in_time is None:
            code.in_time = CodeTally()
        count_delivered(code.in_time, latencies_us, in_time)
    return latencies_us, in_time


def count_delivered_to(
    account: CodeTally, node: int | None, slow: bool | None, latencies_us: list[int]
) -> None:
    """Count deliveries of a code, with their latencies in microseconds, for groups of sessions.

    Args:
        account: the code's account.
        node: index of the sessions' node; None in a run without nodes.
        slow: whether their connections read slowly; None in a run without such.
        latencies_us: the latencies.
    """
    for group in account.groups(node, slow):
        group.owed += len(latencies_us)
        group.delivered += len(latencies_us)
        group.latencies.add_all(latencies_us)


def count_deliveries_to_groups(rules: PairRules, account: CodeTally, code: TrackedCode) -> None:
    """Count the copies of an owed code that came in time, for the groups of their sessions.

    Args:
        rules: have the delivery timeout.
        account: the code's account.
        code: the code; all its copies are counted.
    """
    sent_ns = code.sent_ns or 0
    by_group: dict[tuple[int | None, bool | None], list[tuple[Session, int]]] = {}
    for session, arrived_ns in code.counted_copies().items():
        own = session.connection.node, session.connection.slow
        by_group.setdefault(own, []).append((session, arrived_ns))
    for (node, slow), copies in by_group.items():
        in_time = arrivals_in_time(code, copies, sent_ns, rules.timeout_ns)
        if in_time:
            count_delivered_to(account, node, slow, [(each - sent_ns) // 1000 for each in in_time])


def count_leak(tally: Tally, session: Session, code: TrackedCode, copies: int) -> None:
    """Count copies of a code that reached a session outside its channel."""
    tally.code(code.sequence).leaked += copies
    tally.keep_leak(Leak.to(session, code.sequence, code.sent_ns or 0, code.channel or ""))


def count_before(
    rules: PairRules, account: CodeTally, session: Session, sent_ns: int, copies: int
) -> None:
    """Count copies of a code that was sent before the session asked for it."""
    if rules.history or sent_ns >= session.history_ns:
        account.history += copies
    else:
        account.unexpected += copies


def count_first_copies(
    tally: Tally, rules: PairRules, account: CodeTally, code: TrackedCode
) -> None:
    """Count the first copies of an owed code. In a large run this is most of what settling costs.

    The server subscribes a session before it can confirm that. A code that was sent after the
    session's connect began, and arrived, was meant for it; one that did not arrive was owed only
    if the session was subscribed. A code that was sent after the session began to leave is not
    owed, and its arrival is no defect.

    Args:
        tally: where deliveries in doubt and leaks are counted.
        rules: have the delivery timeout.
        account: the code's account.
        code: the code.
    """
    if code.in_time is not None:
        account.merge(code.in_time)
    sent_ns, channel = code.sent_ns or 0, code.channel
    latest_ns = sent_ns + rules.timeout_ns
    for session, arrived_ns in code.counted_copies().items():
        if (
            session.subscribed_ns > sent_ns
            or session.leaving_ns < sent_ns
            or (channel is not None and not session.is_owed(sent_ns, channel))
        ):
            relation = session.relation(sent_ns, channel, arrived_ns)
            if relation == "outside":
                count_leak(tally, session, code, 1)
                continue
            if relation == "before":
                count_before(rules, account, session, sent_ns, 1)
                continue
            session.add_unowed(code.sequence)
            if relation == "leaving":
                account.released += 1
                continue
        if session.gaps is not None and session.gaps.brought(sent_ns, arrived_ns):
            count_owed("recovered", account, session, code, arrived_ns=arrived_ns)
            session.gaps.note_recovered(code.sequence, arrived_ns)
        elif arrived_ns <= latest_ns:
            session.connection.delivered += 1
        elif earliest(arrived_ns) <= latest_ns:
            session.connection.delivered += 1
            tally.counters.in_doubt += 1
        else:
            count_owed("late", account, session, code, arrived_ns=arrived_ns)
    some = next(iter(code.copies or ()), None)
    if some is not None and some.connection.is_grouped:
        count_deliveries_to_groups(rules, account, code)


def count_further_copies(
    tally: Tally, rules: PairRules, account: CodeTally, code: TrackedCode
) -> None:
    """Count the further copies, as duplicates if the code was meant for the session.

    Count which of its copies came out of order, too.
    """
    counters = tally.counters
    counters.out_of_order += code.count_out_of_order(code.overtaken or {})
    for session, copies in (code.further or {}).items():
        if session is code.exempt:
            continue
        first_ns = (code.copies or {}).get(session, NEVER)
        relation = session.relation(code.sent_ns or 0, code.channel, first_ns)
        if code.owed and relation == "outside":
            count_leak(tally, session, code, sum(copies.values()))
            counters.out_of_order += code.count_out_of_order(copies)
        elif code.owed and relation != "before":
            count_duplicates(account, session.connection, sum(copies.values()))
        else:
            if code.owed:
                count_before(rules, account, session, code.sent_ns or 0, sum(copies.values()))
            else:
                account.unexpected += sum(copies.values())
            counters.out_of_order += code.count_out_of_order(copies)
    if code.owed:
        account.replayed += code.replayed
    else:
        account.unexpected += code.replayed
    code.further = code.overtaken = None


def count_without_copy(
    rules: PairRules, account: CodeTally, session: Session, code: TrackedCode
) -> Undelivered:
    """Count a session without a copy of a code that was sent; return the outcome."""
    outcome = rules.outcome(session, code.sent_ns or 0, code.channel)
    if outcome == "released":
        account.released += 1
    elif outcome is not None:
        count_owed(outcome, account, session, code)
    return outcome


def count_all_without_copy(
    rules: PairRules, account: CodeTally, code: TrackedCode, members: Members
) -> list[Session]:
    """Count the sessions without a copy of a code; return those that miss it.

    Args:
        rules: decide the outcomes.
        account: the code's account.
        code: it was sent.
        members: the open and the closed sessions in its channel.
    """
    copies, sent_ns = code.copies or {}, code.sent_ns or 0
    missing: list[Session] = []
    for sessions in members:
        if sessions.keys() <= copies.keys():  # the usual case, and several times cheaper
            continue
        for session in sessions:
            if session.subscribed_ns <= sent_ns and session not in copies:
                if code.status == "unknown":
                    # It may never have left its sender.
                    pair = rules.outcome(session, sent_ns, code.channel)
                    account.released += pair is not None
                    continue
                outcome = count_without_copy(rules, account, session, code)
                if outcome == "missing":
                    missing.append(session)
    return missing


def note_order(counters: Counters, session: Session, code: TrackedCode) -> None:
    """Count a first copy of a settled code if it came out of order."""
    if code.is_out_of_order_after(session.advance(code)):
        counters.out_of_order += 1


def note_overlooked(tally: Tally, code: TrackedCode) -> None:
    """Note that a code came in a message in which the profile does not look for it."""
    code.overlooked = True
    if code.settled and code.announced:
        tally.code(code.sequence).overlooked = True
