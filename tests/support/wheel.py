"""The sdist and the wheel, built as for a release, and the wheel installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.runs import BIN, ROOT, clean_environment

_PATIENCE = 120.0


def checkout(folder: Path) -> Path:
    """Clone the repository's last commit into a new folder, with this environment; return it."""
    _run(["git", "clone", "-q", "--shared", str(ROOT), str(folder)])
    (folder / ".venv").symlink_to(BIN.parent)
    return folder


def make_dist(folder: Path, environment: Mapping[str, str] | None = None) -> tuple[Path, Path]:
    """Build in a checkout with `make dist`; return the sdist and the wheel."""
    # The packages of the tests are there already, whatever the time of the requirements' file.
    _run(["make", "-o", ".venv/dev", "dist"], folder, environment)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    return sdist, wheel


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the work tree into a folder; return its path."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    _run([*command, str(ROOT)])
    (wheel,) = folder.glob("sseload-*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel, without what it needs, into a folder; return the folder."""
    _run([
        sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index",
        "--disable-pip-version-check", "--target", str(folder), str(wheel),
    ])  # fmt: skip
    return folder


def _run(
    command: list[str], cwd: Path = ROOT, environment: Mapping[str, str] | None = None
) -> None:
    done = subprocess.run(
        command, check=False, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env={**clean_environment(), **(environment or {})}, timeout=_PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
