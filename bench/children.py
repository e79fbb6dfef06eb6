"""Children: each pinned to its core, and ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

#: Seconds that a child has to end by itself when it is asked to.
_GOODBYE = 30.0

#: The repository.
ROOT = Path(__file__).parent.parent
_AUTHORITY = str(ROOT / "tests" / "certificates" / "ca.pem")
#: What all children are told: where our modules are, whom to trust, and for Artillery to be
#: one process with one worker thread.
_ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "WEBSOCKET_CLIENT_CA_BUNDLE": _AUTHORITY,
    "NODE_EXTRA_CA_CERTS": _AUTHORITY,
    "WORKERS": "1",
    "ARTILLERY_DISABLE_TELEMETRY": "true",
}

#: Asked before the bench itself goes to one of them.
_ALL_CORES = ",".join(map(str, sorted(os.sched_getaffinity(0))))


class BenchError(Exception):
    """A measurement that could not be made: one sentence; its notes are what children said."""


class Child:
    """A running program.

    Attributes:
        pid: its process.
        folder: what it writes goes there; ``output.txt`` has what it prints.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self.pid = process.pid
        self.folder = folder

    def said(self) -> str:
        """What it has printed so far."""
        return (self.folder / "output.txt").read_text(errors="replace")

    def must_run(self) -> None:
        """See that it has not ended.

        Raises:
            BenchError: it has.
        """
        if (status := self._process.poll()) is not None:
            raise BenchError(f"the program ended too soon, with status {status}")

    def wait_until(self, true: Callable[[], bool], patience: float, what: str) -> None:
        """Wait while the child runs.

        Raises:
            BenchError: the child has ended, or the time is over.
        """
        end = time.monotonic() + patience
        while not true():
            self.must_run()
            if time.monotonic() > end:
                raise BenchError(f"{what}: not within {patience:g} s")
            time.sleep(0.05)

    def wait(self, patience: float) -> int:
        """Wait for its end; its exit status.

        Raises:
            BenchError: the time is over.
        """
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise BenchError(f"no end within {patience:g} s") from None

    def stop(self) -> None:
        """Ask it to end, as an interrupt would, and wait until it has."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GOODBYE)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait(_GOODBYE)


@contextlib.contextmanager
def child(command: Sequence[str], core: int | None, folder: Path) -> Iterator[Child]:
    """A running program, ended on leaving.

    Args:
        command: the program and its arguments.
        core: the only CPU core that it may use; None: all.
        folder: where it runs and where its output goes; made if need be.
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
        error.add_note(f"{command[0]} said: {running.said()[-2000:]}")
        raise
    finally:
        running.stop()


def python(*arguments: str) -> list[str]:
    """The command that runs this Python."""
    return [sys.executable, *arguments]


@contextlib.contextmanager
def burning(core: int, folder: Path) -> Iterator[Child]:
    """A program that takes all of a core that it can get."""
    with child(python("-c", "while True: pass"), core, folder) as running:
        yield running
