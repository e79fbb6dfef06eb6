"""The diagnosis: which known pattern explains what went wrong; pure.

A pattern is named only if it explains most of what went wrong, and touches little of what went
right. Each loss has one explanation: the first pattern in the order of `_LOSSES` that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sseload_users.verdict.patterns import (
    buffering,
    connecting,
    fan_out,
    messages,
    publishers,
    sizes,
    times,
)
from sseload_users.verdict.patterns.compression import unflushed_compression
from sseload_users.verdict.patterns.generator import generator
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
    lambda symptoms, _: publishers.by_publisher(symptoms),
    lambda symptoms, _: sizes.by_size(symptoms),
    isolated_instances,
    same_connections,
    silent_cut,
    first_seconds,
    times.one_moment,
)
#: Those of them in which codes never come.
_NEVER = (isolated_instances, same_connections, silent_cut, first_seconds)
#: Patterns of drops, the most specific first.
_DROPS: tuple[Callable[[Symptoms], Finding | None], ...] = (times.session_age, times.idle_cut)
#: Patterns of messages that come, but not as expected; then losses are not looked at.
_CONTENTS: tuple[Callable[[Symptoms], Finding | None], ...] = (
    messages.altered,
    messages.several_per_frame,
)
#: Patterns of latencies, the most specific first.
_LATENCIES: tuple[Callable[[Symptoms], Finding | None], ...] = (
    fan_out.slow_consumer_blocks,
    times.falling_behind,
)
#: Patterns of failed connects, the most specific first.
_CONNECTS: tuple[Callable[[Symptoms], Finding | None], ...] = (
    connecting.sticky_sessions,
    connecting.thundering_herd,
    connecting.admission,
)
#: Patterns of further copies, the most specific first.
_COPIES: tuple[Callable[[Symptoms], Finding | None], ...] = (
    messages.several_copies,
    messages.duplicates_on_reconnect,
)

_RECEIVED, _DROPPED, _LATENCY = ("codes_received",), ("connections_dropped",), ("latency",)
_CONNECTING = ("connection_success", "size_target", "error_rate")
#: The rules whose general hints a pattern makes superfluous.
_RULES: Mapping[str, tuple[str, ...]] = {
    "held_back": _RECEIVED,
    "by_channel": _RECEIVED,
    "by_node": _RECEIVED,
    "by_publisher": _RECEIVED,
    "altered": _RECEIVED,
    "several_per_frame": _RECEIVED,
    "unflushed_compression": (*_RECEIVED, *_LATENCY),
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
    "slow_consumer_blocks": _LATENCY,
    "thundering_herd": _CONNECTING,
    "admission": _CONNECTING,
    "sticky_sessions": _CONNECTING,
    "duplicates_by_namespace": ("duplicates",),
    "duplicates_on_reconnect": ("duplicates", "replayed", "unexpected"),
}


def diagnose(symptoms: Symptoms) -> list[Finding]:
    """Return the findings on a run, the most important first."""
    own, clumps = generator(symptoms), buffering.buffered(symptoms)
    if own is not None and symptoms.account.generator.saturated and clumps is None:
        # What else is seen may be a consequence.
        return [own]
    findings = [own if not symptoms.account.generator.saturated else None]
    unflushed = unflushed_compression(symptoms)
    explained = unflushed or _first(find(symptoms) for find in _CONTENTS)
    findings += [explained or _of_losses(symptoms), _first(find(symptoms) for find in _DROPS)]
    latency = _first(find(symptoms) for find in _LATENCIES)
    findings += [clumps if unflushed is None else None, latency]
    if latency is None or latency.pattern != "slow_consumer_blocks":
        findings.append(fan_out.serial_fanout(symptoms))
    findings += [_first(find(symptoms) for find in each) for each in (_CONNECTS, _COPIES)]
    return [each for each in findings if each is not None]


def _of_losses(symptoms: Symptoms) -> Finding | None:
    """Return the pattern of the losses; None without one."""
    matrix = LossMatrix.of(symptoms)
    if not matrix.losses:
        return None
    lost = sum(code.lost for code in symptoms.codes)
    late = sum(code.late for code in symptoms.codes)
    # What comes late was sent: these patterns do not explain it.
    slow = late > (1 - EXPLAINS) * lost
    if slow and (buffering.buffered(symptoms) or times.falling_behind(symptoms)):
        return None  # they explain it
    excluded = set(_NEVER) if slow else set()
    if connecting.sticky_sessions(symptoms) is not None:
        # There are several nodes, and a connection may be at one that gets no codes.
        excluded.add(same_connections)
    if times.idle_cut(symptoms) is not None:
        # A session that lacks a code soon ends: what it lacked is known of new ones only.
        excluded.add(first_seconds)
    return _first(find(symptoms, matrix) for find in _LOSSES if find not in excluded)


def without_explained_hints(verdict: Verdict, findings: Iterable[Finding]) -> Verdict:
    """Return a verdict without the general hints of rules that a finding explains."""
    explained = {rule for each in findings for rule in _RULES.get(each.pattern, ())}
    return Verdict(
        grade=verdict.grade,
        reasons=[
            replace(each, hint="") if each.rule in explained else each for each in verdict.reasons
        ],
    )


def _first(findings: Iterable[Finding | None]) -> Finding | None:
    return next(filter(None, findings), None)
