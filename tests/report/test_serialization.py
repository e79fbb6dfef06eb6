"""Reports as JSON: written, and read back, those of older versions as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sseload_users.core.errors import ConfigError
from sseload_users.core.histogram import Histogram
from sseload_users.report.comparison import compare
from sseload_users.report.model import CompressionFigures, Report
from sseload_users.report.serialization import parse, to_json
from tests.support.reports import as_data, sample, step_of


def without(data: Any, *names: str) -> None:
    for name in names:
        del data[name]


def first_version(report: Report) -> Any:
    """A report as the first version of schema 1 had it."""
    data = as_data(report)
    without(data, "compression", "storm", "vitals", "workers", "regions", "steps", "search")
    without(data, "diagnosis")
    without(data["connections"], "replaced", "recovery_ms")
    without(data["codes"], "overlapping")
    without(data["run"], "ingest")
    for cause in (*data["connections"]["causes"], *data["errors"]["causes"]):
        without(cause, "said")
    without(data["generator"], "stamp_error_ms", "in_doubt", "stall_ms", "waited_percent_max")
    without(data["generator"], "imprecise", "stalled_ms")
    for point in data["timeline"]:
        without(point, "dropped", "waited_percent", "rss_mib")
    return data


def test_reports_of_the_first_version_can_be_read() -> None:
    report = sample(40, 5, missing=3, dropped=1)
    read = parse(first_version(report), "old")
    nothing = Histogram().summary()
    assert read.deliveries == report.deliveries
    assert read.delivery_ms == report.delivery_ms
    assert read.verdict == report.verdict
    assert read.connections == replace(report.connections, recovery_ms=nothing)
    assert read.generator.stall_ms == nothing
    assert read.compression == CompressionFigures(negotiated={}, wire_bytes=0, inflated_bytes=0)
    assert (read.workers, read.steps, read.search, read.storm) == ([], [], None, None)
    assert not compare(read, report).worse


def test_steps_of_older_reports_can_be_read() -> None:
    report = sample(40, 5)
    report.steps = [step_of(sample(20, 5), "20 connections", target="> 95 %")]
    data = as_data(report)
    without(data["steps"][0], "target", "spread_ms")
    without(data["steps"][0]["generator"], "in_doubt", "waited_percent_max")
    (step,) = parse(data, "old").steps
    assert (step.name, step.target, step.spread_ms.count) == ("20 connections", "", 0)
    assert step.connections == report.steps[0].connections


def test_what_a_newer_version_added_is_ignored() -> None:
    report = sample(5, 2)
    data = as_data(report)
    data["weather"] = data["connections"]["weather"] = data["per_code"][0]["weather"] = "fine"
    assert parse(data, "new") == report


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_figures_that_are_not_numbers_are_refused(value: str) -> None:
    data = as_data(sample(5, 2))
    data["delivery_ms"]["p50"] = float(value)
    with pytest.raises(ConfigError, match=r"\(delivery_ms\.p50: input should be a finite number\)"):
        parse(data, "report.json")


def test_odd_figures_lose_no_report() -> None:
    """What the schema does not allow is written all the same, rather than nothing."""
    report = sample(5, 2)
    report.generator.waited_percent_max = 100.4
    report.deliveries.missing = -1
    report.run.notes = ["\ud800"]
    text = to_json(report)
    assert '"waited_percent_max": 100.4' in text
    assert '"missing": -1' in text
