"""The verdict on latencies, on an objective, and on health checks."""

from __future__ import annotations

import pytest

from sseload_users.core.figures import FailureCause
from sseload_users.core.objective import Objective
from sseload_users.core.run_figures import HealthFigures
from sseload_users.report.model import Report
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.verdict.latency import judge_latency
from sseload_users.verdict.reasons import Reason
from sseload_users.verdict.rules import exit_status, judge_step
from sseload_users.verdict.thresholds import Grade, Thresholds
from sseload_users.verdict.time_bounds import LatencyRules
from tests.support.reports import judged, sample

RULES = LatencyRules.model_validate(
    {
        "delivery": {"p99": {"good": "<= 500 ms", "warning": "<= 2 s"}},
        "connect": {"max": {"good": "< 1 s", "warning": "< 3 s"}},
        "recovery": {"p50": {"good": "<= 5 s"}},
    }
)


def reason(report: Report, rule: str, thresholds: Thresholds | None = None) -> Reason:
    (found,) = (each for each in judged(report, thresholds).reasons if each.rule == rule)
    return found


def slow(p95: float, **changes: float) -> Report:
    """A report with these percentiles of the delivery latency, in milliseconds."""
    report = sample(50, 10)
    report.delivery_ms.p95 = p95
    report.generator.stamp_error_ms.max = 1.5
    for name, value in changes.items():
        setattr(report.delivery_ms, name, value)
    return report


@pytest.mark.parametrize(
    ("p95", "grade"), [(20.0, "good"), (1000.0, "good"), (1001.6, "warning"), (6600.0, "warning")]
)
def test_slow_deliveries_are_a_warning_by_default(p95: float, grade: Grade) -> None:
    report = slow(p95)
    found = reason(report, "latency")
    assert found.grade == grade
    assert judged(report).grade == grade
    if p95 == 6600.0:
        assert found.sentence == "The delivery p95 was 6,600 ms; good is at most 1,000 ms."
        assert found.threshold == "<= 1,000 ms"
        assert found.hint.startswith("Codes arrive slowly")


@pytest.mark.parametrize(
    ("p99", "connect", "grade", "named"),
    [
        (400.0, 900.0, "good", ()),
        (600.0, 900.0, "warning", ("delivery p99",)),
        (600.0, 1000.0, "warning", ("delivery p99", "connect time max")),
        (2500.0, 1000.0, "issues", ("delivery p99",)),
        (100.0, 3000.0, "issues", ("connect time max",)),
    ],
)
def test_the_worst_latency_decides(
    p99: float, connect: float, grade: Grade, named: tuple[str, ...]
) -> None:
    report = slow(100.0, p99=p99)
    report.connections.connect_ms.max = connect
    found = judge_latency(report, RULES)
    assert found.grade == grade
    for name in ("delivery p99", "connect time max"):
        assert (f"he {name} was" in found.sentence) == (name in named)


def test_a_latency_is_never_rounded_across_its_bound() -> None:
    report = slow(1.0, p99=500.4)
    report.generator.stamp_error_ms.max = 0.0
    assert "was 500.400 ms; good is at most 500 ms" in judge_latency(report, RULES).sentence


@pytest.mark.parametrize("doubt", ["saturated", "stamps", "clocks"])
def test_the_server_is_not_blamed_for_the_generators_own_delay(doubt: str) -> None:
    report = slow(100.0, p99=2500.0)
    assert judge_latency(report, RULES).grade == "issues"
    if doubt == "saturated":
        report.generator.saturated = True
    elif doubt == "stamps":
        report.generator.stamp_error_ms.max = 2100.0
    else:
        report.generator.clock_error_ms = 2100.0
    found = judge_latency(report, RULES)
    assert found.grade == "warning"
    assert "load generator may be the cause" in found.sentence


def test_without_values_no_latency_is_judged() -> None:
    assert judge_latency(sample(0, 3), RULES).grade == "good"


@pytest.mark.parametrize(
    ("text", "grade"),
    [("delivery>=99%, p99<=10s", "good"), ("delivery>=99%, p99<=1ms", "issues")],
)
def test_an_objective_decides_the_grade_and_the_status_of_any_run(text: str, grade: Grade) -> None:
    thresholds = load_thresholds().with_objective(Objective.parse(text))
    report = sample(50, 10)
    found = reason(report, "objective", thresholds)
    assert found.grade == judged(report, thresholds).grade == grade
    assert exit_status(judged(report, thresholds)) == (4 if grade == "issues" else 0)
    if grade == "issues":
        assert found.sentence.startswith("The objective is not met: p99 ")
        assert found.sentence.endswith(" ms, objective <= 1.00 ms.")
    else:
        assert found.sentence.startswith("The objective is met: delivery 100 %, p99 ")
    step = judge_step(sample(600, 10), thresholds)
    assert {each.rule: each.grade for each in step.reasons}["objective"] == grade


def test_without_an_objective_there_is_no_reason_about_one() -> None:
    assert "objective" not in {each.rule for each in sample(50, 10).verdict.reasons}


def test_an_objective_on_latency_is_not_met_without_deliveries() -> None:
    thresholds = load_thresholds().with_objective(Objective.parse("p99<=500ms"))
    found = reason(sample(50, 10, missing=500), "objective", thresholds)
    assert (found.grade, found.measured) == ("issues", "p99 none")


def test_a_health_check_that_fails_during_the_run_is_a_warning() -> None:
    report = sample(50, 10)
    report.health = HealthFigures(checks=60, failed=0, causes=[])
    assert reason(report, "health").grade == "good"
    cause = FailureCause(
        operation="health", cause="HTTP 503", count=3, share=1.0, said="", hint="Look there."
    )
    report.health = HealthFigures(checks=60, failed=3, causes=[cause])
    found = reason(report, "health")
    assert (found.grade, found.hint) == ("warning", "Look there.")
    assert found.sentence == (
        "57 of 60 health checks during the run succeeded (95 %), failures most often: HTTP 503; "
        "good is all of them."
    )
