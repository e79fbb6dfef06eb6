"""Run the shell steps of CI files one by one, as the runners of GitHub and GitLab do.

Actions are not run: what the cache and the artifacts keep is copied between folders.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

#: Seconds that a step may take.
PATIENCE = 120.0


@dataclass
class Job:
    """What a job left behind.

    Attributes:
        steps: the exit status of each step that ran, by its name.
        output: what all steps wrote.
        failed: whether the job failed.
    """

    steps: dict[str, int] = field(default_factory=dict)
    output: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Runner:
    """A machine that runs jobs.

    Attributes:
        work: the working directory of a job, which must be empty before.
        cache: what survives from job to job.
        artifacts: what jobs upload.
        environment: the environment of the steps.
    """

    work: Path
    cache: Path
    artifacts: Path
    environment: Mapping[str, str]

    def github(self, file: Path, contexts: Mapping[str, str], env: Mapping[str, str]) -> Job:
        """Run the only job of a GitHub workflow.

        Args:
            file: the workflow.
            contexts: values of expressions, such as "vars.HOST".
            env: variables that replace the workflow's own.
        """
        workflow = read_yaml(file)
        (definition,) = workflow["jobs"].values()
        self.work.mkdir(parents=True)
        job = Job()
        variables = {
            **self.environment,
            **{name: _expand(value, contexts) for name, value in workflow["env"].items()},
            **env,
        }
        for step in definition["steps"]:
            if not self._is_due(step.get("if"), job):
                continue
            inputs = {name: str(value) for name, value in step.get("with", {}).items()}
            if "run" in step:
                # The default shell of a step.
                self._step(job, step["name"], ["bash", "-e", "-c", step["run"]], variables)
            else:
                self._action(step["uses"].partition("@")[0], inputs)
                job.steps[step["name"]] = 0
        return job

    def gitlab(self, file: Path, env: Mapping[str, str]) -> Job:
        """Run the only job of a GitLab CI file.

        Args:
            file: the CI file.
            env: the project's variables, and those that replace the job's own.
        """
        (definition,) = read_yaml(file).values()
        self.work.mkdir(parents=True)
        paths = [each.rstrip("/") for each in definition["cache"]["paths"]]
        for path in paths:
            _copy(self.cache / path, self.work / path)
        job = Job()
        variables = {**self.environment, **definition["variables"], **env}
        # The lines share one shell, which ends with the first one that fails.
        lines = "\n".join([*definition["before_script"], *definition["script"]])
        self._step(job, "script", ["bash", "-eo", "pipefail", "-c", lines], variables)
        assert definition["cache"]["when"] == definition["artifacts"]["when"] == "always"
        for path in paths:
            _copy(self.work / path, self.cache / path)
        for path in definition["artifacts"]["paths"]:
            _copy(self.work / path, self.artifacts / path)
        return job

    def _step(self, job: Job, name: str, command: list[str], variables: Mapping[str, str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.work, env=dict(variables), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        job.steps[name] = done.returncode
        job.output += done.stdout
        job.failed |= done.returncode != 0

    def _is_due(self, condition: str | None, job: Job) -> bool:
        terms = [] if condition is None else re.sub(r"^\$\{\{|\}\}$", "", condition).split("&&")
        regardless = False
        for term in map(str.strip, terms):
            if term in ("always()", "!cancelled()"):
                regardless = True
            elif found := re.fullmatch(r"hashFiles\('(.*)'\) != ''", term):
                if not any(self.work.glob(found[1])):
                    return False
            else:
                raise AssertionError(f"unknown condition {term!r}")
        return regardless or not job.failed

    def _action(self, name: str, inputs: Mapping[str, str]) -> None:
        path = inputs.get("path", "")
        if name == "actions/cache/restore":
            assert inputs["key"].startswith(inputs["restore-keys"])
            _copy(self.cache / path, self.work / path)
        elif name == "actions/cache/save":
            assert "github.run_id" in inputs["key"]
            _copy(self.work / path, self.cache / path)
        elif name == "actions/upload-artifact":
            _copy(self.work / path, self.artifacts / path)
        else:
            assert name in ("actions/checkout", "actions/setup-python"), name


def read_yaml(file: Path) -> Any:
    """Return the content of a YAML file with one document, in which `on` is a text."""
    return YAML(typ="safe").load(file)


def _expand(value: str, contexts: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{\s*(\S+)\s*\}\}", lambda found: contexts[found[1]], str(value))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
