"""Check that a report is consistent: it matches its schema, and its figures add up."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema

from sseload_users.report import serialization
from sseload_users.verdict.diagnosis import without_explained_hints
from tests.support.reports import as_data, judged

SCHEMA = json.loads(
    (Path(serialization.__file__).parent / "schema.json").read_text(encoding="utf-8")
)
validator = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)

#: The outcomes of an owed delivery; each one has exactly one of them.
OWED_OUTCOMES = ("delivered", "late", "recovered", "interrupted", "missing")


def check_parts(connections: Mapping[str, Any]) -> None:
    """Check that connect times are the sum of their parts, but for parts of a microsecond."""
    succeeded, parts = connections["succeeded"], connections["connect_parts"]
    names = ("tcp", "tls", "handshake", "subscription")
    for name in ("tcp", "handshake", "own"):
        assert parts[f"{name}_ms"]["count"] == succeeded
    whole = connections["connect_ms"]
    added = sum((parts[f"{name}_ms"]["mean"] or 0) * parts[f"{name}_ms"]["count"] for name in names)
    rest_ms = (whole["mean"] or 0) * succeeded - added
    assert -0.001 * succeeded <= rest_ms <= 0.005 * succeeded, (whole, parts)


def check_consistency(report: Mapping[str, Any]) -> None:
    """Check every sum in a report."""
    connections, codes = report["connections"], report["codes"]
    deliveries, errors, per_code = report["deliveries"], report["errors"], report["per_code"]
    channels = report["channels"]
    for account in (deliveries, *per_code, *channels):
        assert account["owed"] == sum(account[name] for name in OWED_OUTCOMES), account
    for outcome in ("owed", *OWED_OUTCOMES, "duplicate", "leaked"):
        assert deliveries[outcome] == sum(row[outcome] for row in per_code), outcome
    check_channels(channels, per_code, deliveries)
    assert connections["attempted"] == connections["succeeded"] + connections["failed"]
    assert connections["connect_ms"]["count"] == connections["succeeded"]
    check_parts(connections)
    assert sum(report["compression"]["negotiated"].values()) == connections["succeeded"]
    assert connections["dropped"] <= connections["succeeded"]
    seen = report["observed"]["seen"] if report["observed"] else 0
    assert codes["scheduled"] == codes["sent"] + codes["unsent"] == len(per_code) - seen
    assert codes["sent"] == sum(
        codes[status] for status in ("accepted", "rejected", "unanswered", "unknown")
    )
    assert codes["schedule_slip_ms"]["count"] == codes["sent"]
    assert codes["ingest_ms"]["count"] == codes["accepted"]
    by_status = Counter(row["status"] for row in per_code)
    for status in ("accepted", "rejected", "unanswered", "unknown", "unsent"):
        assert by_status[status] == codes[status], status
    assert by_status["seen"] == seen
    assert report["delivery_ms"]["count"] == deliveries["delivered"]
    assert report["spread_ms"]["count"] == sum(row["delivered"] > 0 for row in per_code)
    per_connection = {int(many): each for many, each in report["received_per_connection"].items()}
    received_by_all = deliveries["delivered"] + deliveries["recovered"]
    assert sum(many * each for many, each in per_connection.items()) == received_by_all
    check_audience(report)
    _check_errors(report)
    connecting = connections["failed"] + connections["dropped"]
    assert sum(cause["count"] for cause in connections["causes"]) == connecting
    if report["nodes"]:
        _check_nodes(report)
    timeline = report["timeline"]
    assert sum(point["sent"] for point in timeline) == codes["sent"] + seen
    received = sum(point["received"] for point in timeline)
    # An arrival before the server rejects its code is in the timeline, but not delivered.
    assert received >= deliveries["delivered"]
    assert received == deliveries["delivered"] or codes["rejected"]
    # What the end of the run cut off belongs to no interval.
    cut_off = sum(cause["count"] for cause in errors["causes"] if cause["cause"] == "left")
    assert sum(point["errors"] for point in timeline) == report["errors"]["failed"] - cut_off
    assert sum(point["dropped"] for point in timeline) == connections["dropped"]
    ended = connections["dropped"] + connections["planned_ends"]
    assert sum(point["ended"] for point in timeline) == ended
    for what, name in (("connected", "succeeded"), ("failed", "failed")):
        assert sum(point[what] for point in timeline) == connections[name], name
    if report["run"]["options"].get("thresholds") is None:
        read = serialization.parse(copy.deepcopy(report), "report.json")
        assert read.verdict == without_explained_hints(judged(read), read.diagnosis)
        assert as_data(read) == report


def check_audience(report: Mapping[str, Any]) -> None:
    """Check what is said of leaks and of resumed sessions."""
    deliveries, resume = report["deliveries"], report["resume"]
    received = deliveries["delivered"] + deliveries["recovered"]
    rate = received / deliveries["owed"] if deliveries["owed"] else None
    assert deliveries["delivery_rate"] == rate
    for name in ("recovered", "replayed"):
        assert deliveries[name] == (resume[name] if resume else 0), name
    assert bool(report["leaks"]) == bool(deliveries["leaked"])


def check_channels(
    channels: Sequence[Mapping[str, Any]],
    per_code: Sequence[Mapping[str, Any]],
    deliveries: Mapping[str, Any],
) -> None:
    """Check the sums of each channel, and the order of the channels."""
    outcomes = ("owed", *OWED_OUTCOMES, "leaked")
    by_channel: dict[str, Counter[str]] = {each["name"]: Counter() for each in channels}
    for row in per_code:
        assert bool(row["channel"]) == bool(channels), row
        if channels:
            sums = by_channel[row["channel"]]
            sums["codes"] += row["sent_at"] is not None
            sums.update({name: row[name] for name in outcomes})
    for each in channels:
        sums = by_channel[each["name"]]
        assert {name: each[name] for name in ("codes", *outcomes)} == {
            name: sums[name] for name in ("codes", *outcomes)
        }
        assert (each["max"] is None) == (each["delivered"] == 0), each
    if channels:
        for name in outcomes:
            assert deliveries[name] == sum(each[name] for each in channels), name
    badness = [
        (each["leaked"], each["owed"] - each["delivered"] - each["recovered"]) for each in channels
    ]
    assert badness == sorted(badness, reverse=True)


def _check_errors(report: Mapping[str, Any]) -> None:
    connections, codes = report["connections"], report["codes"]
    deliveries, errors = report["deliveries"], report["errors"]
    undelivered = codes["rejected"] + codes["unanswered"] + codes["unsent"]
    for what, operation in (("upkeep", "upkeep"), ("channel_changes", "channel")):
        causes = [each["count"] for each in errors["causes"] if each["operation"] == operation]
        assert errors[f"{what}_failed"] == sum(causes) <= errors[what]
    failed = connections["failed"] + connections["dropped"] + deliveries["malformed"]
    failed += undelivered + errors["upkeep_failed"] + errors["channel_changes_failed"]
    assert errors["failed"] == failed
    operations = connections["attempted"] + codes["scheduled"] - codes["unknown"]
    operations += errors["upkeep"] + errors["channel_changes"]
    assert errors["operations"] == operations
    assert sum(cause["count"] for cause in errors["causes"]) == failed


def _check_nodes(report: Mapping[str, Any]) -> None:
    """Check that the figures of nodes, and of pairs of nodes, add up to the whole run's."""
    nodes, pairs = report["nodes"], report["node_pairs"]
    for name in ("attempted", "succeeded", "failed", "dropped"):
        assert sum(node[name] for node in nodes) == report["connections"][name], name
    assert sum(node["codes"] for node in nodes) == report["codes"]["sent"]
    names = [node["url"] for node in nodes]
    assert [(each["sent_to"], each["received_at"]) for each in pairs] == [
        (source, to) for source in names for to in names
    ]
    for name in ("owed", *OWED_OUTCOMES):
        assert sum(each[name] for each in pairs) == report["deliveries"][name], name
    for each in pairs:
        outcomes = sum(each[name] for name in OWED_OUTCOMES)
        assert each["owed"] == outcomes
        assert each["delivery_ms"]["count"] == each["delivered"]
