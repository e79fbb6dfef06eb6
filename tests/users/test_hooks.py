"""Calls of the hooks that a subclass overrides."""

from __future__ import annotations

import logging
from functools import partial

import gevent
import pytest
from gevent.event import Event

from sseload_users.users.hooks import HookCalls


def hook_calls(errors: list[str]) -> HookCalls:
    return HookCalls(lambda: errors.append("error"))


def test_calls_are_made_in_order_and_wait_for_one_that_blocks() -> None:
    made: list[int] = []
    go_on, done = Event(), Event()
    calls = hook_calls([])
    calls.put(partial(made.append, 1))

    def wait() -> None:
        go_on.wait()

    calls.put(wait)
    calls.put(partial(made.append, 2))
    gevent.idle()
    assert made == [1]
    calls.put(done.set)
    calls.close()  # what is queued is still called
    go_on.set()
    assert done.wait(5)
    assert made == [1, 2]


def test_an_exception_is_counted_each_time_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Listener:
        def on_code(self) -> None:
            raise LookupError("a mistake")

    errors: list[str] = []
    done = Event()
    calls = hook_calls(errors)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            calls.put(Listener().on_code)
        calls.put(done.set)
        assert done.wait(5)
    assert len(errors) == 3
    (record,) = caplog.records
    assert "Listener.on_code raised an exception" in record.getMessage()
    assert record.exc_info is not None
