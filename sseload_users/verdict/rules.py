"""What a run amounts to: the figures of a report against the thresholds, each with a reason.

Pure: a report goes in, the last part of it comes out. Everything is judged by counts, not
by rates that were rounded on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from sseload_users.core.formatting import clean, count, number, shorten
from sseload_users.verdict import capacity, hints, saturation
from sseload_users.verdict.reasons import GRADES, Reason, make_reason, worst
from sseload_users.verdict.thresholds import Figure, Grade, Rule, Thresholds

__all__ = ["GRADES", "FailOn", "Reason", "Verdict", "exit_status", "judge", "judge_step", "worst"]

FailOn = Literal["issues", "warning", "never"]


class Verdict(TypedDict):
    """The worst grade of all rules, and every rule's reason."""

    grade: Grade
    reasons: list[Reason]


def judge(report: Mapping[str, Any], thresholds: Thresholds) -> Verdict:
    """Judge a report of schema 1; what it says under "verdict" is not looked at."""
    reasons = list(_reasons(report, thresholds))
    return Verdict(grade=worst(reason["grade"] for reason in reasons), reasons=reasons)


def exit_status(grade: Grade | None, fail_on: FailOn = "issues", *, answered: bool = True) -> int:
    """The status that a headless run ends with.

    Args:
        grade: the verdict's; None for a run that could not be carried out or judged.
        fail_on: the grade from which a run has failed.
        answered: whether a ladder or a search came to an answer; see `capacity.answered`.

    Returns:
        0 passed, 1 failed, 2 not judged, 3 no answer.
    """
    if grade is None:
        return 2
    if fail_on == "never":
        return 0
    if not answered:
        return 3
    return int(GRADES.index(grade) >= GRADES.index(fail_on))


def judge_step(report: Mapping[str, Any], thresholds: Thresholds) -> Verdict:
    """Judge one step of several, for its size, by its own part of the account."""
    connections = report["connections"]
    cause = _commonest(connections["causes"], connecting=True)
    size = capacity.size_target(
        connections, thresholds, _most_often(cause), _blame(cause, _HINT_FOR_SIZE)
    )
    found = [size, *_account(report, thresholds), *_defects(report, thresholds)]
    if thresholds.size_target(connections["attempted"]) is None:
        found = [capacity.may_degrade(each) for each in found]
    found.append(saturation.judge(report["generator"]))
    return Verdict(grade=worst(each["grade"] for each in found), reasons=found)


def _reasons(report: Mapping[str, Any], thresholds: Thresholds) -> Iterator[Reason]:
    yield _run_complete(report["run"])
    if report["search"]:
        yield capacity.search(report["search"])
        return
    if report["steps"]:
        yield from capacity.ladder(report["steps"])
        yield saturation.judge(report["generator"])
        return
    connections = report["connections"]
    yield _connection_success(connections, thresholds.connection_success)
    yield _size_target(connections, thresholds)
    yield _connect_timeouts(connections, thresholds.connect_timeouts)
    yield from _account(report, thresholds)
    yield _error_rate(report["errors"], thresholds.error_rate)
    yield from _defects(report, thresholds)
    yield saturation.judge(report["generator"])


def _account(report: Mapping[str, Any], thresholds: Thresholds) -> Iterator[Reason]:
    """What became of the connections that there were, and of the codes."""
    yield _connections_dropped(report["connections"], thresholds.connections_dropped)
    yield _codes_accepted(report["codes"], report["errors"], thresholds.codes_accepted)
    yield _codes_received(report["deliveries"], thresholds.codes_received)


def _run_complete(run: Mapping[str, Any]) -> Reason:
    if run["complete"]:
        return make_reason("run_complete", "good", "The run is complete.", measured="complete")
    notes = [note for each in run["notes"] if (note := clean(each).strip().rstrip("."))]
    said = "; ".join(notes[:3]) or "it ended before its last code was settled"
    further = f"; and {number(len(notes) - 3)} more" if len(notes) > 3 else ""
    return make_reason(
        "run_complete",
        "warning",
        f"The run is incomplete ({said}{further}): the figures cover what was accounted for.",
        measured="incomplete",
        hint="Run it again to its end before you rely on it.",
    )


def _connection_success(connections: Mapping[str, Any], rule: Rule) -> Reason:
    figure = Figure(connections["succeeded"], connections["attempted"], rule)
    cause = _commonest(connections["causes"], connecting=True)
    failures = _most_often(cause, ", failures most often")
    grade, sentence, hint = (
        figure.grade,
        figure.says("connect attempts succeeded", failures),
        _blame(cause, "Look at the server's resources, its database pool and the network."),
    )
    # Whatever the thresholds say, a run without connections is never good.
    if not figure.whole:
        grade = "issues"
        sentence = "Nothing was connected: no connection was attempted."
        hint = "Check how many connections were asked for."
    elif not figure.part:
        grade = "issues"
        tried = count(figure.whole, "connect attempt")
        sentence = f"Nothing was connected: none of {tried} succeeded{failures}."
        hint = (cause and cause["hint"]) or hint
    return make_reason(
        "connection_success",
        grade,
        sentence,
        measured=figure.measured,
        threshold=figure.bound,
        hint=hint,
    )


_HINT_FOR_SIZE = "Look at the server's workers, its memory and its limits of open files."


def _size_target(connections: Mapping[str, Any], thresholds: Thresholds) -> Reason:
    size, succeeded = connections["peak_open"], connections["succeeded"]
    target = thresholds.size_target(size)
    opened = f"With {count(size, 'connection')} open at once"
    if target is None:
        figure = Figure(succeeded, connections["attempted"], thresholds.connection_success)
        return make_reason(
            "size_target",
            "good",
            f"{opened}, no target is set for connecting.",
            measured=figure.measured,
        )
    if not size:
        opened = "With no connection open at any time"
    figure = Figure(succeeded, connections["attempted"], Rule(good=target.success))
    cause = _commonest(connections["causes"], connecting=True)
    if met := figure.grade == "good" and succeeded > 0:
        sentence = f"{opened}, the target for connecting ({target.success.words()}) is met."
    else:
        tried = figure.says("connect attempts succeeded").split(";")[0].rstrip(".")
        sentence = f"{opened}, {tried}; the target for that size is {target.success.words()}."
    return make_reason(
        "size_target",
        "good" if met else "warning",
        sentence,
        measured=figure.measured,
        threshold=target.success,
        hint=_blame(cause, _HINT_FOR_SIZE),
    )


def _connect_timeouts(connections: Mapping[str, Any], rule: Rule) -> Reason:
    timed_out = sum(
        cause["count"]
        for cause in connections["causes"]
        if cause["operation"] in hints.CONNECTING and "timed out" in cause["cause"]
    )
    return _failures(
        "connect_timeouts",
        Figure(timed_out, connections["attempted"], rule),
        "No connect attempt timed out.",
        "connect attempts timed out",
        hint="The server was slow to accept: look at its workers, its CPU and its backlog, "
        "or connect more slowly (-r).",
    )


def _connections_dropped(connections: Mapping[str, Any], rule: Rule) -> Reason:
    cause = _commonest(connections["causes"], connecting=False)
    return _failures(
        "connections_dropped",
        Figure(connections["dropped"], connections["succeeded"], rule),
        "No connection was dropped.",
        "connections were dropped",
        _most_often(cause),
        hint=_blame(cause, "Look at the server's log, its memory, and the time limits of proxies."),
    )


def _codes_accepted(codes: Mapping[str, Any], errors: Mapping[str, Any], rule: Rule) -> Reason:
    losses = [(codes[how], how) for how in ("rejected", "unanswered", "unsent")]
    # Codes that were due but that no request was even tried for count as well.
    due = max(codes["scheduled"], codes["accepted"] + sum(lost for lost, _ in losses))
    figure = Figure(codes["accepted"], due, rule)
    ingest = [cause for cause in errors["causes"] if cause["operation"] == "ingest"]
    cause = _commonest(ingest, connecting=False)
    grade, sentence = figure.grade, figure.says("codes were accepted by the server", _lost(losses))
    if not codes["sent"]:
        grade, sentence = "issues", f"Nothing was sent, of {count(due, 'code')} due."
    hint = cause and cause["hint"]
    return make_reason(
        "codes_accepted",
        grade,
        sentence,
        measured=figure.measured,
        threshold=figure.bound,
        hint=hint or "Look at the server's answers to the ingest requests, and at its log.",
    )


_LOSS_HINTS = {
    "missing": "Connected clients were left out: look at the broadcast logic, the stability of "
    "the connections and the server's logs.",
    "interrupted": "Connections ended before their codes came: look at the stability of the "
    "connections and the server's logs.",
    "late": "Codes came after the delivery timeout: look at the server's CPU, at how long one "
    "broadcast takes, and at slow clients that hold up the rest.",
}


def _codes_received(deliveries: Mapping[str, Any], rule: Rule) -> Reason:
    figure = Figure(deliveries["delivered"], deliveries["owed"], rule)
    losses = [(deliveries[how], how) for how in ("missing", "interrupted", "late")]
    grade, sentence = figure.grade, figure.says("owed deliveries came in time", _lost(losses))
    hint = _LOSS_HINTS[max(losses, key=lambda loss: loss[0])[1]]
    if not figure.whole:
        grade = "issues"
        sentence = "Nothing was owed: no code went out while a connection was subscribed."
        hint = "The reasons for connections and accepted codes say why."
    return make_reason(
        "codes_received",
        grade,
        sentence,
        measured=figure.measured,
        threshold=figure.bound,
        hint=hint,
    )


def _error_rate(errors: Mapping[str, Any], rule: Rule) -> Reason:
    cause = max(errors["causes"], key=lambda each: each["count"], default=None)
    hint = (
        "Look at the database's connection limits, how many clients the server holds "
        "at once, and the message patterns."
    )
    # A cause that explains most of it is better advice than what it might be.
    if cause is not None and cause["hint"] and cause["count"] * 2 > errors["failed"]:
        hint = cause["hint"]
    return _failures(
        "error_rate",
        Figure(errors["failed"], errors["operations"], rule),
        "No operation failed.",
        "operations failed",
        _most_often(cause),
        hint=_blame(cause, hint),
    )


def _failures(
    rule: str, figure: Figure, nothing: str, something: str, further: str = "", *, hint: str
) -> Reason:
    """A rule on what one wants little of."""
    return make_reason(
        rule,
        figure.grade,
        figure.says(something, further) if figure.part else nothing,
        measured=figure.measured,
        threshold=figure.bound,
        hint=hint,
    )


@dataclass(frozen=True, slots=True)
class _Defect:
    """Something that should never arrive: its rule, its field in the report, its words."""

    rule: str
    field: str
    one: str
    many: str
    hint: str


_DEFECTS = (
    _Defect(
        "duplicates",
        "duplicate",
        "further copy of a code arrived",
        "further copies of codes arrived",
        "A client got the same code twice: look for a broadcast to two rooms or namespaces "
        "that it is in both of, or for a retry.",
    ),
    _Defect(
        "out_of_order",
        "out_of_order",
        "code came after a later one",
        "codes came after later ones",
        "Codes overtook each other: look for broadcasts that run side by side.",
    ),
    _Defect(
        "unexpected",
        "unexpected",
        "code came that was not owed",
        "codes came that were not owed",
        "Clients got codes from before they subscribed, or that the server had rejected: look at "
        "replayed history, and at what the ingest does after an error.",
    ),
    _Defect(
        "malformed",
        "malformed",
        "message could not be decoded",
        "messages could not be decoded",
        "Look at the broadcast's encoding, at proxies that rewrite it, and at the profile.",
    ),
)


def _defects(report: Mapping[str, Any], thresholds: Thresholds) -> Iterator[Reason]:
    deliveries = report["deliveries"]
    for defect in _DEFECTS:
        reason = _defect(deliveries, defect, getattr(thresholds, defect.rule))
        if defect.rule == "out_of_order":
            reason = _with_order_left_open(reason, deliveries["out_of_order"], report)
        yield reason


def _with_order_left_open(reason: Reason, many: int, report: Mapping[str, Any]) -> Reason:
    """No order is owed to codes that were under way to the server at the same time."""
    open_codes = report["codes"]["overlapping"]
    if reason["grade"] == "good" or many > open_codes * report["connections"]["peak_open"]:
        return reason
    return make_reason(
        "out_of_order",
        "good",
        f"{count(many, 'code')} came after later ones, as those may that are under way side by "
        f"side: {number(open_codes)} were.",
        measured=reason["measured"],
    )


def _defect(deliveries: Mapping[str, Any], defect: _Defect, rule: Rule) -> Reason:
    figure = Figure(deliveries[defect.field], deliveries["owed"], rule)
    found = count(figure.part, defect.one, defect.many) if figure.part else f"No {defect.one}"
    owed = f", beside {count(figure.whole, 'owed delivery', 'owed deliveries')}"
    return make_reason(
        defect.rule,
        figure.grade,
        f"{found}{owed if figure.part else ''}{figure.verdict}.",
        measured=number(figure.part),
        threshold=figure.bound,
        hint=defect.hint,
    )


def _lost(losses: Sequence[tuple[int, str]]) -> str:
    said = ", ".join(f"{number(lost)} {how}" for lost, how in losses if lost)
    return f": {said}" if said else ""


def _commonest(
    causes: Iterable[Mapping[str, Any]], *, connecting: bool
) -> Mapping[str, Any] | None:
    own = (each for each in causes if (each["operation"] in hints.CONNECTING) == connecting)
    return max(own, key=lambda each: each["count"], default=None)


def _most_often(cause: Mapping[str, Any] | None, words: str = ", most often") -> str:
    return f"{words}: {shorten(clean(cause['cause']))}" if cause else ""


def _blame(cause: Mapping[str, Any] | None, general: str) -> str:
    """The general hint, unless the commonest cause lies with the machine that tests."""
    if cause is None or not hints.is_local(cause["operation"], cause["cause"]):
        return general
    return str(cause["hint"])
