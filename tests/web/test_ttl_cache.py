from __future__ import annotations

import gevent
import pytest

from sseload_users.web import ttl_cache
from sseload_users.web.ttl_cache import TtlCache


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.worked_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def thread_time(self) -> float:
        return self.worked_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ttl_cache, "time", made)
    return made


def test_a_value_that_changes_is_computed_again_once_it_has_expired(clock: Clock) -> None:
    cache: TtlCache[int] = TtlCache(1.0)
    values = iter(range(10))

    def get() -> int:
        return cache.get("run", lambda: next(values), changes=True)

    assert [get(), get()] == [0, 0]
    clock.now_s += 0.9
    assert get() == 0
    clock.now_s += 0.1
    assert [get(), get()] == [1, 1]


def test_a_value_that_takes_long_to_compute_is_kept_for_longer(clock: Clock) -> None:
    cache: TtlCache[float] = TtlCache(1.0)

    def compute() -> float:
        clock.worked_s += 0.07
        # What others do meanwhile does not count.
        others = gevent.spawn(setattr, clock, "worked_s", clock.worked_s + 9.0)
        cache.pause()
        others.join()
        return clock.now_s

    first = cache.get("run", compute, changes=True)
    clock.now_s += 3.4
    assert cache.get("run", compute, changes=True) == first
    clock.now_s += 0.2
    assert cache.get("run", compute, changes=True) == clock.now_s > first


def test_a_value_that_does_not_change_is_kept_until_its_key_changes(clock: Clock) -> None:
    cache: TtlCache[int] = TtlCache(1.0)
    values = iter(range(10))
    assert cache.get("a", lambda: next(values), changes=False) == 0
    clock.now_s += 1000
    assert cache.get("a", lambda: next(values), changes=False) == 0
    assert cache.get("b", lambda: next(values), changes=False) == 1
    assert cache.get(None, lambda: next(values), changes=False) == 2


def test_none_is_a_value_like_any_other(clock: Clock) -> None:
    del clock
    cache: TtlCache[None] = TtlCache(1.0)
    computed: list[None] = []
    for _ in range(3):
        cache.get(None, lambda: computed.append(None), changes=True)
    assert len(computed) == 1


def test_a_value_that_cannot_be_computed_is_computed_again() -> None:
    cache: TtlCache[float] = TtlCache(60.0)
    with pytest.raises(ZeroDivisionError):
        cache.get("run", lambda: 1 / 0, changes=True)
    assert cache.get("run", lambda: 1.0, changes=True) == 1.0


def test_requests_at_the_same_time_share_one_computation() -> None:
    cache: TtlCache[int] = TtlCache(60.0)
    computed: list[int] = []

    def compute() -> int:
        computed.append(1)
        gevent.sleep(0)
        return len(computed)

    asked = [gevent.spawn(cache.get, "run", compute, changes=True) for _ in range(5)]
    gevent.joinall(asked, timeout=20, raise_error=True)
    assert [each.value for each in asked] == [1] * 5
