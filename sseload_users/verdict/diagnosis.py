"""The diagnosis: which known pattern explains what went wrong; pure.

A pattern is named only if it explains most of what went wrong, and touches little of what went
right. Each loss has one explanation: the first pattern in the order of `_LOSSES` that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from sseload_users.verdict.patterns import buffering, failures, sizes, times
from sseload_users.verdict.patterns.loss_matrix import (
    EXPLAINS,
    LossMatrix,
    by_channel,
    first_seconds,
    held_back,
    isolated_instances,
    same_connections,
    silent_cut,
)
from sseload_users.verdict.patterns.nodes import by_node
from sseload_users.verdict.reasons import Verdict
from sseload_users.verdict.symptoms import Finding, Symptoms

#: Patterns of losses, the most specific first.
_LOSSES: tuple[Callable[[Symptoms, LossMatrix], Finding | None], ...] = (
    held_back,
    by_channel,
    by_node,
    lambda symptoms, _: sizes.by_size(symptoms),
    isolated_instances,
    same_connections,
    silent_cut,
    first_seconds,
    lambda symptoms, _: times.one_moment(symptoms),
)
#: Those of them in which codes never come.
_NEVER = (isolated_instances, same_connections, silent_cut, first_seconds)
#: Patterns of drops, the most specific first.
_DROPS: tuple[Callable[[Symptoms], Finding | None], ...] = (times.session_age, times.idle_cut)
#: Patterns that stand beside the others.
_OTHERS: tuple[Callable[[Symptoms], Finding | None], ...] = (
    buffering.buffered,
    times.falling_behind,
    times.serial_fanout,
    failures.admission,
    failures.sticky_sessions,
    failures.several_copies,
)

_RECEIVED, _DROPPED, _LATENCY = ("codes_received",), ("connections_dropped",), ("latency",)
_CONNECTING = ("connection_success", "size_target", "error_rate")
#: The rules whose general hints a pattern makes superfluous.
_RULES: Mapping[str, tuple[str, ...]] = {
    "held_back": _RECEIVED,
    "by_channel": _RECEIVED,
    "by_node": _RECEIVED,
    "by_size": _RECEIVED,
    "isolated_instances": _RECEIVED,
    "same_connections": _RECEIVED,
    "silent_cut": _RECEIVED,
    "first_seconds": _RECEIVED,
    "one_moment": _RECEIVED,
    "session_age": _DROPPED,
    "idle_cut": _DROPPED,
    "buffered": _LATENCY,
    "falling_behind": _LATENCY,
    "serial_fanout": _LATENCY,
    "admission": _CONNECTING,
    "sticky_sessions": _CONNECTING,
    "duplicates_by_namespace": ("duplicates",),
}


def diagnose(symptoms: Symptoms) -> list[Finding]:
    """Return the findings on a run, the most important first."""
    own, clumps = failures.generator(symptoms), buffering.buffered(symptoms)
    if own is not None and clumps is None:
        # What else is seen may be a consequence.
        return [own]
    findings: list[Finding | None] = [failures.several_per_frame(symptoms)]
    matrix = LossMatrix.of(symptoms)
    if matrix.losses and findings == [None]:
        lost = sum(code.lost for code in symptoms.codes)
        late = sum(code.late for code in symptoms.codes)
        # What comes late was sent: these patterns do not explain it.
        slow = late > (1 - EXPLAINS) * lost
        fitting = (find for find in _LOSSES if not (slow and find in _NEVER))
        findings.append(_first(find(symptoms, matrix) for find in fitting))
    findings.append(_first(find(symptoms) for find in _DROPS))
    findings += [find(symptoms) for find in _OTHERS]
    return [each for each in findings if each is not None]


def without_explained_hints(verdict: Verdict, findings: Iterable[Finding]) -> Verdict:
    """Return a verdict without the general hints of rules that a finding explains."""
    explained = {rule for each in findings for rule in _RULES.get(each.pattern, ())}
    return Verdict(
        grade=verdict.grade,
        reasons=[
            replace(each, hint="") if each.rule in explained else each for each in verdict.reasons
        ],
    )


def _first(findings: Iterator[Finding | None]) -> Finding | None:
    return next((each for each in findings if each is not None), None)
