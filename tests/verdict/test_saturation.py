"""Generators that are short of CPU: what they say of themselves, and what the verdict says."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.formatting import ms
from sseload_users.demo import record
from sseload_users.run import generator_load as health
from sseload_users.run.generator_load import GeneratorLoad
from sseload_users.verdict.saturation import is_saturated, judge_generator
from tests.support.distributed import distributed
from tests.support.ground_truth import expected_figures, reported_figures
from tests.support.reports import sample
from tests.support.runs import QUICK, Outcome, running, target

linux = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="waits for a core are counted by Linux"
)


@pytest.mark.parametrize(
    ("busy", "lag_ms", "slip_ms", "stalled_ms", "in_doubt", "saturated"),
    [
        ([], None, None, None, 0, False),
        ([89.9] * 60, 1000.0, 1000.0, 1000.0, 0, False),
        ([90.0] * 2, 1.0, 1.0, 1.0, 0, False),
        ([90.0] * 3, 1.0, 1.0, 1.0, 0, True),
        ([100.0] * 3 + [5.0] * 12, 1.0, 1.0, 1.0, 0, True),
        ([100.0] * 3 + [5.0] * 13, 1.0, 1.0, 1.0, 0, False),
        ([5.0], 1000.1, None, None, 0, True),
        ([5.0], None, 1000.1, None, 0, True),
        ([5.0], 1.0, 1.0, 1000.1, 0, True),
        ([5.0], 1.0, 1.0, 1.0, 1, True),
    ],
)
def test_a_generator_is_saturated_if_busy_for_long_or_far_too_late(
    busy: list[float],
    lag_ms: float | None,
    slip_ms: float | None,
    stalled_ms: float | None,
    in_doubt: int,
    *,
    saturated: bool,
) -> None:
    assert is_saturated(busy, lag_ms, slip_ms, stalled_ms, in_doubt) == saturated


@given(st.lists(st.floats(0, 100), max_size=30), st.integers(0, 29))
def test_more_waiting_never_makes_it_look_better(busy: list[float], index: int) -> None:
    worse = [100.0 if at == index else each for at, each in enumerate(busy)]
    assert is_saturated(worse, None, None, None, 0) >= is_saturated(busy, None, None, None, 0)


def test_the_advice_depends_on_who_used_the_core() -> None:
    generator = sample(saturated=True).generator
    full = judge_generator(generator)
    assert "waited" not in full.sentence
    assert "use more workers" in full.hint
    starved = judge_generator(replace(generator, cpu_percent_max=33.4, waited_percent_max=66.6))
    assert "(CPU up to 33 %, waited for a core up to 67 %, lag p99" in starved.sentence
    assert "CPU limit" in starved.hint
    assert judge_generator(replace(generator, waited_percent_max=None)) == full


def test_the_stamp_error_is_stated_with_the_latencies() -> None:
    generator = sample(saturated=True).generator
    off = generator.stamp_error_ms
    sentence = judge_generator(generator).sentence
    assert f"remain accurate within {ms(off.max)} ms, as the kernel" in sentence
    off.count = 0
    assert "remain accurate, as the kernel" in judge_generator(generator).sentence


@contextlib.contextmanager
def others_have_it(pid: int) -> Iterator[None]:
    """Leave a process a thirtieth of a core, as another one wants all of that core."""
    core = min(os.sched_getaffinity(pid))
    os.sched_setaffinity(pid, {core})
    os.setpriority(os.PRIO_PROCESS, pid, 15)
    greedy = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", greedy]) as other:
        try:
            yield
        finally:
            other.kill()


@contextlib.contextmanager
def a_limit_takes_it(pid: int) -> Iterator[None]:
    """Leave a process a thirtieth of a core by a cgroup's limit."""
    group = Path("/sys/fs/cgroup/cpu", uuid.uuid4().hex)
    limits = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "3000"}
    if not group.parent.exists():
        group, limits = Path("/sys/fs/cgroup", group.name), {"cpu.max": "3000 100000"}
    try:
        group.mkdir()
        for name, value in limits.items():
            (group / name).write_text(value)
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip("no CPU limit can be set here")
    (group / "cgroup.procs").write_text(str(pid))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


@contextlib.contextmanager
def a_limit_or_others(pid: int) -> Iterator[None]:
    """Starve a process by a limit, which costs nothing, or where none can be set, by another."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(a_limit_takes_it(pid))
        except pytest.skip.Exception:
            stack.enter_context(others_have_it(pid))
        yield


Starve = Callable[[int], contextlib.AbstractContextManager[None]]
_WAYS = pytest.mark.parametrize("starve", [others_have_it, a_limit_takes_it])


@linux
@_WAYS
def test_waiting_for_a_core_is_not_idling(starve: Starve) -> None:
    """A process that wants all of a core and gets a little of it says so."""
    script = (
        "import time\n"
        "from sseload_users.run.generator_load import GeneratorLoad\n"
        "health = GeneratorLoad()\n"
        "print('ready', flush=True)\n"
        "input()\n"
        "end = time.monotonic() + 2\n"
        "health.sample()\n"
        "while time.monotonic() < end: pass\n"
        "health.sample()\n"
        "print(health.cpu_percent, health.waited_percent, health.busy_percent)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            with starve(child.pid):
                said, _ = child.communicate("\n", timeout=60)
        finally:
            child.kill()
    cpu, waited, busy = map(float, said.split())
    assert cpu < 30
    assert waited > 60
    assert busy == cpu + waited > 85


@linux
def test_idling_is_not_waiting_for_a_core() -> None:
    looked = GeneratorLoad()
    time.sleep(0.5)
    looked.sample()
    assert looked.waited_percent is not None
    assert looked.waited_percent < 60


@pytest.mark.parametrize("told", [None, "0 0 0\n"])
def test_waiting_is_unknown_where_it_is_not_counted(
    told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told is not None:
        (tmp_path / "schedstat").write_text(told)
    monkeypatch.setattr(health, "_SCHEDULED", tmp_path / "schedstat")
    looked = GeneratorLoad()
    looked.sample()
    assert looked.waited_percent is None
    assert looked.busy_percent == looked.cpu_percent


def starved(folder: Path) -> tuple[Outcome, dict[str, Any], dict[str, Any]]:
    """A run that is starved while its codes go out: its outcome, what it says, the truth."""
    with target(folder) as (server, path):
        words = ("300", "120", "6", *QUICK, "--target", "websocket", "--host", server.url)
        with running(folder, *words, "--ingest-timeout", "20") as started:
            started.wait_for("broadcast ")
            with a_limit_or_others(started.child.pid):
                time.sleep(5)
            outcome = started.finish()
    wanted = expected_figures(outcome.report, record.read(path), scheduled=120)
    return outcome, reported_figures(outcome.report, wanted), wanted


@pytest.mark.dear
@linux
@pytest.mark.e2e
def test_a_starved_generator_is_reported_without_blame(tmp_path: Path) -> None:
    outcome, said, wanted = starved(tmp_path)
    report = outcome.report
    assert report["deliveries"]["delivered"] == report["deliveries"]["owed"] == 300 * 120
    # Codes that were overdue go out together, and may overtake each other on their way in.
    del said["deliveries"]["out_of_order"], wanted["deliveries"]["out_of_order"]
    assert said == wanted
    assert outcome.reasons == {}
    generator = report["generator"]
    assert generator["saturated"]
    assert generator["waited_percent_max"] > 60
    (reason,) = (each for each in report["verdict"]["reasons"] if each["rule"] == "generator")
    assert reason["grade"] == outcome.grade == "warning"
    assert "waited for a core up to" in reason["sentence"]
    assert "CPU limit" in reason["hint"]
    assert "waited for a core up to" in outcome.stdout
    # It looked idle to whoever only counted what it used.
    [broadcast] = (each for each in report["phases"] if each["name"] == "broadcast")
    since = min(row["t"] for row in report["timeline"] if row["waited_percent"] > 60)
    first = [row for row in report["timeline"] if since <= row["t"] <= since + 3]
    assert broadcast["seconds"] >= 5
    assert min(row["cpu_percent"] for row in first) < 50


@pytest.mark.dear
@linux
@pytest.mark.e2e
def test_a_worker_that_could_not_read_is_reported_without_blame(tmp_path: Path) -> None:
    """It is stopped for longer than the delivery timeout, while another one sends codes."""
    with target(tmp_path) as (server, path):
        words = ("--codes", "40", "--duration", "4")
        with distributed(tmp_path, *words, host=server.url, workers=2) as swarm:
            swarm.master.wait_for("broadcast ")
            time.sleep(0.5)
            os.kill(swarm.workers["b"].child.pid, signal.SIGSTOP)
            time.sleep(1.8)
            os.kill(swarm.workers["b"].child.pid, signal.SIGCONT)
            outcome = swarm.finish()
    report = outcome.report
    wanted = expected_figures(report, record.read(path), scheduled=40)
    assert reported_figures(report, wanted) == wanted
    assert report["deliveries"]["delivered"] == report["deliveries"]["owed"] == 12 * 40
    assert outcome.reasons == {}
    generator = report["generator"]
    assert generator["saturated"]
    # Six connections, and codes of about 0.8 s, of which the newest in each buffer is sure.
    assert 6 <= generator["in_doubt"] <= 6 * 20
    assert 1000 < generator["stamp_error_ms"]["max"] < 5000
    (reason,) = (each for each in report["verdict"]["reasons"] if each["rule"] == "generator")
    assert (
        f"too rarely to tell whether {generator['in_doubt']} deliveries came in time"
        in (reason["sentence"])
    )
    assert outcome.grade == "warning"


@pytest.mark.dear
@linux
@pytest.mark.e2e
def test_one_of_several_workers_that_stood_still_is_noticed(tmp_path: Path) -> None:
    """Too few codes are concerned to show in a percentile of all."""
    words = ("--codes", "80", "--duration", "4", "--delivery-timeout", "10")
    with (
        target(tmp_path) as (server, path),
        distributed(tmp_path, *words, host=server.url) as swarm,
    ):
        swarm.master.wait_for("broadcast ")
        time.sleep(0.5)
        os.kill(swarm.workers["b"].child.pid, signal.SIGSTOP)
        time.sleep(2)
        os.kill(swarm.workers["b"].child.pid, signal.SIGCONT)
        outcome = swarm.finish()
    report = outcome.report
    wanted = expected_figures(report, record.read(path), scheduled=80)
    assert reported_figures(report, wanted) == wanted
    assert report["deliveries"]["delivered"] == report["deliveries"]["owed"] == 12 * 80
    generator = report["generator"]
    assert generator["in_doubt"] == 0
    assert generator["saturated"]
    assert 1500 < generator["stalled_ms"] < 6000
    # Four connections, and the codes of two seconds but the newest ones.
    assert 4 * 20 <= generator["imprecise"] <= 4 * 79
    (reason,) = (each for each in report["verdict"]["reasons"] if each["rule"] == "generator")
    assert reason["grade"] == outcome.grade == "warning"
    assert "The generator did not keep up (" in reason["sentence"]
    assert f"latencies of {generator['imprecise']} deliveries may be too long" in reason["sentence"]
    assert "not the server's fault" in reason["hint"]
