"""Functions that are called on shared stacks behave as if they were called directly."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

from sseload_users.run.stack_pool import StackPool


def slowly() -> int:
    gevent.sleep(0.001)
    return 7


def test_what_is_called_returns_and_raises_to_its_caller() -> None:
    pool: StackPool[Any] = StackPool(2)
    own = gevent.getcurrent()
    callers = [pool.call(gevent.getcurrent) for _ in range(3)]
    assert callers[0] is callers[1] is callers[2] is not own
    with pytest.raises(ZeroDivisionError):
        pool.call(lambda: 1 // 0)
    assert pool.call(slowly) == 7
    assert pool.call(gevent.getcurrent) is callers[0]
    pool.close()
    gevent.sleep(0)
    assert callers[0].dead
    assert pool.call(gevent.getcurrent) is not own
    pool.close()


def test_if_all_are_busy_a_function_is_called_directly() -> None:
    pool: StackPool[Any] = StackPool(2)
    go = Event()

    def wait() -> Any:
        go.wait()
        return gevent.getcurrent()

    callers = [gevent.spawn(pool.call, wait) for _ in range(5)]
    gevent.sleep(0)
    gevent.sleep(0)
    go.set()
    where = [each.get() for each in callers]
    direct = [here for each, here in zip(callers, where, strict=True) if here is each]
    assert len(direct) == 3
    assert len({*where} - {*callers}) == 2
    pool.close()


@pytest.mark.parametrize("most", [0, 2])
def test_a_caller_that_is_stopped_stops_what_it_called(most: int) -> None:
    pool: StackPool[Any] = StackPool(most)
    said: list[str] = []

    def connect() -> None:
        try:
            gevent.sleep(60)
        except gevent.GreenletExit:
            said.append("withdrawn")
            raise

    for _ in range(5):
        user = gevent.spawn(pool.call, connect)
        gevent.sleep(0.001)
        user.kill(timeout=5)
        assert user.dead
    assert said == ["withdrawn"] * 5
    assert pool.call(lambda: 3) == 3
    pool.close()


def test_a_caller_may_be_stopped_before_its_function_is_called() -> None:
    pool: StackPool[Any] = StackPool(1)
    called: list[int] = []
    for _ in range(3):
        user = gevent.spawn(pool.call, lambda: called.append(1))
        user.start()
        gevent.idle()
        user.kill(timeout=5)
    pool.call(lambda: called.append(2))
    assert called.count(2) == 1
    pool.close()
