from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.verdict import hints, thresholds
from sseload_users.verdict import rules as verdict
from sseload_users.verdict.rules import GRADES, Reason, exit_status, judge
from sseload_users.verdict.thresholds import Grade, Rule
from tests.support.reports import sample, samples

DEFAULT = thresholds.load()


def reason(report: dict[str, Any], rule: str) -> Reason:
    (found,) = (each for each in report["verdict"]["reasons"] if each["rule"] == rule)
    return found  # type: ignore[no-any-return]


def test_a_clean_run_is_good_and_says_why() -> None:
    report = sample(50, 10)
    assert report["verdict"]["grade"] == "good"
    assert all(
        each["grade"] == "good" and not each["hint"] for each in report["verdict"]["reasons"]
    )
    assert reason(report, "codes_received")["sentence"] == (
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
        ({"connections": 190, "refused": 10}, "error_rate", "warning"),
        ({"connections": 190, "refused": 11}, "error_rate", "issues"),
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
    assert found["grade"] == grade, found
    assert GRADES.index(report["verdict"]["grade"]) >= GRADES.index(grade)
    assert bool(found["hint"]) == (grade != "good")


def test_an_empty_run_is_an_issue_whatever_the_thresholds_allow() -> None:
    lenient = DEFAULT.model_copy(
        update={
            name: Rule.model_validate({"good": ">= 0 %"})
            for name in ("connection_success", "codes_accepted", "codes_received")
        }
    )
    graded = {
        each["rule"]: each["grade"]
        for each in judge(sample(10, 5, refused=10, unsent=5), lenient)["reasons"]
    }
    for rule in ("connection_success", "codes_accepted", "codes_received"):
        assert graded[rule] == "issues"


def test_a_reason_says_figure_threshold_and_where_to_look() -> None:
    report = sample(50, 10, unavailable=4)
    assert reason(report, "connection_success") == {
        "rule": "connection_success",
        "grade": "warning",
        "measured": "46 of 50 (92 %)",
        "threshold": "> 95 %",
        "sentence": "46 of 50 connect attempts succeeded (92 %), failures most often: HTTP 503; "
        "good is more than 95 %.",
        "hint": "Look at the server's resources, its database pool and the network.",
    }
    report = sample(50, 10, missing=60, late=2)
    assert reason(report, "codes_received") == {
        "rule": "codes_received",
        "grade": "issues",
        "measured": "438 of 500 (87.6 %)",
        "threshold": ">= 95 %",
        "sentence": "438 of 500 owed deliveries came in time (87.6 %): 60 missing, 2 late; "
        "less than 95 % is an issue.",
        "hint": "Connected clients were left out: look at the broadcast logic, the stability of "
        "the connections and the server's logs.",
    }


def test_a_high_error_rate_is_put_down_to_what_explains_most_of_it() -> None:
    advice = "Give the token."

    def with_causes(*counts: int, hint: str = advice) -> str:
        report = sample(50, 10, rejected=sum(counts))
        report["errors"]["causes"] = [
            {"operation": "ingest", "cause": f"HTTP 4{number}", "count": each, "hint": hint}
            for number, each in enumerate(counts)
        ]
        (found,) = (
            each for each in judge(report, DEFAULT)["reasons"] if each["rule"] == "error_rate"
        )
        return str(found["hint"])

    general = "Look at the database's connection limits"
    assert with_causes(9) == with_causes(5, 4) == advice
    assert with_causes(3, 3, 3).startswith(general)
    assert with_causes(9, hint="").startswith(general)


def test_one_lost_delivery_in_many_is_not_rounded_away() -> None:
    found = reason(sample(500, 20, missing=1), "codes_received")
    assert found["grade"] == "warning"
    assert found["measured"] == "9,999 of 10,000 (99.99 %)"


def test_an_incomplete_run_says_what_its_notes_say() -> None:
    report = sample(complete=False, notes=("Worker\x1b[2J b was lost with 20 connections.",))
    assert report["verdict"]["grade"] == "warning"
    assert reason(report, "run_complete")["sentence"] == (
        "The run is incomplete (Worker\ufffd[2J b was lost with 20 connections): "
        "the figures cover what was accounted for."
    )


@pytest.mark.parametrize("timestamps", ["kernel", "userspace"])
def test_a_saturated_generator_is_not_the_servers_fault(timestamps: str) -> None:
    report = sample(saturated=True, timestamps=timestamps)
    assert report["verdict"]["grade"] == "warning"
    assert "no fault of the server" in reason(report, "generator")["hint"]
    stays_true = "latencies stay true" in reason(report, "generator")["sentence"]
    assert stays_true == (timestamps == "kernel")


def test_this_machines_own_limits_are_not_the_servers_fault() -> None:
    report = sample(50, 10, refused=10)
    report["connections"]["causes"][0] |= {
        "cause": "too many open files",
        "hint": hints.hint("connect", "too many open files"),
    }
    report["verdict"] = judge(report, DEFAULT)
    for rule in ("connection_success", "size_target"):
        assert reason(report, rule)["hint"].startswith("This machine's limit of open files")


def test_codes_that_were_due_but_never_tried_count() -> None:
    report = sample(50, 10)
    report["codes"]["scheduled"] = 20
    report["verdict"] = judge(report, DEFAULT)
    assert reason(report, "codes_accepted")["grade"] == "issues"


@given(samples())
@settings(max_examples=60, deadline=None)
def test_every_run_is_judged_and_every_reason_is_whole(report: dict[str, Any]) -> None:
    reasons = report["verdict"]["reasons"]
    assert report["verdict"]["grade"] == verdict.worst(each["grade"] for each in reasons)
    assert len({each["rule"] for each in reasons}) == len(reasons)
    for each in reasons:
        assert each["sentence"].endswith(".")
        assert "\n" not in each["sentence"]
        assert bool(each["hint"]) == (each["grade"] != "good")
        if each["measured"].endswith("(100 %)"):
            part, _, whole, *_ = each["measured"].split()
            assert part == whole


def _cause(report: dict[str, Any], group: str, operation: str, cause: str) -> None:
    for each in report[group]["causes"]:
        if (each["operation"], each["cause"]) == (operation, cause):
            each["count"] += 1
            return
    report[group]["causes"].append(
        {"operation": operation, "cause": cause, "count": 1, "share": 0.0, "hint": ""}
    )


def _failed_connect(cause: str) -> Callable[[dict[str, Any]], bool]:
    def change(report: dict[str, Any]) -> bool:
        connections = report["connections"]
        if connections["succeeded"] <= connections["dropped"]:
            return False
        connections["succeeded"] -= 1
        connections["peak_open"] -= 1
        connections["failed"] += 1
        report["errors"]["failed"] += 1
        _cause(report, "connections", "connect", cause)
        _cause(report, "errors", "connect", cause)
        return True

    return change


def _drop(report: dict[str, Any]) -> bool:
    connections = report["connections"]
    if connections["dropped"] >= connections["succeeded"]:
        return False
    connections["dropped"] += 1
    report["errors"]["failed"] += 1
    _cause(report, "connections", "session", "connection reset")
    return True


def _lose(how: str) -> Callable[[dict[str, Any]], bool]:
    def change(report: dict[str, Any]) -> bool:
        if not report["deliveries"]["delivered"]:
            return False
        report["deliveries"]["delivered"] -= 1
        report["deliveries"][how] += 1
        return True

    return change


def _refuse_code(how: str) -> Callable[[dict[str, Any]], bool]:
    def change(report: dict[str, Any]) -> bool:
        if not report["codes"]["accepted"]:
            return False
        report["codes"]["accepted"] -= 1
        report["codes"][how] += 1
        report["codes"]["sent"] -= how == "unsent"
        report["errors"]["failed"] += 1
        _cause(report, "errors", "ingest", "HTTP 500")
        return True

    return change


def _one_more(field: str) -> Callable[[dict[str, Any]], bool]:
    def change(report: dict[str, Any]) -> bool:
        report["deliveries"][field] += 1
        report["errors"]["failed"] += field == "malformed"
        return True

    return change


def _incomplete(report: dict[str, Any]) -> bool:
    report["run"]["complete"] = False
    return True


def _saturate(report: dict[str, Any]) -> bool:
    report["generator"]["saturated"] = True
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
    report: dict[str, Any], changes: list[Callable[[dict[str, Any]], bool]]
) -> None:
    before = judge(report, DEFAULT)
    for change in changes:
        worse = copy.deepcopy(report)
        if not change(worse):
            continue
        after = judge(worse, DEFAULT)
        for old, new in zip(before["reasons"], after["reasons"], strict=True):
            assert GRADES.index(new["grade"]) >= GRADES.index(old["grade"]), (old, new)
        report, before = worse, after


@pytest.mark.parametrize(
    ("grade", "issues", "warning", "never"),
    [("good", 0, 0, 0), ("warning", 0, 1, 0), ("issues", 1, 1, 0), (None, 2, 2, 2)],
)
def test_the_exit_status_is_what_the_caller_asked_to_fail_on(
    grade: Grade | None, issues: int, warning: int, never: int
) -> None:
    assert exit_status(grade) == exit_status(grade, "issues") == issues
    assert exit_status(grade, "warning") == warning
    assert exit_status(grade, "never") == never


@pytest.mark.parametrize(
    ("operation", "cause", "said"),
    [
        ("resolve", "no such host", "DNS"),
        ("connect", "connection refused", "Nothing listens"),
        ("connect", "timed out", "accepted no connection in time"),
        ("connect", "too many open files", "This machine"),
        ("connect", "no free local port", "--source-addresses"),
        ("connect", "host unreachable", "no route"),
        ("tls", "certificate expired", "has expired"),
        ("tls", "certificate for another host", "names another host"),
        ("tls", "certificate not trusted", "not trusted"),
        ("tls", "wrong version number", "does not speak TLS"),
        ("tls", "something new", "TLS could not be agreed on"),
        ("handshake", "HTTP 403", "user names"),
        ("handshake", "HTTP 404", "no such path"),
        ("handshake", "HTTP 429", "rate of connections"),
        ("handshake", "HTTP 502", "asleep"),
        ("handshake", "HTTP 503", "overloaded"),
        ("handshake", "redirected: HTTP 301", "elsewhere"),
        ("handshake", "bad handshake answer", "not a server of this protocol"),
        ("subscribe", "Unauthorized or unknown username", "user names"),
        ("session", "closed by server: 1000", "on purpose"),
        ("session", "closed by server: 1001", "going away"),
        ("session", "closed by server: 1011", "heartbeat"),
        ("session", "closed by server: no code", "ended the session"),
        ("session", "no close frame", "without a word"),
        ("session", "connection reset", "cut the connection"),
        ("session", "heartbeat missed", "silent"),
        ("session", "message too large", "max_message"),
        ("message", "protocol error: masked frame", "cannot be decoded"),
        ("message", "invalid UTF-8", "encoding"),
        ("ingest", "HTTP 400", "ingest body"),
        ("ingest", "HTTP 403", "broadcaster's user"),
        ("ingest", "HTTP 410", "switched off"),
        ("ingest", "HTTP 429", "rate of codes"),
        ("ingest", "HTTP 500", "database"),
        ("ingest", "HTTP 504", "proxy"),
        ("ingest", "no answer in time", "No answer came in time"),
        ("ingest", "timed out", "No answer came in time"),
    ],
)
def test_each_cause_has_its_own_hint(operation: str, cause: str, said: str) -> None:
    assert said in hints.hint(operation, cause)


@pytest.mark.parametrize(
    ("operation", "cause", "said", "is_origin"),
    [
        ("handshake", "HTTP 400", '"Not an accepted origin."', True),
        ("before", "HTTP 403", '{"error":"Unauthorized origin - iframe access only"}', True),
        ("handshake", "HTTP 403", "Origin required", True),
        ("ingest", "HTTP 403", "Origin checking failed", True),
        ("subscribe", "refused: origin not allowed", "", True),
        ("session", "closed by server: 4009", "Origin not allowed", True),
        ("handshake", "HTTP 400", "The original request is bad", False),
        ("handshake", "HTTP 502", "The origin web server is down", False),
        ("handshake", "HTTP 403", "", False),
        ("handshake", "HTTP 400", "Unsupported protocol version", False),
    ],
)
def test_a_refused_origin_is_told_by_the_servers_words(
    operation: str, cause: str, said: str, *, is_origin: bool
) -> None:
    hint = hints.hint(operation, cause, said)
    assert ("refuses this origin" in hint) is is_origin
    if is_origin:
        assert "--header 'Origin: …'" in hint
        assert "version" not in hint


def test_an_unknown_cause_has_no_hint() -> None:
    assert hints.hint("session", "the dog ate it") == ""
    assert not hints.is_local("session", "the dog ate it")


def _judged_anew(report: dict[str, Any], rule: str) -> str:
    reasons = judge(report, thresholds.load(None))["reasons"]
    return next(each["sentence"] for each in reasons if each["rule"] == rule)


def test_of_many_notes_three_are_said_and_the_others_counted() -> None:
    report = sample()
    report["run"]["complete"] = False
    report["run"]["notes"] = [f"Note {letter}." for letter in "ABCDE"]
    said = _judged_anew(report, "run_complete")
    assert "Note C; and 2 more" in said
    assert "Note D" not in said
    report["run"]["notes"] = report["run"]["notes"][:4]
    assert "Note C; and 1 more" in _judged_anew(report, "run_complete")
    del report["run"]["notes"][3]
    assert "Note C)" in _judged_anew(report, "run_complete")


@pytest.mark.parametrize(
    ("peak", "words"),
    [(0, "With no connection open at any time, "), (1, "With 1 connection open at once, ")],
)
def test_the_size_that_was_reached_is_said(peak: int, words: str) -> None:
    report = sample(1, 1, refused=1)
    report["connections"]["peak_open"] = peak
    assert _judged_anew(report, "size_target").startswith(words)


def test_the_commonest_cause_is_the_one_that_is_said() -> None:
    report = sample()
    causes = [
        {"operation": "session", "cause": cause, "count": count, "share": 0.1, "hint": ""}
        for cause, count in (("rare", 1), ("common", 4), ("seldom", 2))
    ]
    report["connections"]["dropped"] = 7
    report["connections"]["causes"] = causes
    report["errors"] |= {"failed": 7, "causes": causes}
    for rule in ("connections_dropped", "error_rate"):
        assert "most often: common" in _judged_anew(report, rule)


def test_what_was_measured_of_the_generator_is_said() -> None:
    report = sample()
    report["generator"]["cpu_percent_max"], report["generator"]["lag_ms"]["p99"] = 41.0, 2.5
    assert _judged_anew(report, "generator") == (
        "The generator kept up (CPU up to 41 %, lag p99 2.50 ms)."
    )
    report["generator"]["cpu_percent_max"] = report["generator"]["lag_ms"]["p99"] = None
    assert _judged_anew(report, "generator") == "The generator kept up (not measured)."


@pytest.mark.parametrize(
    ("losses", "begins"),
    [
        ({"missing": 5, "interrupted": 1, "late": 1}, "Connected clients"),
        ({"missing": 1, "interrupted": 5, "late": 1}, "Connections ended"),
        ({"missing": 1, "interrupted": 1, "late": 5}, "Codes came after"),
    ],
)
def test_the_hint_is_about_the_commonest_loss(losses: dict[str, Any], begins: str) -> None:
    assert reason(sample(50, 10, **losses), "codes_received")["hint"].startswith(begins)


def test_the_hint_for_rejected_codes_is_that_of_their_commonest_cause() -> None:
    report = sample(50, 10, rejected=4)
    report["errors"]["causes"] = [
        {
            "operation": "ingest",
            "cause": cause,
            "count": many,
            "share": 0.5,
            "hint": f"About {cause}.",
        }
        for cause, many in (("HTTP 500", 1), ("HTTP 401", 3))
    ]
    (found,) = (
        each for each in judge(report, DEFAULT)["reasons"] if each["rule"] == "codes_accepted"
    )
    assert found["hint"] == "About HTTP 401."
