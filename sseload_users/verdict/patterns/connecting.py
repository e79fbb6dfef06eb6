"""Patterns in why clients cannot connect."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sseload_users.core.causes import CONNECTING, is_local
from sseload_users.core.figures import FailureCause
from sseload_users.core.formatting import count, of
from sseload_users.verdict.symptoms import Finding, Symptoms

_EXPLAINS, _SPARES = 0.8, 0.05
#: Share of the failures that were refused, or with an unknown session, that names these.
_MOST = 0.6
#: Fewest failures after a storm that show a pattern.
_MIN_FAILURES = 5
_BUSY = re.compile(r"HTTP (429|503)\b")
_UNKNOWN_SESSION = re.compile(
    r"session id unknown|unknown (transport )?(session|sid)", re.IGNORECASE
)


def thundering_herd(symptoms: Symptoms) -> Finding | None:
    """Find that connects fail as many clients return at once, and not before."""
    causes, herd = _of_the_server(symptoms), symptoms.herd
    failed = sum(each.count for each in causes)
    connections = symptoms.account.connections
    before = max(0, failed - herd.total)
    if (
        herd.total < _MIN_FAILURES
        or herd.total < _EXPLAINS * failed
        or before > _SPARES * max(1, connections.attempted - herd.total)
        or not symptoms.storm_returned
    ):
        return None
    half_ms, most_ms = herd.percentile_ms(50), herd.percentile_ms(95)
    assert half_ms is not None  # noqa: S101
    assert most_ms is not None  # noqa: S101
    main = max(causes, key=lambda each: each.count)
    ended = symptoms.storm_ended
    return Finding(
        "thundering_herd",
        f"{of(min(herd.total, failed), failed)} failed connect attempts followed a storm, in which "
        f"{count(ended, 'connection')} returned at once: half of them within {half_ms / 1e3:.1f} s "
        f"of it, 95 % within {most_ms / 1e3:.1f} s; mostly {main.operation}: {main.cause}.",
        min(1.0, herd.total / failed),
        {
            "failed": herd.total,
            "connections": ended,
            "half_within_s": round(half_ms / 1e3, 3),
            "most_within_s": round(most_ms / 1e3, 3),
            "cause": main.cause,
        },
        "The server cannot accept so many clients at once: let clients wait a random time before "
        "they return (--storm-jitter shows what that would do), and see the server's backlog of "
        "connections, its limits of rates, and what it does for each new client.",
    )


def admission(symptoms: Symptoms) -> Finding | None:
    """Find that the server refuses clients that come too fast, or more than it wants."""
    causes = _of_the_server(symptoms)
    failed = sum(each.count for each in causes)
    busy = [each for each in causes if _BUSY.search(each.cause)]
    refused = sum(each.count for each in busy)
    if not failed or refused < _MOST * failed:
        return None
    main = max(busy, key=lambda each: each.count)
    return Finding(
        "admission",
        f"{of(refused, failed)} failed connect attempts were refused with {main.cause}: the server "
        "or a proxy in front of it limits how many clients connect, or how fast.",
        refused / failed,
        {"refused": refused},
        "See the server's and the proxy's limits of connections and rates, and whether the "
        "response says when to come back (Retry-After).",
    )


def sticky_sessions(symptoms: Symptoms) -> Finding | None:
    """Find that requests reach nodes which do not know the session."""
    causes = [
        each
        for each in symptoms.account.errors.causes
        if each.operation in CONNECTING or each.operation == "session"
    ]
    failed = sum(each.count for each in causes)
    unknown = sum(
        each.count
        for each in causes
        if _UNKNOWN_SESSION.search(each.cause) or _UNKNOWN_SESSION.search(each.said)
    )
    if not failed or unknown < _MOST * failed:
        return None
    return Finding(
        "sticky_sessions",
        f"{of(unknown, failed)} failures are requests with a session that the node did not know.",
        unknown / failed,
        {"unknown": unknown},
        "Several nodes stand behind a balancer that does not send a client to the same node each "
        "time: configure sticky sessions there, or let clients use WebSocket only.",
    )


def _of_the_server(symptoms: Symptoms) -> Sequence[FailureCause]:
    """Return why connect attempts failed, without what is the generator's own doing."""
    return [
        each
        for each in symptoms.account.connections.causes
        if each.operation in CONNECTING and not is_local(each.operation, each.cause)
    ]
