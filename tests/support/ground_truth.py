"""Work out from the embedded target's record what a report has to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from sseload_users.demo import record

_OUTCOMES = ("owed", "delivered", "late", "interrupted", "missing", "duplicate", "leaked")


def expected_figures(
    report: Mapping[str, Any],
    truth: record.Record,
    *,
    scheduled: int,
    delayed_are_late: bool = False,
    bad_frames: bool = False,
    slow_answers: bool = False,
    reconnecting: bool = False,
) -> dict[str, dict[str, Any]]:
    """Return the figures that a report should have, worked out from the record alone.

    Args:
        report: gives the sequence numbers of the codes; no other figure of it is used.
        truth: the target's record.
        scheduled: the number of codes in the schedule.
        delayed_are_late: the injected delay exceeds the delivery timeout.
        bad_frames: the injected garbage makes a client close the connection.
        slow_answers: the injected ingest delay exceeds the ingest timeout.
        reconnecting: dropped connections reconnect once.
    """
    killed = truth.stopped == "codes"
    listening = listeners_of(truth)
    dropped = {
        number
        for number, each in listening.items()
        if each.dropped in ("close", "reset")
        or (each.opened_ns and each.closed_ns is None and killed)
        or (bad_frames and any(number in code.garbage for code in truth.codes.values()))
    }
    per_code = {
        sequence_of(code.code): _outcomes_of(code, dropped, delayed_are_late=delayed_are_late)
        for code in truth.codes.values()
    }
    # A client that closes on a bad frame does not read what follows it.
    unread = sum(each in code.garbage for code in truth.codes.values() for each in code.foreign)
    totals = {name: sum(code[name] for code in per_code.values()) for name in _OUTCOMES}
    opened = sum(each.opened_ns is not None for each in listening.values())
    return {
        "connections": {
            "attempted": len(listening),
            "succeeded": opened,
            "failed": len(listening) - opened,
            "dropped": len(dropped),
            "reconnected": len(dropped) if reconnecting else 0,
        },
        "codes": {
            "scheduled": scheduled,
            "sent": len(truth.ingests),
            "unsent": scheduled - len(truth.ingests),
            **_statuses_of(truth, slow_answers=slow_answers),
        },
        "deliveries": {
            **totals,
            "released": 0,
            "out_of_order": truth.total("out_of_order"),
            "unexpected": truth.replayed,
            "foreign": truth.total("foreign") - (unread if bad_frames else 0),
            "malformed": truth.total("garbage"),
            "delivery_rate": totals["delivered"] / totals["owed"] if totals["owed"] else None,
        },
        "per_code": {
            row["seq"]: per_code.get(row["seq"], dict.fromkeys(_OUTCOMES, 0))
            for row in report["per_code"]
        },
    }


def _outcomes_of(
    code: record.CodeRecord, dropped: Collection[int], *, delayed_are_late: bool
) -> dict[str, int]:
    """Return the outcomes of a code; see `expected_figures`."""
    late = len(code.delayed) if delayed_are_late else 0
    # A code that could not be written, was lost or went to another channel was for a session that
    # had ended or that ended before the delivery timeout; or, at the end of the run, for one whose
    # timeout had passed.
    gone = [*code.failed, *code.lost, *code.misrouted]
    interrupted = sum(number in dropped for number in gone)
    return {
        "owed": code.subscribers,
        "delivered": len(code.sent) - late,
        "late": late,
        "interrupted": interrupted,
        "missing": len(code.silenced) + len(gone) - interrupted,
        "duplicate": len(code.duplicated),
        "leaked": len(code.leaked),
    }


def _statuses_of(truth: record.Record, *, slow_answers: bool) -> dict[str, int]:
    """Return the number of sent codes by status; see `expected_figures`."""
    answers = Counter(each.status for each in truth.ingests)
    accepted = answers.pop(200, 0) + answers.pop("accepted", 0)
    unanswered = answers.pop("hang", 0) + answers.pop("reset", 0)
    if slow_answers:
        accepted, unanswered = 0, unanswered + accepted
    return {"accepted": accepted, "rejected": sum(answers.values()), "unanswered": unanswered}


def reported_figures(
    report: Mapping[str, Any], like: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the fields of a report that `expected_figures` returned for it."""
    figures: dict[str, Any] = {
        part: {name: report[part][name] for name in like[part]}
        for part in ("connections", "codes", "deliveries")
    }
    figures["per_code"] = {
        row["seq"]: {name: row[name] for name in like["per_code"][row["seq"]]}
        for row in report["per_code"]
    }
    return figures


def listeners_of(truth: record.Record) -> dict[int, record.ConnectionRecord]:
    """Return the connections of a record, by ordinal, without those that handed in codes."""
    return {
        number: each for number, each in truth.connections.items() if each.publishing_ns is None
    }


def received_by_connection(truth: record.Record, *, delayed_are_late: bool = False) -> Counter[int]:
    """Count opened connections by the number of codes that each received in time."""
    received: Counter[int] = Counter(
        {number: 0 for number, each in listeners_of(truth).items() if each.opened_ns}
    )
    for code in truth.codes.values():
        received.update(code.sent)
        if delayed_are_late:
            received.subtract(code.delayed)
    return Counter(received.values())


def sequence_of(code: str) -> int:
    """Return the sequence number in a code of the default template."""
    return int(code.split("-")[2])
