"""The npm packages that tests need: installed once, from `tests/protocols/package-lock.json`."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "protocols"
_MODULES = FOLDER / "node_modules"
#: A copy of the lock file by which the packages were installed.
_INSTALLED = _MODULES / ".installed-lock.json"
#: Seconds in which npm installs them.
_PATIENCE = 180.0


def require_npm_packages() -> None:
    """Skip the test if Node or the packages are absent; in CI, fail it."""
    if (why := _missing()) is not None:
        assert os.environ.get("CI") != "true", why
        pytest.skip(why)


def node_environment() -> dict[str, str]:
    """Return this process's environment, changed so that any program on Node finds the packages."""
    return {**os.environ, "NODE_PATH": str(_MODULES)}


def npm_version(package: str) -> str:
    """Return the version of a package, as it is pinned."""
    lock = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))
    return str(lock["packages"][f"node_modules/{package}"]["version"])


@functools.cache
def _missing() -> str | None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "Node.js and npm are not installed"
    # Several test processes may come here at once, and npm fails if two install at a time.
    with (FOLDER / ".npm-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (FOLDER / "package-lock.json").read_bytes()
        if _INSTALLED.exists() and _INSTALLED.read_bytes() == wanted:
            return None
        try:
            subprocess.run(
                [npm, "ci", "--prefix", str(FOLDER)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=True,
                cwd=FOLDER,
            )
        except subprocess.CalledProcessError as error:
            return f"npm could not install the packages: {error.stderr.decode()[-500:]}"
        except (subprocess.SubprocessError, OSError) as error:
            return f"npm could not install the packages: {error}"
        _INSTALLED.write_bytes(wanted)
    return None
