"""The wheel in an empty environment, with the lowest and the newest versions of what it needs."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.runs import QUICK, ROOT, clean_environment, run
from tests.support.wheel import build_wheel

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
VERSIONS = [
    each.rpartition(" ")[2]
    for each in PROJECT["classifiers"]
    if each.startswith("Programming Language :: Python :: 3.")
]
#: Seconds in which pip installs everything; some packages may have to be compiled.
PATIENCE = 600.0


@functools.cache
def python(version: str) -> str | None:
    """Return the program of a version of Python; None if it is not installed."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [str(each) for each in sorted(pyenv.glob(f"{version}.*/bin/python"))]
    for each in (shutil.which(f"python{version}"), *candidates):
        # pyenv's shim is there for versions that are not active, too.
        if (
            each
            and not subprocess.run([each, "-c", ""], check=False, capture_output=True).returncode
        ):
            return each
    return None


def lowest() -> list[str]:
    """Return the requirements with the lowest version that each allows."""
    pinned = []
    for each in map(Requirement, PROJECT["dependencies"]):
        (bound,) = (each.version for each in each.specifier if each.operator == ">=")
        pinned.append(f"{each.name}=={bound}")
    return pinned


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def install(program: str, folder: Path, words: Sequence[str]) -> Path:
    """Install packages into a new environment; return the folder with its programs."""
    for command in (
        [program, "-m", "venv", str(folder)],
        [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *words],
        [str(folder / "bin" / "pip"), "check"],
    ):
        done = subprocess.run(
            command, check=False, cwd=folder.parent, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, env=clean_environment(), timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bin"


@pytest.mark.parametrize("versions", ["lowest", "newest"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_runs_in_an_empty_environment(
    wheel: Path, tmp_path: Path, version: str, versions: str
) -> None:
    if version != HERE and os.environ.get("PYTHONS") != "all":
        pytest.skip("other Pythons are tried by make test-pythons")
    program = python(version)
    if program is None:
        pytest.skip(f"Python {version} is not installed")
    words = [str(wheel), *(lowest() if versions == "lowest" else ())]
    programs = install(program, tmp_path / "environment", words)
    compiled = subprocess.run(
        [programs / "sseload", "compile"], check=False, capture_output=True, text=True, timeout=60
    )
    assert not compiled.returncode or os.environ.get("CI") != "true", compiled.stderr
    assert bool(compiled.returncode) == ("Not compiled" in compiled.stderr)
    outcome = run(
        tmp_path / "run", "20", "5", "2", *QUICK, command=(str(programs / "sseload"),),
        cwd=tmp_path, env={"PYTHONWARNINGS": "default"},
    )  # fmt: skip
    assert outcome.status == 0, outcome.stderr
    assert outcome.report["deliveries"]["delivered"] == 20 * 5
    assert outcome.report["run"]["versions"]["python"].startswith(f"{version}.")
    # What a newer Python deprecates; other packages have to mend their own.
    assert not re.findall(r".*sseload_users/.*Warning: .*", outcome.stderr)
