"""Run the embedded target as a child process, with or without gevent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sseload_users.core.errors import ConfigError

#: Seconds within which the child must listen.
_START_SECONDS = 15.0
#: Seconds within which the child must stop in order.
_STOP_SECONDS = 10.0
_LISTENING = "sseload demo listening on "


class DemoProcess:
    """A running server; as a context manager, stop it on exit.

    Attributes:
        urls: the addresses of its nodes, each ``http://127.0.0.1:PORT``.
        pid: its process id.
    """

    def __init__(self, child: subprocess.Popen[bytes], urls: Sequence[str]) -> None:
        self.urls = urls
        self.pid = child.pid
        self._child = child
        self._owner = os.getpid()

    @property
    def url(self) -> str:
        """The address of its first node."""
        return self.urls[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server so that its record is complete; kill it if it does not stop.

        Do nothing if it has ended, or in a process forked from its owner.
        """
        if os.getpid() == self._owner:
            _end(self._child)


def start(*options: str) -> DemoProcess:
    """Start the server, and wait until it listens.

    Args:
        *options: options of ``python -m sseload_users.demo``.

    Raises:
        ConfigError: it does not start; one sentence with its own error.
    """
    # Output goes to files, not pipes: the child never blocks on a full pipe, and no thread
    # or greenlet has to drain it.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(  # noqa: S603 - the current interpreter
            [sys.executable, "-m", "sseload_users.demo", "--exit-with-parent", *options],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            env=_environment(),
            # In its own session, so that Ctrl-C ends the run but not the server it still needs.
            start_new_session=True,
        )
        try:
            urls = _wait_for_urls(child, out)
        except BaseException:
            # For example Ctrl-C, or a greenlet's timeout.
            _end(child)
            raise
        if urls:
            return DemoProcess(child, urls)
        _end(child)
        reason = " ".join(_text(err).split()) or f"it did not listen within {_START_SECONDS:.0f} s."
        raise ConfigError(f"The embedded target did not start: {reason}")


def _wait_for_urls(child: subprocess.Popen[bytes], out: IO[bytes]) -> Sequence[str]:
    """Return the URLs of the child's nodes; none if it ends first or takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        line, end, _ = _text(out).partition("\n")
        if end and line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING).split()
        if ended:
            break
        time.sleep(0.01)
    return ()


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.close()


def _text(file: IO[bytes]) -> str:
    # pread has its own offset: the child writes at the file's shared one.
    return os.pread(file.fileno(), 1 << 16, 0).decode("utf-8", "replace")


def _environment() -> dict[str, str]:
    """Return this process's environment, with this package on the child's PYTHONPATH."""
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
