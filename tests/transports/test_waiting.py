"""Greenlets that wait for sockets: each is resumed once, in time, or not at all."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import gevent
import gevent.monkey
import pytest

from sseload_users.transports import waiting
from sseload_users.transports.waiting import wait_readable, wait_writable


@pytest.fixture(params=["epoll", "watcher"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the epoll set, or what there is on platforms without epoll."""
    if request.param == "watcher":
        monkeypatch.setattr(waiting, "_wait", waiting._wait_for_watcher)


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    mine, peer = socket.socketpair()
    with mine, peer:
        mine.setblocking(False)
        yield mine, peer


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def test_each_is_resumed_for_its_own_socket() -> None:
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(pair()) for _ in range(200)]
        got: list[int] = []

        def read(index: int) -> None:
            wait_readable(pairs[index][0].fileno(), soon())
            got.append(pairs[index][0].recv(4)[0])

        greenlets = [gevent.spawn(read, index) for index in range(200)]
        gevent.sleep(0)
        for index in range(0, 200, 2):
            pairs[index][1].sendall(bytes([index]))
        gevent.joinall(greenlets[::2], timeout=5, raise_error=True)
        assert sorted(got) == list(range(0, 200, 2))
        assert not any(each.dead for each in greenlets[1::2])
        for index in range(1, 200, 2):
            pairs[index][1].close()
        for each in greenlets[1::2]:
            with pytest.raises(IndexError):  # the end of the stream
                each.get(timeout=5)


def test_it_can_wait_for_room() -> None:
    with pair() as (mine, peer):
        with contextlib.suppress(BlockingIOError):
            while True:
                mine.send(b"x" * 65536)
        writer = gevent.spawn(wait_writable, mine.fileno(), None)
        gevent.sleep(0.01)
        assert not writer.dead
        peer.recv(1 << 20)
        writer.get(timeout=5)


def test_deadlines_pass_in_their_own_order() -> None:
    with pair() as (one, _), pair() as (two, _), pair() as (three, peer):
        began = time.monotonic()
        ended: list[str] = []

        def wait(name: str, sock: socket.socket, seconds: float) -> None:
            try:
                wait_readable(sock.fileno(), began + seconds)
                ended.append(name)
            except TimeoutError:
                ended.append(f"{name} late")
                assert time.monotonic() >= began + seconds

        greenlets = [
            gevent.spawn(wait, "one", one, 0.06),
            gevent.spawn(wait, "two", two, 0.03),
            gevent.spawn(wait, "three", three, 30),
        ]
        gevent.joinall(greenlets[:2], timeout=5, raise_error=True)
        peer.sendall(b"x")
        greenlets[2].get(timeout=5)
        assert ended == ["two late", "one late", "three"]
        with pytest.raises(TimeoutError):
            wait_readable(one.fileno(), began)


def test_one_that_is_killed_waits_no_more() -> None:
    with pair() as (mine, peer):
        first = gevent.spawn(wait_readable, mine.fileno(), soon())
        gevent.sleep(0)
        first.kill()
        second = gevent.spawn(wait_readable, mine.fileno(), soon())
        gevent.sleep(0)
        peer.sendall(b"x")
        second.get(timeout=5)


def test_one_may_end_the_wait_of_another_that_is_ready_too() -> None:
    with pair() as (one, peer), pair() as (two, other):
        waits: list[gevent.Greenlet[..., None]] = []

        def wait(mine: int, sock: socket.socket) -> None:
            wait_readable(sock.fileno(), soon())
            waits[1 - mine].kill(block=False)
            gevent.sleep(0.01)

        waits += [gevent.spawn(wait, 0, one), gevent.spawn(wait, 1, two)]
        gevent.sleep(0)
        peer.sendall(b"x")
        other.sendall(b"x")
        gevent.joinall(waits, timeout=5, raise_error=True)
        assert all(each.dead for each in waits)
