"""Child processes: each is pinned to its core and stopped on exit."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

#: Seconds that a child has to exit after SIGTERM.
_STOP_TIMEOUT = 30.0
#: Seconds from one look whether a child has exited to the next.
_EXIT_POLL = 0.001

#: The repository.
ROOT = Path(__file__).parent.parent
_AUTHORITY = str(ROOT / "tests" / "certificates" / "ca.pem")
#: The environment of all children: our modules, the trusted CA, and one process with one worker
#: thread for Artillery.
_ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "WEBSOCKET_CLIENT_CA_BUNDLE": _AUTHORITY,
    "NODE_EXTRA_CA_CERTS": _AUTHORITY,
    "WORKERS": "1",
    "ARTILLERY_DISABLE_TELEMETRY": "true",
}

#: Read before the benchmark pins itself to one of them.
_ALL_CORES = ",".join(map(str, sorted(os.sched_getaffinity(0))))


class BenchError(Exception):
    """A measurement that failed; its notes have the output of the children."""


class Child:
    """A running program.

    Attributes:
        pid: of its process.
        folder: its working directory; ``output.txt`` has its output.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self.pid = process.pid
        self.folder = folder

    def output(self) -> str:
        """Return its output so far."""
        return (self.folder / "output.txt").read_text(errors="replace")

    def check_running(self) -> None:
        """Check that it has not exited.

        Raises:
            BenchError: it has exited.
        """
        if (status := self._process.poll()) is not None:
            raise BenchError(f"the program exited early, with status {status}")

    def wait_until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until a condition holds.

        Raises:
            BenchError: the child has exited, or the timeout has passed.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            self.check_running()
            if time.monotonic() > deadline:
                raise BenchError(f"{what}: not within {timeout:g} s")
            time.sleep(0.05)

    def wait(self, timeout: float) -> int:
        """Wait until it exits; return its status.

        Raises:
            BenchError: the timeout has passed.
        """
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the program did not exit within {timeout:g} s") from None

    def wait_for_usage(self, timeout: float) -> resource.struct_rusage:
        """Wait until it exits; return the resources that it has used.

        Raises:
            BenchError: the timeout has passed, or it failed.
        """
        deadline = time.monotonic() + timeout
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                raise BenchError(f"the program did not exit within {timeout:g} s")
            time.sleep(_EXIT_POLL)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode:
            raise BenchError(f"the program failed, with status {self._process.returncode}")
        return usage

    def stop(self) -> None:
        """Terminate it and wait until it has exited; kill it after a timeout."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait(_STOP_TIMEOUT)


@contextlib.contextmanager
def child(command: Sequence[str], core: int | None, folder: Path) -> Iterator[Child]:
    """Start a program; stop it on exit.

    Args:
        command: the program and its arguments.
        core: the only CPU core that it may use; None: all.
        folder: its working directory, also for its output; created if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", _ALL_CORES if core is None else str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,
        )
    running = Child(process, folder)
    try:
        yield running
    except BenchError as error:
        error.add_note(f"Output of {command[0]}: {running.output()[-2000:]}")
        raise
    finally:
        running.stop()


def python(*arguments: str) -> list[str]:
    """Return a command for this Python interpreter."""
    return [sys.executable, *arguments]


@contextlib.contextmanager
def burning(core: int, folder: Path) -> Iterator[Child]:
    """Run a program that uses all of a core."""
    with child(python("-c", "while True: pass"), core, folder) as running:
        yield running
