"""The embedded target as a child process: start, stop, and the parent's death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from sseload_users.core.errors import ConfigError
from sseload_users.demo import process, record
from tests.support.demo_clients import PATIENCE, clients, target, wait_until

ROOT = Path(__file__).parents[2]


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a new Python process."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def serve(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sseload_users.demo", *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_and_stops_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with serve("--record", str(tmp_path / "r")) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        start, _, url = line.strip().rpartition(" ")
        assert start == "sseload demo listening on"
        assert url.startswith("http://127.0.0.1:")
        assert requests.get(f"{url}/health", timeout=PATIENCE).status_code == 200
        server.send_signal(number)
        out, err = server.communicate(timeout=PATIENCE)
    assert (server.returncode, out, err) == (0, "", "")
    assert record.read(tmp_path / "r").stopped == number.name


@pytest.mark.parametrize("options", [[], ["--exit-with-parent"]])
def test_it_exits_at_end_of_input_only_with_exit_with_parent(options: list[str]) -> None:
    with serve(*options) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        server.stdout.readline()
        server.stdin.close()
        if options:
            assert server.wait(PATIENCE) == 0
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(0.3)
            server.terminate()


def test_an_invalid_option_exits_with_status_2() -> None:
    with serve("--lose", "2") as server:
        out, err = server.communicate(timeout=PATIENCE)
    assert (server.returncode, out) == (2, "")
    assert err == "Argument --lose: '2' is not a number between 0 and 1; see --help.\n"


def test_it_imports_neither_locust_nor_gevent() -> None:
    found = run(
        "import sseload_users.demo.__main__, sseload_users.demo.process, sys\n"
        "print(sorted({'gevent', 'locust'} & sys.modules.keys()))"
    )
    assert found.stdout == "[]\n", found.stderr


def test_start_and_stop() -> None:
    with process.start() as server:
        assert requests.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200
        child = psutil.Process(server.pid)
        assert os.getsid(server.pid) == server.pid
        server.stop()
        assert not child.is_running()
        server.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/health", timeout=PATIENCE)


def test_two_run_side_by_side() -> None:
    with process.start() as first, process.start() as second:
        assert first.url != second.url
        for server in (first, second):
            assert requests.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200


def test_a_failed_start_names_the_reason() -> None:
    with process.start() as server, pytest.raises(ConfigError) as caught:
        process.start("--port", server.url.rpartition(":")[2])
    sentence = str(caught.value)
    assert sentence.startswith("The embedded target did not start: Cannot listen on 127.0.0.1:")
    assert sentence.endswith(": Address already in use. Use another --port or --host.")


def test_a_server_that_does_not_listen_in_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_START_SECONDS", 0.0)
    with pytest.raises(ConfigError, match=r"did not start: it did not listen within 0 s\.$"):
        process.start()
    children = psutil.Process().children()
    assert not [each for each in children if "sseload_users.demo" in each.cmdline()]


def test_a_dead_server_can_be_stopped() -> None:
    with process.start() as server:
        os.kill(server.pid, signal.SIGKILL)
        server.stop()
        server.stop()


def test_a_server_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_STOP_SECONDS", 0.3)
    with process.start() as server:
        os.kill(server.pid, signal.SIGSTOP)
        server.stop()
        assert gone(server.pid)


def test_stopping_does_not_wait_for_silent_connections(tmp_path: Path) -> None:
    with target(tmp_path, "--drop", "1", "--drop-how", "silent") as server:
        listening = clients(server, 2)
        server.post("C-1")
        wait_until(lambda: '"dropped"' in server.path.read_text(), "the drops")
        began = time.monotonic()
        truth = server.stop()
        assert time.monotonic() - began < 4
        for client in listening:
            client.join()
    assert truth.stopped == "SIGTERM"
    assert all(each.closed_by == "server" for each in truth.connections.values())


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent, sys, time, urllib.request
from sseload_users.demo import process
from sseload_users.core.errors import ConfigError

ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        gevent.sleep(0.005)
gevent.spawn(tick)
before = len(ticks)
with process.start() as server:
    started = len(ticks)
    print(urllib.request.urlopen(server.url + "/health").status)
stopped = len(ticks)
try:
    process.start("--lose", "2")
except ConfigError as error:
    print(error)
print(started - before > 2, stopped > started)
"""


def test_it_works_under_gevent_without_blocking_other_greenlets() -> None:
    done = run(UNDER_GEVENT)
    reason = "Argument --lose: '2' is not a number between 0 and 1; see --help."
    sentence = f"The embedded target did not start: {reason}"
    assert done.stdout.splitlines() == ["200", sentence, "True True"], done.stderr


KILLED = """
import os, signal
from sseload_users.demo import process
print(process.start().pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_exits_when_its_parent_is_killed() -> None:
    child = int(run(KILLED).stdout)
    wait_until(lambda: gone(child), "the child's end")


FORKED = """
import os, sys
from sseload_users.demo import process
with process.start() as server:
    worker = os.fork()
    if not worker:
        server.stop()
        os._exit(0)
    os.waitpid(worker, 0)
    os.kill(server.pid, 0)
    print(server._child.poll())
"""


def test_a_forked_child_does_not_stop_the_server() -> None:
    assert run(FORKED).stdout == "None\n"


def test_it_starts_from_any_working_directory(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from sseload_users.demo import process\n"
        "with process.start() as server: print(server.url)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.startswith("http://127.0.0.1:")
