"""The rules about leaks, and about what comes again or later after reconnects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sseload_users.report.model import Report
from sseload_users.verdict.reasons import Reason, Verdict
from tests.support.reports import judged, sample, step_of


def reasons(verdict: Verdict) -> dict[str, Reason]:
    return {each.rule: each for each in verdict.reasons}


def leaking(leaked: int = 3, channel: str = "c1", own: str = "c2", **changes: Any) -> Report:
    report = sample(12, 12, channels=3, leaked=leaked, **changes)
    report.leaks = [
        replace(each, channel=channel, own_channels=[own], worker="worker 2 (host)")
        for each in report.leaks
    ]
    report.verdict = judged(report)
    return report


def test_without_channels_there_is_no_rule() -> None:
    assert "isolation" not in reasons(sample().verdict)


def test_without_leaks_the_rule_is_good() -> None:
    report = sample(12, 12, channels=3)
    assert report.verdict.grade == "good"
    assert reasons(report.verdict)["isolation"].measured == "0"


def test_any_leak_is_an_issue_with_its_first_example() -> None:
    verdict = leaking(1).verdict
    reason = reasons(verdict)["isolation"]
    assert (verdict.grade, reason.grade, reason.measured) == ("issues", "issues", "1")
    assert reason.sentence == (
        "1 copy of codes reached sessions outside the codes' channels; for example, code 1 of "
        "channel c1 reached connection 2 (user loadtest) of worker 2 (host), which subscribes to "
        "c2."
    )


@pytest.mark.parametrize(
    ("report", "hint"),
    [
        (leaking(), "adds clients to a channel"),
        (leaking(channel="c1", own="c12"), "comparison by prefix"),
        # Each of twelve codes reached the eight connections of the other two channels.
        (leaking(12 * 8), "broadcasts to everybody"),
        # The channel's own connections got none of its codes.
        (leaking(channel="c3", missing=16), "chooses the channel"),
    ],
    ids=["general", "prefix", "everybody", "elsewhere"],
)
def test_the_hint_is_true_for_the_leaks(report: Report, hint: str) -> None:
    if "chooses" in hint:
        report.channels = [
            replace(each, delivered=0, missing=each.owed) if each.name == "c3" else each
            for each in report.channels
        ]
        report.verdict = judged(report)
    assert hint in reasons(report.verdict)["isolation"].hint


def test_a_leak_is_an_issue_in_a_ladder_as_well() -> None:
    report = leaking()
    clean = sample(12, 12, channels=3)
    report.steps = [step_of(clean, "12 connections")]
    verdict = judged(report)
    assert verdict.grade == "issues"
    assert reasons(verdict)["isolation"].grade == "issues"


def test_what_was_recovered_counts_as_received() -> None:
    report = sample(10, 10, recovered=20, resume=True)
    assert report.verdict.grade == "good"
    assert reasons(report.verdict)["codes_received"].sentence == (
        "100 of 100 owed deliveries came in time or were recovered (100 %)."
    )


@pytest.mark.parametrize("back", ["replaced", "reconnected", "planned_ends"])
def test_a_lost_gap_is_not_good(back: str) -> None:
    report = sample(10, 10, missing=20, resume=True)
    setattr(report.connections, back, 10)
    verdict = judged(report)
    assert verdict.grade == "issues"
    assert "last event ID" in reasons(verdict)["codes_received"].hint


@pytest.mark.parametrize(("replayed", "grade"), [(0, "good"), (1, "good"), (2, "warning")])
def test_many_replayed_copies_are_a_warning(replayed: int, grade: str) -> None:
    report = sample(10, 10, replayed=replayed, resume=True)
    assert reasons(report.verdict)["replayed"].grade == grade
    assert report.verdict.grade == grade
    assert "replayed" not in reasons(sample().verdict)
