"""The verdict of a run, so far or final, as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from sseload_users.report.metric_families import Sample, gauges
from sseload_users.report.model import Report
from sseload_users.verdict.reasons import GRADES


def verdict_metrics(report: Report) -> Iterator[Metric]:
    """Yield the metrics of a run's verdict and diagnosis."""
    verdict = report.verdict
    if verdict.is_judged:
        grades: list[Sample] = [((grade,), verdict.grade == grade) for grade in GRADES]
        yield gauges("verdict", "The grade of the run: 1 for its grade.", ("grade",), grades)
    if verdict.reasons:
        yield gauges(
            "rule_grade",
            "The grade of each rule: 0 for good, 1 for warning, 2 for issues.",
            ("rule",),
            [((each.rule,), GRADES.index(each.grade)) for each in verdict.reasons],
        )
    if report.diagnosis:
        yield gauges(
            "diagnosis_explained_ratio",
            "The share of what went wrong that each pattern of the diagnosis explains.",
            ("pattern",),
            [((each.pattern,), each.explains) for each in report.diagnosis],
        )
