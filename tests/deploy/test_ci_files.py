"""The CI files in deploy/ci: their schemas, and their steps, run one by one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.installation import built_wheel, new_environment
from tests.support.runs import ROOT, clean_environment, target
from tests.support.workflow import Job, Runner, read_yaml

GITHUB, GITLAB = (
    ROOT / "deploy" / "ci" / f"{name}.yml" for name in ("github-actions", "gitlab-ci")
)
SLOW = ("--delay", "1:0.2")
#: What keeps a test short; the files' own values are for a real server.
SHORT = {
    "SSELOAD_TARGET": "websocket", "CONNECTIONS": "6", "CODES": "20", "DURATION": "1",
    "SSELOAD_SETTLE": "0.1", "SSELOAD_DELIVERY_TIMEOUT": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Nights:
    """Several nights of one project.

    Attributes:
        folder: for all files.
        platform: "github" or "gitlab".
    """

    folder: Path
    platform: str

    @property
    def kept(self) -> Path:
        """What is kept from night to night."""
        return self.folder / "cache" / "kept"

    @property
    def summary(self) -> Path:
        """GitHub's summary of the step."""
        return self.folder / "summary.md"

    def night(self, number: int, *faults: str) -> tuple[Job, Path]:
        """Run the job against a server; return its outcome and the folder of the artifacts."""
        folder = self.folder / str(number)
        programs = new_environment(folder / "venv")
        environment = {
            **clean_environment(), "PATH": f"{programs}:{os.environ['PATH']}",
            "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(self.summary),
        } if self.platform == "github" else {
            **clean_environment(), "PATH": f"{programs}:{os.environ['PATH']}",
        }  # fmt: skip
        del environment["SSELOAD_HISTORY"]
        artifacts = folder / "artifacts"
        runner = Runner(folder / "work", self.folder / "cache", artifacts, environment)
        with target(folder / "target", *faults) as (server, _):
            if self.platform == "github":
                contexts = {
                    "vars.SSELOAD_HOST": server.url,
                    "vars.SSELOAD_PACKAGE": str(built_wheel()),
                    "secrets.SSELOAD_VALUE": "",
                }
                job = runner.github(GITHUB, contexts, SHORT)
            else:
                project = {"SSELOAD_HOST": server.url, "SSELOAD_PACKAGE": str(built_wheel())}
                job = runner.gitlab(GITLAB, {**project, **SHORT})
        return job, artifacts / "report"

    def repeat(self, times: int) -> None:
        """Keep copies of the only run, as of the nights before it."""
        (run,) = (self.kept / "runs").iterdir()
        for number in range(1, times + 1):
            summary = json.loads((run / "run.json").read_text("utf-8"))
            started = datetime.fromisoformat(summary["started_at"]) - timedelta(days=number)
            summary.update(started_at=started.isoformat(), id=f"before{number}")
            folder = self.kept / "runs" / f"{started:%Y%m%dT%H%M%S}-before{number}"
            shutil.copytree(run, folder)
            (folder / "run.json").write_text(json.dumps(summary), encoding="utf-8")


@pytest.mark.dear
@pytest.mark.parametrize(
    ("file", "options"),
    [
        (GITHUB, ("vendor.github-workflows",)),
        (GITLAB, ("vendor.gitlab-ci", "--data-transform", "gitlab-ci")),
    ],
    ids=["github", "gitlab"],
)
def test_the_files_fit_their_schemas(file: Path, options: tuple[str, ...], tmp_path: Path) -> None:
    def checked(path: Path) -> int:
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *options]
        return subprocess.run(
            [*command, str(path)], capture_output=True, timeout=60, check=False
        ).returncode

    assert checked(file) == 0
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(file.read_text("utf-8").replace("  timeout", "  time out"))
    assert checked(wrong) == 1


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_the_steps() -> None:
    (github,), (gitlab,) = read_yaml(GITHUB)["jobs"].values(), read_yaml(GITLAB).values()
    scripts = [each["run"] for each in github["steps"] if "run" in each]
    scripts.append("\n".join([*gitlab["before_script"], *gitlab["script"]]))
    for script in scripts:
        done = subprocess.run(
            ["shellcheck", "--shell", "bash", "--severity", "warning", "-"],
            input=script, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_both_files_test_the_same() -> None:
    (job,) = read_yaml(GITLAB).values()
    own = read_yaml(GITHUB)["env"]
    assert {name: own[name] for name in job["variables"]} == job["variables"]


@pytest.mark.e2e
@pytest.mark.dear
def test_nights_on_github(tmp_path: Path) -> None:
    nights = Nights(tmp_path, "github")
    job, report = nights.night(1)
    assert not job.failed, job.output
    assert "No --host given" not in job.output
    assert {"report.json", "report.md", "report.html", "junit.xml"} <= {
        each.name for each in report.iterdir()
    }
    assert nights.summary.read_text() == (report / "report.md").read_text()
    baseline = (nights.kept / "baseline" / "report.json").read_bytes()
    assert baseline == (report / "report.json").read_bytes()

    nights.repeat(4)
    job, report = nights.night(2, *SLOW)
    assert job.failed
    assert job.steps["Check the server"] == 0
    assert job.steps["Test the server"] == 5
    assert "Make the run the baseline" not in job.steps
    # A figure of the newest run is worse.
    assert job.steps["Follow the trend"] == 1
    assert (report / "trend.html").exists()
    assert "\n::error title=sseload%3A baseline::B is slower" in job.output
    assert "clearly worse" in nights.summary.read_text()
    assert 'name="baseline"' in (report / "junit.xml").read_text()
    # The slow run is kept, but is not what others are compared with.
    assert (nights.kept / "baseline" / "report.json").read_bytes() == baseline
    assert len(list((nights.kept / "runs").iterdir())) == 6


@pytest.mark.e2e
@pytest.mark.dear
def test_nights_on_gitlab(tmp_path: Path) -> None:
    nights = Nights(tmp_path, "gitlab")
    job, report = nights.night(1)
    assert not job.failed, job.output
    assert (report / "junit.xml").exists()
    assert not (report / "trend.html").exists()
    first = (nights.kept / "baseline" / "report.json").read_bytes()
    assert first == (report / "report.json").read_bytes()

    nights.repeat(60)
    job, report = nights.night(2, "--delay", "1:0.6")
    assert job.steps == {"script": 4}
    assert 'type="objective"' in (report / "junit.xml").read_text()
    assert (nights.kept / "baseline" / "report.json").read_bytes() == first
    assert len(list((nights.kept / "runs").iterdir())) == 62

    job, report = nights.night(3)
    assert (report / "trend.html").exists(), job.output
    assert len(list((nights.kept / "runs").iterdir())) == 60


@pytest.mark.e2e
@pytest.mark.dear
@pytest.mark.parametrize("platform", ["github", "gitlab"])
def test_a_server_that_fails_the_check_gets_no_load(tmp_path: Path, platform: str) -> None:
    nights = Nights(tmp_path, platform)
    job, report = nights.night(1, "--refuse", "1")
    assert job.failed
    assert "Test the server" not in job.steps
    assert not report.exists()
    assert not nights.kept.exists()
