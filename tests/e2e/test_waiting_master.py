"""A master that is told to end while it waits for workers, and a worker that waits for a master."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.runs import LOCUST, ROOT, running

pytestmark = [pytest.mark.e2e, pytest.mark.dear]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_waiting_master_ends_with_the_workers_that_it_has(
    tmp_path: Path, number: signal.Signals
) -> None:
    port = str(free_port())
    with (
        running(
            tmp_path / "master", "10", "2", "1", "--host", "http://127.0.0.1:9", "--master",
            "--expect-workers", "2", "--master-bind-port", port, "--loglevel", "INFO",
        ) as master,
        running(
            tmp_path / "worker", "--worker", "--master-port", port, command=LOCUST, report=False
        ) as worker,
    ):  # fmt: skip
        master.wait_for("reported as ready")
        master.child.send_signal(number)
        outcome = master.finish()
        assert worker.finish().status == 0
    assert outcome.status == 2
    assert not outcome.has_report
    assert outcome.error_messages == ["sseload: Interrupted before the run began."]


def test_importing_the_package_leaves_signals_alone() -> None:
    code = (
        "import signal, sys\nfrom sseload_users import CodeListener\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "assert 'early_signals' not in sys.excepthook.__module__"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_a_worker_that_waits_for_its_master_ends_on_sigterm(tmp_path: Path) -> None:
    with running(
        tmp_path, "--worker", "--master-port", str(free_port()), "--loglevel", "DEBUG",
        command=LOCUST, report=False,
    ) as worker:  # fmt: skip
        worker.wait_for("Failed to connect to master")
        worker.child.send_signal(signal.SIGTERM)
        assert worker.finish().status == 2
