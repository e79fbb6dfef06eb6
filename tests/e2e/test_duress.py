"""Runs on a machine that runs out: of files, ports, memory, disk and time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from sseload_users.demo import record
from tests.e2e.test_e2e_ends import CUTS, Cut
from tests.support.ground_truth import expected_figures, reported_figures
from tests.support.runs import QUICK, SSELOAD, Outcome, Run, run, running, target

resource = pytest.importorskip("resource", reason="limits of processes are Unix'")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit is Linux'"),
]

HINT = "This machine's limit of open files was reached"


def opened(path: Path, many: int) -> bool:
    """Whether so many connections were opened, as the target's record has it."""
    return path.exists() and path.read_text().count('"event":"opened"') >= many


def causes_of(report: dict[str, object]) -> dict[tuple[str, str], int]:
    errors = report["errors"]
    assert isinstance(errors, dict)
    return {(each["operation"], each["cause"]): each["count"] for each in errors["causes"]}


def test_files_run_out_in_mid_run(tmp_path: Path) -> None:
    with target(tmp_path) as (server, path):
        words = ("40", "4", "2", *QUICK, "--target", "websocket", "--host", server.url, "-r", "20")
        with running(tmp_path, *words) as started:
            started.wait_until(lambda: opened(path, 15), "connections")
            pid = started.child.pid
            limit = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()) + 1
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
            outcome = started.finish()
    report, truth = outcome.report, record.read(path)
    succeeded = report["connections"]["succeeded"]
    assert report["run"]["complete"]
    assert succeeded == truth.opened < 40
    assert causes_of(report) == {
        ("connect", "too many open files"): 40 - succeeded,
        ("ingest", "too many open files"): report["codes"]["unsent"],
    }
    assert report["codes"]["unsent"] == 4 - len(truth.ingests)
    assert all(each["hint"].startswith(HINT) for each in report["errors"]["causes"])
    assert outcome.grade == "issues"
    assert outcome.error_messages == []


#: Has a network of its own, with few ports, in which the command's embedded target is, too.
FEW_PORTS = """
ip link set lo up && echo "40000 40029" > /proc/sys/net/ipv4/ip_local_port_range && exec "$@"
"""


def test_ports_run_out(tmp_path: Path) -> None:
    own_network = ("unshare", "-n", "sh", "-c", FEW_PORTS, "sh")
    if subprocess.run([*own_network, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    words = ("40", "4", "1", *QUICK, "--target", "websocket", "--connect-timeout", "5")
    outcome = run(tmp_path, *words, command=(*own_network, *SSELOAD))
    report = outcome.report
    failed = report["connections"]["failed"]
    assert report["run"]["complete"]
    assert failed >= 10
    assert causes_of(report)["connect", "no free local port"] == failed
    assert outcome.grade == "issues"
    hints = {each["hint"] for each in report["errors"]["causes"]}
    assert len(hints) == 1
    assert "--source-addresses" in hints.pop()


def test_memory_runs_out(tmp_path: Path) -> None:
    with target(tmp_path) as (server, path):
        words = ("400", "4", "2", *QUICK, "--target", "websocket", "--host", server.url)
        with running(tmp_path, *words) as started:
            started.wait_until(lambda: opened(path, 50), "connections")
            pid = started.child.pid
            limit = psutil.Process(pid).memory_info().vms + (256 << 10)
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
            outcome = started.finish()
    assert outcome.status == 2
    (complaint,) = outcome.error_messages
    assert "This machine's memory is used up" in complaint
    if outcome.has_report:
        assert not outcome.report["run"]["complete"]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 64 KiB at a folder."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "report"):
        outcome = run(tmp_path, "8", "4", "1", *QUICK, "--target", "websocket")
        left = {each.name for each in outcome.folder.iterdir()}
    assert outcome.status == 2
    (complaint,) = outcome.error_messages
    assert "report.html (no space left on device)" in complaint
    assert "report.html" not in left
    assert not [name for name in left if name.endswith(".tmp")]
    assert outcome.stdout.count("Verdict") == 1


def test_the_disk_becomes_read_only_in_mid_run(tmp_path: Path) -> None:
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

#: The phases in which somebody is impatient; in broadcast, see `test_e2e_ends`.
IMPATIENT = ("warm-up", "drain")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """A run for each phase, interrupted there, and told again and again."""
    parent = tmp_path_factory.mktemp("impatient")

    def one(cut: Cut) -> Outcome:
        folder = parent / cut.phase
        words = ("12", "4", "1", *QUICK, "--target", "websocket", *cut.words)
        with (
            target(folder, *cut.faults) as (server, _),
            running(folder, *words, "--host", server.url) as started,
        ):
            started.wait_for(f"{cut.phase} ")
            time.sleep(0.2)
            for number in range(20):
                signum = signal.SIGTERM if number % 3 == 1 else signal.SIGINT
                with contextlib.suppress(ProcessLookupError):
                    os.kill(started.child.pid, signum)
                time.sleep(0.02)
            return started.finish()

    with ThreadPoolExecutor(3) as pool:
        yield {phase: pool.submit(one, CUTS[phase]) for phase in IMPATIENT}


@pytest.mark.parametrize("phase", IMPATIENT)
def test_a_second_ctrl_c_costs_nothing(impatient: dict[str, Future[Outcome]], phase: str) -> None:
    outcome = impatient[phase].result()
    assert outcome.report["run"]["notes"][0] == f"It was ended in the {phase} phase."
    assert outcome.stdout.count("Verdict") == 1
    # What was cut off before its first code says nothing about the server.
    judged = outcome.report["codes"]["scheduled"] > 0
    assert outcome.status == (int(outcome.grade == "issues") if judged else 2)
    assert outcome.error_messages == []


def test_ctrl_c_before_the_run_is_no_traceback(tmp_path: Path) -> None:
    with running(tmp_path, "8", "4", "1", *QUICK, "--target", "websocket") as started:
        time.sleep(0.5)
        started.interrupt()
        outcome = started.finish()
    assert outcome.status in (-signal.SIGINT, 2)
    assert outcome.has_report == (outcome.status == 2)


# Stops

#: Seconds for which it is stopped.
STOP_S = 3.0
#: By phase: the target's options and the run's that make it long enough to be stopped in it.
LONG: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "warm-up": (("--asleep", "2"), ("--warm-up", "20")),
    "connect": ((), ("-r", "20")),
    "broadcast": ((), ()),
    "drain": (("--delay", "1:2"), ("--delivery-timeout", "10")),
}


@pytest.fixture(scope="module")
def stopped(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[tuple[Outcome, record.Record]]]]:
    """A run for each phase, stopped in it as by Ctrl-Z or a closed laptop, and continued."""
    parent = tmp_path_factory.mktemp("stopped")

    def one(phase: str) -> tuple[Outcome, record.Record]:
        faults, words = LONG[phase]
        folder = parent / phase
        with target(folder, *faults) as (server, path):
            # So slowly that codes are left to be sent when a busy machine gets to stop it.
            words = ("20", "4", "4", *QUICK, "--target", "websocket", *words)
            with running(folder, *words, "--host", server.url) as started:
                started.wait_for(f"{phase} ")
                time.sleep(0.3)
                _stop(started)
                outcome = started.finish()
        return outcome, record.read(path)

    with ThreadPoolExecutor(4) as pool:
        yield {phase: pool.submit(one, phase) for phase in LONG}


def _stop(started: Run) -> None:
    os.kill(started.child.pid, signal.SIGSTOP)
    time.sleep(STOP_S)
    os.kill(started.child.pid, signal.SIGCONT)


@pytest.mark.parametrize("phase", LONG)
def test_a_run_that_was_stopped_goes_on(
    stopped: dict[str, Future[tuple[Outcome, record.Record]]], phase: str
) -> None:
    outcome, truth = stopped[phase].result()
    report = outcome.report
    assert report["run"]["complete"]
    wanted = expected_figures(report, truth, scheduled=4)
    said = reported_figures(report, wanted)
    if phase == "broadcast":
        # Codes that were overdue go out together, and may overtake each other on their way in.
        del said["deliveries"]["out_of_order"], wanted["deliveries"]["out_of_order"]
    assert said == wanted
    assert report["deliveries"]["delivered"] == report["deliveries"]["owed"] == 20 * 4
    assert outcome.reasons == {}
    assert outcome.grade in ("good", "warning")
    if phase == "broadcast":
        # It cannot have kept to the schedule, and says so.
        assert report["codes"]["schedule_slip_ms"]["max"] > 1000
        assert report["generator"]["saturated"]
