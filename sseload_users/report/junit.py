"""junit.xml: the verdict as a build server reads it, one test case for each rule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from sseload_users.core.formatting import clean

#: Causes of failure in the summary.
_MOST_CAUSES = 20


def document(report: Mapping[str, Any]) -> str:
    """A test suite whose cases are the rules; an issue is a failure, a warning is not.

    The elements and attributes are those that Jenkins, GitLab and their kind agree on. What
    a rule said, warnings included, is in its case's ``system-out``.
    """
    run, reasons = report["run"], report["verdict"]["reasons"]
    totals = {
        "tests": str(len(reasons)),
        "failures": str(sum(reason["grade"] == "issues" for reason in reasons)),
        "errors": "0",
        "time": f"{_seconds(run):.3f}",
    }
    suites = ET.Element("testsuites", {"name": "sseload", **totals})
    # The time without its zone, which some consumers' schemas do not know.
    started = run["started_at"][:19]
    suite = ET.SubElement(suites, "testsuite", {"name": "sseload", "timestamp": started, **totals})
    properties = ET.SubElement(suite, "properties")
    for name in ("id", "target", "transport", "ingest", "workers", "complete"):
        ET.SubElement(properties, "property", name=f"run.{name}", value=_text(run[name]))
    ET.SubElement(properties, "property", name="verdict", value=report["verdict"]["grade"])
    for reason in reasons:
        case = ET.SubElement(
            suite, "testcase", classname="sseload.verdict", name=reason["rule"], time="0"
        )
        told = " ".join(filter(None, (reason["sentence"], reason["hint"])))
        if reason["grade"] == "issues":
            failure = ET.SubElement(
                case, "failure", message=_text(reason["sentence"]), type=reason["rule"]
            )
            failure.text = _text(told)
        output = ET.SubElement(case, "system-out")
        output.text = _text(f"{reason['grade']}: {told}")
    output = ET.SubElement(suite, "system-out")
    output.text = "\n".join(_summary(report))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def _summary(report: Mapping[str, Any]) -> list[str]:
    return [
        f"verdict: {report['verdict']['grade']}",
        "connections: {succeeded} of {attempted} attempts succeeded, {dropped} dropped".format_map(
            report["connections"]
        ),
        "codes: {accepted} of {scheduled} accepted".format_map(report["codes"]),
        (
            "deliveries: {delivered} of {owed} owed, {late} late, {interrupted} interrupted, "
            "{missing} missing"
        ).format_map(report["deliveries"]),
        "delivery latency in ms: p50 {p50}, p99 {p99}, max {max}".format_map(report["delivery_ms"]),
        *(_failures(cause) for cause in report["errors"]["causes"][:_MOST_CAUSES]),
    ]


def _failures(cause: Mapping[str, Any]) -> str:
    """How often operations failed for one cause, and what the server said."""
    said = f"; the server said: {cause['said']}" if cause.get("said") else ""
    return _text(f"failed: {cause['count']} times {cause['operation']}: {cause['cause']}{said}")


def _seconds(run: Mapping[str, Any]) -> float:
    started, finished = (
        datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at")
    )
    return max(0.0, (finished - started).total_seconds())


def _text(value: object) -> str:
    """A text that XML 1.0 can carry (§2.2); what is left of controls is U+FFFD."""
    return clean(value)
