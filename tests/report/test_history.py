"""Runs that are kept: what is written, listed and drawn of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sseload_users.cli import history as front
from sseload_users.cli import main as cli
from sseload_users.core.errors import ConfigError
from sseload_users.report import files
from sseload_users.report.history import find, folder_of, keep, load, summary
from sseload_users.report.model import Report
from sseload_users.report.trend_page import document, runs_document
from sseload_users.report.trends import trends, written
from tests.support.hostile import hostile_report
from tests.support.pages import inert
from tests.support.reports import connection_rows, sample


def night(number: int, *, name: str = "nightly", **changes: object) -> Report:
    report = sample(**{"connections": 100, "codes": 40, "seed": number} | changes)  # type: ignore[arg-type]
    report.run.id = f"run{number:03}"
    report.run.started_at = f"2026-10-{number + 1:02}T02:00:00.000Z"
    report.run.options = {**report.run.options, "name": name}
    return report


def kept(folder: Path, *reports: Report) -> Path:
    for each in reports:
        keep(each, folder)
        files.write(each, folder_of(folder, each), connection_rows(each))
    return folder


def test_a_run_is_listed_as_it_was_kept(tmp_path: Path) -> None:
    reports = [night(2), night(1), night(3, name="other")]
    kept(tmp_path, *reports)
    assert [run.id for run in load(tmp_path)] == ["run001", "run002", "run003"]
    assert [run.id for run in load(tmp_path, "nightly")] == ["run001", "run002"]
    for each in reports:
        found = find(tmp_path, each.run.id)
        assert found == summary(each, folder_of(tmp_path, each))
        assert found is not None
        assert found.figures["p95_ms"].value == pytest.approx(each.delivery_ms.p95, rel=0.01)
        assert found.figures["delivered"].low < 1
    assert find(tmp_path, "none") is None


@pytest.mark.parametrize("damage", ["missing", "empty", "other"])
def test_a_lost_summary_is_made_from_the_report(tmp_path: Path, damage: str) -> None:
    report = night(1)
    path = folder_of(kept(tmp_path, report), report) / "run.json"
    path.unlink()
    if damage != "missing":
        path.write_text("" if damage == "empty" else '{"figures": {"p50_ms": [null, 1, 2]}}')
    assert load(tmp_path) == [summary(report, path.parent)]
    (path.parent / "report.json").unlink()
    assert load(tmp_path) == []


def test_a_directory_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert load(tmp_path / "none") == []
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot list the runs that are kept: not a directory"):
        load(tmp_path / "file")


def test_a_run_cannot_name_a_folder_elsewhere(tmp_path: Path) -> None:
    report = hostile_report()
    report.run.id = "../../x"
    assert folder_of(tmp_path, report).parent == tmp_path


def test_the_command_lists_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(tmp_path, *(night(each, missing=7 if each == 3 else 0) for each in range(1, 5)))
    assert front.history([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["run001", "run002", "run003", "run004"]
    assert " 99.8" in lines[3]
    assert front.history([str(tmp_path), "--latest", "1"]) == 0
    assert "The latest 1 of 4" in capsys.readouterr().out
    assert front.history([str(tmp_path), "--name", "x"]) == 0
    assert "No runs named 'x' are kept" in capsys.readouterr().out


def test_the_trend_says_since_when_a_figure_is_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(tmp_path, *(night(each, median_ms=4.0 if each < 9 else 9.0) for each in range(1, 11)))
    page = tmp_path / "trend.html"
    assert front.trend([str(tmp_path), "--name", "nightly", "--html", str(page)]) == 1
    printed = capsys.readouterr().out
    assert "10 runs from 2026-10-02 to 2026-10-11" in printed
    assert "→ Delivery p50 worse since run run009 of 2026-10-10: " in printed
    assert "an accident" not in printed
    inert(page.read_text())
    assert "Delivery p50 worse since run run009" in " ".join(page.read_text().split())
    # What happened longer ago fails no build.
    kept(tmp_path, night(11, median_ms=9.0))
    assert front.trend([str(tmp_path), "--name", "nightly"]) == 0


def test_an_unchanged_server_has_no_trend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(tmp_path, *(night(each) for each in range(1, 8)))
    assert front.trend([str(tmp_path), "--name", "nightly"]) == 0
    assert "No figure changed by more than noise explains." in capsys.readouterr().out


def test_one_run_is_no_trend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(tmp_path, night(1))
    assert front.trend([str(tmp_path), "--name", "nightly"]) == 2
    assert "a trend needs two" in capsys.readouterr().err


def test_pages_show_hostile_texts_as_text(tmp_path: Path) -> None:
    runs = [
        replace(summary(hostile_report(), tmp_path), started_at=f"2026-10-0{each}T00:00:00Z")
        for each in (1, 2, 3)
    ]
    inert(document(runs, trends(runs)))
    text = runs_document(runs, "<script>")
    assert text.count("<script>") == 1
    assert "onerror" not in text.replace("&#39;&gt;&lt;img src=x onerror", "")


def test_two_kept_runs_are_compared_by_their_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(tmp_path / "reports", night(1), night(2, median_ms=9.0))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", "run001", "run002"]) == 1
    assert "B is slower" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "reports")
    assert cli.main(["compare", "run001", "run002"]) == 2


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (1.0, "share", "100 %"),
        (0.9999999, "share", "99.99999 %"),
        (0.0000001, "share", "0.00001 %"),
        (0.0, "share", "0 %"),
        (12.34, "ms", "12.3 ms"),
        (1500.0, "count", "1,500"),
    ],
)
def test_figures_are_written_so_that_all_and_nothing_are_exact(
    value: float, unit: str, words: str
) -> None:
    assert written(value, unit) == words  # type: ignore[arg-type]
