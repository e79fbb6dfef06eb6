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


def test_workers_that_have_not_connected_end_with_a_refused_run(tmp_path: Path) -> None:
    locustfile = tmp_path / "slow_workers.py"
    locustfile.write_text(
        "import time\n"
        "from locust.env import Environment\n"
        "from sseload_users import CodeBroadcaster, CodeListener\n"
        "connect = Environment.create_worker_runner\n"
        "def late(*arguments, **named):\n"
        "    time.sleep(30)\n"
        "    return connect(*arguments, **named)\n"
        "Environment.create_worker_runner = late\n",
        "utf-8",
    )
    port = str(free_port())
    with running(
        tmp_path, "-f", str(locustfile), "--headless", "-u", "10", "--processes", "2",
        "--master-bind-port", port, "--master-port", port,
        "--host", "http://127.0.0.1:9", "--target", "unknown", command=LOCUST, report=False,
    ) as master:  # fmt: skip
        outcome = master.finish()
    assert outcome.status == 2
    assert outcome.error_messages[0].startswith("sseload: ")
