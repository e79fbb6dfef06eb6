"""Compiling the part that reads connections, for the Python that runs this."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from sseload_users.core.errors import ConfigError
from sseload_users.transports.receiving import SOURCE, module_path, source_hash

#: Seconds after which a compiler is given up.
_TIMEOUT_S = 60.0
#: Most characters of a compiler's message.
_MESSAGE = 300


def compile_receiving(folder: Path = SOURCE.parent) -> Path:
    """Compile ``_receiving.c``; return the path of the module.

    Args:
        folder: where to put it.

    Raises:
        ConfigError: that is not possible here; it says why.
    """
    compiler = _compiler()
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").is_file():
        raise ConfigError(
            f"Python's headers are missing: there is no {include}/Python.h. Install them, on "
            "Debian the package python3-dev."
        )
    module = module_path(folder)
    # Renamed once it is whole: other processes may import it at any time.
    with tempfile.TemporaryDirectory() as build:
        made = Path(build, module.name)
        options = ["-O2", "-fPIC", "-shared", f'-DSOURCE="{source_hash()}"', f"-I{include}"]
        _run([*compiler, *options, str(SOURCE), "-o", str(made)])
        try:
            partial = module.with_name(f"{module.name}.{os.getpid()}")
            shutil.copyfile(made, partial)
            partial.replace(module)
        except OSError as error:
            raise ConfigError(
                f"{module} cannot be written: {error.strerror}. Run the command as the user who "
                "installed sseload."
            ) from error
    return module


def _compiler() -> list[str]:
    if sys.platform != "linux" or sys.implementation.name != "cpython":
        raise ConfigError("only CPython on Linux can use what is compiled.")
    own = os.environ.get("CC", "").split()
    if own:
        return own
    for each in ("cc", "gcc", "clang"):
        if shutil.which(each):
            return [each]
    raise ConfigError("there is no C compiler (cc). Install one, on Debian the package gcc.")


def _run(command: list[str]) -> None:
    try:
        subprocess.run(  # noqa: S603 - the user's own compiler
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            errors="replace",
        )
    except subprocess.CalledProcessError as error:
        message = " ".join(error.stderr.split())[:_MESSAGE]
        raise ConfigError(f"{command[0]} failed: {message}") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{command[0]} took longer than {_TIMEOUT_S:g} s.") from error
    except OSError as error:
        raise ConfigError(f"{command[0]} cannot be run: {error.strerror}.") from error
