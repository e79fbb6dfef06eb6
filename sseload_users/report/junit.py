"""Render junit.xml: the verdict for a build server, one test case for each rule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree as ET

from sseload_users.core.figures import FailureCause
from sseload_users.core.formatting import clean
from sseload_users.report.comparison import AgainstBaseline
from sseload_users.report.model import Report, RunInfo
from sseload_users.verdict.reasons import Reason

#: Causes of failure in the summary.
_MOST_CAUSES = 20


def document(report: Report, against: AgainstBaseline | None = None) -> str:
    """Return a test suite whose cases are the rules; an issue is a failure, a warning is not.

    It uses the elements and attributes that Jenkins, GitLab and others agree on. Each rule's
    sentence, warnings included, is in its case's ``system-out``. A comparison with a baseline is
    one more case, which fails if the run is clearly worse.

    Args:
        report: of the run.
        against: it, compared with its baseline, if it has one.
    """
    run, reasons = report.run, [*report.verdict.reasons, *_baseline(against)]
    totals = {
        "tests": str(len(reasons)),
        "failures": str(sum(reason.grade == "issues" for reason in reasons)),
        "errors": "0",
        "time": f"{_seconds(run):.3f}",
    }
    suites = ET.Element("testsuites", {"name": "sseload", **totals})
    # The time without its zone, which some consumers' schemas do not know.
    started = run.started_at[:19]
    suite = ET.SubElement(suites, "testsuite", {"name": "sseload", "timestamp": started, **totals})
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("id", run.id),
        ("target", run.target),
        ("transport", run.transport),
        ("ingest", run.ingest),
        ("workers", run.workers),
        ("complete", run.complete),
    ):
        ET.SubElement(properties, "property", name=f"run.{name}", value=_text(value))
    ET.SubElement(properties, "property", name="verdict", value=report.verdict.grade)
    for reason in reasons:
        case = ET.SubElement(
            suite, "testcase", classname="sseload.verdict", name=reason.rule, time="0"
        )
        text = " ".join(filter(None, (reason.sentence, reason.hint)))
        if reason.grade == "issues":
            failure = ET.SubElement(
                case, "failure", message=_text(reason.sentence), type=reason.rule
            )
            failure.text = _text(text)
        output = ET.SubElement(case, "system-out")
        output.text = _text(f"{reason.grade}: {text}")
    output = ET.SubElement(suite, "system-out")
    output.text = "\n".join(_summary(report))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def _baseline(against: AgainstBaseline | None) -> Iterator[Reason]:
    """Yield the comparison with the baseline as a reason."""
    if against is None:
        return
    worse = against.result.sentences("worse")
    yield Reason(
        rule="baseline",
        grade="issues" if worse else "good",
        measured="",
        threshold="",
        sentence=" ".join(worse) or "Nothing is clearly worse than in the baseline.",
        hint="",
    )


def _summary(report: Report) -> list[str]:
    connections, codes, deliveries = report.connections, report.codes, report.deliveries
    latency = report.delivery_ms
    return [
        f"verdict: {report.verdict.grade}",
        (
            f"connections: {connections.succeeded} of {connections.attempted} attempts succeeded, "
            f"{connections.dropped} dropped"
        ),
        f"messages: {report.observed.seen} seen, sent by others"
        if report.observed is not None
        else f"codes: {codes.accepted} of {codes.scheduled} accepted",
        (
            f"deliveries: {deliveries.received} of {deliveries.owed} owed, "
            f"{deliveries.recovered} of them recovered, {deliveries.late} late, "
            f"{deliveries.interrupted} interrupted, {deliveries.missing} missing"
        ),
        f"copies: {deliveries.leaked} leaked, {deliveries.replayed} replayed",
        f"delivery latency in ms: p50 {latency.p50}, p99 {latency.p99}, max {latency.max}",
        *(_failures(cause) for cause in report.errors.causes[:_MOST_CAUSES]),
    ]


def _failures(cause: FailureCause) -> str:
    """Return how often operations failed for one cause, and what the server said."""
    said = f"; the server said: {cause.said}" if cause.said else ""
    return _text(f"failed: {cause.count} times {cause.operation}: {cause.cause}{said}")


def _seconds(run: RunInfo) -> float:
    started, finished = map(datetime.fromisoformat, (run.started_at, run.finished_at))
    return max(0.0, (finished - started).total_seconds())


def _text(value: object) -> str:
    """Return a text that XML 1.0 allows (§2.2), with U+FFFD for control characters."""
    return clean(value)
