"""Patterns in what failed, came twice or was overlooked."""

from __future__ import annotations

import re

from sseload_users.core.causes import CONNECTING
from sseload_users.core.formatting import number, of
from sseload_users.verdict.symptoms import Finding, Symptoms

_EXPLAINS = 0.6
_BUSY = re.compile(r"HTTP (429|503)\b")
_UNKNOWN_SESSION = re.compile(
    r"session id unknown|unknown (transport )?(session|sid)", re.IGNORECASE
)


def admission(symptoms: Symptoms) -> Finding | None:
    """Find that the server refuses clients that come too fast, or more than it wants."""
    causes = [each for each in symptoms.account.connections.causes if each.operation in CONNECTING]
    failed = sum(each.count for each in causes)
    busy = [each for each in causes if _BUSY.search(each.cause)]
    refused = sum(each.count for each in busy)
    if not failed or refused < _EXPLAINS * failed:
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
    if not failed or unknown < _EXPLAINS * failed:
        return None
    return Finding(
        "sticky_sessions",
        f"{of(unknown, failed)} failures are requests with a session that the node did not know.",
        unknown / failed,
        {"unknown": unknown},
        "Several nodes stand behind a balancer that does not send a client to the same node each "
        "time: configure sticky sessions there, or let clients use WebSocket only.",
    )


def several_copies(symptoms: Symptoms) -> Finding | None:
    """Find that each code comes the same number of times."""
    codes = [code for code in symptoms.codes if code.owed]
    delivered = sum(code.owed - code.lost for code in codes)
    further = sum(code.duplicate for code in codes)
    times = round(further / delivered) if delivered else 0
    if times < 1 or len(codes) < 3:
        return None
    regular = sum(
        abs(code.duplicate - times * (code.owed - code.lost)) <= 0.02 * times * code.owed
        for code in codes
    )
    if regular < 0.9 * len(codes):
        return None
    return Finding(
        "duplicates_by_namespace",
        f"Each code comes exactly {number(times + 1)} times.",
        regular / len(codes),
        {"copies": times + 1},
        "A connection is subscribed more than once (several namespaces, rooms or handlers), or "
        "the server broadcasts each code more than once.",
    )


def several_per_frame(symptoms: Symptoms) -> Finding | None:
    """Find that messages contain further codes, where the profile does not look for them."""
    deliveries = symptoms.account.deliveries
    if not deliveries.overlooked:
        return None
    lost = deliveries.overlooked + deliveries.missing + deliveries.late + deliveries.interrupted
    return Finding(
        "several_per_frame",
        f"{number(deliveries.overlooked)} codes arrived in places where the profile does not look "
        "for them, mostly several in one message.",
        deliveries.overlooked / lost,
        {"overlooked": deliveries.overlooked},
        "Set lines, separator or concatenated in the profile, or a path with [*]; "
        "`sseload check` says which.",
    )


def generator(symptoms: Symptoms) -> Finding | None:
    """Find that the generator was at its own limit."""
    figures = symptoms.account.generator
    if not figures.saturated:
        return None
    cpu = figures.cpu_percent_max
    used = "" if cpu is None else f" (CPU up to {cpu:.0f} %)"
    return Finding(
        "generator",
        f"The load generator was at its own limit{used}: latencies and losses may be its own.",
        1.0,
        {} if cpu is None else {"cpu_percent": round(cpu, 1)},
        "Use more processes (--processes), more machines, or fewer connections or codes.",
    )
