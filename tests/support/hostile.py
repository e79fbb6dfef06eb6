"""Reports with hostile texts, as servers and users may send them."""

from __future__ import annotations

from typing import cast

from sseload_users.report.model import CodeStatus, Report
from tests.support.reports import sample

HOSTILE = (
    "<script>window.stolen=1</script>",
    '"onload="window.stolen=1',
    "'><img src=x onerror=window.stolen=1>",
    "</style><svg/onload=window.stolen=1>",
    "{{ 7*7 }}{% raw %}",
    "\x1b]0;gone\x07\x1b[2J",
    "&lt;b&gt; \u202etxt \ud800",
)


def hostile_report() -> Report:
    """A report in which every text that others choose is hostile."""
    report = sample(50, 10, unavailable=5, missing=3, notes=HOSTILE)
    run = report.run
    everything = "".join(HOSTILE)
    run.id = run.target = run.transport = run.ingest = everything
    run.options = {**run.options, **{text: [text, {text: text}] for text in HOSTILE}}
    run.versions = {**run.versions, **dict.fromkeys(HOSTILE, everything)}
    for phase in report.phases:
        phase.name = everything
    for cause in (*report.connections.causes, *report.errors.causes):
        cause.operation = cause.cause = cause.said = cause.hint = everything
    for reason in report.verdict.reasons:
        reason.rule = reason.measured = reason.threshold = everything
        reason.sentence = reason.hint = everything
    for code in report.per_code:
        code.status = cast("CodeStatus", everything)
    return report
