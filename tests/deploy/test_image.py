"""The image: built step by step from its Dockerfile, and run as its user."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sseload_users.core.version import VERSION
from tests.support.image import Container, build, first_process, kill, no_containers
from tests.support.ports import free_port
from tests.support.runs import BIN, QUICK, ROOT, Outcome, target

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PATIENCE = 60.0

pytestmark = pytest.mark.dear


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Container:
    if why := no_containers():
        pytest.skip(why)
    return build(DOCKERFILE, ROOT, tmp_path_factory.mktemp("image"))


@contextmanager
def container(image: Container, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run the image's entry point; its metrics are at a free port."""
    # As in deploy/kubernetes, where the rest of the files cannot be written to.
    running = image.start(*words, env=metrics(), volume="/report")
    try:
        wait_until(lambda: Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text())
        yield running
    finally:
        kill(running)


@functools.cache
def metrics() -> dict[str, str]:
    """Return the environment that names a free port for metrics, which is always the same."""
    return {"SSELOAD_METRICS_PORT": str(free_port())}


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [BIN / "hadolint", "--failure-threshold", "style", DOCKERFILE],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.e2e
def test_a_container_is_healthy_runs_a_test_and_ends_with_its_status(
    image: Container, tmp_path: Path
) -> None:
    assert image.user == "10001"
    assert image.ports == {5557, 8089, 9646}
    report = image.path("/report")
    with (
        target(tmp_path / "target") as (server, _),
        container(
            image, "6", "5", "2", *QUICK, "--host", server.url, "--target", "websocket",
            "--delivery-report", "/report",
        ) as running,
    ):  # fmt: skip
        wait_until(lambda: image.check(running, metrics()) == 0)
        # Outside, the first process has another id than inside.
        assert os.stat(f"/proc/{first_process(running)}").st_uid == 10001  # noqa: PTH116
        output, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, output
    outcome = Outcome(0, output, "", report, 0)
    assert outcome.report["deliveries"]["delivered"] == 6 * 5
    assert outcome.report["run"]["versions"]["sseload"] == VERSION
    assert {each.stat().st_uid for each in report.iterdir()} == {10001}


@pytest.mark.e2e
def test_a_worker_is_healthy_once_it_has_its_master(image: Container) -> None:
    port = str(free_port())
    with container(
        image, "--worker", "--master-host", "127.0.0.1", "--master-port", port
    ) as worker:
        wait_until(lambda: image.check(worker, metrics()) == 1)
        with container(
            image, "6", "5", "2", "--master", "--master-bind-port", port, "--expect-workers", "2",
            "--host", "http://127.0.0.1:9",
        ) as master:  # fmt: skip
            wait_until(lambda: image.check(worker, metrics()) == 0)
            wait_until(lambda: image.check(master, metrics()) == 0)
            # As `docker stop` does, to a master that waits for workers.
            os.kill(first_process(master), signal.SIGTERM)
            output, _ = master.communicate(timeout=PATIENCE)
            assert "Traceback" not in output
