"""What a ladder and a search amount to, in the verdict, on the console and as a status."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from sseload_users.core.fail_on import FailOn
from sseload_users.core.histogram import Histogram
from sseload_users.core.run_figures import Probe, SearchResult, StormRecovery
from sseload_users.core.totals import Totals
from sseload_users.report.account import Run
from sseload_users.report.build import build, step_report
from sseload_users.report.console import summary
from sseload_users.report.html import headline
from sseload_users.report.model import Report
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.verdict import capacity
from sseload_users.verdict import rules as verdict
from sseload_users.verdict.reasons import StepReport
from tests.support.consistency import validator
from tests.support.reports import as_data, judged, sample, step_of

DEFAULT = load_thresholds()


def step(size: int, **changes: Any) -> StepReport:
    """A step of so many connections, judged."""
    target = DEFAULT.size_target(size)
    made = step_of(
        sample(size, 10, **changes),
        f"{size:,} connections",
        target="" if target is None else str(target.success),
    )
    made.verdict = verdict.judge_step(made, DEFAULT)
    return made


def ladder(*steps: StepReport) -> Report:
    """The report of a run with these steps."""
    report = sample(50, 10)
    report.steps = list(steps)
    report.verdict = judged(report)
    validator.validate(as_data(report))
    return report


def found(**changes: Any) -> Report:
    """The report of a run that searched."""
    report = sample(50, 10)
    report.search = SearchResult(
        over="connections",
        objective=["delivery >= 99.9 %"],
        largest=137,
        held=137,
        broke_at=140,
        limited_by="server",
        first_broken=["errors 2.1 %, objective <= 1 %"],
        cause="handshake: HTTP 503",
        probes=[
            Probe(
                size,
                held=held,
                broken=[] if held else ["errors 2.1 %"],
                cause="" if held else "handshake: HTTP 503",
                saturated=False,
            )
            for size, held in (
                (100, True),
                (200, False),
                (137, True),
                (140, False),
                (140, False),
                (137, True),
            )
        ],
    )
    report.search = replace(report.search, **changes)
    report.verdict = judged(report)
    validator.validate(as_data(report))
    return report


def status(report: Report, fail_on: FailOn = "issues") -> int:
    return verdict.exit_status(
        report.verdict,
        fail_on,
        conclusive=capacity.has_answer(report.steps, report.search),
    )


def shown(report: Report, width: int = 80) -> str:
    """The summary, with every space and line break as one space."""
    return " ".join(summary(report, width).split())


@pytest.mark.parametrize(
    ("size", "refused", "grade"),
    [
        # the targets by size, at their edges
        (50, 0, "good"),
        (50, 1, "issues"),
        (100, 4, "good"),
        (100, 5, "issues"),
        (200, 19, "good"),
        (200, 20, "issues"),
        # beyond the last one the general bound counts, and is no more than a warning
        (500, 24, "good"),
        (500, 25, "warning"),
        (500, 499, "warning"),
    ],
)
def test_a_step_is_judged_for_its_own_size(size: int, refused: int, grade: str) -> None:
    graded = step(size, refused=refused).verdict
    assert graded.grade == grade
    assert graded.reasons[0].rule == "size_target"
    if grade == "issues":
        sentence = graded.reasons[0].sentence
        assert f"{size - refused} of {size} connections were open" in sentence
        assert "most often: connection refused" in sentence


def test_lost_codes_weigh_at_any_size_below_the_last_target() -> None:
    assert step(200, missing=1).verdict.grade == "warning"
    assert step(200, missing=500).verdict.grade == "issues"
    graded = step(600, missing=3000).verdict
    assert graded.grade == "warning"
    (received,) = (each for each in graded.reasons if each.rule == "codes_received")
    assert received.sentence.endswith("A server may degrade at that size.")


def test_a_ladder_that_meets_every_target_is_good() -> None:
    report = ladder(step(50), step(100, refused=2), step(200, refused=10))
    assert report.verdict.grade == "good"
    assert capacity.first_failing_step(report.steps) is None
    assert status(report) == status(report, "warning") == 0
    text = shown(report)
    assert "Every step meets its target, up to 200 connections." in text
    assert "50 50 (100 %) all 100 %" in text
    assert "200 190 (95 %) > 90 % 100 %" in text
    assert "✓ With 100 connections: the target is met, and all 980 owed deliveries" in text


def test_a_ladder_states_where_it_first_falls_short() -> None:
    short = step(200, unavailable=60)
    report = ladder(step(50), step(100, missing=1), short, step(500, unavailable=300))
    assert report.verdict.grade == "issues"
    assert capacity.first_failing_step(report.steps) is short
    assert status(report) == 1
    text = shown(report)
    assert (
        "It first falls short with 200 connections: 140 of 200 connections were open (70 %), most "
        "often: HTTP 503; the target is more than 90 %."
    ) in text
    assert "200 140 (70 %) > 90 % 100 %" in text
    assert "500 200 (40 %) none 100 %" in text
    assert "1 issue, 2 warnings" in text
    assert headline(report).startswith("It first falls short with 200 connections: 140 of 200")
    rules = {each.rule: each.grade for each in report.verdict.reasons}
    assert rules == {
        "run_complete": "good", "step 50": "good", "step 100": "warning", "step 200": "issues",
        "step 500": "warning", "generator": "good",
    }  # fmt: skip


def test_a_ladder_with_a_warning_states_it() -> None:
    report = ladder(step(50), step(100, missing=1))
    assert "The first warning comes with 100 connections: 999 of 1,000 owed" in shown(report)
    assert (status(report), status(report, "warning")) == (0, 1)


def test_a_saturated_generator_leaves_a_ladder_without_an_answer() -> None:
    report = ladder(step(50), step(100, unavailable=50, saturated=True))
    assert report.verdict.grade == "warning"
    assert not capacity.has_answer(report.steps, report.search)
    assert (status(report), status(report, "never")) == (3, 0)
    text = shown(report)
    assert "? saturated" in text
    assert "so the cause may not be the server" in text
    # It is no matter that the generator was busy where nothing fell short.
    assert status(ladder(step(50), step(100, saturated=True))) == 0


NOTHING: dict[str, Any] = {"broke_at": None, "first_broken": [], "cause": ""}
WHY = "(errors 2.1 %, objective <= 1 %; most often handshake: HTTP 503)"


@pytest.mark.parametrize(
    ("changes", "sentences", "grade", "ends"),
    [
        (
            {},
            [
                "The server holds 137 connections: that many met the objective, and 140 did not",
                f"{WHY}.",
                "The generator kept up.",
            ],
            "good",
            0,
        ),
        (
            {"over": "rate", "first_broken": ["p99 900 ms, objective <= 500 ms"], "cause": ""},
            [
                "The server holds 137 codes a second: that many met the objective, and 140 did not",
                "(p99 900 ms, objective <= 500 ms).",
                "The generator kept up.",
            ],
            "good",
            0,
        ),
        (
            NOTHING | {"limited_by": "limit"},
            [
                "The server holds 137 connections, the largest size that was tried; it may hold",
                "more.",
            ],
            "good",
            0,
        ),
        (
            NOTHING | {"limited_by": "generator", "largest": None},
            [
                (
                    "The generator reached its limit before the server, so the server's limit "
                    "is not known."
                ),
                "So far 137 connections met the objective.",
            ],
            "warning",
            3,
        ),
        (
            NOTHING | {"limited_by": "generator", "largest": None, "held": 0},
            [
                (
                    "The generator reached its limit before the server, so the server's limit "
                    "is not known."
                ),
                "No size has met the objective so far.",
            ],
            "warning",
            3,
        ),
        (
            {"largest": 0, "held": 0, "broke_at": 1},
            [f"The server does not even hold 1 connection {WHY}."],
            "issues",
            1,
        ),
        (
            {"limited_by": "end", "largest": None},
            [
                "The search ended before it had an answer. So far 137 connections met the",
                f"objective. 140 connections did not {WHY}.",
            ],
            "warning",
            3,
        ),
    ],
)
def test_the_verdict_of_a_search(
    changes: dict[str, Any], sentences: list[str], grade: str, ends: int
) -> None:
    sentence = " ".join(sentences)
    report = found(**changes)
    assert report.verdict.grade == grade
    (reason,) = (each for each in report.verdict.reasons if each.rule == "search")
    assert reason.sentence == sentence
    assert sentence in shown(report)
    assert status(report) == ends
    assert status(report, "never") == 0


def test_probes_are_listed_by_size() -> None:
    lines = [line.split() for line in summary(found()).splitlines()]
    table = lines[lines.index(["Connections", "probes"]) :]
    assert table[1:5] == [
        ["100", "✓"],
        ["137", "✓✓"],
        ["140", "✗✗", "errors", "2.1", "%;", "handshake:", "HTTP", "503"],
        ["200", "✗", "errors", "2.1", "%;", "handshake:", "HTTP", "503"],
    ]
    probes = [
        Probe(size, held=True, broken=[], cause="", saturated=size > 100) for size in range(1, 200)
    ]
    text = summary(found(probes=probes))
    assert "187 further sizes, see report.json" in text
    assert "the generator was saturated" in text


def test_a_steps_account_becomes_its_report() -> None:
    run = Run("abcdef", 10**18, "http://127.0.0.1", "websocket", "POST /in", {}, {})
    made = step_report("60 connections", run, Totals(), DEFAULT, asked=60, opened=57)
    assert made.connections.attempted == 60
    assert made.connections.succeeded == made.connections.peak_open == 57
    assert made.connections.failed == 3
    assert made.target == "> 95 %"
    report = build(run, Totals(), DEFAULT, [made])
    data = as_data(report)
    validator.validate(data)
    data["steps"][0]["more"] = 1
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(data)
    assert report.steps == [made]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "reconnected: 50 % after 0.24 s, 95 % after 2.50 s, all after 62 s"),
        (
            {"back": 199, "back_100_s": None},
            "reconnected: 50 % after 0.24 s, 95 % after 2.50 s; 199 in all",
        ),
        (
            {"back": 0, "back_50_s": None, "back_95_s": None, "back_100_s": None},
            "fewer than half reconnected; 0 in all",
        ),
        (
            {"limited_by": "generator", "back_50_s": None, "back_95_s": None, "back_100_s": 9.5},
            "all after 9.50 s; this generator was the limit, so the server may be faster",
        ),
    ],
)
def test_the_recovery_from_a_storm_is_stated(changes: dict[str, Any], sentence: str) -> None:
    report = sample(200, 10)
    storm = StormRecovery(
        started_at=["2026-11-24T09:30:20.000Z"],
        ended=200,
        back=200,
        back_50_s=0.24,
        back_95_s=2.5,
        back_100_s=61.7,
        own_ms=Histogram().summary(),
        limited_by="server",
    )
    report.storm = replace(storm, **changes)
    validator.validate(as_data(report))
    said = shown(report).partition("Storm 200 connections ended at once; ")[2]
    assert said.removeprefix("reconnected: ").startswith(sentence.removeprefix("reconnected: "))
