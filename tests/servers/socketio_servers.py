"""Third-party Socket.IO servers as child processes: python-socketio and Node's reference."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

_FOLDER = Path(__file__).parent
_PACKAGES = (
    "socket.io@4",
    "socket.io2@npm:socket.io@2",
    "socket.io-client@4",
    "socket.io-msgpack-parser@3",
)
#: Seconds in which a server starts, and npm installs.
_PATIENCE, _INSTALL_PATIENCE = 15.0, 120.0


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
        why = install_socketio()
        if why is not None:
            assert os.environ.get("CI") != "true", why
            pytest.skip(why)
        command = ["node", str(_FOLDER / "socketio_node.js")]
    child = subprocess.Popen(
        [*command, str(ping_ms), str(timeout_ms), *more.get(kind, [])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
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


@functools.cache
def install_socketio() -> str | None:
    """Return why Socket.IO does not run on Node here; None if it does."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "Node.js and npm are not installed"
    # Several test processes may come here at once, and npm fails if two install at a time.
    with (_FOLDER / ".npm-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _install_by(npm)


def _install_by(npm: str) -> str | None:
    names = ("socket.io", "socket.io2", "socket.io-client", "socket.io-msgpack-parser")
    if all((_FOLDER / "node_modules" / name / "package.json").exists() for name in names):
        return None
    install = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(
            [*install, "--prefix", str(_FOLDER), *_PACKAGES],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_INSTALL_PATIENCE,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        return f"npm could not install socket.io: {error}"
    return None
