"""Turns to connect: spread over time, only so many at a time, and none gets lost."""

from __future__ import annotations

import random
import time

import gevent

from sseload_users.run.connect_turns import ConnectTurns


def test_first_connects_are_spread_over_the_second() -> None:
    turns, began = ConnectTurns(1000, 400), time.monotonic()
    times: list[float] = []

    def connect() -> None:
        turns.wait_until_due()
        times.append(time.monotonic() - began)

    gevent.joinall([gevent.spawn(connect) for _ in range(100)], timeout=10, raise_error=True)
    assert times == sorted(times)
    # None is early: connection n is due after n / 400 s. Only a busy machine makes one late.
    assert all(at >= number / 400 - 0.002 for number, at in enumerate(times))
    halves = [sum(low <= at < low + 0.125 for at in times) for low in (0.0, 0.125)]
    assert halves[0] <= 52


def test_a_rate_that_is_not_used_up_allows_no_burst() -> None:
    turns = ConnectTurns(1000, 100)
    turns.wait_until_due()
    gevent.sleep(0.1)
    began = time.monotonic()
    for _ in range(4):
        turns.wait_until_due()
    assert time.monotonic() - began >= 0.028


def test_without_a_rate_all_are_due_at_once() -> None:
    turns, began = ConnectTurns(1000, 0), time.monotonic()
    for _ in range(10_000):
        turns.wait_until_due()
    assert time.monotonic() - began < 1


def test_only_so_many_connect_at_a_time_in_their_order() -> None:
    turns = ConnectTurns(3, 0)
    began: list[int] = []
    now = most = 0

    def connect(number: int) -> None:
        nonlocal now, most
        with turns:
            began.append(number)
            now += 1
            most = max(most, now)
            gevent.sleep(0.001)
            now -= 1

    gevent.joinall([gevent.spawn(connect, each) for each in range(50)], timeout=10)
    assert (most, now, began) == (3, 0, list(range(50)))


def test_users_that_are_stopped_give_their_turns_back() -> None:
    turns = ConnectTurns(2, 2000)
    done: list[int] = []

    def connect(number: int) -> None:
        turns.wait_until_due()
        with turns:
            gevent.sleep(0.002)
        done.append(number)

    rng = random.Random(7)
    waiting = [gevent.spawn(connect, each) for each in range(100)]
    for each in rng.sample(waiting, 60):
        gevent.sleep(0.0005)
        each.kill(block=False)
    gevent.joinall(waiting, timeout=10)
    assert len(done) >= 40
    # Both turns are free again.
    held: list[float] = []

    def hold() -> None:
        with turns:
            held.append(time.monotonic())
            gevent.sleep(0.05)

    gevent.joinall([gevent.spawn(hold) for _ in range(2)], timeout=5, raise_error=True)
    assert abs(held[0] - held[1]) < 0.05
