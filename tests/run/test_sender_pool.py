"""Greenlets that send codes, one code after the other."""

from __future__ import annotations

from functools import partial

import gevent
import gevent.event
import pytest

from sseload_users.run.sender_pool import SenderPool


def test_a_greenlet_is_used_again() -> None:
    pool = SenderPool(5)
    used: list[object] = []
    for _ in range(4):
        pool.call(lambda: used.append(gevent.getcurrent()))
        assert not used or len(set(used)) == 1
        pool.join()
    assert len(used) == 4
    assert len(set(used)) == 1
    pool.kill()


def test_at_most_so_many_are_called_at_a_time() -> None:
    pool, release = SenderPool(2), gevent.event.Event()
    called: list[int] = []

    def send(number: int) -> None:
        called.append(number)
        release.wait()

    def hand_in() -> None:
        for number in range(4):
            pool.call(partial(send, number))

    handing_in = gevent.spawn(hand_in)
    gevent.idle()
    assert called == [0, 1]
    assert not handing_in.ready()
    release.set()
    handing_in.get(timeout=5)
    pool.join()
    assert called == [0, 1, 2, 3]
    pool.kill()


def test_join_waits_for_the_last_one() -> None:
    pool, release = SenderPool(2), gevent.event.Event()
    pool.join()
    pool.call(release.wait)
    pool.call(lambda: None)
    joining = gevent.spawn(pool.join)
    gevent.idle()
    assert not joining.ready()
    release.set()
    joining.get(timeout=5)
    pool.kill()


@pytest.mark.parametrize("block", [True, False])
def test_what_is_stopped_is_not_waited_for(block: bool) -> None:
    pool, never = SenderPool(3), gevent.event.Event()
    ended: list[str] = []

    def send() -> None:
        try:
            never.wait()
        finally:
            ended.append("stopped")

    pool.call(send)
    gevent.idle()
    pool.call(partial(ended.append, "called"))  # not yet: its greenlet has not run
    pool.kill(block=block, timeout=1)
    with gevent.Timeout(5):
        pool.join()
    assert ended == ["stopped"]
    # It goes on with other greenlets.
    for _ in range(5):
        pool.call(partial(ended.append, "called later"))
    pool.join()
    assert ended == ["stopped", *["called later"] * 5]
    pool.kill()


def test_an_error_ends_only_its_own_function(capsys: pytest.CaptureFixture[str]) -> None:
    pool, called = SenderPool(1), []
    pool.call(lambda: 1 // 0)
    pool.call(lambda: called.append(1))
    pool.join()
    assert called == [1]
    assert "ZeroDivisionError" in capsys.readouterr().err
    pool.kill()
