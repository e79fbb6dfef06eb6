"""The embedded target as a child process, under gevent as without it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sseload_users.core.errors import ConfigError

#: Seconds until the child must listen.
_START_SECONDS = 15.0
#: Seconds that the child may take to stop in order.
_STOP_SECONDS = 10.0
_LISTENING = "sseload demo listening on "


class Process:
    """A running server; a context manager that stops it.

    Attributes:
        url: where it listens: ``http://127.0.0.1:PORT``.
        pid: its process id.
    """

    def __init__(self, child: subprocess.Popen[bytes], url: str) -> None:
        self.url = url
        self.pid = child.pid
        self._child = child
        self._owner = os.getpid()

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
        """End it in order, so that its record is whole; hard, if it does not go.

        Does nothing if it has ended, or in a process that was forked off its owner.
        """
        if os.getpid() == self._owner:
            _end(self._child)


def start(*options: str) -> Process:
    """Start the server, and wait until it listens.

    Args:
        *options: those of ``python -m sseload_users.demo``.

    Raises:
        ConfigError: it does not start; one sentence with what it said itself.
    """
    # What the child says goes to files, not to pipes: it never waits for a reader, and no
    # thread or greenlet is needed to read along.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-m", "sseload_users.demo", "--exit-with-parent", *options],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            env=_environment(),
            # A session of its own: Ctrl-C in the terminal ends the run, which still needs it.
            start_new_session=True,
        )
        try:
            url = _wait_for_url(child, out)
        except BaseException:
            # Such as Ctrl-C, or a greenlet's time-out.
            _end(child)
            raise
        if url:
            return Process(child, url)
        _end(child)
        said = " ".join(_text(err).split()) or f"it did not listen within {_START_SECONDS:.0f} s."
        raise ConfigError(f"The embedded target did not start: {said}")


def _wait_for_url(child: subprocess.Popen[bytes], out: IO[bytes]) -> str:
    """Where the child listens; empty if it ends first, or takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        line, end, _ = _text(out).partition("\n")
        if end and line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING)
        if ended:
            break
        time.sleep(0.01)
    return ""


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
    # Read at an offset of its own: the child writes at the one that both share.
    return os.pread(file.fileno(), 1 << 16, 0).decode("utf-8", "replace")


def _environment() -> dict[str, str]:
    """This process's, in which the child finds this very package wherever it is started."""
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
