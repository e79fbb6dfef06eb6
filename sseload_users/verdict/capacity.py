"""What the steps of a ladder and the end of a search amount to; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sseload_users.core.figures import ConnectionFigures, SearchResult, StormRecovery
from sseload_users.core.formatting import clean, count, number, seconds, shorten
from sseload_users.verdict.reasons import GRADES, Reason, StepReport, make_reason
from sseload_users.verdict.thresholds import Figure, Grade, Rule, Thresholds

_MAY_DEGRADE = "a server of that size may degrade"


def size_target(
    connections: ConnectionFigures, thresholds: Thresholds, failures: str, hint: str
) -> Reason:
    """A step's connections against the target for its size, which is what a ladder asks.

    Args:
        connections: of the step; attempted are those that were asked for.
        thresholds: where the targets are.
        failures: why others failed, as a part of a sentence; empty if none did.
        hint: what to do if the target is missed.
    """
    asked, opened = connections.attempted, connections.succeeded
    target = thresholds.size_target(asked)
    rule = thresholds.connection_success if target is None else Rule(good=target.success)
    figure = Figure(opened, asked, rule)
    said = figure.says("connections were open").split(";")[0].rstrip(".")
    met = figure.grade == "good" and opened > 0
    bound = _MAY_DEGRADE if target is None else f"the target is {target.success.words()}"
    return make_reason(
        "size_target",
        "good" if met else "issues",
        f"{said}{'' if met else failures}; {bound}.",
        measured=figure.measured,
        threshold=None if target is None else target.success,
        hint=hint,
    )


def may_degrade(reason: Reason) -> Reason:
    """A reason of a step that is beyond the last target by size."""
    if reason.grade != "issues":
        return reason
    sentence = reason.sentence.rstrip(".")
    if _MAY_DEGRADE not in sentence:
        sentence += f"; {_MAY_DEGRADE}"
    return replace(reason, grade="warning", sentence=f"{sentence}.")


def ladder(steps: Sequence[StepReport]) -> Iterator[Reason]:
    """A reason for each step of a ladder."""
    for step in steps:
        verdict, asked = step.verdict, step.connections.attempted
        first = max(verdict.reasons, key=lambda each: GRADES.index(each.grade))
        grade: Grade = verdict.grade
        said = first.sentence
        if grade == "good":
            delivered = number(step.deliveries.delivered)
            said = f"The target is met, and all {delivered} owed deliveries came in time."
        elif first.rule != "generator" and step.generator.saturated:
            grade = "warning"
            said += " The generator was saturated: this need not be the server's doing."
        yield make_reason(
            f"step {number(asked)}",
            grade,
            f"With {clean(step.name)}: {said[:1].lower() + said[1:]}",
            measured=f"{number(step.connections.succeeded)} of {number(asked)} connected",
            hint=first.hint,
        )


def falls_short(steps: Sequence[StepReport]) -> StepReport | None:
    """The first step that misses what is asked of it; a mere warning only if none does."""
    for grade in ("issues", "warning"):
        for step in steps:
            if any(
                each.grade == grade and each.rule != "generator" for each in step.verdict.reasons
            ):
                return step
    return None


def ladder_in_words(steps: Sequence[StepReport]) -> str:
    """Where a ladder first falls short, in one sentence."""
    short = falls_short(steps)
    if short is None:
        return f"Every step meets its target, up to {clean(steps[-1].name)}."
    (reason,) = ladder([short])
    how = "It first falls short" if reason.grade == "issues" else "The first warning comes"
    return f"{how} {reason.sentence[:1].lower()}{reason.sentence[1:]}"


def search(found: SearchResult) -> Reason:
    """What a search comes to."""
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
                f"The server holds {most}: so many kept the objective, and {number(broke)} did "
                f"not{why}. The generator kept up."
            )
        case "server":
            grade = "issues"
            sentence = f"The server does not even hold {count(broke, one, many)}{why}."
            hint = "Look at that first: the report of its step says what went wrong."
        case "limit":
            sentence = f"The server holds {most}, the most that were to be tried; it may hold more."
        case "generator":
            grade, measured = "warning", "no number"
            sentence = (
                "The generator gave out before the server: no number can be given for the "
                f"server. {_so_far(held, most)}"
            )
            hint = (
                "Use more workers (--processes -1) or machines, and see that nothing else keeps "
                "this one busy."
            )
        case _:
            grade, measured = "warning", "no number"
            sentence = f"The search ended before it had an answer. {_so_far(held, most)}"
            if broke:
                sentence += f" {count(broke, one, many)} did not{why}."
            hint = "Run it again to its end."
    return make_reason("search", grade, sentence, measured=measured, hint=hint)


def _so_far(held: int, most: str) -> str:
    return f"So far {most} kept the objective." if held else "Nothing has held so far."


def has_answer(steps: Sequence[StepReport], found: SearchResult | None) -> bool:
    """Whether a run answers its question; a run of one step always does.

    Args:
        steps: of a ladder; empty for a run of one step.
        found: by a search; None for other runs.
    """
    if found is not None:
        return found.limited_by in ("server", "limit")
    short = falls_short(steps)
    return short is None or not short.generator.saturated


def storm_in_words(storm: StormRecovery) -> str:
    """How soon the connections were back that had all ended at once."""
    times = [
        f"{share} after {_exactly(after_s)}"
        for share, after_s in (
            ("50 %", storm.back_50_s),
            ("95 %", storm.back_95_s),
            ("all", storm.back_100_s),
        )
        if after_s is not None
    ]
    said = f"back were {', '.join(times)}" if times else "fewer than half came back"
    if storm.back < storm.ended:
        said += f"; {number(storm.back)} in all"
    return f"{count(storm.ended, 'connection')} ended at once; {said}"


def _exactly(value: float) -> str:
    return f"{value:.2f} s" if value < 9.995 else seconds(value)
