"""The rule about owed deliveries: how many of them clients received."""

from __future__ import annotations

from collections.abc import Sequence

from sseload_users.core.figures import Account, DeliveryFigures
from sseload_users.core.formatting import number
from sseload_users.verdict.reasons import Reason, make_reason
from sseload_users.verdict.thresholds import JudgedShare, Rule

_LOSS_HINTS = {
    "missing": "Connected clients were left out: look at the broadcast logic, at full queues or "
    "buffers that drop messages, and at the server's logs.",
    "interrupted": "Connections ended before their codes arrived: look at the stability of the "
    "connections and the server's logs.",
    "late": "Codes arrived after the delivery timeout: look at the server's CPU, at how long one "
    "broadcast takes, and at slow clients that delay the others.",
}

_RESUME_HINT = (
    "The profile says that reconnects lose nothing (guarantee): look at what the server does with "
    "the last event ID or offset, how many messages it keeps and for how long, and at its logs."
)


def judge_codes_received(account: Account, rule: Rule) -> Reason:
    """Return the reason about owed deliveries: did they come in time, or after a reconnect?"""
    deliveries = account.deliveries
    share = JudgedShare(deliveries.received, deliveries.judged, rule)
    losses = [
        (deliveries.missing - deliveries.overlooked, "missing"),
        (deliveries.interrupted, "interrupted"),
        (deliveries.late, "late"),
    ]
    grade, sentence = (
        share.grade,
        share.sentence(f"owed deliveries {came(deliveries)}", loss_clause(losses)),
    )
    hint = _hint(account, max(losses, key=lambda loss: loss[0])[1])
    if not deliveries.owed and account.codes.unknown:
        grade = "warning"
        sentence = "Nothing was owed, as far as is known: a worker was lost as it sent codes."
        hint = "Repeat the run: this is not the server's fault."
    elif not deliveries.owed:
        grade = "issues"
        sentence = "Nothing was owed: no code was sent while a connection was subscribed."
        hint = "See the reasons about connections and accepted codes."
        if account.observed is not None:
            sentence = "Nothing was owed: no message was first seen while a session was subscribed."
            hint = "See the reasons about connections and seen messages."
    elif not share.whole:
        grade = "issues"
        sentence = "Nothing is known about any delivery: the profile does not find the codes."
        hint = "See the reason about messages with several codes (several_per_frame)."
    return make_reason(
        "codes_received",
        grade,
        sentence,
        measured=share.measured,
        threshold=share.bound,
        hint=hint,
        tolerated=share.part < share.whole,
    )


def came(deliveries: DeliveryFigures) -> str:
    """Return what what was received did, for a sentence: "came in time"."""
    return "came in time or were recovered" if deliveries.recovered else "came in time"


def _hint(account: Account, loss: str) -> str:
    connections = account.connections
    back = connections.reconnected + connections.replaced + connections.planned_ends
    if account.resume is not None and loss == "missing" and back:
        return _RESUME_HINT
    return _LOSS_HINTS[loss]


def loss_clause(losses: Sequence[tuple[int, str]]) -> str:
    """Return the end of a sentence that says how many were lost, and how."""
    parts = ", ".join(f"{number(lost)} {how}" for lost, how in losses if lost)
    return f": {parts}" if parts else ""
