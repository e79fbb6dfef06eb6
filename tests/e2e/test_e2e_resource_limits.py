"""Runs on a machine that runs out of files, ports, memory, disk space or CPU time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from sseload_users.demo import record
from tests.support.ground_truth import expected_figures, reported_figures
from tests.support.phases import LONG_PHASES, LongPhase
from tests.support.runs import QUICK, SSELOAD, Outcome, Run, run, running, target

resource = pytest.importorskip("resource", reason="process limits need Unix")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit needs Linux"),
]

HINT = "This machine's limit of open files was reached"


def own_failures(report: dict[str, Any]) -> int:
    """The failures that the diagnosis says are the generator's own."""
    (finding,) = report["diagnosis"]
    assert finding["pattern"] == "generator"
    own: int = finding["evidence"]["own_failures"]
    return own


def opened(path: Path, count: int) -> bool:
    """Whether the target has recorded that many opened connections."""
    return path.exists() and path.read_text().count('"event":"opened"') >= count


def test_files_run_out_during_a_run(tmp_path: Path) -> None:
    with target(tmp_path) as (server, path):
        arguments = (
            "40",
            "4",
            "2",
            *QUICK,
            "--target",
            "websocket",
            "--host",
            server.url,
            "-r",
            "20",
        )
        with running(tmp_path, *arguments) as started:
            started.wait_until(lambda: opened(path, 15), "connections")
            pid = started.child.pid
            limit = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()) + 1
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
            outcome = started.finish()
    report, truth = outcome.report, record.read(path)
    succeeded = report["connections"]["succeeded"]
    assert report["run"]["complete"]
    assert succeeded == truth.opened < 40
    assert outcome.causes == {
        ("connect", "too many open files"): 40 - succeeded,
        ("ingest", "too many open files"): report["codes"]["unsent"],
    }
    assert report["codes"]["unsent"] == 4 - len(truth.ingests)
    assert all(each["hint"].startswith(HINT) for each in report["errors"]["causes"])
    assert own_failures(report) == report["errors"]["failed"]
    assert outcome.grade == "issues"
    assert outcome.error_messages == []


#: Runs a command, and its embedded target, in a network namespace with few local ports.
FEW_PORTS = """
ip link set lo up && echo "40000 40029" > /proc/sys/net/ipv4/ip_local_port_range && exec "$@"
"""


def test_ports_run_out(tmp_path: Path) -> None:
    own_network = ("unshare", "-n", "sh", "-c", FEW_PORTS, "sh")
    if subprocess.run([*own_network, "true"], check=False, capture_output=True).returncode:
        pytest.skip("cannot create a network namespace")
    arguments = ("40", "4", "1", *QUICK, "--target", "websocket", "--connect-timeout", "5")
    outcome = run(tmp_path, *arguments, command=(*own_network, *SSELOAD))
    report = outcome.report
    failed = report["connections"]["failed"]
    assert report["run"]["complete"]
    assert failed >= 10
    assert outcome.causes["connect", "no free local port"] == failed
    assert outcome.grade == "issues"
    hints = {each["hint"] for each in report["errors"]["causes"]}
    assert len(hints) == 1
    assert "--source-addresses" in hints.pop()
    assert own_failures(report) == report["errors"]["failed"]


def run_out_of_memory(folder: Path) -> Outcome | None:
    """Take a run's memory away; return None if Python itself never comes back from that.

    CPython 3.11 tries again for ever when, while it handles an exception, not even an integer
    can be allocated (Python/ceval.c, exception_unwind). And greenlet ends the process if there
    is no memory to switch from one greenlet to another.
    """
    with target(folder) as (server, path):
        arguments = ("400", "4", "2", *QUICK, "--target", "websocket", "--host", server.url)
        with running(folder, *arguments) as started:
            started.wait_until(lambda: opened(path, 50), "connections")
            pid = started.child.pid
            limit = psutil.Process(pid).memory_info().vms + (256 << 10)
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
            try:
                status = started.child.wait(timeout=8)
            except subprocess.TimeoutExpired:
                return None
            return None if status == -signal.SIGABRT else started.finish()


def test_memory_runs_out(tmp_path: Path) -> None:
    attempts = (run_out_of_memory(tmp_path / str(number)) for number in range(6))
    outcome = next((each for each in attempts if each is not None), None)
    assert outcome is not None, "no run came back"
    assert outcome.status == 2
    (complaint,) = outcome.error_messages
    assert "This machine's memory is used up" in complaint
    if outcome.has_report:
        assert not outcome.report["run"]["complete"]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a file system of 64 KiB at a folder."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "report"):
        outcome = run(tmp_path, "8", "4", "1", *QUICK, "--target", "websocket")
        names = {each.name for each in outcome.folder.iterdir()}
    assert outcome.status == 2
    (complaint,) = outcome.error_messages
    assert "report.html (no space left on device)" in complaint
    assert "report.html" not in names
    assert not [name for name in names if name.endswith(".tmp")]
    assert outcome.stdout.count("Verdict") == 1


def test_the_disk_becomes_read_only_during_a_run(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "report"),
        running(tmp_path, "8", "4", "2", *QUICK, "--target", "websocket") as started,
    ):
        started.wait_for("broadcast ")
        mount = ["mount", "-o", "remount,ro", str(tmp_path / "report")]
        subprocess.run(mount, check=True)
        outcome = started.finish()
    assert outcome.status == 2
    (complaint,) = outcome.error_messages
    assert "could not write report.json (read-only file system)" in complaint
    assert outcome.stdout.count("Verdict") == 1


# Signals

#: The phases in which signals are repeated; for broadcast, see `test_e2e_interruptions`.
SIGNALLED_PHASES = ("warm-up", "drain")


@pytest.fixture(scope="module")
def signalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """Send twenty signals to a run in each phase."""
    parent = tmp_path_factory.mktemp("signalled")

    def one(long: LongPhase) -> Outcome:
        folder = parent / long.name
        arguments = ("12", "4", "1", *QUICK, "--target", "websocket", *long.arguments)
        with (
            target(folder, *long.faults) as (server, _),
            running(folder, *arguments, "--host", server.url) as started,
        ):
            started.wait_for(f"{long.name} ")
            for number in range(20):
                signum = signal.SIGTERM if number % 3 == 1 else signal.SIGINT
                with contextlib.suppress(ProcessLookupError):
                    os.kill(started.child.pid, signum)
                time.sleep(0.02)
            return started.finish()

    with ThreadPoolExecutor(3) as pool:
        yield {phase: pool.submit(one, LONG_PHASES[phase]) for phase in SIGNALLED_PHASES}


@pytest.mark.parametrize("phase", SIGNALLED_PHASES)
def test_repeated_signals_lose_nothing(signalled: dict[str, Future[Outcome]], phase: str) -> None:
    outcome = signalled[phase].result()
    assert outcome.report["run"]["notes"][0] == f"The run was ended in the {phase} phase."
    assert outcome.stdout.count("Verdict") == 1
    # Without any code, nothing can be said about the server.
    judged = outcome.report["codes"]["scheduled"] > 0
    assert outcome.status == (int(outcome.grade == "issues") if judged else 2)
    assert outcome.error_messages == []


def test_ctrl_c_during_startup_leaves_no_traceback(tmp_path: Path) -> None:
    with running(tmp_path, "8", "4", "1", *QUICK, "--target", "websocket") as started:
        time.sleep(0.5)  # somewhere within the imports
        started.interrupt()
        outcome = started.finish()
    assert outcome.status in (-signal.SIGINT, 2)
    assert outcome.has_report == (outcome.status == 2)


# Suspension

#: Seconds for which a run is suspended.
SUSPENDED_S = 3.0
#: By phase: options of the target and of the run that make it long enough to suspend the run.
SUSPENDED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "warm-up": (("--asleep", "2"), ("--warm-up", "20")),
    "connect": ((), ("-r", "20")),
    "broadcast": ((), ()),
    "drain": (("--delay", "1:2"), ("--delivery-timeout", "10")),
}


@pytest.fixture(scope="module")
def suspended(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[tuple[Outcome, record.Record]]]]:
    """Suspend a run in each phase, as Ctrl-Z or a closed laptop does, and continue it."""
    parent = tmp_path_factory.mktemp("suspended")

    def one(phase: str) -> tuple[Outcome, record.Record]:
        faults, arguments = SUSPENDED[phase]
        folder = parent / phase
        with target(folder, *faults) as (server, path):
            # Slow enough that codes are left when a busy machine gets to suspend it.
            arguments = ("20", "4", "4", *QUICK, "--target", "websocket", *arguments)
            with running(folder, *arguments, "--host", server.url) as started:
                started.wait_for(f"{phase} ")
                time.sleep(0.3)  # into the phase
                _suspend(started)
                outcome = started.finish()
        return outcome, record.read(path)

    with ThreadPoolExecutor(4) as pool:
        yield {phase: pool.submit(one, phase) for phase in SUSPENDED}


def _suspend(started: Run) -> None:
    os.kill(started.child.pid, signal.SIGSTOP)
    time.sleep(SUSPENDED_S)
    os.kill(started.child.pid, signal.SIGCONT)


@pytest.mark.parametrize("phase", SUSPENDED)
def test_a_suspended_run_continues(
    suspended: dict[str, Future[tuple[Outcome, record.Record]]], phase: str
) -> None:
    outcome, truth = suspended[phase].result()
    report = outcome.report
    assert report["run"]["complete"]
    expected = expected_figures(report, truth, scheduled=4)
    figures = reported_figures(report, expected)
    if phase == "broadcast":
        # Overdue codes are sent together, and may overtake each other.
        del figures["deliveries"]["out_of_order"], expected["deliveries"]["out_of_order"]
    assert figures == expected
    assert report["deliveries"]["delivered"] == report["deliveries"]["owed"] == 20 * 4
    # The drain phase is long because the server delays its codes.
    assert outcome.reasons == ({"latency": "warning"} if phase == "drain" else {})
    assert outcome.grade in ("good", "warning")
    if phase == "broadcast":
        # It could not keep to the schedule, and the report says so.
        assert report["codes"]["schedule_slip_ms"]["max"] > 1000
        assert report["generator"]["saturated"]
