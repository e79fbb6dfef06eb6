"""report.md, and what a build server is told: read by Markdown's reference rules."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from sseload_users.report import markdown
from sseload_users.report.comparison import AgainstBaseline, compare
from sseload_users.report.markdown import document
from sseload_users.report.model import Report
from sseload_users.run.build_server import tell_build_server
from tests.support.hostile import hostile_report
from tests.support.reports import sample, samples

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def inline(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or ()]


def texts(text: str) -> list[str]:
    """The text of each heading, cell, item and paragraph."""
    return [
        "".join(child.content for child in token.children or ())
        for token in PARSER.parse(text)
        if token.type == "inline"
    ]


def against(before: Report, after: Report) -> AgainstBaseline:
    return AgainstBaseline(before, compare(before, after))


def test_it_begins_with_the_verdict_and_gives_the_figures() -> None:
    report = sample(50, 10, unavailable=5, missing=3)
    found = texts(document(report))
    assert found[0] == f"❌ sseload: {report.verdict.grade}"
    owed, received = report.deliveries.owed, report.deliveries.received
    assert found[found.index("delivered") + 1].startswith(f"{received} of {owed} ")
    assert "3 missing" in found[found.index("delivered") + 2]
    for reason in report.verdict.reasons:
        shown = any(reason.sentence in each for each in found)
        assert shown == (reason.grade != "good")


def test_a_good_run_lists_nothing_that_is_not_good() -> None:
    text = document(sample(50, 10))
    assert "✅ sseload: good" in texts(text)[0]
    assert "What is not good" not in text
    assert "Failed operations" not in text


def test_a_baseline_is_compared() -> None:
    before, after = sample(200, 20), sample(200, 20, median_ms=9.0, seed=2)
    found = texts(document(after, against(before, after)))
    assert "Compared with the baseline: ❌ clearly worse" in found
    assert any(each.startswith("B is slower: p50 ") for each in found)
    assert "Compared with the baseline: ✅ not clearly worse" in texts(
        document(before, against(before, before))
    )


def test_hostile_texts_are_shown_as_text() -> None:
    tokens = PARSER.parse(document(hostile_report()))
    kinds = {token.type for token in [*tokens, *inline(tokens)]}
    assert kinds.isdisjoint(
        {"html_block", "html_inline", "link_open", "image", "code_inline", "em_open", "fence"}
    )


@given(st.text(), st.data())
def test_any_text_stays_in_its_cell(text: str, data: st.DataObject) -> None:
    report = data.draw(samples())
    report.run.target = report.run.id = text
    report.run.notes = [text]
    rows = [token for token in PARSER.parse(document(report)) if token.type == "tr_open"]
    assert len(rows) == len(
        [token for token in PARSER.parse(document(sample(5, 2))) if token.type == "tr_open"]
    ) + bool(report.deliveries.leaked)


def test_github_gets_annotations_and_a_summary(tmp_path: Path) -> None:
    before, after = sample(200, 20), sample(200, 20, median_ms=9.0, seed=2, missing=3)
    after.verdict.reasons[0].hint = "100 %,\nor: less"
    after.verdict.reasons[0].grade = "issues"
    summary = tmp_path / "summary.md"
    summary.write_text("an earlier step\n")
    output = io.StringIO()
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    tell_build_server(after, against(before, after), environment, output)
    lines = output.getvalue().splitlines()
    assert lines[0].startswith(f"::error title=sseload%3A {after.verdict.reasons[0].rule}::")
    assert "100 %25," in lines[0]
    assert len(lines) == sum(each.grade != "good" for each in after.verdict.reasons) + 1
    assert lines[-1].startswith("::error title=sseload%3A baseline::B ")
    assert summary.read_text() == "an earlier step\n" + markdown.document(
        after, against(before, after)
    )


def test_no_other_build_server_gets_anything() -> None:
    output = io.StringIO()
    tell_build_server(sample(5, 2), None, {}, output)
    assert output.getvalue() == ""


def test_a_summary_that_cannot_be_written_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_build_server(sample(5, 2), None, {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert capsys.readouterr().err == (
        f"sseload: {tmp_path}: no summary was written (is a directory).\n"
    )
