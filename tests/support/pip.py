"""PyPI packages of test servers that do not go with the pinned packages of the tests."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[1] / "protocols"
#: Seconds in which pip installs them.
_PATIENCE = 180.0


def require_pip_packages(name: str) -> Path:
    """Return the folder with a server's packages; skip the test if they cannot be installed.

    Args:
        name: of the file in `tests/protocols/` that pins them, without `.txt`.
    """
    if (why := _missing(name)) is not None:
        assert os.environ.get("CI") != "true", why
        pytest.skip(why)
    return _folder(name)


def pip_version(name: str) -> str:
    """Return the version of a server, as it is pinned in the file of its name."""
    found = re.search(rf"^{name}==(\S+)", _pins(name).read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def _pins(name: str) -> Path:
    return _FOLDER / f"{name}.txt"


def _folder(name: str) -> Path:
    return _FOLDER / "site-packages" / name


@functools.cache
def _missing(name: str) -> str | None:
    folder, pins = _folder(name), _pins(name).read_bytes()
    # A copy of the file by which the packages were installed.
    installed = folder / ".installed.txt"
    folder.mkdir(parents=True, exist_ok=True)
    # Several test processes may come here at once.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and installed.read_bytes() == pins:
            return None
        pip = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--require-hashes"]
        try:
            subprocess.run(
                [*pip, "--no-deps", "--target", str(folder), "-r", str(_pins(name))],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            return f"pip could not install {name}: {error.stderr.decode()[-500:]}"
        except (subprocess.SubprocessError, OSError) as error:
            return f"pip could not install {name}: {error}"
        installed.write_bytes(pins)
    return None
