"""Third-party Socket.IO servers as child processes: python-socketio and Node's reference."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.npm import node_environment, require_npm_packages

_FOLDER = Path(__file__).parent
#: Seconds in which a server starts.
_PATIENCE = 15.0


@dataclass
class Server:
    """A running server.

    Attributes:
        url: where clients connect to; it lacks Engine.IO's own parameters.
        lines: what the server writes, line by line.
    """

    url: str
    lines: queue.SimpleQueue[str]


@contextlib.contextmanager
def socketio_server(kind: str, ping_ms: int = 25_000, timeout_ms: int = 20_000) -> Iterator[Server]:
    """Run a server; skip the test if it is not installed.

    Args:
        kind: "python", "node", "node 2" for Socket.IO 2, "node msgpack" for that parser, or
            "node recovery" for connection state recovery.
        ping_ms: between two pings.
        timeout_ms: that the answer may take.
    """
    more = {
        "node 2": ["socket.io2"],
        "node msgpack": ["socket.io", "socket.io-msgpack-parser"],
        "node recovery": ["socket.io", "recovery"],
    }
    if kind == "python":
        command = [sys.executable, str(_FOLDER / "socketio_python.py")]
    else:
        require_npm_packages()
        command = ["node", str(_FOLDER / "socketio_node.js")]
    child = subprocess.Popen(
        [*command, str(ping_ms), str(timeout_ms), *more.get(kind, [])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=node_environment(),
    )
    assert child.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
    reader.start()
    try:
        port = int(lines.get(timeout=_PATIENCE))
        yield Server(f"ws://127.0.0.1:{port}/socket.io/?username=ann", lines)
    finally:
        child.kill()
        child.wait(_PATIENCE)
        reader.join(_PATIENCE)
        child.stdout.close()


def _read(output: IO[str], lines: queue.SimpleQueue[str]) -> None:
    for line in output:
        lines.put(line.strip())
