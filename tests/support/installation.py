"""The wheel, built from the checkout, and virtual environments in which it is installed."""

from __future__ import annotations

import functools
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

from tests.support.runs import ROOT, clean_environment


@functools.cache
def built_wheel() -> Path:
    """Return the path of the wheel, which is built once for each process."""
    folder = tempfile.mkdtemp(prefix="sseload-wheel-")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, str(ROOT)],
        check=True, capture_output=True, env=clean_environment(), timeout=60,
    )  # fmt: skip
    (wheel,) = Path(folder).glob("sseload-*.whl")
    return wheel


def new_environment(folder: Path) -> Path:
    """Make a virtual environment in which sseload's dependencies are installed, but not sseload.

    It has a `pip` that asks no registry.

    Args:
        folder: for the environment.

    Returns:
        The folder of its programs.
    """
    venv.create(folder, symlinks=True, with_pip=False)
    programs = folder / "bin"
    (site,) = folder.glob("lib/python*/site-packages")
    # pip counts what is on this path as installed.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = programs / "pip"
    pip.write_text(f'#!/bin/sh\nPIP_NO_INDEX=1 exec "{programs}/python" -m pip "$@"\n')
    pip.chmod(0o755)
    return programs
