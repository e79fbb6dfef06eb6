"""Runs on a build server: the baseline, the summary, annotations, and what the status says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import QUICK, Outcome, run, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

LOAD = ("6", "20", "1", *QUICK, "--target", "websocket")


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome, _ = run_against_target(tmp_path_factory.mktemp("baseline"), *LOAD)
    assert outcome.status == 0
    return outcome


def test_a_run_that_is_slower_than_its_baseline_fails(tmp_path: Path, baseline: Outcome) -> None:
    summary = tmp_path / "summary.md"
    outcome, _ = run_against_target(
        tmp_path, *LOAD, "--baseline", str(baseline.folder),
        faults=("--delay", "1:0.2"),
        env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)},
    )  # fmt: skip
    assert outcome.grade == "good"
    assert outcome.status == 5
    assert "B is slower: p50" in " ".join(outcome.stdout.split())
    assert "\n::error title=sseload%3A baseline::B is slower" in outcome.stdout
    assert summary.read_text() == (outcome.folder / "report.md").read_text()
    assert "clearly worse" in summary.read_text()
    assert 'name="baseline"' in (outcome.folder / "junit.xml").read_text()
    assert "B is slower" in (outcome.folder / "baseline.html").read_text()


def test_a_run_that_only_misses_its_objective_has_a_status_of_its_own(
    tmp_path: Path, baseline: Outcome
) -> None:
    outcome, _ = run_against_target(
        tmp_path, *LOAD, "--baseline", str(baseline.folder), "--objective", "p99<=50ms",
        faults=("--delay", "1:0.2"),
    )  # fmt: skip
    assert outcome.status == 4
    assert outcome.reasons["objective"] == "issues"


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_baseline_that_cannot_be_read_is_said_before_the_run(
    tmp_path: Path, content: str | None
) -> None:
    place = tmp_path / "before.json"
    if content is not None:
        place.write_text(content)
    outcome = run(tmp_path, *LOAD, "--baseline", str(place), "--host", "http://127.0.0.1:9")
    assert outcome.status == 2
    assert len(outcome.stderr.splitlines()) == 1
    assert str(place) in outcome.stderr
    assert not outcome.has_report
