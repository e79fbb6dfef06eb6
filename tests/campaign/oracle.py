"""What a report may say of a run, by docs/ledger.md and docs/verdict.md.

It shares no code with the account and the rules that it checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from tests.campaign.bounds import Bounds, share, tally
from tests.campaign.truth import OWED, Truth, sent_ns

GRADES = ("good", "warning", "issues")
GOOD, WARNING, ISSUES = range(3)

_IRREGULAR = {
    "duplicates": "duplicate",
    "out_of_order": "out_of_order",
    "unexpected": "unexpected",
    "malformed": "malformed",
}


def figures(truth: Truth) -> dict[str, Bounds]:
    """Return the bounds of each figure, as "part.name"."""
    return {**_deliveries(truth), **_connections(truth), **_codes(truth)}


def _deliveries(truth: Truth) -> dict[str, Bounds]:
    pairs = [*truth.pairs()]
    found = {name: tally(pairs, name) for name in (*OWED, "released", "unexpected")}
    found["owed"] = tally(pairs, *OWED)
    record = truth.record
    # Where the client closes sessions, it may do so before it has read these.
    every = _all_read(truth)
    for name, written in (
        ("duplicate", record.total("duplicated")),
        ("malformed", record.total("garbage")),
        ("leaked", record.leaked),
    ):
        found[name] = Bounds(written if every else 0, written)
    # The codes of several publishers have no common order.
    in_order = _ends_nothing(truth) and truth.play.publishers == 1
    certain = _certainly_out_of_order(truth) if in_order else 0
    found["out_of_order"] = Bounds(certain, record.total("out_of_order"))
    return {f"deliveries.{name}": bounds for name, bounds in found.items()}


def _ends_nothing(truth: Truth) -> bool:
    """Whether no session ends before the run does."""
    play = truth.play
    ends = play.session_length_s or play.storm_after_s or "drop" in play.faults
    return truth.complete and not ends


def _all_read(truth: Truth) -> bool:
    return _ends_nothing(truth) and not any(
        truth.may_be_unread(truth.arrival(code, each))
        for code in truth.record.codes.values()
        for each in code.sent
    )


def _certainly_out_of_order(truth: Truth) -> int:
    """Count what came after a code that was sent when the first one had been answered."""
    accepted = {each.code for each in truth.record.ingests if each.status in (200, "accepted")}
    codes = sorted(truth.record.codes.values(), key=lambda each: sent_ns(each.code))
    certain = 0
    for code, later in pairwise(codes):
        answered_ns = max(code.end_ns, code.start_ns) + 50_000_000
        if code.code in accepted and sent_ns(later.code) > answered_ns:
            certain += sum(
                not truth.may_be_unread(truth.arrival(code, each)) for each in code.out_of_order
            )
    return certain


def _connections(truth: Truth) -> dict[str, Bounds]:
    handshakes = [each for each in truth.record.connections.values() if each.publishing_ns is None]
    opened = truth.sessions
    # At a cut, handshakes may be under way of which only one side knows that they succeeded.
    loose = [each for each in handshakes if truth.connecting_at_a_cut(each)]
    most = len(handshakes) + (0 if truth.complete else truth.play.connections)
    ended = [each for each in opened if truth.by_server(each)]
    certain = [each for each in ended if not truth.near_a_cut(each.closed_ns or 0)]
    if truth.play.session_length_s:
        # The session may have been about to leave.
        certain = []
    return {
        "connections.attempted": Bounds(len(handshakes) - len(loose), most),
        "connections.succeeded": Bounds(
            len(opened) - sum(bool(each.subscribed) for each in loose), len(opened)
        ),
        "connections.dropped": Bounds(len(certain), len(ended)),
    }


def _codes(truth: Truth) -> dict[str, Bounds]:
    status = Counter(each.status for each in truth.record.ingests)
    accepted = status[200]
    unanswered = status["hang"] + status["reset"]
    counts = {
        "sent": sum(status.values()),
        "accepted": accepted,
        "unanswered": unanswered,
        "rejected": sum(status.values()) - accepted - unanswered,
    }
    # A cut leaves a request in the air, or a response unread.
    loose = 0 if truth.complete else 2 * truth.play.publishers
    found = {name: Bounds(max(0, each - loose), each + loose) for name, each in counts.items()}
    if truth.complete:
        due = truth.play.all_codes if truth.sessions else 0
        found["scheduled"] = Bounds(due, due)
    return {f"codes.{name}": bounds for name, bounds in found.items()}


def rows(truth: Truth) -> Iterator[tuple[int, dict[str, Bounds]]]:
    """Yield the sequence number of each broadcast code, and the bounds of its row's figures."""
    for code, pairs in truth.possible.items():
        found = {name: tally(pairs, name) for name in OWED}
        yield int(code.split("-")[2]), {**found, "owed": tally(pairs, *OWED)}


def grades(truth: Truth, report: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the best and the worst grade that each rule may give.

    Args:
        truth: the truth.
        report: only for the numbers of codes that were due, where a cut decides it.
    """
    known = figures(truth)
    scheduled = report["codes"]["scheduled"]
    attempts, opened = known["connections.attempted"], known["connections.succeeded"]
    failed = Bounds(max(0, attempts.low - opened.high), attempts.high - opened.low)
    if truth.complete:
        failed = Bounds(attempts.low - opened.low, attempts.high - opened.high)
    never = _never_connected(truth, failed)
    ever = Bounds(truth.play.connections - never.high, truth.play.connections - never.low)
    lost_codes = Bounds(
        scheduled - min(scheduled, known["codes.accepted"].high),
        scheduled - min(scheduled, known["codes.accepted"].low),
    )
    accepted = Bounds(scheduled - lost_codes.high, scheduled - lost_codes.low)
    dropped = known["connections.dropped"]
    stayed = Bounds(max(0, opened.low - dropped.high), opened.high - dropped.low)
    came = known["deliveries.delivered"]
    other = tally([*truth.pairs()], *OWED[1:])
    connected = [share(opened, failed), share(ever, never)]
    low, high = min(each[0] for each in connected), min(each[1] for each in connected)
    errors = [
        share(failed, opened), share(never, ever), share(dropped, stayed),
        share(lost_codes, accepted) if scheduled else (0.0, 0.0),
        _all_kinds(truth, known, failed, lost_codes, scheduled),
    ]  # fmt: skip
    found = {
        "run_complete": (GOOD, GOOD) if truth.complete else (WARNING, WARNING),
        "connection_success": (_at_least(high, 0.95, 0.8), _at_least(low, 0.95, 0.8)),
        "size_target": (GOOD if high >= 1 else WARNING, GOOD if low >= 1 else WARNING),
        "connections_dropped": _dropped(*share(dropped, stayed)),
        "codes_accepted": _all_or(share(accepted, lost_codes), nothing=not scheduled),
        "codes_owed": _owed(truth),
        "codes_received": _all_or(share(came, other), nothing=not (came.high or other.high)),
        "error_rate": (
            _errors(max(each[0] for each in errors)), _errors(max(each[1] for each in errors)),
        ),
        "latency": _latency(truth),
    }  # fmt: skip
    leaked = known["deliveries.leaked"]
    found["isolation"] = (ISSUES if leaked.low else GOOD, ISSUES if leaked.high else GOOD)
    if not truth.sessions:
        found["connection_success"] = (ISSUES, ISSUES)
    for rule, name in _IRREGULAR.items():
        seen = known[f"deliveries.{name}"]
        found[rule] = (WARNING if seen.low else GOOD, WARNING if seen.high else GOOD)
    return found


def _never_connected(truth: Truth, failed: Bounds) -> Bounds:
    """A refused connection is one that was never let in, unless it had been before."""
    again = truth.play.reconnect or truth.play.session_length_s or truth.play.storm_after_s
    low = 0 if again or not truth.complete else failed.low
    return Bounds(low, min(failed.high, truth.play.connections))


def _all_kinds(
    truth: Truth, known: Mapping[str, Bounds], failed: Bounds, lost_codes: Bounds, scheduled: int
) -> tuple[float, float]:
    kinds = failed + known["connections.dropped"] + known["deliveries.malformed"] + lost_codes
    attempts = known["connections.attempted"]
    return (
        kinds.low / max(1, attempts.high + scheduled),
        kinds.high / max(1, attempts.low + scheduled),
    )


def _at_least(value: float, good: float, warning: float) -> int:
    return GOOD if value > good else WARNING if value >= warning else ISSUES


def _all_or(value: tuple[float, float], *, nothing: bool) -> tuple[int, int]:
    """All is good, 95 % or more a warning, less or nothing at all issues."""
    if nothing:
        return ISSUES, ISSUES
    low, high = (GOOD if each >= 1 else WARNING if each >= 0.95 else ISSUES for each in value)
    return high, low


def _dropped(low: float, high: float) -> tuple[int, int]:
    best, worst = (GOOD if each <= 0 else WARNING if each <= 0.05 else ISSUES
                   for each in (low, high))  # fmt: skip
    return best, worst


def _errors(rate: float) -> int:
    return GOOD if rate < 0.01 else WARNING if rate <= 0.05 else ISSUES


def _owed(truth: Truth) -> tuple[int, int]:
    """All codes should have gone out while somebody was subscribed."""
    certain = possible = False
    channels = {each.code: each.channel for each in truth.record.codes.values()}
    for each in truth.record.ingests:
        least, most = truth.subscribed_at(sent_ns(each.code), channels.get(each.code, ""))
        certain, possible = certain or not most, possible or not least
    # Where sseload ended the sessions itself, the rule may only mention it.
    mentioned = truth.play.session_length_s or truth.play.storm_after_s
    return (WARNING if certain and not mentioned else GOOD, WARNING if possible else GOOD)


def _latency(truth: Truth) -> tuple[int, int]:
    found = [*truth.latencies_s()]
    if not found:
        return GOOD, GOOD
    at = max(0, -(-95 * len(found) // 100) - 1)
    shortest, longest = sorted(low for low, _ in found)[at], sorted(high for _, high in found)[at]
    return (WARNING if shortest > 1.05 else GOOD, WARNING if longest > 0.95 else GOOD)
