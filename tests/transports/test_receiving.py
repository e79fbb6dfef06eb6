"""Both ways to read connections: in Python, and compiled."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import shutil
import socket
import struct
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.cli import main as cli
from sseload_users.core.errors import ConfigError
from sseload_users.transports import compiling, receiving
from sseload_users.transports.compiling import compile_receiving
from sseload_users.transports.reading import READ_BYTES
from sseload_users.transports.receiving import ReceiveEach, load_compiled, receive_in_python
from tests.support.compiled import compiled
from tests.support.sockets import kernel_stamps

_SO_TIMESTAMPNS = 35


class One:
    """A connection, as far as reading needs it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock


@contextlib.contextmanager
def connections(count: int, *, stamped: bool = True) -> Iterator[tuple[list[Any], dict[int, Any]]]:
    """Yield servers' ends, and connections by file descriptor, in the same order."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ours: dict[int, Any] = {}
        theirs = []
        for _ in range(count):
            own = stack.enter_context(socket.create_connection(listener.getsockname()))
            other, _ = listener.accept()
            theirs.append(stack.enter_context(other))
            own.setblocking(False)
            if stamped:
                own.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            ours[own.fileno()] = One(own)
        yield theirs, ours


@pytest.fixture(params=["python", "compiled"])
def way(request: pytest.FixtureRequest) -> ReceiveEach:
    return receive_in_python if request.param == "python" else compiled()


def read(way: ReceiveEach, ours: dict[int, Any], events: int = 1) -> list[receiving.Row]:
    return [*way([(fd, events) for fd in ours], ours)]


@kernel_stamps
def test_each_connection_is_read_once_with_the_kernels_stamp(way: ReceiveEach) -> None:
    with connections(3) as (theirs, ours):
        before_ns = time.time_ns()
        theirs[0].sendall(b"one")
        theirs[2].sendall(b"three")
        time.sleep(0.05)
        sent_ns = time.time_ns() - 40_000_000
        rows = read(way, ours, 0x2001)
        assert [row[:3] for row in rows] == [
            (fd, 0x2001, data) for fd, data in zip(ours, (b"one", None, b"three"), strict=True)
        ]
        assert rows[1][3:] == (0, None)
        for _, _, _, arrived_ns, late_ns in rows[::2]:
            assert before_ns <= arrived_ns < sent_ns
            assert late_ns is not None
            assert late_ns > 40_000_000
            assert abs(time.time_ns() - arrived_ns - late_ns) < 1_000_000_000
        assert all(row[2] is None for row in read(way, ours))


def test_a_connection_without_stamps_arrives_when_it_is_read(way: ReceiveEach) -> None:
    with connections(1, stamped=False) as (theirs, ours):
        theirs[0].sendall(b"data")
        time.sleep(0.02)
        before_ns = time.time_ns()
        ((_, _, data, arrived_ns, late_ns),) = read(way, ours)
        assert (data, late_ns) == (b"data", None)
        assert before_ns <= arrived_ns <= time.time_ns()


def test_one_read_takes_so_many_bytes_and_leaves_the_rest(way: ReceiveEach) -> None:
    data = random.randbytes(2 * READ_BYTES + 5)
    with connections(1) as (theirs, ours):
        theirs[0].sendall(data)
        time.sleep(0.05)
        parts = [read(way, ours)[0][2] or b"" for _ in range(3)]
    assert [len(each) for each in parts] == [READ_BYTES, READ_BYTES, 5]
    assert b"".join(parts) == data


def test_the_end_of_a_stream_and_errors_are_told_apart(way: ReceiveEach) -> None:
    with connections(4) as (theirs, ours):
        theirs[0].close()
        theirs[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs[1].close()
        theirs[3].sendall(b"last")
        theirs[3].close()
        time.sleep(0.05)
        rows = read(way, ours)
        assert [row[2] for row in rows] == [b"", None, None, b"last"]
        assert [row[3] for row in rows[1:3]] == [errno.ECONNRESET, 0]
        assert read(way, ours)[3][2] == b""


def test_a_closed_connection_does_no_harm(way: ReceiveEach) -> None:
    with connections(2) as (theirs, ours):
        theirs[1].sendall(b"data")
        time.sleep(0.02)
        fds = [*ours]
        ours[fds[0]].sock.close()
        if way is receive_in_python:
            del ours[fds[0]]
        rows = [*way([(fd, 1) for fd in fds], ours)]
        found = {row[0]: row[2:4] for row in rows}
        assert found.get(fds[0], (None, errno.EBADF)) == (None, errno.EBADF)
        assert found[fds[1]][0] == b"data"


@kernel_stamps
@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([b"", b"a", b"code", b"code2", b"x" * 3000]), max_size=12))
def test_both_ways_have_the_same_rows(messages: list[bytes]) -> None:
    with connections(2 * len(messages)) as (theirs, ours):
        for other, message in zip(theirs, messages * 2, strict=True):
            other.sendall(message)
        time.sleep(0.005)
        fds = [*ours]
        half = len(messages)
        found = []
        for one_way, own in ((receive_in_python, fds[:half]), (compiled(), fds[half:])):
            rows = [*one_way([(fd, 1) for fd in own], ours)]
            assert [row[0] for row in rows] == own
            assert all((row[4] is None) == (row[2] is None) for row in rows)
            found.append([row[2] for row in rows])
    assert found[0] == found[1] == [message or None for message in messages]


def test_the_compiled_way_keeps_one_object_for_the_copies_of_a_broadcast() -> None:
    way = compiled()
    with connections(4) as (theirs, ours):
        for other, message in zip(
            theirs, (b"code-1", b"code-1", b"code-2", b"code-2"), strict=True
        ):
            other.sendall(message)
        time.sleep(0.02)
        data = [row[2] for row in read(way, ours)]
    assert data[0] is data[1]
    assert data[2] is data[3]
    assert data == [b"code-1", b"code-1", b"code-2", b"code-2"]


def test_the_compiled_way_refuses_what_it_cannot_read() -> None:
    way: Any = compiled()
    for wrong in (None, (), [1], [(1,)], [("1", 1)], [(1 << 80, 1)]):
        with pytest.raises((TypeError, OverflowError)):
            way(wrong, {})


def test_the_compiled_way_does_not_leak() -> None:
    way = compiled()
    none, error = sys.getrefcount(None), 0
    with connections(2) as (theirs, ours):
        pairs = [(fd, 1) for fd in ours] * 50

        def turn() -> None:
            nonlocal error
            theirs[0].sendall(random.randbytes(2000))
            for _ in range(20):
                error += sum(row[2] is not None for row in way(pairs, ours))

        for _ in range(50):
            turn()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(500):
            turn()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # A million rows: a leaked object in each would take 30 MiB at least.
    assert after - before < 8 * 1024
    assert abs(sys.getrefcount(None) - none) < 10_000
    assert error


# Which way is taken


def test_the_compiled_way_is_taken_if_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled()
    source = tmp_path / receiving.SOURCE.name
    shutil.copy(receiving.SOURCE, source)
    for module in (receiving, compiling):
        monkeypatch.setattr(module, "SOURCE", source)
    monkeypatch.delenv(receiving.PURE_PYTHON, raising=False)
    assert receiving.receive_best() is receive_in_python
    path = compile_receiving(tmp_path)
    assert path.parent == tmp_path
    assert [*tmp_path.iterdir()] != [source]
    assert receiving.receive_best() is not receive_in_python
    monkeypatch.setenv(receiving.PURE_PYTHON, "1")
    assert receiving.receive_best() is receive_in_python
    monkeypatch.setenv(receiving.PURE_PYTHON, "")
    assert receiving.receive_best() is not receive_in_python
    # It is another source's now.
    source.write_text(source.read_text() + "\n")
    assert receiving.receive_best() is receive_in_python


def test_a_file_that_is_no_module_is_not_taken(tmp_path: Path) -> None:
    assert load_compiled(tmp_path / "missing.so") is None
    path = tmp_path / "text.so"
    path.write_text("not a module")
    assert load_compiled(path) is None


# Compiling


def test_what_is_missing_to_compile_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    headers = Path(sysconfig.get_path("include"), "Python.h").is_file()
    if headers:
        with pytest.raises(ConfigError, match="there is no C compiler"):
            compile_receiving(tmp_path)
        monkeypatch.setenv("CC", "/bin/false")
        with pytest.raises(ConfigError, match="/bin/false failed"):
            compile_receiving(tmp_path)
        monkeypatch.setenv("CC", str(tmp_path / "missing"))
        with pytest.raises(ConfigError, match="cannot be run"):
            compile_receiving(tmp_path)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(ConfigError, match=r"Install them, on Debian the package python3-dev\."):
        compile_receiving(tmp_path)
    assert cli.main(["compile"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("sseload: Not compiled, which only costs CPU: Python's headers")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="only CPython on Linux"):
        compile_receiving(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    compiled()
    with pytest.raises(
        ConfigError, match=r"missing/_receiving\..* cannot be written: No such file"
    ):
        compile_receiving(tmp_path / "missing")


def test_no_warning_is_compiled_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled()
    own = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")))
    monkeypatch.setenv("CC", f"{own} -Wall -Wextra -Werror")
    assert compile_receiving(tmp_path).is_file()
