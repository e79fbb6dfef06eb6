"""Turns to connect: spread over time, only so many at a time, on shared stacks; none gets lost."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
import pytest
from gevent.event import Event

from sseload_users.run.connect_turns import ConnectTurns, Turn


def current(_: int) -> Any:
    """The greenlet that makes the call."""
    return gevent.getcurrent()


def leave(_: int) -> None:
    """A call that ends its greenlet."""
    raise gevent.GreenletExit


def wait_to_be_withdrawn(said: list[str], _: int) -> None:
    """A call that ends when it is stopped, and says so."""
    try:
        gevent.sleep(60)
    except gevent.GreenletExit:
        said.append("withdrawn")
        raise


def call(
    turns: ConnectTurns[Any],
    function: Callable[[int], Any],
    due_s: float = 0.0,
    *,
    limited: bool = True,
) -> Any:
    """Have a function called when its turn has come, and wait for it."""
    return turns.wait(turns.ask(function, due_s, limited=limited))


def first(turns: ConnectTurns[Any], function: Callable[[int], Any]) -> Any:
    """Make a first connect."""
    return call(turns, function, turns.next_due()[0])


def test_first_connects_are_spread_over_the_second() -> None:
    turns: ConnectTurns[None] = ConnectTurns(1000, 400)
    began = time.monotonic()
    times: list[float] = []

    def connect(_: int) -> None:
        times.append(time.monotonic() - began)

    users = [gevent.spawn(first, turns, connect) for _ in range(100)]
    gevent.joinall(users, timeout=10, raise_error=True)
    assert times == sorted(times)
    # None is early: connection n is due after n / 400 s. Only a busy machine makes one late.
    assert all(at >= number / 400 - 0.002 for number, at in enumerate(times))
    halves = [sum(low <= at < low + 0.125 for at in times) for low in (0.0, 0.125)]
    assert halves[0] <= 52
    turns.close()


def test_a_rate_that_is_not_used_up_allows_no_burst() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(1000, 100)
    first(turns, current)
    gevent.sleep(0.1)
    began = time.monotonic()
    for _ in range(4):
        first(turns, current)
    assert time.monotonic() - began >= 0.028
    turns.close()


def test_without_a_rate_all_are_due_at_once() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(1000, 0)
    began, began_ns = time.monotonic(), time.time_ns()
    due = [turns.next_due() for _ in range(1000)]
    assert all(began <= due_s <= time.monotonic() for due_s, _ in due)
    assert all(began_ns <= due_ns <= time.time_ns() for _, due_ns in due)


def test_only_so_many_connect_at_a_time_in_their_order() -> None:
    turns: ConnectTurns[None] = ConnectTurns(3, 0)
    began: list[int] = []
    waited: list[int] = []
    now = most = 0

    def connect(number: int, waited_us: int) -> None:
        nonlocal now, most
        began.append(number)
        waited.append(waited_us)
        now += 1
        most = max(most, now)
        gevent.sleep(0.001)
        now -= 1

    def user(number: int) -> None:
        call(turns, lambda waited_us: connect(number, waited_us))

    gevent.joinall([gevent.spawn(user, each) for each in range(50)], timeout=10, raise_error=True)
    assert (most, now, began) == (3, 0, list(range(50)))
    assert waited[:3] == [0, 0, 0]
    # Each waits for a third of those before it, a millisecond each.
    assert all(us >= number // 3 * 900 for number, us in enumerate(waited))
    turns.close()


def test_calls_without_a_limit_do_not_wait_for_the_others() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(1, 0)
    go = Event()
    held = gevent.spawn(call, turns, lambda _: go.wait())
    gevent.sleep(0)
    assert call(turns, lambda waited_us: waited_us, limited=False) == 0
    assert not held.ready()
    go.set()
    assert held.get(timeout=5)
    turns.close()


@pytest.mark.parametrize("most", [2, 1000])
def test_users_that_are_stopped_give_their_turns_back(most: int) -> None:
    turns: ConnectTurns[None] = ConnectTurns(most, 2000)
    done: list[int] = []
    now = 0

    def connect(number: int) -> None:
        nonlocal now
        now += 1
        try:
            gevent.sleep(0.002)
            done.append(number)
        finally:
            now -= 1

    def user(number: int) -> None:
        first(turns, lambda _: connect(number))

    rng = random.Random(7)
    waiting = [gevent.spawn(user, each) for each in range(100)]
    stopped = rng.sample(range(100), 60)
    for each in stopped:
        gevent.sleep(0.0005)
        waiting[each].kill(block=False)
    gevent.joinall(waiting, timeout=10)
    assert all(each.dead for each in waiting)
    assert {*done} >= {*range(100)} - {*stopped}
    assert now == 0
    # Both turns are free again.
    held: list[float] = []

    def hold(_: int) -> None:
        held.append(time.monotonic())
        gevent.sleep(0.05)

    users = [gevent.spawn(call, turns, hold) for _ in range(2)]
    gevent.joinall(users, timeout=5, raise_error=True)
    assert abs(held[0] - held[1]) < 0.05
    turns.close()


# The stacks


def test_what_is_called_returns_and_raises_to_its_user() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(2, 0)
    own = gevent.getcurrent()
    callers = [call(turns, current) for _ in range(3)]
    assert callers[0] is callers[1] is callers[2] is not own
    with pytest.raises(ZeroDivisionError):
        call(turns, lambda _: 1 // 0)
    with pytest.raises(gevent.GreenletExit):
        call(turns, leave)

    def slowly(_: int) -> int:
        gevent.sleep(0.001)
        return 7

    assert call(turns, slowly) == 7
    assert call(turns, current) is callers[0]
    turns.close()
    gevent.sleep(0)
    assert callers[0].dead
    later = call(turns, current)
    assert later is not own
    gevent.sleep(0)
    assert later.dead


def test_if_all_callers_are_busy_a_user_makes_its_own_call() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(2, 0)
    go = Event()

    def wait(_: int) -> Any:
        go.wait()
        return gevent.getcurrent()

    users = [gevent.spawn(call, turns, wait, limited=False) for _ in range(5)]
    gevent.sleep(0)
    gevent.sleep(0)
    go.set()
    where = [each.get() for each in users]
    direct = [here for each, here in zip(users, where, strict=True) if here is each]
    assert len(direct) == 3
    assert len({*where} - {*users}) == 2
    turns.close()


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize("busy", [0, 1, 2])
def test_a_user_that_is_stopped_stops_its_call(busy: int, limited: bool) -> None:
    turns: ConnectTurns[Any] = ConnectTurns(2, 0)
    go = Event()
    others = [gevent.spawn(call, turns, lambda _: go.wait(), limited=False) for _ in range(busy)]
    gevent.sleep(0)
    said: list[str] = []
    connect = partial(wait_to_be_withdrawn, said)
    for _ in range(5):
        user = gevent.spawn(call, turns, connect, limited=limited)
        gevent.sleep(0.001)
        user.kill(timeout=5)
        assert user.dead
    assert said == ["withdrawn"] * 5
    go.set()
    gevent.joinall(others, timeout=5, raise_error=True)
    assert call(turns, lambda _: 3) == 3
    turns.close()


def test_a_call_that_catches_its_end_ends_all_the_same() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(1, 0)

    def connect(_: int) -> None:
        with contextlib.suppress(BaseException):
            gevent.sleep(60)

    user = gevent.spawn(call, turns, connect)
    gevent.sleep(0.001)
    user.kill(timeout=5)
    assert user.dead
    assert call(turns, lambda _: 3) == 3
    turns.close()


@pytest.mark.parametrize("made", [0, 1])
def test_a_user_may_be_stopped_before_its_call_is_made(made: int) -> None:
    turns: ConnectTurns[Any] = ConnectTurns(1, 0)
    called: list[int] = []
    for _ in range(made):
        call(turns, current)
    for _ in range(3):
        user = gevent.spawn(call, turns, lambda _: called.append(1))
        user.start()
        gevent.idle()
        user.kill(timeout=5)
    call(turns, lambda _: called.append(2))
    assert called.count(2) == 1
    turns.close()


def test_calls_that_fail_at_once_let_others_run() -> None:
    turns: ConnectTurns[None] = ConnectTurns(1, 0)
    turn = [0]

    def tick() -> None:
        while True:
            turn[0] += 1
            gevent.sleep(0)

    seen: list[int] = []
    ticking = gevent.spawn(tick)
    users = [gevent.spawn(call, turns, lambda _: seen.append(turn[0])) for _ in range(200)]
    gevent.joinall(users, timeout=5, raise_error=True)
    ticking.kill()
    assert len(set(seen)) >= 200 // 16
    turns.close()


# Without a greenlet that waits


def test_who_asks_is_notified_of_a_call_for_which_nobody_waits() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(2, 0)
    notified: list[Turn[Any]] = []
    asked = [
        turns.ask(function, turns.next_due()[0], notify=notified.append)
        for function in (lambda _: None, lambda _: "refused", leave, lambda _: 1 // 0)
    ]
    assert not notified
    gevent.sleep(0.01)
    assert notified == asked
    assert [each.has_succeeded for each in notified] == [True, False, False, False]
    assert turns.wait(asked[0]) is None
    assert turns.wait(asked[1]) == "refused"
    with pytest.raises(gevent.GreenletExit):
        turns.wait(asked[2])
    with pytest.raises(ZeroDivisionError):
        turns.wait(asked[3])
    turns.close()


def test_who_waits_meanwhile_is_resumed_instead() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(1, 0)
    notified: list[Turn[Any]] = []
    go = Event()
    asked = turns.ask(lambda _: go.wait() and 5, notify=notified.append)
    waiting = gevent.spawn(turns.wait, asked)
    gevent.sleep(0)
    go.set()
    assert waiting.get(timeout=5) == 5
    assert not notified
    turns.close()


def test_who_asks_has_to_make_the_call_if_all_callers_are_busy() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(1, 0)
    go = Event()
    busy = gevent.spawn(call, turns, lambda _: go.wait(), limited=False)
    gevent.sleep(0)
    notified: list[Turn[Any]] = []
    asked = turns.ask(current, notify=notified.append)
    assert notified == [asked]
    assert not asked.has_succeeded
    assert turns.wait(asked) is gevent.getcurrent()
    go.set()
    busy.join(timeout=5)
    turns.close()


def test_a_call_for_which_nobody_waited_can_be_stopped() -> None:
    turns: ConnectTurns[Any] = ConnectTurns(1, 0)
    said: list[str] = []
    connect = partial(wait_to_be_withdrawn, said)
    asked = turns.ask(connect, notify=lambda _: said.append("notified"))
    gevent.sleep(0.001)
    waiting = gevent.spawn(turns.wait, asked)
    gevent.sleep(0)
    waiting.kill(timeout=5)
    assert said == ["withdrawn"]
    assert call(turns, lambda _: 3) == 3
    turns.close()
