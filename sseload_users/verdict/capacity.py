"""The verdict of a ladder's steps and of a search's result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sseload_users.core.figures import Account, ConnectionFigures, RampFigures
from sseload_users.core.formatting import clean, count, ms, number, of, seconds, shorten
from sseload_users.core.objective import Objective, measure
from sseload_users.core.run_figures import FlapRecovery, SearchResult, StormRecovery
from sseload_users.verdict.reasons import GRADES, Reason, StepReport, make_reason
from sseload_users.verdict.receipts import came
from sseload_users.verdict.thresholds import Grade, JudgedShare, Rule, Thresholds


def judge_step_size(
    connections: ConnectionFigures, thresholds: Thresholds, failures: str, hint: str
) -> Reason:
    """Return the reason about a step's connections: do they meet the target for its size?

    Args:
        connections: connections of the step; `attempted` is the planned number.
        thresholds: the thresholds with the targets.
        failures: why connections failed, as part of a sentence; empty if none did.
        hint: what to do if the target is missed.
    """
    planned, opened = connections.attempted, connections.succeeded
    target = thresholds.size_target(planned)
    rule = thresholds.connection_success if target is None else Rule(good=target.success)
    share = JudgedShare(opened, planned, rule)
    met = share.grade == "good" and opened > 0
    bound = "no target is set" if target is None else f"the target is {target.success.words()}"
    return make_reason(
        "size_target",
        "good" if met else "issues",
        f"{share.counted('connections were open')}{'' if met else failures}; {bound}.",
        measured=share.measured,
        threshold=None if target is None else target.success,
        hint=hint,
    )


def may_degrade(reason: Reason) -> Reason:
    """Return the reason of a step beyond the last size target: a warning instead of issues."""
    if reason.grade != "issues":
        return reason
    sentence = f"{reason.sentence} A server may degrade at that size."
    return replace(reason, grade="warning", sentence=sentence)


def judge_ladder(steps: Sequence[StepReport]) -> Iterator[Reason]:
    """Yield a reason for each step of a ladder."""
    for step in steps:
        verdict, planned = step.verdict, step.connections.attempted
        first = max(verdict.reasons, key=lambda each: GRADES.index(each.grade))
        grade: Grade = verdict.grade
        sentence = first.sentence
        if grade == "good":
            received, owed = step.deliveries.received, step.deliveries.owed
            share = f"all {number(owed)}" if received == owed else f"{of(received, owed)}"
            sentence = f"The target is met, and {share} owed deliveries {came(step.deliveries)}."
        elif first.rule != "generator" and step.generator.saturated:
            grade = "warning"
            sentence += " The generator was saturated, so the cause may not be the server."
        yield make_reason(
            f"step {number(planned)}",
            grade,
            f"With {clean(step.name)}: {_lower_first(sentence)}",
            measured=f"{number(step.connections.succeeded)} of {number(planned)} connected",
            hint=first.hint,
        )


def first_failing_step(steps: Sequence[StepReport]) -> StepReport | None:
    """Return the first step with issues; without one, the first step with a warning."""
    for grade in ("issues", "warning"):
        for step in steps:
            if any(
                each.grade == grade and each.rule != "generator" for each in step.verdict.reasons
            ):
                return step
    return None


def ladder_sentence(steps: Sequence[StepReport]) -> str:
    """Return where a ladder first fails, in one sentence."""
    failing = first_failing_step(steps)
    if failing is None:
        return f"Every step meets its target, up to {clean(steps[-1].name)}."
    (reason,) = judge_ladder([failing])
    start = "It first falls short" if reason.grade == "issues" else "The first warning comes"
    return f"{start} {_lower_first(reason.sentence)}"


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def judge_objective(objective: Objective, account: Account) -> Reason:
    """Return the reason about the objective that a run was given, with --objective."""
    compared = [(term, measure(account, term.name)) for term in objective.terms]
    unmet = [term.compare(figure) for term, figure in compared if not term.is_met(figure)]
    measured = ", ".join(term.state(figure) for term, figure in compared)
    if not unmet:
        return make_reason(
            "objective", "good", f"The objective is met: {measured}.", measured=measured
        )
    sentence = f"The objective is not met: {'; '.join(unmet)}."
    if account.generator.saturated:
        sentence += " The generator was saturated, so the cause may not be the server."
    return make_reason(
        "objective",
        "issues",
        sentence,
        measured=measured,
        hint="See the reasons about these figures, and the errors by cause.",
    )


def judge_search(found: SearchResult) -> Reason:
    """Return the reason about the result of a search."""
    connections = found.over == "connections"
    one, many = (
        ("connection", "connections") if connections else ("code a second", "codes a second")
    )
    held = found.held
    broke = found.broke_at or 0  # never 0 where the server was the limit
    most = count(held, one, many)
    broken = "; ".join(found.first_broken)
    if broken and found.cause:
        broken += f"; most often {shorten(clean(found.cause))}"
    why = f" ({broken})" if broken else ""
    grade: Grade = "good"
    measured, hint = most, ""
    match found.limited_by:
        case "server" if held:
            sentence = (
                f"The server holds {most}: that many met the objective, and {number(broke)} did "
                f"not{why}. The generator kept up."
            )
        case "server":
            grade = "issues"
            sentence = f"The server does not even hold {count(broke, one, many)}{why}."
            hint = "Start there: the report of that step shows what went wrong."
        case "limit":
            sentence = (
                f"The server holds {most}, the largest size that was tried; it may hold more."
            )
        case "generator":
            grade, measured = "warning", "no number"
            sentence = (
                "The generator reached its limit before the server, so the server's limit is not "
                f"known. {_so_far(held, most)}"
            )
            hint = (
                "Use more workers (--processes -1) or machines, and make sure that no other "
                "program keeps this one busy."
            )
        case _:
            grade, measured = "warning", "no number"
            sentence = f"The search ended before it had an answer. {_so_far(held, most)}"
            if broke:
                sentence += f" {count(broke, one, many)} did not{why}."
            hint = "Repeat the run and let it finish."
    return make_reason("search", grade, sentence, measured=measured, hint=hint)


def _so_far(held: int, most: str) -> str:
    return f"So far {most} met the objective." if held else "No size has met the objective so far."


def has_answer(steps: Sequence[StepReport], found: SearchResult | None) -> bool:
    """Whether a run answers its question; a run of one step always does.

    Args:
        steps: the steps of a ladder; empty for a run of one step.
        found: the result of a search; None for other runs.
    """
    if found is not None:
        return found.limited_by in ("server", "limit")
    failing = first_failing_step(steps)
    return failing is None or not failing.generator.saturated


def storm_sentence(storm: StormRecovery) -> str:
    """Return how soon the connections reconnected that a storm had ended."""
    times = [
        f"{share} after {_precise_seconds(after_s)}"
        for share, after_s in (
            ("50 %", storm.back_50_s),
            ("95 %", storm.back_95_s),
            ("all", storm.back_100_s),
        )
        if after_s is not None
    ]
    recovery = f"reconnected: {', '.join(times)}" if times else "fewer than half reconnected"
    if storm.back < storm.ended:
        recovery += f"; {number(storm.back)} in all"
    sentence = f"{count(storm.ended, 'connection')} ended at once; {recovery}"
    if storm.limited_by == "generator":
        sentence += "; this generator was the limit, so the server may be faster"
    return sentence


def ramp_sentence(ramp: RampFigures) -> str:
    """Return how fast connections were opened; empty if that was as fast as they were due."""
    if ramp.limited_by is None or ramp.achieved_per_s is None:
        return ""
    offered = (
        "all at once" if ramp.offered_per_s is None else f"{number(round(ramp.offered_per_s))}/s"
    )
    limit = (
        "this generator was the limit"
        if ramp.limited_by == "generator"
        else "the server, or --connect-concurrency, was the limit"
    )
    return f"{offered} due, {number(round(ramp.achieved_per_s))}/s opened: {limit}"


#: What a server notices when a connection flaps.
_NOTICED = {
    "fin": "closed without a goodbye",
    "rst": "reset",
    "silent": "lost silently",
}


def flap_sentence(flap: FlapRecovery) -> str:
    """Return how soon the connections were back that flapped."""
    sentence = f"{count(flap.ended, 'connection')} {_NOTICED[flap.how]}, one after the other"
    if flap.back < flap.ended:
        sentence += f"; {number(flap.back)} returned"
    times = flap.back_ms
    if not times.count:
        return sentence
    return f"{sentence}; back after {ms(times.p50)} ms (p50), {ms(times.max)} ms at most"


def _precise_seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 9.995 else seconds(value)
