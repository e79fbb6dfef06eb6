"""Finding a server's process, and its figures."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sseload_users.core.errors import ConfigError
from sseload_users.monitor.process_source import ProcessSource
from sseload_users.monitor.processes import find_process
from sseload_users.monitor.source import SourceUnavailable


@contextmanager
def child(code: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs some Python, and says when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


READY = "print('ready', flush=True); input()"
LISTEN = f"""
import socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
open(sys.argv[1], "w").write(str(listener.getsockname()[1]))
{READY}
"""
#: A server with two workers that have taken over its socket, one of them busy.
FORKS = f"""
import os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
open(sys.argv[1], "w").write(str(listener.getsockname()[1]))
parent = os.getpid()
for busy in (True, False):
    if not os.fork():
        import threading, time
        threading.Thread(target=lambda: time.sleep(60), daemon=True).start()
        while os.getppid() == parent:
            sum(range(1000)) if busy else time.sleep(0.01)
        os._exit(0)
{READY}
"""


def test_a_process_is_found_by_its_number_its_port_and_its_name(tmp_path: Path) -> None:
    with child(LISTEN, str(tmp_path / "port")) as process:
        port = (tmp_path / "port").read_text()
        assert find_process(str(process.pid)).pid == process.pid
        assert find_process(f":{port}").pid == process.pid
    script = tmp_path / "some-server-of-ours"
    script.write_text(READY)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert find_process("some-server-of-ours").pid == process.pid
    finally:
        process.kill()
        process.communicate()


def test_several_processes_of_a_server_are_found_by_their_ancestor(tmp_path: Path) -> None:
    with child(FORKS, str(tmp_path / "port")) as process:
        port = (tmp_path / "port").read_text()
        source = ProcessSource(f":{port}")
        first = {series.name: value for series, value in source.read()}
        assert "cpu" not in first
        time.sleep(0.5)
        second = {series.name: value for series, value in source.read()}
        assert second["threads"] == 5
        assert second["rss"] >= psutil.Process(process.pid).memory_info().rss / (1 << 20)
        assert second["open files"] >= 3 * 4
        # One is busy. However little of a core it gets here, it is no ten of them.
        assert 5 < second["cpu"] < 1000


def test_a_process_that_ended_is_reported_and_its_successor_found(tmp_path: Path) -> None:
    with child(LISTEN, str(tmp_path / "port")) as process:
        port = (tmp_path / "port").read_text()
        by_port, by_number = ProcessSource(f":{port}"), ProcessSource(str(process.pid))
        assert list(by_port.read())
        assert list(by_number.read())
    for source in (by_port, by_number):
        with pytest.raises(SourceUnavailable, match="has ended"):
            source.read()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))
        listener.listen()
        assert {series.name for series, _ in by_port.read()} == {"rss", "threads", "open files"}
        assert find_process(f":{port}").pid == os.getpid()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("4194305", "there is no such process"),
        ("99999999999999999999", "there is no such process"),
        (":x", "invalid port"),
        (":1", "no process on this machine listens on that port"),
        ("no-such-program", "no process on this machine has that name"),
        ("\x1b[31m", "no process on this machine has that name"),
    ],
)
def test_a_missing_process_is_refused_in_one_sentence(words: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_process(words)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_several_processes_of_one_name_are_refused(tmp_path: Path) -> None:
    script = tmp_path / "twins-of-ours"
    script.write_text(READY)
    twins = [
        subprocess.Popen(
            [sys.executable, str(script)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        for each in twins:
            assert each.stdout is not None
            each.stdout.readline()
        pids = ", ".join(str(each.pid) for each in sorted(twins, key=lambda each: each.pid))
        with pytest.raises(ConfigError, match=re.escape(f"2 processes match ({pids})")):
            find_process("twins-of-ours")
    finally:
        for each in twins:
            each.kill()
            each.communicate()
