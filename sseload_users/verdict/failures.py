"""Judge failed operations, each kind against its own total, and name their causes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sseload_users.core.causes import CONNECTING, is_local
from sseload_users.core.figures import Account, ConnectionFigures, FailureCause
from sseload_users.core.formatting import clean, failures, shorten
from sseload_users.verdict.reasons import GRADES, Reason, make_reason
from sseload_users.verdict.thresholds import JudgedShare, Rule


@dataclass(frozen=True, slots=True)
class _Kind:
    """Failed operations of one kind, or of all.

    Attributes:
        share: how many of them failed.
        counted: the share in words: "6 of 150 connect attempts failed (4 %)".
        measured: the share alone: "6 of 150 (4 %)".
        operations: the operations of their causes; None for all.
    """

    share: JudgedShare
    counted: str
    measured: str
    operations: frozenset[str] | None


def judge_error_rate(account: Account, rule: Rule) -> Reason:
    """Return the reason about failed operations.

    Each kind is judged against its own total, as many operations of one kind would hide that
    all of another failed. The rate over all kinds is judged beside.
    """
    kinds = list(_kinds(account, rule))
    overall = kinds[0]
    worst = max(kinds, key=_badness)
    cause = most_frequent(account.errors.causes, worst.operations)
    if not overall.share.part:
        sentence = "No operation failed."
    else:
        beside = "" if worst is overall else f"; {overall.counted} in all"
        sentence = f"{worst.counted}{cause_clause(cause)}{beside}{worst.share.bound_clause}."
    return make_reason(
        "error_rate",
        worst.share.grade,
        sentence,
        measured=worst.measured,
        threshold=worst.share.bound,
        hint=hint_for(cause, worst.share.part, "See the errors by cause, and the server's log."),
        tolerated=bool(overall.share.part),
    )


def _kinds(account: Account, rule: Rule) -> Iterator[_Kind]:
    connections, codes, errors = account.connections, account.codes, account.errors
    overall = JudgedShare(errors.failed, errors.operations, rule)
    counted = failures(errors.failed, errors.operations)
    measured = counted if errors.failed > errors.operations else overall.measured
    yield _Kind(overall, counted, measured, None)
    lost_codes = codes.rejected + codes.unanswered + codes.unsent
    for failed, whole, what, operations in (
        (connections.failed, connections.attempted, "connect attempts failed", CONNECTING),
        (
            connections.never_connected,
            connections.never_connected + connections.ever_connected,
            "connections were never established",
            CONNECTING,
        ),
        (
            connections.dropped,
            connections.succeeded,
            "sessions were dropped",
            frozenset({"session"}),
        ),
        (lost_codes, codes.judged, "codes were not accepted", frozenset({"ingest"})),
        (
            errors.upkeep_failed,
            errors.upkeep,
            "requests that keep sessions alive failed",
            frozenset({"upkeep"}),
        ),
        (
            errors.channel_changes_failed,
            errors.channel_changes,
            "requests to join or to leave a channel failed",
            frozenset({"channel"}),
        ),
    ):
        share = JudgedShare(failed, whole, rule)
        yield _Kind(share, share.counted(what), share.measured, operations)


def _badness(kind: _Kind) -> tuple[int, float]:
    share = kind.share
    return GRADES.index(share.grade), share.part / share.whole if share.whole else 0.0


def connecting_share(connections: ConnectionFigures, rule: Rule) -> tuple[JudgedShare, str]:
    """Return the share that connecting is judged by, and what it counts.

    That is the share of connect attempts, or of connections if that is worse: with churn, many
    successful reconnects would hide the clients that were never let in.
    """
    attempts = JudgedShare(connections.succeeded, connections.attempted, rule)
    clients = connections.ever_connected + connections.never_connected
    established = JudgedShare(connections.ever_connected, clients, rule)
    if (
        clients
        and connections.never_connected * attempts.whole > connections.failed * established.whole
    ):
        return established, "connections were ever established"
    return attempts, "connect attempts succeeded"


def most_frequent(
    causes: Iterable[FailureCause], operations: frozenset[str] | None
) -> FailureCause | None:
    """Return the most frequent cause of some operations; None without any.

    Args:
        causes: all causes.
        operations: the operations; None for all.
    """
    own = (each for each in causes if operations is None or each.operation in operations)
    return max(own, key=lambda each: each.count, default=None)


def cause_clause(cause: FailureCause | None, words: str = ", most often") -> str:
    """Return the end of a sentence that names a cause; empty without one."""
    return f"{words}: {shorten(clean(cause.cause))}" if cause else ""


def hint_for(cause: FailureCause | None, failed: int, general: str) -> str:
    """Return the hint of the most frequent cause, if it explains most failures.

    Args:
        cause: the most frequent cause; None without any.
        failed: how many failures there were.
        general: hint for all other cases.
    """
    if cause is None or not cause.hint:
        return general
    explains_most = cause.count * 2 > failed
    return cause.hint if explains_most or is_local(cause.operation, cause.cause) else general
