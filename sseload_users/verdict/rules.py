"""The verdict of a run: its report's figures against the thresholds, each with a reason.

Everything is judged by counts, not by rounded rates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sseload_users.core.causes import CONNECTING
from sseload_users.core.fail_on import FailOn
from sseload_users.core.figures import (
    Account,
    CodeFigures,
    ConnectionFigures,
    ErrorFigures,
    went_out,
)
from sseload_users.core.formatting import clean, count, number
from sseload_users.core.run_figures import HealthFigures, SearchResult
from sseload_users.verdict import capacity, saturation
from sseload_users.verdict.defects import judge_defects, judge_several_per_frame
from sseload_users.verdict.failures import (
    cause_clause,
    connecting_share,
    hint_for,
    judge_error_rate,
    most_frequent,
)
from sseload_users.verdict.isolation import judge_isolation
from sseload_users.verdict.latency import judge_latency
from sseload_users.verdict.observation import judge_observation
from sseload_users.verdict.reasons import GRADES, Reason, StepReport, Verdict, make_reason
from sseload_users.verdict.receipts import judge_codes_received, loss_clause
from sseload_users.verdict.thresholds import JudgedShare, Rule, Thresholds


def judge(
    account: Account,
    thresholds: Thresholds,
    *,
    complete: bool,
    notes: Sequence[str] = (),
    steps: Sequence[StepReport] = (),
    search: SearchResult | None = None,
    health: HealthFigures | None = None,
) -> Verdict:
    """Return the verdict of a run.

    Args:
        account: account of the whole run.
        thresholds: the thresholds.
        complete: whether the run finished, with every worker's account.
        notes: why a run is incomplete, each a sentence.
        steps: steps of a ladder, which is judged by them; empty for a run of one step.
        search: result of a search, which is judged by that alone; None for other runs.
        health: health checks during the run; None if there were none.
    """
    reasons = [_judge_run_complete(complete, notes)]
    if search is not None:
        reasons.append(capacity.judge_search(search))
    elif steps:
        reasons += [*capacity.judge_ladder(steps), saturation.judge_generator(account.generator)]
    else:
        reasons += _judge_single_step(account, thresholds)
    reasons += _judge_channels(account)
    if health is not None and search is None:
        reasons.append(_judge_health(health, thresholds.health))
    return Verdict.of(reasons)


def exit_status(
    verdict: Verdict | None,
    fail_on: FailOn = "issues",
    *,
    conclusive: bool = True,
    worse: bool = False,
) -> int:
    """Return the exit status of a headless run.

    Args:
        verdict: None for a run that could not be carried out or judged.
        fail_on: the grade from which a run has failed.
        conclusive: whether a ladder or a search came to an answer; see `capacity.has_answer`.
        worse: whether it is clearly worse than its baseline.

    Returns:
        0 passed, 1 failed, 2 not judged, 3 no answer; 4 failed by the objective alone, and 5 by
        the baseline alone.
    """
    if verdict is None:
        return 2
    if fail_on == "never":
        return 0
    if not conclusive:
        return 3
    lowest = GRADES.index(fail_on)
    failed = {each.rule for each in verdict.reasons if GRADES.index(each.grade) >= lowest}
    if failed:
        return 4 if failed == {"objective"} else 1
    return 5 if worse else 0


def judge_step(account: Account, thresholds: Thresholds) -> Verdict:
    """Return the verdict of one step of several, for its size, by its own account."""
    connections = account.connections
    cause = most_frequent(connections.causes, CONNECTING)
    size = capacity.judge_step_size(
        connections,
        thresholds,
        cause_clause(cause),
        hint_for(cause, connections.failed, _SIZE_HINT),
    )
    reasons = [size, *_judge_account(account, thresholds), *_judge_defects(account, thresholds)]
    if thresholds.size_target(connections.attempted) is None:
        reasons = [capacity.may_degrade(each) for each in reasons]
    # However many connections: a server may be slow then, but must not mix up its channels.
    reasons += _judge_channels(account)
    if thresholds.objective is not None:
        reasons.append(capacity.judge_objective(thresholds.objective, account))
    reasons.append(saturation.judge_generator(account.generator))
    return Verdict.of(reasons)


def _judge_channels(account: Account) -> Iterator[Reason]:
    if account.channels or account.deliveries.leaked:
        yield judge_isolation(account)


def _judge_single_step(account: Account, thresholds: Thresholds) -> Iterator[Reason]:
    connections = account.connections
    yield _judge_connection_success(connections, thresholds.connection_success)
    yield _judge_size_target(connections, thresholds)
    yield _judge_connect_timeouts(connections, thresholds.connect_timeouts)
    yield from _judge_account(account, thresholds)
    yield judge_error_rate(account, thresholds.error_rate)
    yield from _judge_defects(account, thresholds)
    if thresholds.objective is not None:
        yield capacity.judge_objective(thresholds.objective, account)
    yield saturation.judge_generator(account.generator)


def _judge_defects(account: Account, thresholds: Thresholds) -> Iterator[Reason]:
    """Judge defects beside losses; order only where it is known in which codes were sent."""
    observed = account.observed
    unordered = observed is not None and observed.holes is None
    for reason in judge_defects(account, thresholds):
        if not (unordered and reason.rule == "out_of_order"):
            yield reason


def _judge_account(account: Account, thresholds: Thresholds) -> Iterator[Reason]:
    """Judge what became of the connections that there were, and of the codes."""
    yield _judge_connections_dropped(account.connections, thresholds.connections_dropped)
    if account.observed is None:
        yield _judge_codes_accepted(account.codes, account.errors, thresholds.codes_accepted)
    else:
        yield from judge_observation(account.observed)
    yield _judge_codes_owed(account, thresholds.codes_owed)
    yield judge_codes_received(account, thresholds.codes_received)
    if account.deliveries.overlooked:
        yield judge_several_per_frame(account.deliveries)
    yield judge_latency(account, thresholds.latency)


def _judge_run_complete(complete: bool, notes: Sequence[str]) -> Reason:
    if complete:
        return make_reason("run_complete", "good", "The run is complete.", measured="complete")
    notes = [note for each in notes if (note := clean(each).strip().rstrip("."))]
    why = "; ".join(notes[:3]) or "it ended before its last code was settled"
    further = f"; and {number(len(notes) - 3)} more" if len(notes) > 3 else ""
    return make_reason(
        "run_complete",
        "warning",
        f"The run is incomplete ({why}{further}): the figures cover only what was accounted for.",
        measured="incomplete",
        hint="Repeat the run and let it finish before you rely on it.",
    )


def _judge_connection_success(connections: ConnectionFigures, rule: Rule) -> Reason:
    share, what = connecting_share(connections, rule)
    cause = most_frequent(connections.causes, CONNECTING)
    failures = cause_clause(cause, ", failures most often")
    grade, sentence, hint = (
        share.grade,
        share.sentence(what, failures),
        hint_for(cause, connections.failed, "Look at the server's resources and the network."),
    )
    # Whatever the thresholds, a run without connections is never good.
    if not connections.attempted:
        grade = "issues"
        sentence = "Nothing was connected: no connection was attempted."
        hint = "Check the number of connections that the run was started with."
    elif not connections.succeeded:
        grade = "issues"
        tried = count(connections.attempted, "connect attempt")
        sentence = f"Nothing was connected: none of {tried} succeeded{failures}."
        hint = (cause and cause.hint) or hint
    return make_reason(
        "connection_success",
        grade,
        sentence,
        measured=share.measured,
        threshold=share.bound,
        hint=hint,
        tolerated=share.part < share.whole,
    )


_SIZE_HINT = "Look at the server's workers, its memory and its limits of open files."


def _judge_size_target(connections: ConnectionFigures, thresholds: Thresholds) -> Reason:
    size, succeeded = connections.peak_open, connections.succeeded
    target = thresholds.size_target(size)
    opened = f"With {count(size, 'connection')} open at once"
    if target is None:
        share, _ = connecting_share(connections, thresholds.connection_success)
        return make_reason(
            "size_target",
            "good",
            f"{opened}, no target is set for connecting.",
            measured=share.measured,
        )
    if not size:
        opened = "With no connection open at any time"
    share, what = connecting_share(connections, Rule(good=target.success))
    cause = most_frequent(connections.causes, CONNECTING)
    if met := share.grade == "good" and succeeded > 0:
        sentence = f"{opened}, the target for connecting ({target.success.words()}) is met."
    else:
        wanted = target.success.words()
        sentence = f"{opened}, {share.counted(what)}; the target for that size is {wanted}."
    return make_reason(
        "size_target",
        "good" if met else "warning",
        sentence,
        measured=share.measured,
        threshold=target.success,
        hint=hint_for(cause, connections.failed, _SIZE_HINT),
    )


def _judge_connect_timeouts(connections: ConnectionFigures, rule: Rule) -> Reason:
    causes = [
        cause
        for cause in connections.causes
        if cause.operation in CONNECTING and "timed out" in cause.cause
    ]
    timed_out = sum(cause.count for cause in causes)
    return _small_share_reason(
        "connect_timeouts",
        JudgedShare(timed_out, connections.attempted, rule),
        "No connect attempt timed out.",
        "connect attempts timed out",
        hint=hint_for(
            most_frequent(causes, None),
            timed_out,
            "The server was slow to accept connections: look at its workers, its CPU and its "
            "backlog, or connect more slowly (-r).",
        ),
    )


def _judge_connections_dropped(connections: ConnectionFigures, rule: Rule) -> Reason:
    cause = most_frequent(connections.causes, frozenset({"session"}))
    return _small_share_reason(
        "connections_dropped",
        JudgedShare(connections.dropped, connections.succeeded, rule),
        "No connection was dropped.",
        "connections were dropped",
        cause_clause(cause),
        hint=hint_for(
            cause,
            connections.dropped,
            "Look at the server's log, its memory, and the time limits of proxies.",
        ),
    )


def _judge_codes_accepted(codes: CodeFigures, errors: ErrorFigures, rule: Rule) -> Reason:
    losses = [
        (codes.rejected, "rejected"),
        (codes.unanswered, "unanswered"),
        (codes.unsent, "unsent"),
    ]
    # Codes that were due but that no request was attempted for count as well.
    due = max(codes.judged, codes.accepted + sum(lost for lost, _ in losses))
    share = JudgedShare(codes.accepted, due, rule)
    cause = most_frequent(errors.causes, frozenset({"ingest"}))
    grade, sentence = (
        share.grade,
        share.sentence("codes were accepted by the server", loss_clause(losses)),
    )
    if not due and codes.unknown:
        grade = "warning"
        sentence = f"Nothing is known about the server's answers: {_unknown_clause(codes)}."
    elif not codes.sent:
        grade = "issues"
        sentence = f"No code was sent, of {count(due, 'code')} due." if due else "No code was due."
    elif codes.unknown:
        sentence = f"{sentence.rstrip('.')}; {_unknown_clause(codes)}."
    hint = (cause and cause.hint) if due else "See the reasons about connections."
    return make_reason(
        "codes_accepted",
        grade,
        sentence,
        measured=share.measured,
        threshold=share.bound,
        hint=hint or "Look at the server's responses to the ingest requests, and at its log.",
        tolerated=share.part < share.whole,
    )


def _unknown_clause(codes: CodeFigures) -> str:
    many = count(codes.unknown, "code")
    return f"the outcome of {many} is unknown, as the worker that sent them was lost"


def _judge_codes_owed(account: Account, rule: Rule) -> Reason:
    connections, codes = account.connections, account.codes
    whole = went_out(codes, account.observed)
    share = JudgedShare(whole - codes.unowed, whole, rule)
    unowed = count(codes.unowed, "code", "codes")
    grade = share.grade
    hint = "Nothing is known about the delivery of these codes: see why no session was open."
    ours = not connections.dropped and not connections.failed
    if not codes.unowed:
        sentence = "Every code that went out was owed to a session."
    elif account.errors.channel_changes and ours:
        grade = "good"
        sentence = (
            f"{unowed} went to channels that sseload's connections had all left at that time "
            "(--channel-churn); nothing is known about the delivery of these codes."
        )
    elif connections.replaced and ours:
        grade = "good"
        sentence = (
            f"{unowed} went out while no session was subscribed, because sseload itself had ended "
            "them; nothing is known about the delivery of these codes."
        )
    elif account.channels and ours:
        sentence = (
            f"{unowed} of {number(whole)} went to channels in which sseload had no connection at "
            f"that time, so that no client was owed them{share.bound_clause}."
        )
        hint = (
            "This is not the server's doing: begin with a connection in each channel, or use fewer "
            "channels."
        )
    else:
        sentence = (
            f"{unowed} of {number(whole)} went out while no session was subscribed, so that no "
            f"client was owed them{share.bound_clause}."
        )
    return make_reason(
        "codes_owed",
        grade,
        sentence,
        measured=share.measured,
        threshold=share.bound,
        hint=hint,
        tolerated=bool(codes.unowed),
    )


def _judge_health(health: HealthFigures, rule: Rule) -> Reason:
    share = JudgedShare(health.checks - health.failed, health.checks, rule)
    cause = most_frequent(health.causes, None)
    failed = cause_clause(cause, ", failures most often")
    return make_reason(
        "health",
        share.grade,
        share.sentence("health checks during the run succeeded", failed),
        measured=share.measured,
        threshold=share.bound,
        hint=(cause and cause.hint) or "Look at what the server did at that time, and at its log.",
        tolerated=share.part < share.whole,
    )


def _small_share_reason(
    rule: str, share: JudgedShare, nothing: str, something: str, further: str = "", *, hint: str
) -> Reason:
    """Return the reason for a share that should be small."""
    return make_reason(
        rule,
        share.grade,
        share.sentence(something, further) if share.part else nothing,
        measured=share.measured,
        threshold=share.bound,
        hint=hint,
        tolerated=bool(share.part),
    )
