"""Servers and clients in child processes, which report by lines on their standard output.

A server writes its port first. It answers each line that it reads with what it has sent, as a
JSON object of copies by code, and ends when its standard input does: so it never outlives the
tests.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from tests.support.npm import node_environment

#: Seconds that a line of a program may take.
PATIENCE = 30.0


class Program:
    """A running program.

    Args:
        child: its process.
        errors: the file with its standard error.

    Attributes:
        lines: what it writes, line by line.
    """

    def __init__(self, child: subprocess.Popen[str], errors: IO[str]) -> None:
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._child = child
        self._errors = errors
        self._asking = threading.Lock()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def line(self) -> str:
        """Return the next line that it writes; fail if it ends before."""
        try:
            line = self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            line = ""
        assert line, f"{self._child.args!r} wrote no line: {self.stderr}"
        return line

    def sent(self) -> Counter[str]:
        """Return how many copies of each code the server has sent."""
        assert self._child.stdin is not None
        with self._asking:
            self._child.stdin.write("sent\n")
            self._child.stdin.flush()
            return Counter(json.loads(self.line()))

    @property
    def stderr(self) -> str:
        """Its standard error so far."""
        self._errors.seek(0)
        return self._errors.read()

    def _read(self) -> None:
        assert self._child.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self._child.stdout:
                self.lines.put(line.strip())
        self.lines.put("")


@contextlib.contextmanager
def program(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run a program until the block ends.

    Args:
        command: its command line.
        env: additional environment variables.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**node_environment(), **(env or {})},
        )
        running = Program(child, errors)
        try:
            yield running
        finally:
            child.kill()
            child.wait(PATIENCE)
            running.reader.join(PATIENCE)
            for stream in (child.stdin, child.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()


def result_of(command: Sequence[str]) -> dict[str, Any]:
    """Run a program to its end; return the JSON object that it writes."""
    with program(command) as running:
        found: dict[str, Any] = json.loads(running.line())
    return found
