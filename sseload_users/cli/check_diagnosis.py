"""What the diagnosis of runs says of the few connections and codes of a check."""

from __future__ import annotations

from collections.abc import Sequence

from sseload_users.cli.check_findings import Arrivals
from sseload_users.cli.check_publisher import SentCode
from sseload_users.core.ledger import Ledger
from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.report.account import Run, account_of
from sseload_users.report.symptoms import symptoms_of
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.verdict.diagnosis import diagnose
from sseload_users.verdict.symptoms import Finding


def diagnose_receipts(
    sent: Sequence[SentCode],
    arrivals: Sequence[Arrivals],
    users: Sequence[Identity],
    timeout_s: float,
) -> str | None:
    """Return what to look at first, if codes came as they do from separate instances.

    Args:
        sent: the accepted codes, in order.
        arrivals: what each connection received; a code that it sent itself has none.
        users: the user of each connection.
        timeout_s: the delivery timeout, in seconds.
    """
    ledger = Ledger(timeout_s)
    began_ns = min(each.sent_ns for each in sent) - 1
    names = [each.username for each in users]
    sessions = [
        ledger.open_session(ledger.add_connection(name), began_ns, began_ns) for name in names
    ]
    for sequence, each in enumerate(sent, 1):
        ledger.announce(sequence, each.sent_ns)
        ledger.set_status(sequence, "accepted")
        for session, came in zip(sessions, arrivals, strict=True):
            if each.text in came:
                # What it sent itself does not have to come back.
                arrived_ns = (*came[each.text], each.sent_ns)[0]
                session.receive(ledger.code(sequence), arrived_ns)
    ledger.settle(began_ns, final=True)
    totals = Totals()
    for sequence, each in enumerate(sent, 1):
        totals.announce(sequence, each.sent_ns)
    found = _found("isolated_instances", ledger.take(), totals)
    if found is not None and found.evidence["starved"] and len({*names}) > 1:
        return None  # so few connections may get nothing because of who they are
    return _hint(found)


def diagnose_failures(failed: Sequence[ConnectFailed]) -> str | None:
    """Return what to look at first, if connects failed as they do without sticky sessions."""
    tally = Tally()
    for error in failed:
        tally.count_failure(error.operation, error.cause, 0, error.server_text)
    return _hint(_found("sticky_sessions", tally, Totals()))


def _found(pattern: str, tally: Tally, totals: Totals) -> Finding | None:
    """Return a finding of the diagnosis of runs; None if it has not found that pattern."""
    totals.add_report("check", WorkerReport(tally, {}, Gauges()))
    run = Run("check", 0, "", "", "", {}, {})
    findings = diagnose(symptoms_of(account_of(run, totals), totals, 0))
    return next((each for each in findings if each.pattern == pattern), None)


def _hint(found: Finding | None) -> str | None:
    return None if found is None else f"{found.hint} (sseload docs diagnosis: {found.pattern})"
