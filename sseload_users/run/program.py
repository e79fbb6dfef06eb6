"""How the user can type the command `sseload`."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def typed() -> str:
    """Return the command as it works in the current folder, ready for a shell.

    It is `sseload` where that is on the path and belongs to this Python, else the script beside
    this Python, else the module.
    """
    beside = Path(sys.executable).with_name("sseload")
    on_path = shutil.which("sseload")
    if on_path is not None and Path(on_path).samefile(beside if beside.exists() else on_path):
        return "sseload"
    if beside.exists():
        return shlex.quote(_short(beside))
    return f"{shlex.quote(_short(Path(sys.executable)))} -m sseload_users"


def _short(path: Path) -> str:
    """Return a path relative to the current folder, if it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
