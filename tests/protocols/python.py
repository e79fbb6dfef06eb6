"""Servers in Python, as `servers/` has them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.protocols.contract import Served
from tests.support.programs import program


@contextlib.contextmanager
def python_server(
    module: str, *arguments: str, options: tuple[str, ...] = (), packages: Path | None = None
) -> Iterator[Served]:
    """Run a server.

    Args:
        module: in `servers/`; it writes its port and counts what it sends, see `common.py`.
        *arguments: of the module.
        options: of sseload, for this server.
        packages: folder with packages that only it needs; see `require_pip_packages`.
    """
    command = [sys.executable, "-m", f"tests.protocols.servers.{module}", *arguments]
    env = {} if packages is None else {"PYTHONPATH": str(packages)}
    with program(command, env) as running:
        yield Served(f"http://127.0.0.1:{running.line()}", options, running.sent)
