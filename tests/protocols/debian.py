"""Servers that Debian packages, as child processes on ports of the loopback interface."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.ports import free_port

#: Seconds in which a server starts, and ends.
_START, _END = 60.0, 20.0


def debian_version(package: str) -> str:
    """Return the upstream version of an installed package; "?" if it is not installed."""
    command = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "?"
    return found.rpartition(":")[2].partition("-")[0].partition("+")[0]


def require_debian_program(program: str, package: str = "") -> str:
    """Return a program's path; skip the test if it is absent, or fail it in CI."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        why = f"{program} is not installed (Debian: apt-get install {package or program})"
        assert os.environ.get("CI") != "true", why
        pytest.skip(why)
    return path


@contextlib.contextmanager
def started(
    command: Sequence[str],
    folder: Path,
    *,
    configure: Callable[[int], Mapping[str, str]] = lambda _: {},
    env: Callable[[int], Mapping[str, str]] = lambda _: {},
) -> Iterator[int]:
    """Run a server until the block ends; yield its port once it accepts connections.

    Args:
        command: its command line; {port} stands for the port.
        folder: its working directory.
        configure: returns the files to write there, by name, for a port.
        env: returns additional environment variables, for a port.
    """
    folder.mkdir(parents=True, exist_ok=True)
    child, said = None, ""
    # Another process may take a port before the server binds it.
    for _ in range(3):
        port = free_port()
        for name, text in configure(port).items():
            (folder / name).write_text(text, "utf-8")
        with (folder / "server.log").open("w") as log:
            child = subprocess.Popen(
                [each.replace("{port}", str(port)) for each in command],
                cwd=folder,
                env={**os.environ, **env(port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        try:
            if _accepts(child, port):
                yield port
                return
            said = (folder / "server.log").read_text("utf-8", "replace")[-1000:]
        finally:
            _end(child)
    pytest.fail(f"{command[0]} did not start: {said}")


def _accepts(child: subprocess.Popen[bytes], port: int) -> bool:
    """Whether a port accepts connections in time."""
    end = time.monotonic() + _START
    while child.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        time.sleep(0.02)
    return False


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a server and the processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, 15)
    try:
        child.wait(_END)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        child.wait(_END)
