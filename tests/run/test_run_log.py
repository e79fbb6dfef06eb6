"""What the log of a run keeps apart: notes, and why a run is incomplete."""

from __future__ import annotations

from unittest import mock

from sseload_users.core.totals import Totals
from sseload_users.report.account import Run
from sseload_users.report.build import build
from sseload_users.run.run_log import RunLog
from sseload_users.run.thresholds_file import load_thresholds


def test_only_what_makes_a_run_incomplete_is_its_reason() -> None:
    run = Run("abcdef", 0, "http://127.0.0.1", "websocket", "HTTP", {}, {})
    log = RunLog(run, Totals(), mock.Mock())
    log.note("A login was renewed.")
    log.mark_incomplete("A worker was lost.")
    log.note("The clock was set.")
    log.close(cut_short="broadcast", complete=True)
    report = build(run, Totals(), load_thresholds())
    assert len(report.run.notes) == 4
    (reason,) = (each for each in report.verdict.reasons if each.rule == "run_complete")
    assert "(The run was ended in the broadcast phase; A worker was lost)" in reason.sentence
    assert "login" not in reason.sentence
    assert "clock" not in reason.sentence
