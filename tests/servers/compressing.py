"""Servers that compress what they send, on Node, as child processes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.npm import node_environment, require_npm_packages

_PROGRAM = Path(__file__).parent / "compressing_node.js"


@dataclass(frozen=True)
class CompressingServer:
    """A running server.

    Attributes:
        url: of the server, for HTTP.
    """

    url: str

    def truth(self) -> dict[str, int]:
        """Return how many messages it has sent to listeners, and their uncompressed bytes."""
        with urllib.request.urlopen(f"{self.url}/truth", timeout=10) as response:
            counts: dict[str, int] = json.load(response)
        return counts


@contextlib.contextmanager
def compressing_server(**options: Any) -> Iterator[CompressingServer]:
    """Run a server; skip the test if Node is not installed.

    Args:
        **options: see compressing_node.js.
    """
    require_npm_packages()
    child = subprocess.Popen(
        ["node", str(_PROGRAM), json.dumps(options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=node_environment(),
    )
    assert child.stdout is not None
    try:
        yield CompressingServer(f"http://127.0.0.1:{int(child.stdout.readline())}")
    finally:
        child.kill()
        child.wait(15)
        child.stdout.close()
