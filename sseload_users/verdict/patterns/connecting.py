"""Patterns in why clients cannot connect."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from sseload_users.core.causes import CONNECTING, is_local
from sseload_users.core.figures import FailureCause
from sseload_users.core.formatting import count, of
from sseload_users.core.histogram import Histogram
from sseload_users.verdict.symptoms import Finding, Symptoms

_EXPLAINS, _SPARES = 0.8, 0.05
#: Share of the failures that were refused, or with an unknown session, that names these.
_MOST = 0.6
#: Fewest failures of clients that return that show a pattern.
_MIN_FAILURES = 5
#: Sessions that the server ends within so many milliseconds end at once: it takes it a while.
_AT_ONCE_MS = 1000
#: Smallest share of the connections that is a herd.
_HERD = 0.5
#: Percentile of the times to return at which the server accepts clients again.
_OPEN_AGAIN = 10
_BUSY = re.compile(r"HTTP (429|503)\b")
_UNKNOWN_SESSION = re.compile(
    r"session id unknown|unknown (transport )?(session|sid)", re.IGNORECASE
)


def thundering_herd(symptoms: Symptoms) -> Finding | None:
    """Find that connects fail as many clients return at once, and not before."""
    if symptoms.storm_returned:
        ended = symptoms.storm_ended
        said = f"followed a storm, in which {count(ended, 'connection')} returned at once"
        if (found := _herd(symptoms, symptoms.herd, ended, said)) is not None:
            return found
    ended = _dropped_at_once(symptoms)
    if not ended or _closed_meanwhile(symptoms):
        return None
    said = f"followed the moment when the server ended {count(ended, 'session')} of the sample"
    return _herd(symptoms, symptoms.failed_returns, ended, said)


def _herd(symptoms: Symptoms, herd: Histogram, ended: int, followed: str) -> Finding | None:
    """Find that nearly all failures were of clients that returned at once.

    Args:
        symptoms: of the run.
        herd: since their sessions ended, when their attempts failed.
        ended: number of the sessions that ended.
        followed: what the attempts followed.
    """
    causes = _of_the_server(symptoms)
    failed = sum(each.count for each in causes)
    before = max(0, failed - herd.total)
    if (
        herd.total < _MIN_FAILURES
        or herd.total < _EXPLAINS * failed
        or before > _SPARES * max(1, symptoms.account.connections.attempted - herd.total)
    ):
        return None
    half_ms, most_ms = herd.percentile_ms(50), herd.percentile_ms(95)
    assert half_ms is not None  # noqa: S101
    assert most_ms is not None  # noqa: S101
    main = max(causes, key=lambda each: each.count)
    return Finding(
        "thundering_herd",
        f"{of(min(herd.total, failed), failed)} failed connect attempts {followed}: half of them "
        f"within {half_ms / 1e3:.1f} s of it, 95 % within {most_ms / 1e3:.1f} s; mostly "
        f"{main.operation}: {main.cause}.",
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


def _dropped_at_once(symptoms: Symptoms) -> int:
    """Return how many sessions of the sample the server ended at once; 0 unless that is a herd."""
    at_ms = sorted(drop.at_ms for drop in symptoms.drops)
    most = max(
        (bisect_right(at_ms, each + _AT_ONCE_MS) - at for at, each in enumerate(at_ms)), default=0
    )
    connections = sum(len(each.users) for each in symptoms.workers.values())
    return most if most >= max(_EXPLAINS * len(at_ms), _HERD * connections) else 0


def _closed_meanwhile(symptoms: Symptoms) -> bool:
    """Whether most attempts failed before the server accepted clients again: it was down."""
    open_ms = symptoms.returns.percentile_ms(_OPEN_AGAIN)
    if open_ms is None:
        return True
    highest_us, ranks = symptoms.failed_returns.cumulative()
    at = bisect_right(highest_us, round(1e3 * open_ms))
    early = ranks[at - 1] if at else 0
    return early > (1 - _EXPLAINS) * symptoms.failed_returns.total


def admission(symptoms: Symptoms) -> Finding | None:
    """Find that the server refuses clients that come too fast, or more than it wants."""
    causes = _of_the_server(symptoms)
    failed = sum(each.count for each in causes)
    busy = [each for each in causes if _BUSY.search(each.cause)]
    refused = sum(each.count for each in busy)
    if not failed or refused < _MOST * failed:
        return None
    if (
        _dropped_at_once(symptoms)
        and _closed_meanwhile(symptoms)
        and symptoms.failed_returns.total >= _EXPLAINS * failed
    ):
        return None  # a proxy answers so while the server is away
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
