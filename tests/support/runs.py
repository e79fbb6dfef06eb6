"""Run sseload or Locust in a child process, usually against the embedded target.

Each report is validated against its schema and checked for consistency when it is read.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from sseload_users.demo import process, record
from tests.support.consistency import check_consistency, validator

ROOT = Path(__file__).parents[2]
#: Where the environment that runs the tests has its programs.
BIN = Path(sys.executable).parent
SSELOAD = (sys.executable, "-m", "sseload_users")
LOCUST = (str(BIN / "locust"),)

#: Seconds after which a run that has not ended fails its test.
PATIENCE = 60.0
#: Options that keep a run short.
QUICK = ("--settle", "0.1", "--delivery-timeout", "1", "--warm-up", "3")

#: Set in the environment of each child, so that its descendants can be found.
_MARK = "SSELOAD_TEST_RUN"


@dataclass(frozen=True)
class Outcome:
    """What a finished run left behind.

    Attributes:
        status: the exit status; the negative signal number if a signal killed it.
        stdout: its whole standard output.
        stderr: its whole standard error.
        folder: the report's directory, whether or not there is a report.
        seconds: the time from its start to its end.
    """

    status: int
    stdout: str
    stderr: str
    folder: Path
    seconds: float

    @property
    def has_report(self) -> bool:
        """Whether the run wrote a report."""
        return (self.folder / "report.json").exists()

    @cached_property
    def report(self) -> dict[str, Any]:
        """The report, checked against its schema and for consistency."""
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text("utf-8"))
        validator.validate(report)
        check_consistency(report)
        connections, codes = self.table("connections"), self.table("codes")
        for outcome in ("owed", "delivered", "late", "recovered", "missing", "interrupted"):
            total = report["deliveries"][outcome]
            assert sum(int(row[outcome]) for row in connections) == total, outcome
            assert sum(int(row[outcome]) for row in codes) == total, outcome
        seen = report["observed"]["seen"] if report["observed"] else 0
        assert len(codes) == report["codes"]["scheduled"] + seen
        assert (self.folder / "junit.xml").stat().st_size > 0
        return report

    def table(self, name: str) -> list[dict[str, str]]:
        """Return the rows of one of the report's CSV files."""
        with (self.folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @property
    def grade(self) -> str:
        """The verdict's grade."""
        return str(self.report["verdict"]["grade"])

    @property
    def reasons(self) -> dict[str, str]:
        """The grade of each rule that is not good.

        The generator's rule is left out: it depends on how busy this machine is.
        """
        return {
            reason["rule"]: reason["grade"]
            for reason in self.report["verdict"]["reasons"]
            if reason["grade"] != "good" and reason["rule"] != "generator"
        }

    @property
    def causes(self) -> dict[tuple[str, str], int]:
        """The number of failed operations by operation and cause."""
        return {
            (each["operation"], each["cause"]): each["count"]
            for each in self.report["errors"]["causes"]
        }

    @property
    def error_messages(self) -> list[str]:
        """The lines that sseload itself wrote to standard error."""
        return [line for line in self.stderr.splitlines() if line.startswith("sseload: ")]


#: On exit, Locust may close its CSV files before the greenlet that writes them has ended, which
#: leaves this traceback.
_LOCUST_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n(?:  .*\n)*? *File .*locust/stats\.py.*stats_writer\n"
    r"(?:  .*\n)*ValueError: I/O operation on closed file\.\n"
)


class Run:
    """A run in progress.

    Args:
        folder: its working files; the report goes to `report` in it.
        *arguments: of the command; `--delivery-report` is added.
        command: the program.
        cwd: its working directory.
        env: additional environment variables.
        report: whether to add `--delivery-report`.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        command: tuple[str, ...] = SSELOAD,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        report: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder / "report"
        self._mark = uuid.uuid4().hex
        self._out, self._err = folder / "stdout", folder / "stderr"
        report_option = ("--delivery-report", str(self.folder)) if report else ()
        self._started = time.monotonic()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.child = subprocess.Popen(
                [*command, *arguments, *report_option],
                cwd=cwd,
                env={**clean_environment(), **(env or {}), _MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                # A process group of its own, as a shell gives to each command.
                process_group=0,
            )

    @property
    def stdout(self) -> str:
        """Its standard output so far."""
        return self._out.read_text("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """Its standard error so far."""
        return self._err.read_text("utf-8", "replace")

    def wait_for(self, text: str) -> None:
        """Wait until a text appears on standard error."""
        self.wait_until(lambda: text in self.stderr, text)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds; fail if the run ends or time is up."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.child.poll() is None, f"the run ended before {what!r}: {self.stderr}"
            assert time.monotonic() < deadline, f"timed out waiting for {what!r}: {self.stderr}"
            time.sleep(0.01)

    def interrupt(self) -> None:
        """Send SIGINT to the whole process group, as Ctrl-C in a terminal does."""
        os.killpg(self.child.pid, signal.SIGINT)

    def processes(self) -> list[psutil.Process]:
        """Return the process and its descendants, orphaned ones included."""
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if each.environ().get(_MARK) == self._mark and each.status() != "zombie":
                    found.append(each)
        return found

    def finish(self, *, quiet: bool = True) -> Outcome:
        """Wait for the end; fail if a process is left over.

        Args:
            quiet: fail if the run wrote a traceback.
        """
        try:
            status = self.child.wait(PATIENCE)
            seconds = time.monotonic() - self._started
            deadline = time.monotonic() + 5
            while (left := self.processes()) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not left, f"processes left over: {[each.cmdline() for each in left]}"
        finally:
            self.kill()
        if quiet:
            output = self.stderr + self.stdout
            assert "Traceback" not in _LOCUST_TRACEBACK.sub("", output), output
        return Outcome(status, self.stdout, self.stderr, self.folder, seconds)

    def kill(self) -> None:
        """Kill the processes that are left."""
        for each in self.processes():
            with contextlib.suppress(psutil.Error):
                each.kill()
        self.child.wait()


def run(folder: Path, *arguments: str, **options: Any) -> Outcome:
    """Start a run and wait for its end; see `Run`."""
    return Run(folder, *arguments, **options).finish()


@contextlib.contextmanager
def running(folder: Path, *arguments: str, **options: Any) -> Iterator[Run]:
    """Start a run; kill what is left of it on exit. See `Run`."""
    started = Run(folder, *arguments, **options)
    try:
        yield started
    finally:
        started.kill()


@contextlib.contextmanager
def target(folder: Path, *options: str) -> Iterator[tuple[process.DemoProcess, Path]]:
    """Start the embedded target; return its process and the path of its record."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "record.jsonl"
    with process.start("--record", str(path), *options) as child:
        yield child, path


def run_against_target(
    folder: Path, *arguments: str, faults: tuple[str, ...] = (), **options: Any
) -> tuple[Outcome, record.Record]:
    """Run against a new embedded target; return the outcome and the target's record.

    Args:
        folder: see `Run`.
        *arguments: see `Run`; `--host` is added.
        faults: the target's options.
        **options: see `Run`.
    """
    with target(folder, *faults) as (server, path):
        outcome = run(folder, *arguments, "--host", server.url, **options)
    return outcome, record.read(path)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without the variables that would affect a run.

    Among these are the ones by which a make that runs the tests passes its own variables on.
    """
    # Runs are kept only where a test wants that.
    return {"SSELOAD_HISTORY": ""} | {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            (
                *("LOCUST_", "SSELOAD_", "GITHUB_", "MAKE", "MFLAGS"),
                *("COLUMNS", "NO_COLOR", "FORCE_COLOR"),
            )
        )
        and name not in ("ARGS", "ALL")
        and not name.upper().endswith("_PROXY")
    }
