from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.figures import FailureCause
from sseload_users.report.model import Report
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.verdict import hints
from sseload_users.verdict.reasons import GRADES, Reason, Verdict, worst
from sseload_users.verdict.rules import exit_status
from sseload_users.verdict.thresholds import Grade, Rule
from tests.support.reports import causes_of, judged, sample, samples

DEFAULT = load_thresholds()


def reason(report: Report, rule: str) -> Reason:
    (found,) = (each for each in report.verdict.reasons if each.rule == rule)
    return found


def test_a_clean_run_is_good() -> None:
    report = sample(50, 10)
    assert report.verdict.grade == "good"
    assert all(each.grade == "good" and not each.hint for each in report.verdict.reasons)
    assert reason(report, "codes_received").sentence == (
        "500 of 500 owed deliveries came in time (100 %)."
    )


@pytest.mark.parametrize(
    ("changes", "rule", "grade"),
    [
        # the guide's table, at its edges
        ({"connections": 100, "refused": 4}, "connection_success", "good"),
        ({"connections": 100, "refused": 5}, "connection_success", "warning"),
        ({"connections": 100, "refused": 20}, "connection_success", "warning"),
        ({"connections": 100, "refused": 21}, "connection_success", "issues"),
        ({"connections": 100, "missing": 1}, "codes_received", "warning"),
        ({"connections": 100, "late": 1}, "codes_received", "warning"),
        ({"connections": 100, "interrupted": 1}, "codes_received", "warning"),
        ({"connections": 100, "missing": 50}, "codes_received", "warning"),
        ({"connections": 100, "missing": 51}, "codes_received", "issues"),
        ({"connections": 190, "refused": 1}, "error_rate", "good"),
        ({"connections": 190, "refused": 2}, "error_rate", "warning"),
        ({"connections": 190, "refused": 9}, "error_rate", "warning"),
        ({"connections": 190, "refused": 10}, "error_rate", "issues"),
        # each kind of failure is judged against its own kind of operation
        ({"connections": 25, "codes": 100, "refused": 1}, "error_rate", "warning"),
        ({"connections": 200, "codes": 10, "rejected": 1}, "error_rate", "issues"),
        ({"connections": 50, "codes": 80, "dropped": 1}, "error_rate", "warning"),
        ({"connections": 10, "codes": 1, "malformed": 30}, "error_rate", "issues"),
        ({"connections": 100, "dropped": 1}, "connections_dropped", "warning"),
        ({"connections": 100, "dropped": 5}, "connections_dropped", "warning"),
        ({"connections": 100, "dropped": 6}, "connections_dropped", "issues"),
        ({"connections": 100, "timed_out": 1}, "connect_timeouts", "warning"),
        ({"connections": 100, "timed_out": 2}, "connect_timeouts", "issues"),
        ({"connections": 100, "refused": 2}, "connect_timeouts", "good"),
        # what a server of that size should hold
        ({"connections": 50, "refused": 1}, "size_target", "warning"),
        ({"connections": 100, "refused": 1}, "size_target", "good"),
        ({"connections": 200, "refused": 19}, "size_target", "good"),
        ({"connections": 200, "refused": 20}, "size_target", "warning"),
        ({"connections": 600, "refused": 80}, "size_target", "good"),
        # what the table leaves out
        ({"codes": 20, "rejected": 1}, "codes_accepted", "warning"),
        ({"codes": 20, "unanswered": 2}, "codes_accepted", "issues"),
        ({"duplicate": 1}, "duplicates", "warning"),
        ({"duplicate": 500}, "duplicates", "warning"),
        ({"out_of_order": 1}, "out_of_order", "warning"),
        ({"unexpected": 1}, "unexpected", "warning"),
        ({"malformed": 1}, "malformed", "warning"),
        ({"saturated": True}, "generator", "warning"),
        ({"complete": False}, "run_complete", "warning"),
        # runs that have nothing to show
        ({"refused": 50}, "connection_success", "issues"),
        ({"connections": 0}, "connection_success", "issues"),
        ({"unsent": 10}, "codes_accepted", "issues"),
        ({"codes": 0}, "codes_accepted", "issues"),
        ({"rejected": 10}, "codes_accepted", "issues"),
        ({"rejected": 10}, "codes_received", "issues"),
    ],
)
def test_each_rule_has_its_edges(changes: dict[str, Any], rule: str, grade: Grade) -> None:
    report = sample(**changes)
    found = reason(report, rule)
    assert found.grade == grade, found
    assert GRADES.index(report.verdict.grade) >= GRADES.index(grade)
    assert bool(found.hint) == (grade != "good")


def test_an_empty_run_is_an_issue_whatever_the_thresholds_allow() -> None:
    lenient = DEFAULT.model_copy(
        update={
            name: Rule.model_validate({"good": ">= 0 %"})
            for name in ("connection_success", "codes_accepted", "codes_received")
        }
    )
    graded = {
        each.rule: each.grade
        for each in judged(sample(10, 5, refused=10, unsent=5), lenient).reasons
    }
    for rule in ("connection_success", "codes_accepted", "codes_received"):
        assert graded[rule] == "issues"


def test_a_reason_has_figure_threshold_and_hint() -> None:
    report = sample(50, 10, unavailable=4)
    assert reason(report, "connection_success") == Reason(
        rule="connection_success",
        grade="warning",
        measured="46 of 50 (92 %)",
        threshold="> 95 %",
        sentence="46 of 50 connect attempts succeeded (92 %), failures most often: HTTP 503; "
        "good is more than 95 %.",
        hint=hints.hint("handshake", "HTTP 503"),
    )
    report = sample(50, 10, missing=60, late=2)
    assert reason(report, "codes_received") == Reason(
        rule="codes_received",
        grade="issues",
        measured="438 of 500 (87.6 %)",
        threshold=">= 95 %",
        sentence="438 of 500 owed deliveries came in time (87.6 %): 60 missing, 2 late; "
        "less than 95 % is an issue.",
        hint="Connected clients were left out: look at the broadcast logic, at full queues or "
        "buffers that drop messages, and at the server's logs.",
    )


def test_each_kind_of_failure_is_judged_against_its_own_kind() -> None:
    found = reason(sample(25, 100, unavailable=1), "error_rate")
    assert found.measured == "1 of 25 (4 %)"
    assert found.sentence == (
        "1 of 25 connect attempts failed (4 %), most often: HTTP 503; 1 failure in 125 "
        "operations (0.8 %) in all; good is less than 1 %."
    )


def test_reconnects_do_not_hide_clients_that_were_never_let_in() -> None:
    report = sample(150, 10, refused=6)
    connections = report.connections
    connections.attempted += 2880
    connections.succeeded += 2880
    report.errors.operations += 2880
    report.verdict = judged(report)
    assert reason(report, "error_rate").grade == "warning"
    assert reason(report, "connection_success").measured == "144 of 150 (96 %)"
    connections.never_connected, connections.ever_connected = 40, 110
    report.verdict = judged(report)
    assert reason(report, "connection_success").grade == "issues"
    assert reason(report, "size_target").grade == "warning"


def test_failed_upkeep_is_judged_against_upkeep() -> None:
    report = sample(100, 300)
    report.errors.upkeep, report.errors.upkeep_failed = 40, 4
    report.errors.operations += 40
    report.errors.failed += 4
    report.errors.causes = causes_of([("upkeep", "HTTP 500", 4)])
    found = {each.rule: each for each in judged(report).reasons}["error_rate"]
    assert (found.grade, found.measured) == ("issues", "4 of 40 (10 %)")


def test_more_failures_than_operations_are_no_share() -> None:
    found = reason(sample(20, 10, malformed=200), "error_rate")
    assert found.measured == "200 failures in 30 operations"
    assert found.sentence.startswith("200 failures in 30 operations, most often: invalid UTF-8;")


def test_codes_that_were_owed_to_nobody_are_seen() -> None:
    report = sample(50, 10)
    report.codes.unowed = 3
    found = {each.rule: each for each in judged(report).reasons}["codes_owed"]
    assert (found.grade, found.measured) == ("warning", "7 of 10 (70 %)")
    assert found.sentence.startswith("3 codes of 10 went out while no session was subscribed")
    # sseload had ended the sessions: that is not counted against the server.
    report.connections.replaced = 50
    found = {each.rule: each for each in judged(report).reasons}["codes_owed"]
    assert (found.grade, found.tolerated) == ("good", True)
    assert "sseload itself" in found.sentence
    report.connections.dropped = 1
    assert {each.rule: each.grade for each in judged(report).reasons}["codes_owed"] == "warning"


def test_what_a_threshold_tolerates_is_marked() -> None:
    good = {each.rule for each in sample(100, 10, refused=4).verdict.reasons if each.tolerated}
    assert good == {"connection_success"}
    assert not any(each.tolerated for each in sample(50, 10).verdict.reasons)


def test_a_high_error_rate_has_the_hint_of_the_cause_that_explains_most_of_it() -> None:
    advice = "Give the token."

    def hint_with(*counts: int, hint: str = advice) -> str:
        report = sample(50, 10, rejected=sum(counts))
        report.errors.causes[:] = [
            FailureCause(
                operation="ingest", cause=f"HTTP 4{number}", count=each, share=1, hint=hint, said=""
            )
            for number, each in enumerate(counts)
        ]
        report.verdict = judged(report)
        return reason(report, "error_rate").hint

    general = "See the errors by cause"
    assert hint_with(9) == hint_with(5, 4) == advice
    assert hint_with(3, 3, 3).startswith(general)
    assert hint_with(9, hint="").startswith(general)


def test_a_hint_is_that_of_the_cause_which_explains_most_failures() -> None:
    report = sample(100, 10, dropped=6)
    report.errors.causes = report.connections.causes = causes_of(
        [("session", "connection reset", 6)]
    )
    found = {each.rule: each.hint for each in judged(report).reasons}
    idle = hints.hint("session", "connection reset")
    assert "idle timeout" in idle
    assert found["error_rate"] == found["connections_dropped"] == idle
    mixed = [("handshake", "HTTP 404", 5), ("handshake", "HTTP 500", 5)]
    report = sample(100, 10, unavailable=10)
    report.errors.causes = report.connections.causes = causes_of(mixed)
    found = {each.rule: each.hint for each in judged(report).reasons}
    assert found["connection_success"] == "Look at the server's resources and the network."


def test_one_lost_delivery_in_many_is_not_rounded_away() -> None:
    found = reason(sample(500, 20, missing=1), "codes_received")
    assert found.grade == "warning"
    assert found.measured == "9,999 of 10,000 (99.99 %)"


def test_an_incomplete_run_quotes_its_notes() -> None:
    report = sample(complete=False, notes=("Worker\x1b[2J b was lost with 20 connections.",))
    assert report.verdict.grade == "warning"
    assert reason(report, "run_complete").sentence == (
        "The run is incomplete (Worker\ufffd[2J b was lost with 20 connections): "
        "the figures cover only what was accounted for."
    )


@pytest.mark.parametrize("timestamps", ["kernel", "userspace"])
def test_a_saturated_generator_is_not_the_servers_fault(
    timestamps: Literal["kernel", "userspace"],
) -> None:
    report = sample(saturated=True, timestamps=timestamps)
    assert report.verdict.grade == "warning"
    assert "not the server's fault" in reason(report, "generator").hint
    stays_true = "latencies remain accurate" in reason(report, "generator").sentence
    assert stays_true == (timestamps == "kernel")


def test_this_machines_own_limits_are_not_the_servers_fault() -> None:
    report = sample(50, 10, refused=10)
    report.connections.causes[0].cause = "too many open files"
    report.connections.causes[0].hint = hints.hint("connect", "too many open files")
    report.verdict = judged(report)
    for rule in ("connection_success", "size_target"):
        assert reason(report, rule).hint.startswith("This machine's limit of open files")


def test_codes_that_were_due_but_never_attempted_count() -> None:
    report = sample(50, 10)
    report.codes.scheduled = 20
    report.verdict = judged(report)
    assert reason(report, "codes_accepted").grade == "issues"


@given(samples())
@settings(max_examples=60, deadline=None)
def test_every_run_is_judged_with_complete_reasons(report: Report) -> None:
    reasons = report.verdict.reasons
    assert report.verdict.grade == worst(each.grade for each in reasons)
    assert len({each.rule for each in reasons}) == len(reasons)
    for each in reasons:
        assert each.sentence.endswith(".")
        assert "\n" not in each.sentence
        assert bool(each.hint) == (each.grade != "good")
        if each.measured.endswith("(100 %)"):
            part, _, whole, *_ = each.measured.split()
            assert part == whole


def _cause(causes: list[FailureCause], operation: str, cause: str) -> None:
    for each in causes:
        if (each.operation, each.cause) == (operation, cause):
            each.count += 1
            return
    causes += causes_of([(operation, cause, 1)])


def _failed_connect(cause: str) -> Callable[[Report], bool]:
    def change(report: Report) -> bool:
        connections = report.connections
        if connections.succeeded <= connections.dropped:
            return False
        connections.succeeded -= 1
        connections.peak_open -= 1
        connections.failed += 1
        report.errors.failed += 1
        _cause(report.connections.causes, "connect", cause)
        _cause(report.errors.causes, "connect", cause)
        return True

    return change


def _drop(report: Report) -> bool:
    connections = report.connections
    if connections.dropped >= connections.succeeded:
        return False
    connections.dropped += 1
    report.errors.failed += 1
    _cause(report.connections.causes, "session", "connection reset")
    return True


def _lose(how: str) -> Callable[[Report], bool]:
    def change(report: Report) -> bool:
        if not report.deliveries.delivered:
            return False
        report.deliveries.delivered -= 1
        setattr(report.deliveries, how, getattr(report.deliveries, how) + 1)
        return True

    return change


def _refuse_code(how: str) -> Callable[[Report], bool]:
    def change(report: Report) -> bool:
        if not report.codes.accepted:
            return False
        report.codes.accepted -= 1
        setattr(report.codes, how, getattr(report.codes, how) + 1)
        report.codes.sent -= how == "unsent"
        report.errors.failed += 1
        _cause(report.errors.causes, "ingest", "HTTP 500")
        return True

    return change


def _one_more(field: str) -> Callable[[Report], bool]:
    def change(report: Report) -> bool:
        setattr(report.deliveries, field, getattr(report.deliveries, field) + 1)
        report.errors.failed += field == "malformed"
        return True

    return change


def _incomplete(report: Report) -> bool:
    report.run.complete = False
    return True


def _saturate(report: Report) -> bool:
    report.generator.saturated = True
    return True


WORSE = [
    _failed_connect("connection refused"),
    _failed_connect("timed out"),
    _drop,
    *(_lose(how) for how in ("missing", "interrupted", "late")),
    *(_refuse_code(how) for how in ("rejected", "unanswered", "unsent")),
    *(_one_more(field) for field in ("duplicate", "out_of_order", "unexpected", "malformed")),
    _incomplete,
    _saturate,
]


@given(samples(), st.lists(st.sampled_from(WORSE), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_nothing_that_gets_worse_improves_a_grade(
    report: Report, changes: list[Callable[[Report], bool]]
) -> None:
    before = judged(report)
    for change in changes:
        worse = copy.deepcopy(report)
        if not change(worse):
            continue
        after = judged(worse)
        for old, new in zip(before.reasons, after.reasons, strict=True):
            assert GRADES.index(new.grade) >= GRADES.index(old.grade), (old, new)
        report, before = worse, after


@pytest.mark.parametrize(
    ("grades", "issues", "warning", "never"),
    [
        ({"codes_received": "good"}, 0, 0, 0),
        ({"codes_received": "warning"}, 0, 1, 0),
        ({"codes_received": "issues"}, 1, 1, 0),
        ({"objective": "issues"}, 4, 4, 0),
        ({"objective": "issues", "latency": "warning"}, 4, 1, 0),
        ({"objective": "issues", "latency": "issues"}, 1, 1, 0),
    ],
)
def test_the_exit_status_is_what_the_caller_asked_to_fail_on(
    grades: dict[str, Grade], issues: int, warning: int, never: int
) -> None:
    found = Verdict.of(
        Reason(rule=rule, grade=grade, measured="", threshold="", sentence=rule, hint="")
        for rule, grade in grades.items()
    )
    assert exit_status(found) == exit_status(found, "issues") == issues
    assert exit_status(found, "warning") == warning
    assert exit_status(found, "never") == never
    # Worse than a baseline is what a run is that passes otherwise.
    assert exit_status(found, worse=True) == (issues or 5)
    assert exit_status(found, "never", worse=True) == never


def test_the_exit_status_of_a_run_that_was_not_judged() -> None:
    assert exit_status(None) == exit_status(None, "never") == exit_status(None, worse=True) == 2


def _judged_anew(report: Report, rule: str) -> str:
    reasons = judged(report).reasons
    return next(each.sentence for each in reasons if each.rule == rule)


def test_three_notes_are_quoted_and_the_others_counted() -> None:
    report = sample()
    report.run.complete = False
    report.run.notes = [f"Note {letter}." for letter in "ABCDE"]
    report.run.reasons = 5
    said = _judged_anew(report, "run_complete")
    assert "Note C; and 2 more" in said
    assert "Note D" not in said
    report.run.notes = report.run.notes[:4]
    assert "Note C; and 1 more" in _judged_anew(report, "run_complete")
    del report.run.notes[3]
    assert "Note C)" in _judged_anew(report, "run_complete")


@pytest.mark.parametrize(
    ("peak", "words"),
    [(0, "With no connection open at any time, "), (1, "With 1 connection open at once, ")],
)
def test_the_size_reached_is_stated(peak: int, words: str) -> None:
    report = sample(1, 1, refused=1)
    report.connections.peak_open = peak
    assert _judged_anew(report, "size_target").startswith(words)


def test_the_most_frequent_cause_is_stated() -> None:
    report = sample()
    causes = causes_of([("session", "rare", 1), ("session", "common", 4), ("session", "seldom", 2)])
    report.connections.dropped = 7
    report.connections.causes = report.errors.causes = causes
    report.errors.failed = 7
    for rule in ("connections_dropped", "error_rate"):
        assert "most often: common" in _judged_anew(report, rule)


def test_the_generators_figures_are_stated() -> None:
    report = sample()
    report.generator.cpu_percent_max, report.generator.lag_ms.p99 = 41.0, 2.5
    assert _judged_anew(report, "generator") == (
        "The generator kept up (CPU up to 41 %, lag p99 2.50 ms)."
    )
    report.generator.cpu_percent_max = report.generator.lag_ms.p99 = None
    assert _judged_anew(report, "generator") == "The generator kept up (not measured)."


@pytest.mark.parametrize(
    ("losses", "begins"),
    [
        ({"missing": 5, "interrupted": 1, "late": 1}, "Connected clients"),
        ({"missing": 1, "interrupted": 5, "late": 1}, "Connections ended"),
        ({"missing": 1, "interrupted": 1, "late": 5}, "Codes arrived after"),
    ],
)
def test_the_hint_is_about_the_most_frequent_loss(losses: dict[str, Any], begins: str) -> None:
    assert reason(sample(50, 10, **losses), "codes_received").hint.startswith(begins)


def test_the_hint_for_rejected_codes_is_that_of_their_most_frequent_cause() -> None:
    report = sample(50, 10, rejected=4)
    report.errors.causes = causes_of([("ingest", "HTTP 500", 1), ("ingest", "HTTP 401", 3)])
    for each in report.errors.causes:
        each.hint = f"About {each.cause}."
    (found,) = (each for each in judged(report).reasons if each.rule == "codes_accepted")
    assert found.hint == "About HTTP 401."


@pytest.mark.parametrize(("overlooked", "missing"), [(60, 60), (60, 100), (500, 500)])
def test_codes_where_the_profile_does_not_look_are_not_the_servers_loss(
    overlooked: int, missing: int
) -> None:
    report = sample(50, 10, missing=missing)
    report.deliveries.overlooked = overlooked
    reasons = {each.rule: each for each in judged(report).reasons}
    received = reasons["codes_received"]
    known = 500 - overlooked
    if not known:
        assert (received.grade, received.measured) == ("issues", "0 of 0")
        assert "the profile does not find the codes" in received.sentence
    else:
        lost = missing - overlooked
        assert received.grade == ("issues" if lost else "good")
        assert f"{known - lost} of {known} owed deliveries" in received.sentence
    about = reasons["several_per_frame"]
    assert (about.grade, about.measured) == ("warning", str(overlooked))
    assert f"{overlooked} owed deliveries of 500 cannot be judged" in about.sentence
    assert "The server is not to blame" in about.hint


def test_there_is_no_word_of_overlooked_codes_where_there_are_none() -> None:
    assert "several_per_frame" not in {each.rule for each in judged(sample()).reasons}
